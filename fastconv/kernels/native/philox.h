/* Dropout's masks: Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
 * easy as 1, 2, 3", SC11). A block of four words is a function of the block's number and the key, so any part of the
 * sequence can be made by itself.
 *
 * Blocks lie side by side, one in each 64-bit lane. Of a counter's lane only the low half is read, so the 64-bit product
 * of a round is the next round's counter as it is:
 *
 *     c0' = high(c2 * M2) ^ c1 ^ key0     c1' = low(c2 * M2)
 *     c2' = high(c0 * M0) ^ c3 ^ key1     c3' = low(c0 * M0)
 */
#ifndef FASTCONV_PHILOX_H
#define FASTCONV_PHILOX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* times(c, m): the low half of each lane of c, times m < 2**32; one instruction, but gcc does not find it in plain C.
 * even(a, b), odd(a, b): a0 b0 a2 b2 ... and a1 b1 a3 b3 ...; NUMBERS are the lanes' blocks, so that these two are in
 * the blocks' order. */
#if defined(__AVX512F__)
#define PHILOX_BYTES 64
#define PHILOX_NUMBERS 0, 4, 1, 5, 2, 6, 3, 7
#define philox_times(c, m) ((philox_lanes)_mm512_mul_epu32((__m512i)(c), _mm512_set1_epi64(m)))
#define philox_even(a, b) ((philox_lanes)_mm512_unpacklo_epi64((__m512i)(a), (__m512i)(b)))
#define philox_odd(a, b) ((philox_lanes)_mm512_unpackhi_epi64((__m512i)(a), (__m512i)(b)))
#elif defined(__AVX2__)
#define PHILOX_BYTES 32
#define PHILOX_NUMBERS 0, 2, 1, 3
#define philox_times(c, m) ((philox_lanes)_mm256_mul_epu32((__m256i)(c), _mm256_set1_epi64x(m)))
#define philox_even(a, b) ((philox_lanes)_mm256_unpacklo_epi64((__m256i)(a), (__m256i)(b)))
#define philox_odd(a, b) ((philox_lanes)_mm256_unpackhi_epi64((__m256i)(a), (__m256i)(b)))
#else
#define PHILOX_BYTES 16
#define PHILOX_NUMBERS 0, 1
#if defined(__SSE2__)
#define philox_times(c, m) ((philox_lanes)_mm_mul_epu32((__m128i)(c), _mm_set1_epi64x(m)))
#else
#define philox_times(c, m) (((c) & 0xFFFFFFFFu) * (uint64_t)(m))
#endif
#define philox_even(a, b) ((philox_lanes){(a)[0], (b)[0]})
#define philox_odd(a, b) ((philox_lanes){(a)[1], (b)[1]})
#endif

/* pair(a, b): the low halves, a's before b's in memory */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define philox_pair(a, b) ((a) << 32 | ((b) & 0xFFFFFFFFu))
#else
#define philox_pair(a, b) (((a) & 0xFFFFFFFFu) | (b) << 32)
#endif

typedef uint64_t philox_lanes __attribute__((vector_size(PHILOX_BYTES)));

#define PHILOX_LANES (PHILOX_BYTES / 8)
#define PHILOX_VECTORS 2 /* their rounds overlap */
#define PHILOX_BLOCKS (PHILOX_VECTORS * PHILOX_LANES)
#define PHILOX_WORDS (4 * PHILOX_BLOCKS)

/* Write the PHILOX_WORDS words of the blocks from `block` on; block b has the counter (b % 2**32, b / 2**32, 0, 0). */
static inline void philox_words(uint64_t block, uint64_t key, uint32_t *words) {
    static const uint64_t numbers[PHILOX_LANES] = {PHILOX_NUMBERS};
    philox_lanes c[PHILOX_VECTORS][4];
    uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);
    for (int v = 0; v < PHILOX_VECTORS; v++) {
        memcpy(&c[v][0], numbers, PHILOX_BYTES);
        c[v][0] += block + (uint64_t)(v * PHILOX_LANES);
        c[v][1] = c[v][0] >> 32;
        c[v][2] = c[v][3] = (philox_lanes){0};
    }
    for (int round = 0; round < 10; round++) {
        for (int v = 0; v < PHILOX_VECTORS; v++) {
            const philox_lanes p0 = philox_times(c[v][0], 0xD2511F53), p2 = philox_times(c[v][2], 0xCD9E8D57);
            c[v][0] = (p2 >> 32) ^ c[v][1] ^ (uint64_t)key0;
            c[v][1] = p2;
            c[v][2] = (p0 >> 32) ^ c[v][3] ^ (uint64_t)key1;
            c[v][3] = p0;
        }
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    for (int v = 0; v < PHILOX_VECTORS; v++) {
        const philox_lanes front = philox_pair(c[v][0], c[v][1]), back = philox_pair(c[v][2], c[v][3]);
        const philox_lanes blocks[2] = {philox_even(front, back), philox_odd(front, back)};
        memcpy(words + 4 * v * PHILOX_LANES, blocks, sizeof blocks);
    }
}

/* Vectorise also where out may be x: `restrict` forbids that, and without a word the compiler would fear it. */
#if defined(__clang__)
#define PHILOX_EACH _Pragma("clang loop vectorize(assume_safety)") for
#else
#define PHILOX_EACH _Pragma("GCC ivdep") for
#endif

#define DEFINE_DROPOUT(REAL)                                                                                        \
    /* mask = words > limit, or all of them; out = x * mask */                                                      \
    static inline void philox_keep_##REAL(const uint32_t *words, uint32_t limit, int all, ptrdiff_t count,          \
                                          const REAL *x, unsigned char *mask, REAL *out) {                          \
        PHILOX_EACH (ptrdiff_t i = 0; i < count; i++) {                                                             \
            const int keep = (words[i] > limit) | all;                                                              \
            mask[i] = (unsigned char)keep;                                                                          \
            out[i] = x[i] * (REAL)keep;                                                                             \
        }                                                                                                           \
    }                                                                                                               \
    static inline void philox_dropout_##REAL(const REAL *x, uint64_t first, ptrdiff_t count, uint64_t key,          \
                                             int64_t threshold, unsigned char *mask, REAL *out) {                   \
        const int all = threshold < 0;                                                                              \
        const uint32_t limit = all ? 0 : threshold < UINT32_MAX ? (uint32_t)threshold : UINT32_MAX;                 \
        uint32_t words[PHILOX_WORDS];                                                                               \
        uint64_t block = first / 4;                                                                                 \
        ptrdiff_t skip = (ptrdiff_t)(first % 4), done = 0;                                                          \
        while (done < count) {                                                                                      \
            ptrdiff_t n = PHILOX_WORDS - skip;                                                                      \
            n = n < count - done ? n : count - done;                                                                \
            philox_words(block, key, words);                                                                        \
            if (n == PHILOX_WORDS) /* a constant, for a loop without a rest */                                      \
                philox_keep_##REAL(words, limit, all, PHILOX_WORDS, x + done, mask + done, out + done);             \
            else                                                                                                    \
                philox_keep_##REAL(words + skip, limit, all, n, x + done, mask + done, out + done);                 \
            block += PHILOX_BLOCKS;                                                                                 \
            done += n;                                                                                              \
            skip = 0;                                                                                               \
        }                                                                                                           \
    }

DEFINE_DROPOUT(float)
DEFINE_DROPOUT(double)

#endif
