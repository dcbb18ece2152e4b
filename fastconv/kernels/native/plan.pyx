"""Runs a plan: a flat list of steps over planned memory, without Python and without allocation (plan_state.pxd).

    weights       packed, and brought to Winograd's points                       one task per line of filters
    segments      lanes: the batch in equal parts, each taken chunk by chunk     one task per lane
                  through all steps, forwards and backwards; there is one
                  segment, unless a step needs sums over the whole batch
    gradients     the lanes' sums added in order                                 one task per line of filters

Lanes and chunks follow from the number of images alone, so a result has the same bits on any number of threads. What the
steps are, and which memory they use, is engine/compile.py's work.
"""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from libc.time cimport time, time_t

cimport numpy as cnp

from .columns cimport (finish_mean, finish_products, finish_variance, normalize, normalize_gradient, sum_products,
                       sum_squares, sum_values)
from .common cimport LINE_BYTES, Scratch, free_scratch, new_scratch, parts, up_to
from .convolution_plan cimport (Filters, filters_scratch, line_bytes, lines_of, pack_back, pack_forward, reduce_line,
                                u_line_bytes)
from .plan_state cimport Chunk, Columns, Map, Run, Step, at
from .plan_steps cimport (average_pooling, average_pooling_gradient, clear_surroundings, copy_step, dropout,
                          dropout_gradient, filter_data_gradient, filter_forward, filter_weight_gradient, give_rows,
                          max_pooling, max_pooling_gradient, relu_gradient_step, relu_step, scale_step, sigmoid_gradient_step,
                          sigmoid_step, slice_step, softmax_loss, sum_step, take_images, unpool)
from .philox cimport dropout_threshold
from .pool cimport parallel_for
from .sweep cimport Sweep, dense_maps, finish_sweep, forward_axis, phase_axis, split_rows
from .winograd cimport winograd_pays

cnp.import_array()

__all__ = ["Plan"]

cdef extern from "Python.h":
    int PyErr_CheckSignals()  # without cpython.exc's "except -1": what a handler raises stays set until `reraise`

cdef extern from "float_mode.h" nogil:
    ctypedef unsigned int float_mode
    float_mode allow_denormals()
    void restore_mode(float_mode before)

cdef enum:
    BAND_BYTES = 1 << 18     # a padded copy of a part of an image should stay in L2
    LANES = 16               # private gradients at most, each of some images
    MANY_LANES = 32          # the same for
    MANY_IMAGES = 1024       # as many images, for machines with many cores

ctypedef void (*action)(const Step* step, Chunk* chunk) noexcept nogil

cdef struct Line:            # a line of filters to be packed or added up; phase -1: forward
    Filters* filters
    ptrdiff_t phase
    ptrdiff_t line


cdef action action_of(str name) except NULL:
    if name == "input": return take_images
    if name == "output": return give_rows
    if name == "filter": return filter_forward
    if name == "filter_data": return filter_data_gradient
    if name == "filter_weight": return filter_weight_gradient
    if name == "relu": return relu_step
    if name == "relu_gradient": return relu_gradient_step
    if name == "sigmoid": return sigmoid_step
    if name == "sigmoid_gradient": return sigmoid_gradient_step
    if name == "sum": return sum_step
    if name == "copy": return copy_step
    if name == "slice": return slice_step
    if name == "scale": return scale_step
    if name == "max_pooling": return max_pooling
    if name == "max_pooling_gradient": return max_pooling_gradient
    if name == "average_pooling": return average_pooling
    if name == "average_pooling_gradient": return average_pooling_gradient
    if name == "unpool": return unpool
    if name == "dropout": return dropout
    if name == "dropout_gradient": return dropout_gradient
    if name == "loss": return softmax_loss
    if name == "mean": return sum_values
    if name == "variance": return sum_squares
    if name == "normalize": return normalize
    if name == "normalize_sums": return sum_products
    if name == "normalize_gradient": return normalize_gradient
    raise ValueError(f"Plan: no step is called {name!r}")


