/* One element type of tile.h: REAL is float or double, TYPED(name) appends the type's name. */

/* alignment of one element: lines may start anywhere */
typedef REAL TYPED(vector) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
typedef INTEGER TYPED(integers) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
typedef struct { TYPED(vector) v[VECTORS]; } TYPED(line);
typedef REAL TYPED(vector32) __attribute__((vector_size(32)));
typedef REAL TYPED(vector16) __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) TYPED(line) TYPED(load)(const REAL *p) {
    TYPED(line) a;
    for (int j = 0; j < VECTORS; j++) a.v[j] = ((const TYPED(vector) *)p)[j];
    return a;
}

static inline __attribute__((always_inline)) void TYPED(store)(REAL *p, TYPED(line) a) {
    for (int j = 0; j < VECTORS; j++) ((TYPED(vector) *)p)[j] = a.v[j];
}

static inline __attribute__((always_inline)) TYPED(line) TYPED(fma)(TYPED(line) a, REAL x, TYPED(line) w) {
    for (int j = 0; j < VECTORS; j++) a.v[j] += x * w.v[j];
    return a;
}

/* 0 where a <= 0, else a; nan passes */
static inline __attribute__((always_inline, unused)) TYPED(line) TYPED(positive)(TYPED(line) a) {
    for (int j = 0; j < VECTORS; j++) a.v[j] = (TYPED(vector))((TYPED(integers))a.v[j] & ~(a.v[j] <= 0));
    return a;
}

/* the larger of each two values; nan wins */
static inline __attribute__((always_inline, unused)) TYPED(line) TYPED(larger_of)(TYPED(line) a, TYPED(line) x) {
    for (int j = 0; j < VECTORS; j++) {
        const TYPED(integers) wins = (x.v[j] > a.v[j]) | (x.v[j] != x.v[j]);
        a.v[j] = (TYPED(vector))(((TYPED(integers))x.v[j] & wins) | ((TYPED(integers))a.v[j] & ~wins));
    }
    return a;
}

/* out[0..NR) = the largest of the lines at x[i*row + j*column] for i < h, j < w */
static __attribute__((unused)) void TYPED(largest_line)(const REAL *x, ptrdiff_t row, ptrdiff_t column, ptrdiff_t h, ptrdiff_t w,
                                                        REAL *out) {
    TYPED(line) a = TYPED(load)(x);
    for (ptrdiff_t i = 0; i < h; i++)
        for (ptrdiff_t j = 0; j < w; j++) a = TYPED(larger_of)(a, TYPED(load)(x + i * row + j * column));
    TYPED(store)(out, a);
}

/* y[i][0..NR) = init[i][0..NR) + sum over r < runs, k < length of x[i][offset[r] + k*step] * w[(r*length + k)*NR + 0..NR)
 * for i < MR. init may be y. Each row's sum is taken in the same order wherever the row stands in the tile. Meanwhile the lines behind
 * w, most often those of the next sum, are brought into the L2 cache. */
static __attribute__((unused)) void TYPED(tile)(const REAL *const *x, const ptrdiff_t *offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                        const REAL *w, const REAL *const *init, REAL *const *y) {
#define DECLARE(i) TYPED(line) a##i = TYPED(load)(init[i]);
    EACH_ROW(DECLARE)
#undef DECLARE
    const ptrdiff_t behind = runs * length * (LINE_BYTES / (ptrdiff_t)sizeof(REAL));
    for (ptrdiff_t r = 0; r < runs; r++) {
#define START(i) const REAL *x##i = x[i] + offset[r];
        EACH_ROW(START)
#undef START
        for (ptrdiff_t k = 0; k < length * step; k += step) {
            const TYPED(line) b = TYPED(load)(w);
            __builtin_prefetch(w + behind, 0, 2);
            w += LINE_BYTES / sizeof(REAL);
#define ADD(i) a##i = TYPED(fma)(a##i, x##i[k], b);
            EACH_ROW(ADD)
#undef ADD
        }
    }
#define STORE(i) TYPED(store)(y[i], a##i);
    EACH_ROW(STORE)
#undef STORE
}

/* The same as tile for rows that are evenly spaced: x_step and y_step apart, all starting at init; of what comes out the positive
 * part, with relu. No pointers to set up, which counts where the sum is short: an image's first layer. */
