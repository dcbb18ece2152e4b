"""The steps of a plan that have filters: Convolution and Affine, forwards and backwards, a few images at a time on one thread.

An Affine layer is a 1x1 convolution whose pixels are the samples. Its rows follow the memory's order (h, w, c) of the images
it reads, W's the book's order (c, h, w).
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport LINE_BYTES, parts, real, up_to
from .direct cimport pack_bias, pack_line, sweep_band
from .gradient cimport add_lanes, gradient_lane, gradient_scratch
from .relu_pool cimport relu_pool_rows
from .sweep cimport Sweep, band_size, dense_maps, finish_sweep, split_rows
from .winograd cimport (FLOAT_LANES, POINTS, Finish, Tiling, set_steps, tiling, transform_input, transform_line, winograd_block,
                        winograd_scratch)
from .winograd_gradient cimport gradient_blocks, gradient_line, line_taps

cdef enum:
    ALL_TILES = 3 << 17      # bytes of points that stay in L2 beside a line of their gradient


cdef struct Filters:
    Sweep forward
    Sweep gradient           # forward's geometry, on the map of dout
    Sweep* back              # the data gradient, one sweep per stride phase
    ptrdiff_t phases
    bint affine
    bint winograd            # which of the three go by Winograd's method
    bint winograd_back
    bint winograd_gradient
    bint keeps_packed        # which of the forward weights stay from run to run
    bint keeps_u
    bint in_place            # an Affine layer's weights are read where they are
    ptrdiff_t plane          # pixels of an image that an Affine layer reads as a row
    ptrdiff_t filter_w
    ptrdiff_t filter_size
    void* weight             # of the caller, like bias, dweight and dbias
    void* bias
    void* scale              # of each output's weights, or NULL
    void* dweight
    void* dbias
    char* packed             # lines, forward and of every phase of the data gradient
    char* u                  # the same at Winograd's points
    char* bias_lines
    char** packed_back
    char* u_back
    char* no_bias            # as many zeros as the data gradient has outputs
    ptrdiff_t sums           # where the gradient lies among the lane's, in bytes


cdef inline ptrdiff_t lines_of(const Sweep* s) noexcept nogil:
    return s.groups * s.blocks


cdef inline ptrdiff_t line_bytes(const Sweep* s) noexcept nogil:
    """Return the bytes of a line's packed weights; its gradient has one more product, the bias."""
    return s.depth * LINE_BYTES


cdef inline ptrdiff_t u_line_bytes(const Sweep* s) noexcept nogil:
    cdef Tiling t = tiling(s, 1)
    return POINTS * t.u_step * sizeof(float)


# ---- weights, once per run

cdef inline void pack_forward(Filters* f, ptrdiff_t line, const real* weight, const real* bias, real* spare) noexcept nogil:
    """Pack one line of what is kept; `spare` takes the weights of a line that is not."""
    cdef Sweep* s = &f.forward
    cdef real* packed = <real*> (f.packed + line * line_bytes(s)) if f.keeps_packed else spare
    cdef Tiling t
    pack_bias(s, bias, line, <real*> f.bias_lines + line * s.lanes)
    if not (f.keeps_packed or f.keeps_u):
        return
    pack_weights(f, line, weight, packed)
    if real is float:
        if f.keeps_u:
            t = tiling(s, 1)
            transform_line(s, &t, packed, <float*> (f.u + line * u_line_bytes(s)))


cdef inline void pack_weights(const Filters* f, ptrdiff_t line, const real* weight, real* packed) noexcept nogil:
    """Write one line of weights in the order of the image, each output's times its factor."""
    cdef const Sweep* s = &f.forward
    cdef ptrdiff_t d, j, first = line // s.blocks * s.group_outputs + line % s.blocks * s.lanes
    cdef ptrdiff_t used = min(s.lanes, s.group_outputs - line % s.blocks * s.lanes)
    cdef const real* scale = <const real*> f.scale
    if f.affine:
        pack_columns(f, line, weight, packed)
    else:
        pack_line(s, weight + line // s.blocks * s.group_outputs * s.group_channels * f.filter_size, line % s.blocks,
                  s.group_channels * f.filter_size, f.filter_size, f.filter_w, packed)
    if scale != NULL:
        for d in range(s.depth):
            for j in range(used):
                packed[d * s.lanes + j] *= scale[first + j]


