/* The transforms of Winograd's F(4x4, 3x3) and F(2x2, 5x5): 4x4 outputs of a 3x3 filter, or 2x2 of a 5x5 one, from 6x6
 * inputs with 36 products instead of 144, or 100 (Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks",
 * arXiv:1509.09308, section 4.3; the matrices of both follow from the points 0, 1, -1, 2, -2 and infinity):
 *
 *     y  = A' [ (G g G') * (B' d B) ] A         * element by element
 *     dg = G' [ (A dy A') * (B' d B) ] G        its gradient to the filter
 *
 * Each works on one line (64 bytes) of channels, vector by vector, and leaves its 36 (or 16, or 4) results `step` apart.
 */
#ifndef FASTCONV_WINOGRAD_H
#define FASTCONV_WINOGRAD_H

#if defined(__AVX2__)
#include <immintrin.h>
#endif
#include <string.h>

#include "relu_pool.h"
#include "tile.h"

#define VECTOR_REALS (VECTOR_BYTES / (int)sizeof(REAL))
#define LANE_OF(v) ((v) * VECTOR_REALS)
#define INLINE static inline __attribute__((always_inline))

/* keeps a compiler from computing all addresses beforehand, more than there are registers for */
#define FORGET(pointer) __asm__("" : "+r"(pointer))

/* the two of the six points 0, 1, -1, 2, -2, infinity that an input's transform takes at a time, so that half of it fits
 * the registers */
static const int PAIRS[3][2] = {{0, 5}, {1, 2}, {3, 4}};

#define SIGNS_OF_FLOATS UINT64_C(0x8000000080000000)
#define SIGN_OF_DOUBLE UINT64_C(0x8000000000000000)

/* Say whether no bit but the signs is set in a line. */
INLINE int line_is_zero(const char *line, uint64_t signs) {
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask(_mm512_loadu_si512(line), _mm512_set1_epi64((long long)~signs)) == 0;
#elif defined(__AVX2__)
    const __m256i all = _mm256_or_si256(_mm256_loadu_si256((const __m256i *)line), _mm256_loadu_si256((const __m256i *)(line + 32)));
    return _mm256_testz_si256(all, _mm256_set1_epi64x((long long)~signs));
#else
    uint64_t words[LINE_BYTES / 8], any = 0;
    memcpy(words, line, LINE_BYTES);
    for (int i = 0; i < LINE_BYTES / 8; i++) any |= words[i];
    return (any & ~signs) == 0;
#endif
}

#define REAL float
#define TYPED(name) name##_float
#include "winograd_body.h"
#undef REAL
#undef TYPED

#define REAL double
#define TYPED(name) name##_double
#include "winograd_body.h"
#undef REAL
#undef TYPED

#endif
