/* One element type of tile.h: REAL is float or double, TYPED(name) appends the type's name. */

/* alignment of one element: lines may start anywhere */
typedef REAL TYPED(vector) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
typedef struct { TYPED(vector) v[VECTORS]; } TYPED(line);

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

/* y[i][0..NR) = init[i][0..NR) + sum over r < runs, k < length of x[i][offset[r] + k*step] * w[(r*length + k)*NR + 0..NR)
 * for i < MR. init may be y. Each row's sum is taken in the same order wherever the row stands in the tile. */
static __attribute__((unused)) void TYPED(tile)(const REAL *const *x, const ptrdiff_t *offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                        const REAL *w, const REAL *const *init, REAL *const *y) {
#define DECLARE(i) TYPED(line) a##i = TYPED(load)(init[i]);
    EACH_ROW(DECLARE)
#undef DECLARE
    for (ptrdiff_t r = 0; r < runs; r++) {
#define START(i) const REAL *x##i = x[i] + offset[r];
        EACH_ROW(START)
#undef START
        for (ptrdiff_t k = 0; k < length * step; k += step) {
            const TYPED(line) b = TYPED(load)(w);
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