cdef class Plan:
    """A compiled schedule.

    Parameters
    ----------
    single : bool
        float32, else float64.
    maps : sequence of (h, w, c, before, after, item, batch, offset)
    filters : sequence of dict
    columns : sequence of (count, eps)
        Of each BatchNormalization layer.
    steps : sequence of dict
    local_bytes, batch_bytes : int
        Memory of the maps: each worker's, and for each image of the batch.
    most : int
        Images per chunk at most.
    training, winograd : bool
    """

    cdef Run run
    cdef Line* lines         # to pack: forward and back
    cdef Line* gradients     # to add up: forward only
    cdef ptrdiff_t n_lines, n_gradients, n_maps, n_steps, n_filters, n_columns, batch_bytes, batch_images, lanes, workers
    cdef bint training
    cdef Filters* filters
    cdef Columns* columns
    cdef Scratch weights, worker_memory, lane_memory, batch_memory, seen
    cdef ptrdiff_t seen_bytes
    cdef bint packed

    def __cinit__(self, bint single, maps, filters, columns, steps, ptrdiff_t local_bytes, ptrdiff_t batch_bytes, ptrdiff_t most,
                  bint training, bint winograd):
        self.n_maps, self.n_filters, self.n_steps = len(maps), len(filters), len(steps)
        self.run.maps = <Map*> zeros(self.n_maps * sizeof(Map))
        self.run.steps = <Step*> zeros(self.n_steps * sizeof(Step))
        self.filters = <Filters*> zeros(self.n_filters * sizeof(Filters))
        self.run.single, self.run.most, self.training = single, most, training
        self.run.local_bytes, self.batch_bytes = up_to(local_bytes, LINE_BYTES), batch_bytes
        for i, m in enumerate(maps):
            set_map(&self.run.maps[i], m)
        for i, f in enumerate(filters):
            self.set_filters(&self.filters[i], f, winograd and single)
        self.n_columns = len(columns)
        self.columns = <Columns*> zeros(self.n_columns * sizeof(Columns))
        for i, (count, eps) in enumerate(columns):
            self.columns[i].count, self.columns[i].eps = count, eps
            self.columns[i].sums = <double*> zeros(2 * MANY_LANES * count * sizeof(double))
            self.run.scratch_bytes = max(self.run.scratch_bytes, up_to(count * sizeof(double), LINE_BYTES))
        for i, s in enumerate(steps):
            self.set_step(&self.run.steps[i], s)
        self.list_lines()
        self.place_weights()

    def __dealloc__(self):
        cdef ptrdiff_t i
        if self.filters != NULL:
            for i in range(self.n_filters):
                free(self.filters[i].back)
                free(self.filters[i].packed_back)
        if self.columns != NULL:
            for i in range(self.n_columns):
                free(self.columns[i].sums)
        free(self.columns)
        free(self.run.maps)
        free(self.run.steps)
        free(self.filters)
        free(self.lines)
        free(self.gradients)
        free_scratch(self.weights)
        free_scratch(self.worker_memory)
        free_scratch(self.lane_memory)
        free_scratch(self.batch_memory)
        free_scratch(self.seen)

    # ---- what the lists say

    cdef int set_filters(self, Filters* f, dict given, bint winograd) except -1:
        cdef Map* x = &self.run.maps[<ptrdiff_t> given["x"]]
        cdef Map* out = &self.run.maps[<ptrdiff_t> given["out"]]
        cdef Map* dout
        cdef Map* dx
        cdef ptrdiff_t lanes = LINE_BYTES // (4 if self.run.single else 8), i, j, phase
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
        f.winograd = winograd and not f.affine and winograd_pays(&f.forward, self.run.most, False)
        if given["dout"] is None:
            return 0
        dout = &self.run.maps[<ptrdiff_t> given["dout"]]
        place(&f.gradient, x, dout, f.affine, lanes)
        f.winograd_gradient = winograd and not f.affine and winograd_pays(&f.gradient, self.run.most, False)
        if given["dx"] is None:
            return 0
        dx = &self.run.maps[<ptrdiff_t> given["dx"]]
        f.phases = stride[0] * stride[1]
        f.back = <Sweep*> zeros(f.phases * sizeof(Sweep))
        f.packed_back = <char**> zeros(f.phases * sizeof(char*))
        for phase in range(f.phases):
            i, j = phase // stride[1], phase % stride[1]
            f.back[phase].h = phase_axis(oh, fh, stride[0], pad[0], dilation[0], h, i)
            f.back[phase].w = phase_axis(ow, fw, stride[1], pad[1], dilation[1], w, j)
            f.back[phase].channels, f.back[phase].outputs, f.back[phase].groups = outputs, c, f.forward.groups
            place(&f.back[phase], dout, dx, f.affine, lanes)
        f.winograd_back = winograd and not f.affine and f.phases == 1 and winograd_pays(&f.back[0], self.run.most, False)
        return 0

    cdef int set_step(self, Step* s, dict given) except -1:
        cdef Map* m
        s.run = action_of(given["name"])
        s.a, s.b, s.c, s.out = (-1 if given.get(key) is None else given[key] for key in ("a", "b", "c", "out"))
        s.relu = given.get("relu", False)
        s.ratio, s.number = given.get("ratio", 0.0), given.get("number", 0)
        s.first, s.other, s.channels = given.get("first", 0), given.get("other", 0), given.get("channels", 0)
        if given["name"] == "dropout":
            s.first = dropout_threshold(s.ratio)
        s.filters = &self.filters[<ptrdiff_t> given["filters"]] if "filters" in given else NULL
        if s.out >= 0:
            m = &self.run.maps[s.out]
            s.clear = m.before > 0 or m.after > 0
        s.columns = &self.columns[<ptrdiff_t> given["columns"]] if "columns" in given else NULL
        if given["name"] == "mean":
            s.finish = finish_mean
        elif given["name"] == "variance":
            s.finish = finish_variance
        elif given["name"] == "normalize_sums":
            s.finish = finish_products
        if "pool" in given:
            window, stride, pad, x, out = given["pool"]
            m = &self.run.maps[<ptrdiff_t> x]
            s.pool.h, s.pool.w, s.pool.c, s.pool.x_row = m.h, m.w, m.c, m.row
            m = &self.run.maps[<ptrdiff_t> out]
            s.pool.oh, s.pool.ow, s.pool.out_row = m.h, m.w, m.row
            (s.pool.ph, s.pool.pw), (s.pool.sh, s.pool.sw), (s.pool.top, s.pool.left) = window, stride, pad
            s.pool.dout_row, s.pool.dx_row = self.run.maps[s.a].row, self.run.maps[s.out].row
        return 0

    cdef int list_lines(self) except -1:
        cdef ptrdiff_t i, phase, line, n = 0
        cdef Filters* f
        for i in range(self.n_filters):
            f = &self.filters[i]
            self.n_gradients += lines_of(&f.forward)
            for phase in range(f.phases):
                n += lines_of(&f.back[phase])
        self.lines = <Line*> zeros((n + self.n_gradients) * sizeof(Line))
        self.gradients = <Line*> zeros(self.n_gradients * sizeof(Line))
        n = self.n_lines = 0
        for i in range(self.n_filters):
            f = &self.filters[i]
            for phase in range(-1, f.phases):
                for line in range(lines_of(&f.back[phase] if phase >= 0 else &f.forward)):
                    self.lines[self.n_lines] = Line(f, phase, line)
                    self.n_lines += 1
                    if phase < 0:
                        self.gradients[n] = Line(f, phase, line)
                        n += 1
        return 0

    cdef int place_weights(self) except -1:
        """Give the filters their part of one block of memory, and the lanes' gradients their order."""
        cdef ptrdiff_t i, phase, size = 0, run
        cdef Filters* f
        for run in range(2):
            size = 0
            for i in range(self.n_filters):
                f = &self.filters[i]
                f.packed = self.weights.memory + size
                size += lines_of(&f.forward) * line_bytes(&f.forward)
                f.bias_lines = self.weights.memory + size
                size += lines_of(&f.forward) * LINE_BYTES
                f.u = self.weights.memory + size
                size += lines_of(&f.forward) * u_line_bytes(&f.forward) if f.winograd else 0
                for phase in range(f.phases):
                    f.packed_back[phase] = self.weights.memory + size
                    size += lines_of(&f.back[phase]) * line_bytes(&f.back[phase])
                f.u_back = self.weights.memory + size
                size += lines_of(&f.back[0]) * u_line_bytes(&f.back[0]) if f.winograd_back else 0
                f.no_bias = self.weights.memory + size
                size += lines_of(&f.back[0]) * LINE_BYTES if f.phases else 0
            if run == 0:
                self.weights = new_scratch(size)
                memset(self.weights.memory, 0, size)
        for i in range(self.n_filters):
            f = &self.filters[i]
            f.sums = self.run.sums_bytes
            self.run.sums_bytes += lines_of(&f.forward) * (line_bytes(&f.forward) + LINE_BYTES)
            self.run.scratch_bytes = max(self.run.scratch_bytes,
                                         filters_scratch(f, 4 if self.run.single else 8, self.run.most))
        return 0

    # ---- a run

    def __call__(self, cnp.ndarray x, parameters, cnp.ndarray y, int n_threads, *, cnp.ndarray index=None,
                 cnp.ndarray labels=None, cnp.ndarray soft=None, cnp.ndarray losses=None,
                 cnp.ndarray keys=None, gradients=None, columns=()):
        """Run the steps over a batch.

        Parameters
        ----------
        x : array (N, C, H, W) or (N, D), any strides, float32, float64 or uint8
        parameters : list of (weight, bias or None), contiguous, in the plan's dtype
        y : array (N, K)
            Takes the scores; of a training plan, the probabilities.
        n_threads : int
        index : int64 (M,), optional
            Which samples of x make the batch; without it, all.
        labels : int64 (N,); losses : float64 (N,)
        soft : array (N, K), optional
        keys : uint64, one per Dropout layer
        gradients : list of (dweight, dbias), optional
        columns : list of (gamma, beta, mean, var, dgamma, dbeta)
            Of each BatchNormalization layer; in training the last four are results.
        """
        cdef Run* run = &self.run
        cdef ptrdiff_t axis, last
        run.images = cnp.PyArray_SIZE(index) if index is not None else x.shape[0]
        run.x, run.x_kind = <char*> cnp.PyArray_DATA(x), ord(x.dtype.char)
        for axis in range(4):
            run.x_step[axis] = 0
        run.x_step[0], run.x_step[1] = x.strides[0], x.strides[1]
        if x.ndim == 4:
            run.x_step[2], run.x_step[3] = x.strides[2], x.strides[3]
        run.index = <int64_t*> data(index)
        run.labels, run.soft, run.y = <int64_t*> data(labels), data(soft), cnp.PyArray_DATA(y)
        run.losses, run.keys = <double*> data(losses), <uint64_t*> data(keys)
        run.lanes = (lanes_of(run.images) if self.training or self.n_columns else
                     max(parts(run.images, run.most), min(run.images, 2 * parts(run.images, 8))))
        run.interrupted = 0
        bind(self.filters, parameters, gradients)
        self.make_room(n_threads, self.training)
        cdef bint stale = self.is_stale(parameters, not self.training)
        bind_columns(self.columns, columns)
        cdef void* this = <void*> self
        with nogil:
            if stale:
                parallel_for(n_threads, self.n_lines, pack_task, this)
            run.last_step = 0
            while run.last_step < self.n_steps and not run.interrupted:
                run.first_step = run.last_step
                run.last_step = end_of_segment(run.steps, run.first_step, self.n_steps)
                parallel_for(n_threads, run.lanes, lane_task, run)
                if run.steps[run.last_step - 1].finish != NULL:
                    run.steps[run.last_step - 1].finish(run, &run.steps[run.last_step - 1])
            if self.training and not run.interrupted:
                parallel_for(n_threads, self.n_gradients, reduce_task, this)
        if run.interrupted:
            reraise()

    cdef int make_room(self, int n_threads, bint training) except -1:
        """Memory for so many workers, and for the lanes' gradients and the batch's maps."""
        cdef Run* run = &self.run
        if n_threads > self.workers:
            free_scratch(self.worker_memory)
            self.workers, self.worker_memory.allocated = 0, NULL
            self.worker_memory = new_scratch(n_threads * (run.local_bytes + run.scratch_bytes))
            memset(self.worker_memory.memory, 0, n_threads * (run.local_bytes + run.scratch_bytes))
            self.workers = n_threads
            run.local = self.worker_memory.memory
            run.scratch = run.local + n_threads * run.local_bytes
        if training and run.lanes > self.lanes:
            free_scratch(self.lane_memory)
            self.lanes, self.lane_memory.allocated = 0, NULL
            self.lane_memory = new_scratch(run.lanes * run.sums_bytes)
            self.lanes = run.lanes
            run.sums = self.lane_memory.memory
        if run.images * self.batch_bytes > self.batch_images * self.batch_bytes:
            free_scratch(self.batch_memory)
            self.batch_images, self.batch_memory.allocated = 0, NULL
            self.batch_memory = new_scratch(run.images * self.batch_bytes)
            self.batch_images = run.images
            run.batch = self.batch_memory.memory
        return 0

    cdef bint is_stale(self, parameters, bint compare) except -1:
        """Say whether the weights have to be packed: always, but in a prediction with the same values as the last one."""
        cdef ptrdiff_t size = 0
        cdef bint stale = not self.packed
        cdef cnp.ndarray a
        if not compare:
            self.packed = False
            return True
        for pair in parameters:
            for array in pair:
                if array is not None:
                    size += cnp.PyArray_NBYTES(array)
        if size != self.seen_bytes:
            free_scratch(self.seen)
            self.seen.allocated, self.seen_bytes = NULL, 0
            self.seen = new_scratch(size)
            self.seen_bytes, stale = size, True
        size = 0
        for pair in parameters:
            for array in pair:
                if array is not None:
                    a = array
                    if stale or memcmp(self.seen.memory + size, cnp.PyArray_DATA(a), cnp.PyArray_NBYTES(a)) != 0:
                        stale = True
                        memcpy(self.seen.memory + size, cnp.PyArray_DATA(a), cnp.PyArray_NBYTES(a))
                    size += cnp.PyArray_NBYTES(a)
        self.packed = True
        return stale


