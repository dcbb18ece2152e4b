/* The register tile: the one micro-kernel under convolution, its two gradients and GEMM.
 *
 * A line is 64 bytes of consecutive outputs (NR float or double values); a tile is MR lines held in registers
 * while a long sum runs:
 *
 *                     w    [k][NR]    one line per k, packed one after another
 *                     |
 *     x[i][offset[r] + k*step] ---->  y[i][0..NR)  += ...        i < MR
 *
 * The sum goes over `runs` runs of `length` steps each. A run is whatever is evenly spaced in memory: a filter row
 * (KW*C values of an NHWC image), a row of a matrix, or the pixels of an image row (weight gradient).
 */
#ifndef FASTCONV_TILE_H
#define FASTCONV_TILE_H

#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES 64

/* Tile height and vector width per instruction set: MR * (64 / VECTOR_BYTES) accumulators must leave a few of the
 * 16 (SSE, AVX) or 32 (AVX-512, NEON) registers free. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define MR 8
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define MR 6
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define MR 6
#else
#define VECTOR_BYTES 16
#define EACH_ROW(DO) DO(0) DO(1)
#define MR 2
#endif

#define VECTORS (LINE_BYTES / VECTOR_BYTES)

/* rows of a tile that takes all taps of a 3x3 filter at once, where the registers suffice: the gradient to the weights of an
 * image's first layer is one such tile (gray) or three (colour) */
#if defined(__AVX512F__)
#define TALL 9
#else
#define TALL MR
#endif

/* rows of a tile for images whose pixels leave less of it unused: 49 are 7 times 7 */
#define LESS (MR - 1)

/* rows and lines of a tile that loads a value of x once for several lines, where there are 32 registers of a whole line each */
#if defined(__AVX512F__)
#define WIDE_ROWS 7
#define WIDE_LINES 4
#else
#define WIDE_ROWS MR
#define WIDE_LINES 1
#endif

/* pixels that share a line of weights where outputs are few, and rows that share one of w where rows are */
#define DOTS 4
#define FEW_ROWS 4

#define REAL float
#define INTEGER int32_t
#define TYPED(name) name##_float
#include "tile_body.h"
#undef REAL
#undef INTEGER
#undef TYPED

#define REAL double
#define INTEGER int64_t
#define TYPED(name) name##_double
#include "tile_body.h"
#undef REAL
#undef INTEGER
#undef TYPED

#endif
