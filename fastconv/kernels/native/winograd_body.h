/* The transforms of winograd.h for REAL, float or double. */
#define vec TYPED(vector)
#define ivec TYPED(integers)

INLINE vec TYPED(load_vec)(const REAL *p) { return *(const vec *)p; }
INLINE void TYPED(store_vec)(REAL *p, vec a) { *(vec *)p = a; }

/* B' d: six inputs in a row to two of the six points */
INLINE void TYPED(point_pair)(int pair, const vec *d, vec *a, vec *b) {
    if (pair == 0) {
        *a = 4 * d[0] - 5 * d[2] + d[4];
        *b = 4 * d[1] - 5 * d[3] + d[5];
    } else {
        const vec even = pair == 1 ? d[4] - 4 * d[2] : d[4] - d[2], odd = pair == 1 ? d[3] - 4 * d[1] : 2 * (d[3] - d[1]);
        *a = even + odd;
        *b = even - odd;
    }
}

/* G g: three or five filter taps to the six points */
INLINE void TYPED(filter_points)(int taps, const vec *g, vec *u) {
    if (taps == 5) {
        const vec even1 = (g[0] + g[2] + g[4]) * ((REAL)1 / 6), odd1 = (g[1] + g[3]) * ((REAL)1 / 6);
        const vec even2 = g[0] * ((REAL)1 / 24) + g[2] * ((REAL)1 / 6) + g[4] * ((REAL)2 / 3);
        const vec odd2 = g[1] * ((REAL)1 / 12) + g[3] * ((REAL)1 / 3);
        u[0] = g[0] * (REAL)0.25;
        u[1] = -even1 - odd1;
        u[2] = odd1 - even1;
        u[3] = even2 + odd2;
        u[4] = even2 - odd2;
        u[5] = g[4];
        return;
    }
    const vec even1 = (g[0] + g[2]) * ((REAL)1 / 6), odd1 = g[1] * ((REAL)1 / 6);
    const vec even2 = g[0] * ((REAL)1 / 24) + g[2] * ((REAL)1 / 6), odd2 = g[1] * ((REAL)1 / 12);
    u[0] = g[0] * (REAL)0.25;
    u[1] = -even1 - odd1;
    u[2] = odd1 - even1;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g[2];
}

/* A' m: six points back to four outputs, or two */
INLINE void TYPED(outputs)(int size, const vec *m, vec *y) {
    const vec sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    y[0] = m[0] + sum1 + sum2;
    if (size == 2) {
        y[1] = difference1 + 2 * difference2 + m[5];
        return;
    }
    y[1] = difference1 + 2 * difference2;
    y[2] = sum1 + 4 * sum2;
    y[3] = difference1 + 8 * difference2 + m[5];
}

/* A dy: four gradients to the six points */
INLINE void TYPED(output_points)(const vec *y, vec *z) {
    const vec even1 = y[0] + y[2], odd1 = y[1] + y[3], even2 = y[0] + 4 * y[2], odd2 = 2 * y[1] + 8 * y[3];
    z[0] = y[0];
    z[1] = even1 + odd1;
    z[2] = even1 - odd1;
    z[3] = even2 + odd2;
    z[4] = even2 - odd2;
    z[5] = y[3];
}

/* G' u: six points back to three taps */
INLINE void TYPED(taps)(const vec *u, vec *g) {
    const vec sum1 = (u[1] + u[2]) * ((REAL)1 / 6), sum2 = u[3] + u[4], difference2 = u[3] - u[4];
    g[0] = (REAL)0.25 * u[0] - sum1 + sum2 * ((REAL)1 / 24);
    g[1] = (u[2] - u[1]) * ((REAL)1 / 6) + difference2 * ((REAL)1 / 12);
    g[2] = sum2 * ((REAL)1 / 6) - sum1 + u[5];
}