cdef ptrdiff_t lanes_of(ptrdiff_t images) noexcept nogil:
    """Return into how many lanes a batch is cut: by its size alone; few small ones in pairs, for two threads."""
    return min(images, MANY_LANES if images >= MANY_IMAGES else min(LANES, 2 * parts(images, 8)))


cdef void* zeros(size_t size) except NULL:
    cdef void* memory = calloc(max(size, 1), 1)
    if memory == NULL:
        raise MemoryError(f"fastconv: no memory for a plan's {size:,} bytes")
    return memory


cdef void* data(cnp.ndarray array) noexcept:
    return NULL if array is None else cnp.PyArray_DATA(array)


cdef int reraise() except -1:
    """Let the exception go that a signal handler has left."""
    return -1


cdef int set_map(Map* m, tuple given) except -1:
    m.h, m.w, m.c, m.before, m.after, m.item, m.batch, m.offset = given
    m.row = (m.before + m.w + m.after) * m.c
    m.image = (m.before + m.h + m.after) * m.row
    m.origin = (m.before * m.row + m.before * m.c) * m.item
    return 0


cdef int place(Sweep* s, const Map* source, const Map* out, bint affine, ptrdiff_t lanes) except -1:
    """Lay a sweep over its maps; without an output's map that is dense."""
    dense_maps(s)
    if not affine:
        s.source_row, s.source_image, s.before, s.after = source.row, source.image, source.before, source.after
        if out != NULL:
            s.out_row, s.out_image = out.row, out.image
            s.room = out.after >= up_to(out.h, 4) - out.h and out.after >= up_to(out.w, 4) - out.w
    finish_sweep(s, lanes)
    split_rows(s, BAND_BYTES // (s.h.step * max(s.band_w, 1) * s.channels * 8 + 1) if s.padded else s.h.grid)
    return 0


cdef int bind(Filters* filters, parameters, gradients) except -1:
    """Point the filters to the caller's arrays."""
    for i, (weight, bias) in enumerate(parameters):
        filters[<ptrdiff_t> i].weight, filters[<ptrdiff_t> i].bias = data(weight), data(bias)
    for i, (dweight, dbias) in enumerate(gradients or ()):
        filters[<ptrdiff_t> i].dweight, filters[<ptrdiff_t> i].dbias = data(dweight), data(dbias)
    return 0


cdef int bind_columns(Columns* columns, given) except -1:
    for i, (gamma, beta, mean, var, dgamma, dbeta) in enumerate(given):
        c = &columns[<ptrdiff_t> i]
        c.gamma, c.beta, c.mean, c.var = data(gamma), data(beta), data(mean), data(var)
        c.dgamma, c.dbeta = data(dgamma), data(dbeta)
    return 0


cdef ptrdiff_t end_of_segment(const Step* steps, ptrdiff_t first, ptrdiff_t last) noexcept nogil:
    """Return the step behind the first that has something to finish over all lanes."""
    cdef ptrdiff_t step
    for step in range(first, last):
        if steps[step].finish != NULL:
            return step + 1
    return last


cdef void pack_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Line* l = &(<Plan> context).lines[task]
    cdef Filters* f = l.filters
    if (<Plan> context).run.single:
        if l.phase < 0:
            pack_forward(f, l.line, <float*> f.weight, <float*> f.bias)
        else:
            pack_back(f, l.phase, l.line, <float*> f.weight)
    elif l.phase < 0:
        pack_forward(f, l.line, <double*> f.weight, <double*> f.bias)
    else:
        pack_back(f, l.phase, l.line, <double*> f.weight)


cdef void lane_task(void* context, ptrdiff_t lane, int worker) noexcept nogil:
    """Take a lane's images through the steps, a chunk at a time."""
    cdef Run* run = <Run*> context
    cdef Chunk k
    cdef ptrdiff_t first = run.images * lane // run.lanes, last = run.images * (lane + 1) // run.lanes, step
    cdef ptrdiff_t chunks = parts(last - first, run.most), i
    cdef const Step* s
    k.run, k.fresh = run, True
    k.local, k.scratch = run.local + worker * run.local_bytes, run.scratch + worker * run.scratch_bytes
    k.sums, k.lane = run.sums + lane * run.sums_bytes, lane
    for i in range(chunks):
        if run.interrupted:
            return
        k.first = first + (last - first) * i // chunks
        k.n = first + (last - first) * (i + 1) // chunks - k.first
        for step in range(run.first_step, run.last_step):
            s = &run.steps[step]
            s.run(s, &k)
            if s.clear:
                clear_surroundings(&run.maps[s.out], k.n, at(&k, s.out))
        k.fresh = False
        if worker == 0:
            look_for_signals(run)


cdef void look_for_signals(Run* run) noexcept nogil:
    """Let Python's signal handlers run, at most once a second; stop where one raises (Ctrl-C)."""
    cdef time_t now = time(NULL)
    if now == run.last_look:
        return
    run.last_look = now
    cdef float_mode mode = allow_denormals()
    with gil:
        if PyErr_CheckSignals() != 0:
            run.interrupted = 1
    restore_mode(mode)


cdef void reduce_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Line* l = &(<Plan> context).gradients[task]
    cdef Run* run = &(<Plan> context).run
    cdef Filters* f = l.filters
    cdef char* sums = run.sums + f.sums
    if run.single:
        reduce_line(f, l.line, <float*> sums, run.lanes, run.sums_bytes // 4, <float*> f.dweight, <float*> f.dbias)
    else:
        reduce_line(f, l.line, <double*> sums, run.lanes, run.sums_bytes // 8, <double*> f.dweight, <double*> f.dbias)