cdef inline void pack_back(Filters* f, ptrdiff_t phase, ptrdiff_t line, const real* weight) noexcept nogil:
    cdef Sweep* s = &f.back[phase]
    cdef real* packed = <real*> (f.packed_back[phase] + line * line_bytes(s))
    cdef Tiling t
    if f.affine:
        pack_rows(f, line, weight, packed)
    else:
        pack_line(s, weight + line // s.blocks * s.group_channels * s.group_outputs * f.filter_size, line % s.blocks,
                  f.filter_size, s.group_outputs * f.filter_size, f.filter_w, packed)
    if real is float:
        if f.winograd_back:
            t = tiling(s, 1)
            transform_line(s, &t, packed, <float*> (f.u_back + line * u_line_bytes(s)))


cdef inline ptrdiff_t affine_row(const Filters* f, ptrdiff_t value) noexcept nogil:
    """Return W's row for a value of an image in memory: (pixel, channel) becomes (channel, pixel)."""
    cdef ptrdiff_t channels = f.forward.channels // f.plane
    return value % channels * f.plane + value // channels


cdef inline void pack_columns(const Filters* f, ptrdiff_t line, const real* weight, real* packed) noexcept nogil:
    """packed [value][lane] = W (D,M), a line of its columns."""
    cdef const Sweep* s = &f.forward
    cdef ptrdiff_t d, j, used = min(s.lanes, s.outputs - line * s.lanes)
    cdef const real* row
    for d in range(s.channels):
        row = weight + affine_row(f, d) * s.outputs + line * s.lanes
        for j in range(used):
            packed[d * s.lanes + j] = row[j]
        for j in range(used, s.lanes):
            packed[d * s.lanes + j] = 0


cdef inline void pack_rows(const Filters* f, ptrdiff_t line, const real* weight, real* packed) noexcept nogil:
    """packed [output][lane] = W (D,M) transposed, a line of its rows."""
    cdef const Sweep* s = &f.back[0]
    cdef ptrdiff_t j, m, used = min(s.lanes, s.outputs - line * s.lanes)
    cdef const real* row
    memset(packed, 0, s.channels * LINE_BYTES)
    for j in range(used):
        row = weight + affine_row(f, line * s.lanes + j) * s.channels
        for m in range(s.channels):
            packed[m * s.lanes + j] = row[m]


# ---- a few images

cdef inline Sweep sweep_of(const Filters* f, const Sweep* sweep, ptrdiff_t* images) noexcept nogil:
    """Return the sweep for so many images; an Affine layer's are the pixels of one."""
    cdef Sweep s = sweep[0]
    if f.affine:
        s.w.source = s.w.size = s.w.grid = images[0]
        s.source_row, s.out_row = images[0] * s.channels, images[0] * s.outputs
        images[0] = 1
    return s


cdef inline void sweep_images(const Sweep* s, ptrdiff_t images, const real* x, const real* packed, const real* bias,
                              bint relu, real* out, char* scratch) noexcept nogil:
    cdef ptrdiff_t image, band
    for image in range(images):
        for band in range(s.bands):
            sweep_band(s, x, packed, bias, image, band * s.rows, 0, lines_of(s), relu, out, scratch)


cdef inline bint winograd_images(const Sweep* s, ptrdiff_t images, const float* x, const float* u, const float* bias,
                                 const Finish* finish, float* out, char* scratch) noexcept nogil:
    """Return whether all results are finite."""
    cdef Tiling t = tiling(s, images)
    cdef ptrdiff_t block
    for block in range(parts(t.count, t.block)):
        if not winograd_block(s, &t, x, u, bias, block * t.block, 0, lines_of(s), finish, out, <float*> scratch):
            return False
    return True