static __attribute__((unused)) void TYPED(tile_row)(const REAL *x, ptrdiff_t x_step, const ptrdiff_t *offset, ptrdiff_t runs,
                                                    ptrdiff_t length, const REAL *w, const REAL *init, int relu, REAL *y,
                                                    ptrdiff_t y_step) {
#define DECLARE(i) TYPED(line) a##i = TYPED(load)(init);
    EACH_ROW(DECLARE)
#undef DECLARE
    const ptrdiff_t behind = runs * length * (LINE_BYTES / (ptrdiff_t)sizeof(REAL));
    for (ptrdiff_t r = 0; r < runs; r++) {
        const REAL *row = x + offset[r];
        for (ptrdiff_t k = 0; k < length; k++, row++, w += LINE_BYTES / sizeof(REAL)) {
            const TYPED(line) b = TYPED(load)(w);
            __builtin_prefetch(w + behind, 0, 2);
#define ADD(i) a##i = TYPED(fma)(a##i, row[i * x_step], b);
            EACH_ROW(ADD)
#undef ADD
        }
    }
#define STORE(i) TYPED(store)(y + i * y_step, relu ? TYPED(positive)(a##i) : a##i);
    EACH_ROW(STORE)
#undef STORE
}

/* The same as tile for WIDE_LINES lines, whose weights are w_line apart and whose outputs follow one another; of what comes out the
 * positive part, with relu. Meanwhile as many lines as a sum has products are brought from `ahead` into the L2 cache. */
static __attribute__((unused)) void TYPED(tile_wide)(const REAL *const *x, const ptrdiff_t *offset, ptrdiff_t runs, ptrdiff_t length,
                                                     const REAL *w, ptrdiff_t w_line, const REAL *init, int relu, REAL *const *y,
                                                     const REAL *ahead) {
    enum { LANES = LINE_BYTES / sizeof(REAL) };
    TYPED(line) a[WIDE_ROWS][WIDE_LINES], b[WIDE_LINES];
    const REAL *row[WIDE_ROWS];
    for (int i = 0; i < WIDE_ROWS; i++)
        for (int j = 0; j < WIDE_LINES; j++) a[i][j] = TYPED(load)(init + j * LANES);
    for (ptrdiff_t r = 0; r < runs; r++) {
        _Pragma("GCC unroll 8") for (int i = 0; i < WIDE_ROWS; i++) row[i] = x[i] + offset[r];
        for (ptrdiff_t k = 0; k < length; k++, w += LANES, ahead += LANES) {
            __builtin_prefetch(ahead, 0, 2);
            _Pragma("GCC unroll 4") for (int j = 0; j < WIDE_LINES; j++) b[j] = TYPED(load)(w + j * w_line);
            _Pragma("GCC unroll 8") for (int i = 0; i < WIDE_ROWS; i++)
                _Pragma("GCC unroll 4") for (int j = 0; j < WIDE_LINES; j++) a[i][j] = TYPED(fma)(a[i][j], row[i][k], b[j]);
        }
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < WIDE_ROWS; i++)
        _Pragma("GCC unroll 4") for (int j = 0; j < WIDE_LINES; j++)
            TYPED(store)(y[i] + j * LANES, relu ? TYPED(positive)(a[i][j]) : a[i][j]);
}

/* total[0..NR) += the lines at y, y + step, ... */
static __attribute__((unused)) void TYPED(sum_lines)(const REAL *y, ptrdiff_t step, ptrdiff_t count, REAL *total) {
    TYPED(line) a = TYPED(load)(total);
    for (ptrdiff_t i = 0; i < count; i++, y += step) a = TYPED(fma)(a, 1, TYPED(load)(y));
    TYPED(store)(total, a);
}

/* y[i*y_step + 0..NR) = bias[0..NR) + sum over t < taps of x[i*x_step + offset[t] + 0..NR) * w[t*NR + 0..NR), or the positive part
 * of it, for i < count: each value has a filter of its own. */