/* v[i*6 + j] = B' d B of the 6x6 pixels d[i*row + j*column] */
static void TYPED(winograd_input)(const REAL *d, ptrdiff_t row, ptrdiff_t column, REAL *v, ptrdiff_t step) {
    for (int k = 0; k < VECTORS; k++, d += VECTOR_REALS, v += VECTOR_REALS) {
        _Pragma("GCC unroll 3") for (int pair = 0; pair < 3; pair++) {
            vec in[6], half[2][6], a, b;
            const REAL *p = d;
            FORGET(p);
            for (int j = 0; j < 6; j++, p += column) {
                for (int i = 0; i < 6; i++) in[i] = TYPED(load_vec)(p + i * row);
                TYPED(point_pair)(pair, in, &half[0][j], &half[1][j]);
            }
            for (int i = 0; i < 2; i++) {
                _Pragma("GCC unroll 3") for (int other = 0; other < 3; other++) {
                    TYPED(point_pair)(other, half[i], &a, &b);
                    TYPED(store_vec)(v + (PAIRS[pair][i] * 6 + PAIRS[other][0]) * step, a);
                    TYPED(store_vec)(v + (PAIRS[pair][i] * 6 + PAIRS[other][1]) * step, b);
                }
            }
        }
    }
}

/* Say whether all `count` values, whole lines, are zero. */
INLINE int TYPED(all_zero)(const REAL *d, ptrdiff_t count) {
    const char *line = (const char *)d;
    const char *end = (const char *)(d + count);
    for (; line < end; line += LINE_BYTES)
        if (!line_is_zero(line, sizeof(REAL) == 4 ? SIGNS_OF_FLOATS : SIGN_OF_DOUBLE)) return 0;
    return 1;
}

/* Return which of a tile's outputs, bit i*size + j, see nothing but zeros in the 6x6 pixels d[i*row + j*column] of so many
 * channels. Every window holds one of the four pixels in the middle. */
static unsigned TYPED(winograd_blank)(int size, const REAL *d, ptrdiff_t row, ptrdiff_t column, ptrdiff_t channels) {
    const REAL *middle = d + 2 * row + 2 * column;
    const ptrdiff_t one = LINE_BYTES / sizeof(REAL);
    if (!TYPED(all_zero)(middle, one) && !TYPED(all_zero)(middle + column, one) && !TYPED(all_zero)(middle + row, one)
        && !TYPED(all_zero)(middle + row + column, one))
        return 0;
    const int taps = 7 - size;
    unsigned across[6], blank = 0;   /* bit j of a row: the pixels j, ..., j + taps - 1 are zero */
    for (int i = 0; i < 6; i++) {
        unsigned zeros = 0;
        for (int j = 0; j < 6; j++) zeros |= (unsigned)TYPED(all_zero)(d + i * row + j * column, channels) << j;
        across[i] = zeros;
        for (int j = 1; j < taps; j++) across[i] &= zeros >> j;
    }
    for (int i = 0; i < size; i++) {
        unsigned windows = across[i];
        for (int k = 1; k < taps; k++) windows &= across[i + k];
        blank |= windows << i * size;
    }
    return blank;
}

