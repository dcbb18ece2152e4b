"""What the lists that engine/compile.py makes become in memory: maps, sweeps over them, steps."""
from libc.stddef cimport ptrdiff_t
from libc.stdlib cimport calloc

from .columns cimport (finish_mean, finish_products, finish_variance, normalize, normalize_gradient, sum_products,
                       sum_squares, sum_values)
from .common cimport LINE_BYTES, up_to
from .convolution_plan cimport Filters
from .philox cimport dropout_threshold
from .plan_state cimport (COPY, RELU, RELU_GRADIENT, SHARED_IMAGES, SIGMOID, SIGMOID_GRADIENT, SUM, SUM_RELU, Chunk, Columns, Map,
                          Rule, Run, Step)
from .plan_steps cimport (by_rule, dropout, dropout_gradient, filter_data_gradient, filter_forward,
                          filter_weight_gradient, give_rows, scale_step, slice_step, softmax_loss, take_images)
from .plan_windows cimport flatten, lrn, lrn_gradient, pooling, pooling_gradient, unflatten, unpool
from .response cimport response
from .sweep cimport Sweep, dense_maps, finish_sweep, forward_axis, phase_axis, split_bands
from .winograd cimport FAR, POINTS, winograd_fits, winograd_pays
from .winograd_gradient cimport gradient_pays

ctypedef void (*action)(const Step* step, Chunk* chunk) noexcept nogil


cdef inline void* zeros(size_t size) except NULL:
    cdef void* memory = calloc(max(size, 1), 1)
    if memory == NULL:
        raise MemoryError(f"fastconv: no memory for a plan's {size:,} bytes")
    return memory


cdef inline int set_map(Map* m, tuple given) except -1:
    m.h, m.w, m.c, m.before, m.after, m.item, m.batch, m.offset = given
    m.row = (m.before + m.w + m.after) * m.c
    m.image = (m.before + m.h + m.after) * m.row
    m.origin = (m.before * m.row + m.before * m.c) * m.item
    return 0


cdef inline int place(Sweep* s, const Map* source, const Map* out, bint affine, ptrdiff_t lanes) except -1:
    """Lay a sweep over its maps; without an output's map that is dense."""
    dense_maps(s)
    if not affine:
        s.source_row, s.source_image, s.before, s.after = source.row, source.image, source.before, source.after
        if out != NULL:
            s.out_row, s.out_image = out.row, out.image
            s.room = out.after >= up_to(out.h, 4) - out.h and out.after >= up_to(out.w, 4) - out.w
    finish_sweep(s, lanes)
    if s.padded:  # a band is copied with its zeros
        split_bands(s, sizeof(double))
    return 0


cdef inline int set_filters(Filters* f, const Run* run, dict given, bint winograd) except -1:
    """Lay a layer's sweeps over its maps, and choose between Winograd's method and the direct one."""
    cdef Map* x = &run.maps[<ptrdiff_t> given["x"]]
    cdef Map* out = &run.maps[<ptrdiff_t> given["out"]]
    cdef Map* dout
    cdef Map* dx
    cdef ptrdiff_t lanes = LINE_BYTES // (4 if run.single else 8), i, j, phase, columns
    outputs, _, fh, fw = given["shape"]
    stride, pad, dilation = given["stride"], given["pad"], given["dilation"]
    oh, ow = given["size"]
    f.affine, f.plane, f.filter_w, f.filter_size = given["affine"], given["plane"], fw, fh * fw
    cdef ptrdiff_t h = x.h, w = x.w, c = x.c
    if f.affine:
        h, w, c = 1, 1, x.h * x.w * x.c
    f.forward.h = forward_axis(h, fh, stride[0], pad[0], dilation[0], oh)
    f.forward.w = forward_axis(w, fw, stride[1], pad[1], dilation[1], ow)
    f.forward.channels, f.forward.outputs, f.forward.groups = c, outputs, given["groups"]
    f.gradient = f.forward
    place(&f.forward, x, NULL if given["pooled"] else out, f.affine, lanes)
    if given["pooled"]:
        f.forward.room = True
    f.winograd = winograd and not f.affine and winograd_pays(&f.forward, run.most, False)
    f.keeps_packed, f.keeps_u = True, f.winograd
    if run.shared:
        set_kept(f, winograd and not f.affine)
    if given["dout"] is None:
        return 0
    dout = &run.maps[<ptrdiff_t> given["dout"]]
    place(&f.gradient, x, dout, f.affine, lanes)
    f.winograd_gradient = winograd and not f.affine and gradient_pays(&f.gradient, run.most, False)
    if given["dx"] is None:
        return 0
    dx = &run.maps[<ptrdiff_t> given["dx"]]
    columns = max(1, min(<ptrdiff_t> stride[1], w))
    f.phases = max(1, min(<ptrdiff_t> stride[0], h)) * columns
    f.back = <Sweep*> zeros(f.phases * sizeof(Sweep))
    f.packed_back = <char**> zeros(f.phases * sizeof(char*))
    for phase in range(f.phases):
        i, j = phase // columns, phase % columns
        f.back[phase].h = phase_axis(oh, fh, stride[0], pad[0], dilation[0], h, i)
        f.back[phase].w = phase_axis(ow, fw, stride[1], pad[1], dilation[1], w, j)
        f.back[phase].channels, f.back[phase].outputs, f.back[phase].groups = outputs, c, f.forward.groups
        place(&f.back[phase], dout, dx, f.affine, lanes)
    f.winograd_back = winograd and not f.affine and f.phases == 1 and winograd_pays(&f.back[0], run.most, False)
    return 0