static __attribute__((unused)) void TYPED(depthwise_row)(const REAL *x, ptrdiff_t x_step, const ptrdiff_t *offset, ptrdiff_t taps,
                                                         const REAL *w, const REAL *bias, int relu, REAL *y, ptrdiff_t y_step,
                                                         ptrdiff_t count) {
    enum { LANES = LINE_BYTES / sizeof(REAL), MOST = (MR + 1) / 2 };
    for (ptrdiff_t first = 0; first < count; first += MOST) {
        const ptrdiff_t last = count - first - 1;   /* the pixels behind it are done in its place */
        TYPED(line) a[MOST];
        for (int i = 0; i < MOST; i++) a[i] = TYPED(load)(bias);
        for (ptrdiff_t t = 0; t < taps; t++) {
            const TYPED(line) b = TYPED(load)(w + t * LANES);
            const REAL *p = x + first * x_step + offset[t];
            _Pragma("GCC unroll 4") for (int i = 0; i < MOST; i++) {
                const TYPED(line) c = TYPED(load)(p + (i < last ? i : last) * x_step);
                for (int j = 0; j < VECTORS; j++) a[i].v[j] += c.v[j] * b.v[j];
            }
        }
        _Pragma("GCC unroll 4") for (int i = 0; i < MOST; i++)
            TYPED(store)(y + (first + (i < last ? i : last)) * y_step, relu ? TYPED(positive)(a[i]) : a[i]);
    }
}

/* sums[t*NR + 0..NR) += sum over i < count of x[i*x_step + offset[t] + 0..NR) * dy[i*dy_step + 0..NR) for t < TALL: the gradient to
 * the filters of depthwise_row */
static __attribute__((unused)) void TYPED(depthwise_taps)(const REAL *x, ptrdiff_t x_step, const ptrdiff_t *offset, const REAL *dy,
                                                          ptrdiff_t dy_step, ptrdiff_t count, REAL *sums) {
    enum { LANES = LINE_BYTES / sizeof(REAL) };
    TYPED(line) a[TALL];
    _Pragma("GCC unroll 9") for (int t = 0; t < TALL; t++) a[t] = TYPED(load)(sums + t * LANES);
    for (ptrdiff_t i = 0; i < count; i++, x += x_step, dy += dy_step) {
        const TYPED(line) b = TYPED(load)(dy);
        _Pragma("GCC unroll 9") for (int t = 0; t < TALL; t++) {
            const TYPED(line) c = TYPED(load)(x + offset[t]);
            for (int j = 0; j < VECTORS; j++) a[t].v[j] += c.v[j] * b.v[j];
        }
    }
    _Pragma("GCC unroll 9") for (int t = 0; t < TALL; t++) TYPED(store)(sums + t * LANES, a[t]);
}

/* A tile of fewer rows and more lines, where a whole tile of rows would be mostly unused: the lines' weights are w_line
 * apart, their outputs y_line; init holds them one after another. Sums are taken in the same order as above. */
#define DEFINE_TILE(NAME, ROWS, LINES)                                                                              \
    static __attribute__((unused)) void TYPED(NAME)(                                                                \
        const REAL *const *x, const ptrdiff_t *offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,            \
        const REAL *w, ptrdiff_t w_line, const REAL *init, REAL *const *y, ptrdiff_t y_line) {                      \
        enum { LANES = LINE_BYTES / sizeof(REAL) };                                                                 \
        TYPED(line) a[ROWS][LINES], b[LINES];                                                                       \
        for (int i = 0; i < ROWS; i++)                                                                              \
            for (int j = 0; j < LINES; j++) a[i][j] = TYPED(load)(init + j * LANES);                                \
        for (ptrdiff_t r = 0; r < runs; r++)                                                                        \
            for (ptrdiff_t k = 0; k < length * step; k += step, w += LANES) {                                       \
                for (int j = 0; j < LINES; j++) b[j] = TYPED(load)(w + j * w_line);                                 \
                for (int i = 0; i < ROWS; i++)                                                                      \
                    for (int j = 0; j < LINES; j++) a[i][j] = TYPED(fma)(a[i][j], x[i][offset[r] + k], b[j]);       \
            }                                                                                                       \
        for (int i = 0; i < ROWS; i++)                                                                              \
            for (int j = 0; j < LINES; j++) TYPED(store)(y[i] + j * y_line, a[i][j]);                               \
    }

DEFINE_TILE(tile_half, MR / 2, 2)
DEFINE_TILE(tile_less, LESS, 1)
DEFINE_TILE(tile_single, 1, 4)
DEFINE_TILE(tile_tall, TALL, 1)
#undef DEFINE_TILE

