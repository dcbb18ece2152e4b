/* ReLU and 2x2 max pooling of one pixel's channels in one pass, and back: usual neighbours since VGG. In vectors, because a
 * compiler that meets bytes beside floats does one channel at a time. */
#ifndef FASTCONV_RELU_POOL_H
#define FASTCONV_RELU_POOL_H

#include <stddef.h>
#include <string.h>

#include "tile.h"

/* the fifth value of a winner: no pixel of the window is positive, and no gradient passes */
#define DEAD 4

#define DEFINE_RELU_POOL(REAL)                                                                                      \
    typedef unsigned char bytes_##REAL                                                                              \
        __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL)), aligned(1), may_alias));                           \
    static inline vector_##REAL choose_##REAL(integers_##REAL where, vector_##REAL a, vector_##REAL b) {            \
        return (vector_##REAL)(((integers_##REAL)a & where) | ((integers_##REAL)b & ~where));                       \
    }                                                                                                               \
    /* best = x and first = n where x is larger, or the first nan */                                                \
    static inline void compete_##REAL(int n, vector_##REAL x, vector_##REAL *best, integers_##REAL *first) {        \
        const integers_##REAL wins = (x > *best) | ((x != x) & (*best == *best));                                   \
        *best = choose_##REAL(wins, x, *best);                                                                      \
        *first = (n & wins) | (*first & ~wins);                                                                     \
    }                                                                                                               \
    /* out = relu of the largest, nan wins; winner = which of the four was the first to be it */                    \
    static inline void relu_pool_vector_##REAL(const REAL *a, const REAL *b, const REAL *c, const REAL *d,          \
                                               REAL *out, unsigned char *winner) {                                  \
        vector_##REAL best = *(const vector_##REAL *)a;                                                             \
        integers_##REAL first = {0};                                                                                \
        compete_##REAL(1, *(const vector_##REAL *)b, &best, &first);                                                \
        compete_##REAL(2, *(const vector_##REAL *)c, &best, &first);                                                \
        compete_##REAL(3, *(const vector_##REAL *)d, &best, &first);                                                \
        const integers_##REAL dead = best <= 0;                                                                     \
        *(vector_##REAL *)out = (vector_##REAL)((integers_##REAL)best & ~dead);                                     \
        *(bytes_##REAL *)winner = __builtin_convertvector((DEAD & dead) | (first & ~dead), bytes_##REAL);           \
    }                                                                                                               \
    /* the winner takes dout, the others nothing */                                                                 \
    static inline void relu_unpool_vector_##REAL(const REAL *dout, const unsigned char *winner, REAL *a, REAL *b,   \
                                                 REAL *c, REAL *d) {                                                \
        const integers_##REAL from = __builtin_convertvector(*(const bytes_##REAL *)winner, integers_##REAL);       \
        const integers_##REAL x = *(const integers_##REAL *)dout;                                                   \
        *(integers_##REAL *)a = x & (from == 0);                                                                    \
        *(integers_##REAL *)b = x & (from == 1);                                                                    \
        *(integers_##REAL *)c = x & (from == 2);                                                                    \
        *(integers_##REAL *)d = x & (from == 3);                                                                    \
    }                                                                                                               \
    static __attribute__((unused)) void relu_pool_##REAL(const REAL *a, const REAL *b, const REAL *c,               \
                                                         const REAL *d, ptrdiff_t channels, REAL *out,              \
                                                         unsigned char *winner) {                                   \
        enum { MANY = VECTOR_BYTES / sizeof(REAL) };                                                                \
        REAL some[5][MANY] = {{0}};                                                                                 \
        unsigned char won[MANY];                                                                                    \
        ptrdiff_t i = 0;                                                                                            \
        for (; i + MANY <= channels; i += MANY)                                                                     \
            relu_pool_vector_##REAL(a + i, b + i, c + i, d + i, out + i, winner + i);                               \
        if (i == channels) return;                                                                                  \
        const size_t rest = (size_t)(channels - i);                                                                 \
        memcpy(some[0], a + i, rest * sizeof(REAL));                                                                \
        memcpy(some[1], b + i, rest * sizeof(REAL));                                                                \
        memcpy(some[2], c + i, rest * sizeof(REAL));                                                                \
        memcpy(some[3], d + i, rest * sizeof(REAL));                                                                \
        relu_pool_vector_##REAL(some[0], some[1], some[2], some[3], some[4], won);                                  \
        memcpy(out + i, some[4], rest * sizeof(REAL));                                                              \
        memcpy(winner + i, won, rest);                                                                              \
    }                                                                                                               \
    static __attribute__((unused)) void relu_unpool_##REAL(const REAL *dout, const unsigned char *winner,           \
                                                           ptrdiff_t channels, REAL *a, REAL *b, REAL *c,           \
                                                           REAL *d) {                                               \
        enum { MANY = VECTOR_BYTES / sizeof(REAL) };                                                                \
        ptrdiff_t i = 0;                                                                                            \
        for (; i + MANY <= channels; i += MANY)                                                                     \
            relu_unpool_vector_##REAL(dout + i, winner + i, a + i, b + i, c + i, d + i);                            \
        for (; i < channels; i++) {                                                                                 \
            a[i] = winner[i] == 0 ? dout[i] : 0;                                                                    \
            b[i] = winner[i] == 1 ? dout[i] : 0;                                                                    \
            c[i] = winner[i] == 2 ? dout[i] : 0;                                                                    \
            d[i] = winner[i] == 3 ? dout[i] : 0;                                                                    \
        }                                                                                                           \
    }

DEFINE_RELU_POOL(float)
DEFINE_RELU_POOL(double)

#endif