cdef inline void set_kept(Filters* f, bint winograd) noexcept:
    """Say which weights stay in memory where all workers share each step: not what is as fast made anew, or in place."""
    cdef Sweep* s = &f.forward
    cdef ptrdiff_t points = POINTS * s.group_channels * s.outputs * <ptrdiff_t> sizeof(float)
    f.winograd = winograd and winograd_fits(s)
    f.keeps_u = f.winograd and points <= FAR and winograd_pays(s, SHARED_IMAGES, False)
    f.in_place = f.affine and s.outputs >= s.lanes
    f.keeps_packed = not f.in_place and not (f.keeps_u and winograd_pays(s, 1, False))


cdef inline int set_step(Step* s, const Run* run, Filters* filters, Columns* columns, dict given) except -1:
    """Fill in one step; the maps and the filters are there already."""
    cdef Map* m
    set_action(s, given["name"])
    s.a, s.b, s.c, s.out = number(given, "a"), number(given, "b"), number(given, "c"), number(given, "out")
    s.relu = given.get("relu", False)
    s.ratio, s.number = given.get("ratio", 0.0), given.get("number", 0)
    s.first, s.other, s.channels = given.get("first", 0), given.get("other", 0), given.get("channels", 0)
    if given["name"] == "dropout":
        s.first = dropout_threshold(s.ratio)
    s.filters = &filters[<ptrdiff_t> given["filters"]] if "filters" in given else NULL
    if s.out >= 0:
        m = &run.maps[s.out]
        s.clear = m.before > 0 or m.after > 0
    s.columns = &columns[<ptrdiff_t> given["columns"]] if "columns" in given else NULL
    s.by_rows = s.run in (take_images, give_rows, by_rule, slice_step, scale_step, pooling, normalize, lrn)
    if given["name"] == "filter_data" and s.b >= 0 and run.maps[s.b].after < run.maps[s.out].after:
        s.filters.back[0].room = False  # whole tiles would read behind the mask
    if "response" in given:
        n, k, alpha, beta = given["response"]
        s.response = response(run.maps[s.a].c, n, k, alpha, beta)
    if "pool" in given:
        window, stride, pad, x, out = given["pool"]
        m = &run.maps[<ptrdiff_t> x]
        s.pool.h, s.pool.w, s.pool.c, s.pool.x_row = m.h, m.w, m.c, m.row
        m = &run.maps[<ptrdiff_t> out]
        s.pool.oh, s.pool.ow, s.pool.out_row = m.h, m.w, m.row
        (s.pool.ph, s.pool.pw), (s.pool.sh, s.pool.sw), (s.pool.top, s.pool.left) = window, stride, pad
        s.pool.dout_row, s.pool.dx_row = run.maps[s.a].row, run.maps[s.out].row
    return 0


cdef inline ptrdiff_t number(dict given, str key) except -2:
    """Return the number of a map, -1 for none."""
    found = given.get(key)
    return -1 if found is None else found


cdef inline int set_action(Step* s, str name) except -1:
    """Say what a step runs, by its name."""
    s.run = action_of(name)
    s.rule = rule_of(name)
    s.largest = name.startswith("max_")
    if name == "mean":
        s.finish = finish_mean
    elif name == "variance":
        s.finish = finish_variance
    elif name == "normalize_sums":
        s.finish = finish_products
    return 0


cdef inline action action_of(str name) except NULL:
    if name == "input": return take_images
    if name == "output": return give_rows
    if name == "filter": return filter_forward
    if name == "filter_data": return filter_data_gradient
    if name == "filter_weight": return filter_weight_gradient
    if name in ("relu", "relu_gradient", "sigmoid", "sigmoid_gradient", "sum", "sum_relu", "copy"): return by_rule
    if name == "slice": return slice_step
    if name == "scale": return scale_step
    if name in ("max_pooling", "average_pooling"): return pooling
    if name in ("max_pooling_gradient", "average_pooling_gradient"): return pooling_gradient
    if name == "unpool": return unpool
    if name == "lrn": return lrn
    if name == "lrn_gradient": return lrn_gradient
    if name == "flatten": return flatten
    if name == "unflatten": return unflatten
    if name == "dropout": return dropout
    if name == "dropout_gradient": return dropout_gradient
    if name == "loss": return softmax_loss
    if name == "mean": return sum_values
    if name == "variance": return sum_squares
    if name == "normalize": return normalize
    if name == "normalize_sums": return sum_products
    if name == "normalize_gradient": return normalize_gradient
    raise ValueError(f"Plan: no step is called {name!r}")


cdef inline Rule rule_of(str name):
    if name == "relu": return RELU
    if name == "relu_gradient": return RELU_GRADIENT
    if name == "sigmoid": return SIGMOID
    if name == "sigmoid_gradient": return SIGMOID_GRADIENT
    if name == "sum_relu": return SUM_RELU
    return SUM if name == "sum" else COPY