/* The sum of a vector's values, in halves. */
static inline __attribute__((always_inline, unused)) REAL TYPED(total)(TYPED(vector) a) {
#if VECTOR_BYTES == 64
    const union { TYPED(vector) whole; TYPED(vector32) half[2]; } first = {a};
    const TYPED(vector32) b = first.half[0] + first.half[1];
#elif VECTOR_BYTES == 32
    const TYPED(vector32) b = a;
#endif
#if VECTOR_BYTES > 16
    const union { TYPED(vector32) whole; TYPED(vector16) half[2]; } second = {b};
    const TYPED(vector16) c = second.half[0] + second.half[1];
#else
    const TYPED(vector16) c = a;
#endif
    return sizeof(REAL) == 8 ? c[0] + c[1] : (c[0] + c[1]) + (c[2 % (16 / sizeof(REAL))] + c[3 % (16 / sizeof(REAL))]);
}

/* y[i] = the sum over r < runs, k < length of x[i*x_step + offset[r] + k] * w[r*length + k] for i < DOTS; length is a multiple of
 * a line. For outputs so few that a line of them would be mostly unused. */
static __attribute__((unused)) void TYPED(dots)(const REAL *x, ptrdiff_t x_step, const ptrdiff_t *offset, ptrdiff_t runs,
                                                ptrdiff_t length, const REAL *w, REAL *y) {
    TYPED(line) a[DOTS] = {{{{0}}}};
    for (ptrdiff_t r = 0; r < runs; r++) {
        for (ptrdiff_t k = 0; k < length; k += LINE_BYTES / (ptrdiff_t)sizeof(REAL), w += LINE_BYTES / sizeof(REAL)) {
            const TYPED(line) b = TYPED(load)(w);
            _Pragma("GCC unroll 4") for (int i = 0; i < DOTS; i++) {
                const TYPED(line) p = TYPED(load)(x + i * x_step + offset[r] + k);
                for (int j = 0; j < VECTORS; j++) a[i].v[j] += p.v[j] * b.v[j];
            }
        }
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < DOTS; i++) {
        for (int j = 1; j < VECTORS; j++) a[i].v[0] += a[i].v[j];
        y[i] = TYPED(total)(a[i].v[0]);
    }
}

static inline __attribute__((always_inline, unused)) void TYPED(few_rows)(
    const REAL *x, ptrdiff_t x_row, ptrdiff_t x_step, int rows, ptrdiff_t length, const REAL *w, ptrdiff_t w_step, REAL *y,
    ptrdiff_t y_row, int lines) {
    enum { LANES = LINE_BYTES / sizeof(REAL) };
    TYPED(line) a[FEW_ROWS][2];
    const REAL *in[FEW_ROWS];
    for (int i = 0; i < FEW_ROWS; i++) {
        const int row = i < rows ? i : 0;
        in[i] = x + row * x_row;
        for (int j = 0; j < lines; j++) a[i][j] = TYPED(load)(y + row * y_row + j * LANES);
    }
    for (ptrdiff_t k = 0; k < length; k++, w += w_step) {
        TYPED(line) b[2];
        for (int j = 0; j < lines; j++) b[j] = TYPED(load)(w + j * LANES);
        _Pragma("GCC unroll 4") for (int i = 0; i < FEW_ROWS; i++) {
            for (int j = 0; j < lines; j++) a[i][j] = TYPED(fma)(a[i][j], in[i][k * x_step], b[j]);
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < lines; j++) TYPED(store)(y + i * y_row + j * LANES, a[i][j]);
    }
}

/* y[i][0..NR) += sum over k < length of x[i*x_row + k*x_step] * w[k*w_step + 0..NR) for i < rows <= FEW_ROWS: the tile for products
 * of so few rows that to pack w would take longer. */
static __attribute__((unused)) void TYPED(few_rows_line)(const REAL *x, ptrdiff_t x_row, ptrdiff_t x_step, int rows,
                                                         ptrdiff_t length, const REAL *w, ptrdiff_t w_step, REAL *y,
                                                         ptrdiff_t y_row) {
    TYPED(few_rows)(x, x_row, x_step, rows, length, w, w_step, y, y_row, 1);
}

/* The same for two lines. */
static __attribute__((unused)) void TYPED(few_rows_lines)(const REAL *x, ptrdiff_t x_row, ptrdiff_t x_step, int rows,
                                                          ptrdiff_t length, const REAL *w, ptrdiff_t w_step, REAL *y,
                                                          ptrdiff_t y_row) {
    TYPED(few_rows)(x, x_row, x_step, rows, length, w, w_step, y, y_row, 2);
}
