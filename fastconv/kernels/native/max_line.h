/* Max pooling's two steps for one line (64 bytes) of channels. C, because `restrict` and "vectorise, don't unroll" can't
 * be said in Cython, and without them the compiler compares one channel at a time. */
#ifndef FASTCONV_MAX_LINE_H
#define FASTCONV_MAX_LINE_H

#define LANES(REAL) (int)(64 / sizeof(REAL))
#define EACH_LANE(REAL) _Pragma("GCC unroll 1") for (int c = 0; c < LANES(REAL); c++)

#define DEFINE_MAX_LINE(REAL)                                                                                       \
    /* best = max(best, x); nan wins */                                                                             \
    static inline void larger_##REAL(const REAL *restrict x, REAL *restrict best) {                                 \
        EACH_LANE(REAL) {                                                                                           \
            const int wins = (x[c] > best[c]) | (x[c] != x[c]);                                                     \
            best[c] = wins ? x[c] : best[c];                                                                        \
        }                                                                                                           \
    }                                                                                                               \
    /* where x is the window's maximum, dx takes what is left of dout and leaves nothing for the pixels behind it */\
    static inline void take_##REAL(const REAL *restrict x, const REAL *restrict best, REAL *restrict left,          \
                                   REAL *restrict dx) {                                                             \
        EACH_LANE(REAL) {                                                                                           \
            const int hit = (x[c] == best[c]) | ((x[c] != x[c]) & (best[c] != best[c]));                            \
            dx[c] += hit ? left[c] : 0;                                                                             \
            left[c] = hit ? 0 : left[c];                                                                            \
        }                                                                                                           \
    }

DEFINE_MAX_LINE(float)
DEFINE_MAX_LINE(double)

#endif