cdef inline void pooled_images(const Sweep* sweep, ptrdiff_t images, const real* x, const real* packed, const real* bias,
                               const Finish* finish, real* out, char* scratch) noexcept nogil:
    """Sweep one image at a time into scratch memory, and pool it."""
    cdef Sweep s = sweep[0]
    cdef ptrdiff_t image, h
    cdef real* whole = <real*> scratch
    cdef char* rest
    s.out_row, s.out_image = s.w.size * s.outputs, 0
    rest = scratch + up_to(s.h.size * s.out_row * sizeof(real), LINE_BYTES)
    for image in range(images):
        sweep_images(&s, 1, x + image * s.source_image, packed, bias, False, whole, rest)
        for h in range(s.h.size // 2):
            relu_pool_rows(whole + 2 * h * s.out_row, whole + (2 * h + 1) * s.out_row, s.w.size // 2, s.outputs,
                           out + image * finish.pooled_image + h * finish.pooled_row,
                           finish.winner + image * finish.winner_image + h * finish.winner_row)


cdef inline void forward_images(Filters* f, ptrdiff_t images, const real* x, const Finish* finish, real* out,
                                char* scratch) noexcept nogil:
    cdef Sweep s = sweep_of(f, &f.forward, &images)
    if real is float:
        if f.winograd and winograd_images(&s, images, x, <float*> f.u, <float*> f.bias_lines, finish, out, scratch):
            return
    if finish.winner != NULL:
        pooled_images(&s, images, x, <real*> f.packed, <real*> f.bias_lines, finish, out, scratch)
    else:
        sweep_images(&s, images, x, <real*> f.packed, <real*> f.bias_lines, finish.relu, out, scratch)


cdef inline void data_gradient_images(Filters* f, ptrdiff_t images, const real* dout, const Finish* finish,
                                      const real* mask, real* dx, char* scratch) noexcept nogil:
    """Write dx; where the mask, if there is one, is <= 0, it is 0."""
    cdef Sweep s
    cdef ptrdiff_t phase, n
    if real is float:
        if f.winograd_back:
            n = images
            s = sweep_of(f, &f.back[0], &n)
            if winograd_images(&s, n, dout, <float*> f.u_back, <float*> f.no_bias, finish, dx, scratch):
                return
    for phase in range(f.phases):
        n = images
        s = sweep_of(f, &f.back[phase], &n)
        if s.h.grid > 0 and s.w.grid > 0:
            sweep_images(&s, n, dout, <real*> f.packed_back[phase], <real*> f.no_bias, False, dx, scratch)
    if mask != NULL:
        mask_images(&f.back[0], images, mask, finish, dx)


cdef inline void mask_images(const Sweep* s, ptrdiff_t images, const real* mask, const Finish* finish,
                             real* dx) noexcept nogil:
    cdef ptrdiff_t image, h, i
    cdef const real* from_row
    cdef real* to
    for image in range(images):
        for h in range(s.h.size):
            from_row = mask + image * finish.mask_image + h * finish.mask_row
            to = dx + image * s.out_image + h * s.out_row
            for i in range(s.w.size * s.outputs):
                to[i] = 0 if from_row[i] <= 0 else to[i]


cdef inline void weight_gradient_images(Filters* f, ptrdiff_t images, const real* x, const real* dout, real* sums,
                                        bint fresh, char* scratch) noexcept nogil:
    """Add the gradient of a few images to the lane's, [line][depth + 1][lane outputs]."""
    cdef Sweep s = sweep_of(f, &f.gradient, &images)
    cdef ptrdiff_t lines = lines_of(&s)
    if real is float:
        if f.winograd_gradient:
            winograd_gradient_images(&s, images, x, dout, sums, fresh, scratch)
            return
    if fresh:
        memset(sums, 0, lines * (line_bytes(&s) + LINE_BYTES))
    gradient_lane(&s, x, dout, 0, images * s.bands, 0, lines, sums, scratch)


cdef inline void winograd_gradient_images(const Sweep* s, ptrdiff_t images, const float* x, const float* dout, float* sums,
                                          bint fresh, char* scratch) noexcept nogil:
    cdef Tiling t = gradient_tiling(s, images)
    cdef ptrdiff_t line, lines = lines_of(s), u_size = POINTS * t.u_step, size = s.depth * FLOAT_LANES
    cdef float* u = <float*> scratch
    cdef float* total = u + lines * u_size
    cdef float* taps = total + lines * FLOAT_LANES
    cdef float* v = taps + size
    if t.count > t.block:
        gradient_blocks(s, &t, x, dout, 0, parts(t.count, t.block), 0, lines, u, total, v)
        for line in range(lines):
            add_taps(s, &t, images, x, dout, u + line * u_size, total + line * FLOAT_LANES, line, taps, sums, fresh)
        return
    # all tiles at once: each line's points are brought back while they are in cache
    transform_input(s, &t, x, 0, t.count, v, v + POINTS * (t.v_step + t.m_step), NULL)
    for line in range(lines):
        memset(total, 0, FLOAT_LANES * sizeof(float))
        gradient_line(s, &t, dout, 0, t.count, line, v, v + POINTS * t.v_step, True, u, total)
        add_taps(s, &t, images, x, dout, u, total, line, taps, sums, fresh)


cdef inline Tiling gradient_tiling(const Sweep* s, ptrdiff_t images) noexcept nogil:
    """Return the usual blocks, or one with all tiles if their points fit into ALL_TILES bytes."""
    cdef Tiling t = tiling(s, images)
    if t.count > t.block and POINTS * t.count * s.channels * <ptrdiff_t> sizeof(float) <= ALL_TILES:
        t.block = up_to(t.count, 8)
        set_steps(&t, s)
    return t


cdef inline void add_taps(const Sweep* s, const Tiling* t, ptrdiff_t images, const float* x, const float* dout,
                          const float* u, const float* total, ptrdiff_t line, float* taps, float* sums,
                          bint fresh) noexcept nogil:
    """Bring the points u of one line back to taps and add them, and the bias, to the lane's gradient.

    Where they are not finite the line is computed as it is defined.
    """
    cdef ptrdiff_t i, size = s.depth * FLOAT_LANES
    cdef float* to = sums + line * (size + FLOAT_LANES)
    cdef bint finite = line_taps(s, t, u, 1, 0, taps)
    if fresh and finite:
        memcpy(to, taps, size * sizeof(float))
        memcpy(to + size, total, FLOAT_LANES * sizeof(float))
        return
    if fresh:
        memset(to, 0, (size + FLOAT_LANES) * sizeof(float))
    if not finite:
        gradient_lane(s, x, dout, 0, images * s.bands, line, line + 1, sums, <char*> taps)
        return
    for i in range(size):
        to[i] += taps[i]
    for i in range(FLOAT_LANES):
        to[size + i] += total[i]


cdef inline ptrdiff_t filters_scratch(const Filters* f, ptrdiff_t item, ptrdiff_t images) noexcept nogil:
    """Return the bytes of scratch memory that the steps above need for so many images."""
    cdef ptrdiff_t most = 0, phase, i, n = images
    cdef Sweep s = sweep_of(f, &f.forward, &n)
    cdef Tiling t
    most = max(most, sweep_scratch(&s, item) + s.h.size * s.w.size * s.outputs * item + LINE_BYTES)
    if f.winograd:
        t = tiling(&s, n)
        most = max(most, winograd_scratch(&s, &t) * <ptrdiff_t> sizeof(float))
    for phase in range(f.phases):
        n = images
        s = sweep_of(f, &f.back[phase], &n)
        most = max(most, sweep_scratch(&s, item))
        if f.winograd_back:
            t = tiling(&s, n)
            most = max(most, winograd_scratch(&s, &t) * <ptrdiff_t> sizeof(float))
    for i in range(1, images + 1):  # fewer images may have larger blocks
        n = i
        s = sweep_of(f, &f.gradient, &n)
        most = max(most, band_size(&s) * item + gradient_scratch(&s))
        if f.winograd_gradient:
            t = gradient_tiling(&s, n)
            most = max(most, (lines_of(&s) * (POINTS * t.u_step + FLOAT_LANES) + s.depth * FLOAT_LANES
                              + winograd_scratch(&s, &t)) * <ptrdiff_t> sizeof(float)
                       + band_size(&s) * item + gradient_scratch(&s))
    return up_to(most, LINE_BYTES)


cdef inline ptrdiff_t sweep_scratch(const Sweep* s, ptrdiff_t item) noexcept nogil:
    return band_size(s) * item + s.runs * sizeof(ptrdiff_t)


# ---- the lanes' gradients, once per run

cdef inline void reduce_line(Filters* f, ptrdiff_t line, const real* sums, ptrdiff_t lanes, ptrdiff_t lane_size,
                             real* dweight, real* dbias) noexcept nogil:
    """Add one line over the lanes, in order, into dweight and dbias; sums is the first lane's gradient."""
    cdef Sweep* s = &f.gradient
    sums += line * (s.depth + 1) * s.lanes
    if f.affine:
        reduce_columns(f, line, sums, lanes, lane_size, dweight, dbias)
    else:
        add_lanes(s, sums, lanes, lane_size, line, f.filter_size, dweight, dbias)


cdef inline void reduce_columns(const Filters* f, ptrdiff_t line, const real* sums, ptrdiff_t lanes, ptrdiff_t lane_size,
                                real* dweight, real* dbias) noexcept nogil:
    cdef const Sweep* s = &f.gradient
    cdef ptrdiff_t d, j, lane, used = min(s.lanes, s.outputs - line * s.lanes)
    cdef real total[16]
    for d in range(s.depth + 1):
        memcpy(total, sums + d * s.lanes, LINE_BYTES)
        for lane in range(1, lanes):
            for j in range(LINE_BYTES // <ptrdiff_t> sizeof(real)):
                total[j] += sums[lane * lane_size + d * s.lanes + j]
        if d == s.depth:
            memcpy(dbias + line * s.lanes, total, used * sizeof(real))
        else:
            memcpy(dweight + affine_row(f, d) * s.outputs + line * s.lanes, total, used * sizeof(real))
