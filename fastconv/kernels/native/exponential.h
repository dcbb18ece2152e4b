/* exp(x) that a compiler can vectorise, unlike the C library's: x = n*ln 2 + r with |r| <= ln(2)/2, a Taylor polynomial
 * for exp(r), and 2^n by its exponent bits, in two factors so that n may pass the largest exponent.
 * Within 2 units in the last place; nan passes, overflow gives inf, below the smallest normal number 0 is allowed. */
#ifndef FASTCONV_EXPONENTIAL_H
#define FASTCONV_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

/* TO_INTEGER: adding it to a number and taking it off again rounds to an integer, left in the low bits on the way */
#define DEFINE_EXP(REAL, BITS, MANTISSA, BIAS, TO_INTEGER, LN2_HIGH, LN2_LOW, SMALLEST, LARGEST, TERMS, ...)        \
    static inline REAL exp_##REAL(REAL x) {                                                                         \
        static const REAL factor[TERMS] = {__VA_ARGS__};                                                            \
        const REAL magic = TO_INTEGER;                                                                              \
        BITS rounded_bits, magic_bits, half_bits, rest_bits;                                                        \
        REAL half, rest;                                                                                            \
        x = x > (REAL)LARGEST ? (REAL)LARGEST : x;                                                                  \
        x = x < (REAL)SMALLEST ? (REAL)SMALLEST : x;                                                                \
        const REAL rounded = x * (REAL)1.4426950408889634074 + magic, n = rounded - magic;                          \
        const REAL r = (x - n * (REAL)LN2_HIGH) - n * (REAL)LN2_LOW;                                                \
        REAL p = factor[0];                                                                                         \
        for (int i = 1; i < TERMS; i++) p = p * r + factor[i];                                                      \
        memcpy(&rounded_bits, &rounded, sizeof(REAL));                                                              \
        memcpy(&magic_bits, &magic, sizeof(REAL));                                                                  \
        const BITS exponent = rounded_bits - magic_bits, first = exponent >> 1;                                     \
        half_bits = (BITS)((uint64_t)(first + BIAS) << MANTISSA);                                                   \
        rest_bits = (BITS)((uint64_t)(exponent - first + BIAS) << MANTISSA);                                        \
        memcpy(&half, &half_bits, sizeof(REAL));                                                                    \
        memcpy(&rest, &rest_bits, sizeof(REAL));                                                                    \
        return p * half * rest;                                                                                     \
    }

DEFINE_EXP(float, int32_t, 23, 127, 12582912.0f, 0.693359375f, -2.12194440054690583e-4f, -104.0f, 89.0f, 8,
           1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1)
DEFINE_EXP(double, int64_t, 52, 1023, 6755399441055744.0, 6.93147180369123816490e-01, 1.90821492927058770002e-10, -746.0,
           710.0, 14, 1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
           1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1)

#endif