/* u[i*6 + j] = G g G' of the 3x3 or 5x5 taps g[(i*taps + j)*tap] */
INLINE void TYPED(filter_vectors)(int taps, const REAL *g, ptrdiff_t tap, REAL *u, ptrdiff_t step) {
    for (int k = 0; k < VECTORS; k++) {
        vec in[5], half[6][5], out[6];
        for (int j = 0; j < taps; j++) {
            for (int i = 0; i < taps; i++) in[i] = TYPED(load_vec)(g + (i * taps + j) * tap + LANE_OF(k));
            TYPED(filter_points)(taps, in, out);
            for (int i = 0; i < 6; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 6; i++) {
            TYPED(filter_points)(taps, half[i], out);
            for (int j = 0; j < 6; j++) TYPED(store_vec)(u + (i * 6 + j) * step + LANE_OF(k), out[j]);
        }
    }
}

static void TYPED(winograd_filter)(int taps, const REAL *g, ptrdiff_t tap, REAL *u, ptrdiff_t step) {
    if (taps == 3) TYPED(filter_vectors)(3, g, tap, u, step);
    else TYPED(filter_vectors)(5, g, tap, u, step);
}

/* A' m A + bias of the 36 sums m[i*6 + j], into y; returns 0 where a result is nan or infinite. Where an output is blank it is
 * the bias, without what rounding has left. */
INLINE int TYPED(output_vectors)(int size, const REAL *m, ptrdiff_t step, const REAL *bias, unsigned blank, vec y[4][4]) {
    vec in[6], half[4][6], out[4], zero = TYPED(load_vec)(bias) * 0;
    const vec b = TYPED(load_vec)(bias);
    int finite = 1;
    for (int j = 0; j < 6; j++) {
        for (int i = 0; i < 6; i++) in[i] = TYPED(load_vec)(m + (i * 6 + j) * step);
        TYPED(outputs)(size, in, out);
        for (int i = 0; i < size; i++) half[i][j] = out[i];
    }
    for (int i = 0; i < size; i++) {
        TYPED(outputs)(size, half[i], out);
        for (int j = 0; j < size; j++) {
            y[i][j] = out[j] + b;
            zero += out[j] * 0;
        }
    }
    for (int lane = 0; lane < VECTOR_REALS; lane++) finite &= zero[lane] == 0;
    if (blank) {
        for (int i = 0; i < size; i++)
            for (int j = 0; j < size; j++)
                if (blank >> (i * size + j) & 1) y[i][j] = b;
    }
    return finite;
}

INLINE vec TYPED(keep_where)(ivec condition, vec a) { return (vec)((ivec)a & condition); }

/* y[i*row + j*column] = the size x size results, their positive part (relu), or zero where mask[i*mask_row + j*column] <= 0
    (mask, if not NULL) */
INLINE int TYPED(write_outputs)(int size, const REAL *m, ptrdiff_t step, const REAL *bias, unsigned blank, int relu, const REAL *mask,
                                ptrdiff_t mask_row, REAL *y, ptrdiff_t row, ptrdiff_t column) {
    int finite = 1;
    for (int k = 0; k < VECTORS; k++) {
        vec out[4][4];
        finite &= TYPED(output_vectors)(size, m + LANE_OF(k), step, bias + LANE_OF(k), blank, out);
        for (int i = 0; i < size; i++) {
            for (int j = 0; j < size; j++) {
                if (relu) out[i][j] = TYPED(keep_where)(out[i][j] > 0, out[i][j]);
                if (mask) {
                    const vec x = TYPED(load_vec)(mask + i * mask_row + j * column + LANE_OF(k));
                    out[i][j] = TYPED(keep_where)(~(x <= 0), out[i][j]);
                }
                TYPED(store_vec)(y + i * row + j * column + LANE_OF(k), out[i][j]);
            }
        }
    }
    return finite;
}

static int TYPED(winograd_output)(int size, const REAL *m, ptrdiff_t step, const REAL *bias, unsigned blank, int relu, const REAL *mask,
                                  ptrdiff_t mask_row, REAL *y, ptrdiff_t row, ptrdiff_t column) {
    if (size == 2) return TYPED(write_outputs)(2, m, step, bias, blank, relu, mask, mask_row, y, row, column);
    if (blank) return TYPED(write_outputs)(4, m, step, bias, blank, relu, mask, mask_row, y, row, column);
    return TYPED(write_outputs)(4, m, step, bias, 0, relu, mask, mask_row, y, row, column);
}

/* y[i*row + j*column] = the largest of each 2x2 of the results' positive parts; winner[i*winner_row + j*column] says which
 * of the four was the first to be it, DEAD where none is positive */
INLINE int TYPED(write_pooled)(int size, const REAL *m, ptrdiff_t step, const REAL *bias, unsigned blank, REAL *y, ptrdiff_t row,
                               ptrdiff_t column, unsigned char *winner, ptrdiff_t winner_row) {
    int finite = 1;
    for (int k = 0; k < VECTORS; k++) {
        vec out[4][4];
        finite &= TYPED(output_vectors)(size, m + LANE_OF(k), step, bias + LANE_OF(k), blank, out);
        for (int i = 0; i < size / 2; i++) {
            for (int j = 0; j < size / 2; j++) {
                vec best = out[2 * i][2 * j];
                ivec first = {0};
                for (int n = 1; n < 4; n++) TYPED(compete)(n, out[2 * i + n / 2][2 * j + n % 2], &best, &first);
                const ivec dead = best <= 0;
                TYPED(store_vec)(y + i * row + j * column + LANE_OF(k), TYPED(keep_where)(~dead, best));
                *(TYPED(bytes) *)(winner + i * winner_row + j * column + LANE_OF(k)) =
                    __builtin_convertvector((DEAD & dead) | (first & ~dead), TYPED(bytes));
            }
        }
    }
    return finite;
}

static int TYPED(winograd_pooled)(int size, const REAL *m, ptrdiff_t step, const REAL *bias, unsigned blank, REAL *y, ptrdiff_t row,
                                  ptrdiff_t column, unsigned char *winner, ptrdiff_t winner_row) {
    if (size == 2) return TYPED(write_pooled)(2, m, step, bias, blank, y, row, column, winner, winner_row);
    if (blank) return TYPED(write_pooled)(4, m, step, bias, blank, y, row, column, winner, winner_row);
    return TYPED(write_pooled)(4, m, step, bias, 0, y, row, column, winner, winner_row);
}

/* z[i*6 + j] = A dy A' of the 4x4 gradients dy[i*row + j*column], whose sum is added to total */
static void TYPED(winograd_gradient)(const REAL *dy, ptrdiff_t row, ptrdiff_t column, REAL *z, ptrdiff_t step, REAL *total) {
    for (int k = 0; k < VECTORS; k++) {
        vec in[4], half[6][4], out[6], sum = TYPED(load_vec)(total + LANE_OF(k));
        for (int j = 0; j < 4; j++) {
            for (int i = 0; i < 4; i++) in[i] = TYPED(load_vec)(dy + i * row + j * column + LANE_OF(k));
            sum += (in[0] + in[1]) + (in[2] + in[3]);
            TYPED(output_points)(in, out);
            for (int i = 0; i < 6; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 6; i++) {
            TYPED(output_points)(half[i], out);
            for (int j = 0; j < 6; j++) TYPED(store_vec)(z + (i * 6 + j) * step + LANE_OF(k), out[j]);
        }
        TYPED(store_vec)(total + LANE_OF(k), sum);
    }
}

/* g[(i*3 + j)*tap] = G' u G of the 36 sums u[i*6 + j]; returns 0 where a result is nan or infinite */
static int TYPED(winograd_taps)(const REAL *u, ptrdiff_t step, REAL *g, ptrdiff_t tap) {
    int finite = 1;
    for (int k = 0; k < VECTORS; k++) {
        vec in[6], half[3][6], out[3], zero = TYPED(load_vec)(u + LANE_OF(k)) * 0;
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++) in[i] = TYPED(load_vec)(u + (i * 6 + j) * step + LANE_OF(k));
            TYPED(taps)(in, out);
            for (int i = 0; i < 3; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 3; i++) {
            TYPED(taps)(half[i], out);
            for (int j = 0; j < 3; j++) {
                TYPED(store_vec)(g + (i * 3 + j) * tap + LANE_OF(k), out[j]);
                zero += out[j] * 0;
            }
        }
        for (int lane = 0; lane < VECTOR_REALS; lane++) finite &= zero[lane] == 0;
    }
    return finite;
}

#undef vec
#undef ivec
