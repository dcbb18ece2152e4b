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
from libc.stdlib cimport free
from libc.string cimport memset

cimport numpy as cnp

from .common cimport LINE_BYTES, Scratch, free_scratch, new_scratch, parts, up_to
from .convolution_plan cimport (Filters, filters_scratch, line_bytes, lines_of, pack_back, pack_forward, reduce_line,
                                u_line_bytes)
from .plan_setup cimport set_filters, set_map, set_step, zeros
from .plan_state cimport SHARED_IMAGES, Chunk, Columns, Map, Run, Step, at
from .plan_steps cimport clear_surroundings
from .pool cimport parallel_for
from .response cimport response_bytes
from .shared_steps cimport run_shared, shared_scratch

cnp.import_array()

__all__ = ["Plan"]

cdef extern from "Python.h":
    int PyErr_CheckSignals()  # without cpython.exc's "except -1": what a handler raises stays set until `reraise`

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    enum: TIME_UTC
    int timespec_get(timespec* now, int base)

cdef extern from "float_mode.h" nogil:
    ctypedef unsigned int float_mode
    float_mode allow_denormals()
    void restore_mode(float_mode before)

cdef extern from "checksum.h" nogil:
    uint64_t checksum(const char* bytes, size_t size)

cdef enum:
    PIECE = 1 << 20          # bytes
    LANES = 16               # private gradients at most, each of some images
    MANY_LANES = 32          # the same for
    MANY_IMAGES = 1024       # as many images, for machines with many cores

cdef struct Piece:           # of the caller's parameters, and the sum of its bytes in the last run
    const char* first
    ptrdiff_t size
    uint64_t sum
    bint changed

cdef struct Line:            # a line of filters to be packed or added up; phase -1: forward
    Filters* filters
    ptrdiff_t phase
    ptrdiff_t line


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
    training : bool
        The gradients are wanted.
    winograd : bool
    segments : sequence of (int, int), optional
        All workers share each step; up to which step how many images go through at a time (shared_steps.pxd).
    """

    cdef Run run
    cdef Line* lines         # to pack: forward and back
    cdef Line* gradients     # to add up: forward only
    cdef ptrdiff_t n_lines, n_gradients, n_steps, n_filters, n_columns
    cdef ptrdiff_t batch_bytes, batch_images, lanes, workers  # that there is memory for
    cdef bint training
    cdef Filters* filters
    cdef Columns* columns
    cdef Scratch weights, worker_memory, lane_memory, batch_memory
    cdef Piece* pieces
    cdef ptrdiff_t n_pieces
    cdef ptrdiff_t most_depth  # of a line of filters
    cdef bint packed
    cdef list segments
    cdef list constant       # parameters that cannot change

    def __cinit__(self, bint single, maps, filters, columns, steps, ptrdiff_t local_bytes, ptrdiff_t batch_bytes,
                  ptrdiff_t most, bint training, bint winograd, segments=()):
        self.n_filters, self.n_steps = len(filters), len(steps)
        self.run.maps = <Map*> zeros(len(maps) * sizeof(Map))
        self.run.steps = <Step*> zeros(self.n_steps * sizeof(Step))
        self.filters = <Filters*> zeros(self.n_filters * sizeof(Filters))
        self.run.single, self.run.most, self.training, self.run.shared = single, most, training, len(segments) > 0
        self.segments, self.constant = list(segments), []
        self.run.local_bytes, self.batch_bytes = up_to(local_bytes, LINE_BYTES), batch_bytes
        for i, m in enumerate(maps):
            set_map(&self.run.maps[i], m)
        for i, f in enumerate(filters):
            set_filters(&self.filters[i], &self.run, f, winograd and single)
        self.n_columns = len(columns)
        self.columns = <Columns*> zeros(self.n_columns * sizeof(Columns))
        for i, (count, eps) in enumerate(columns):
            self.columns[i].count, self.columns[i].eps = count, eps
            self.columns[i].sums = <double*> zeros(2 * MANY_LANES * count * sizeof(double))
            self.run.scratch_bytes = max(self.run.scratch_bytes, up_to(count * sizeof(double), LINE_BYTES))
        for i, s in enumerate(steps):
            set_step(&self.run.steps[i], &self.run, self.filters, self.columns, s)
            self.run.scratch_bytes = max(self.run.scratch_bytes, response_bytes(&self.run.steps[i].response))
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
        free_scratch(&self.weights)
        free_scratch(&self.worker_memory)
        free_scratch(&self.lane_memory)
        free_scratch(&self.batch_memory)
        free(self.pieces)

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
                size += lines_of(&f.forward) * line_bytes(&f.forward) if f.keeps_packed else 0
                f.bias_lines = self.weights.memory + size
                size += lines_of(&f.forward) * LINE_BYTES
                f.u = self.weights.memory + size
                size += lines_of(&f.forward) * u_line_bytes(&f.forward) if f.keeps_u else 0
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
            if not self.run.shared:
                self.run.scratch_bytes = max(self.run.scratch_bytes,
                                             filters_scratch(f, 4 if self.run.single else 8, self.run.most))
            self.most_depth = max(self.most_depth, f.forward.depth)
        return 0

    # ---- a run

    def __call__(self, cnp.ndarray x, parameters, cnp.ndarray y, int n_threads, *, cnp.ndarray index=None,
                 cnp.ndarray labels=None, cnp.ndarray soft=None, cnp.ndarray losses=None,
                 cnp.ndarray keys=None, gradients=None, columns=()):
        """Run the steps over a batch.

        Parameters
        ----------
        x : array (N, C, H, W) or (N, D), any strides, float32, float64 or uint8
        parameters : list of (weight, bias or None, factor of each output's weights or None)
            Contiguous, in the plan's dtype.
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
        cdef ptrdiff_t axis
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
        run.interrupted, run.group_first, run.group = 0, 0, run.images
        bind(self.filters, parameters, gradients)
        bind_columns(self.columns, columns)
        if run.shared:
            self.run_shared_segments(parameters, n_threads)
            return
        self.make_room(n_threads)
        self.pack_what_changed(parameters, n_threads)
        cdef void* this = <void*> self
        with nogil:
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

    cdef int run_shared_segments(self, parameters, int n_threads) except -1:
        """Take a few images after another through the segments, all workers together."""
        cdef Run* run = &self.run
        cdef ptrdiff_t i, end, most, first, step, scratch_bytes = n_threads * self.most_depth * LINE_BYTES
        cdef Chunk k
        first = 0
        for end, most in self.segments:
            for step in range(first, end):
                for i in range(1, min(most, run.images) + 1):  # fewer images may be cut into larger bands
                    scratch_bytes = max(scratch_bytes, shared_scratch(run, &run.steps[step], i, n_threads))
            first = end
        run.group = min(SHARED_IMAGES, run.images)
        cdef Scratch scratch = new_scratch(scratch_bytes)
        cdef Scratch batch = new_scratch(run.group * self.batch_bytes)
        cdef Scratch local = new_scratch(run.local_bytes)
        run.scratch, run.batch = scratch.memory, batch.memory
        memset(&k, 0, sizeof(k))
        k.run, k.local, k.parts = run, local.memory, 1
        self.pack_what_changed(parameters, n_threads)
        while run.group_first < run.images and not run.interrupted:
            run.group = min(SHARED_IMAGES, run.images - run.group_first)
            first = 0
            for end, most in self.segments:
                i = 0
                while i < run.group and not run.interrupted:
                    k.first, k.n = run.group_first + i, min(most, run.group - i)
                    k.places = k.n
                    with nogil:
                        for step in range(first, end):
                            run_shared(&run.steps[step], &k, run.scratch, n_threads)
                            look_for_signals(run)
                            if run.interrupted:
                                break
                    i += most
                first = end
            run.group_first += run.group
        free_scratch(&scratch)
        free_scratch(&batch)
        free_scratch(&local)
        if run.interrupted:
            reraise()
        return 0

    cdef int make_room(self, int n_threads) except -1:
        """Memory for so many workers, and for the lanes' gradients and the batch's maps."""
        cdef Run* run = &self.run
        if n_threads > self.workers:
            free_scratch(&self.worker_memory)
            self.workers = 0
            self.worker_memory = new_scratch(n_threads * (run.local_bytes + run.scratch_bytes))
            memset(self.worker_memory.memory, 0, n_threads * (run.local_bytes + run.scratch_bytes))
            self.workers = n_threads
            run.local = self.worker_memory.memory
            run.scratch = run.local + n_threads * run.local_bytes
        if self.training and run.lanes > self.lanes:
            free_scratch(&self.lane_memory)
            self.lanes = 0
            self.lane_memory = new_scratch(run.lanes * run.sums_bytes)
            self.lanes = run.lanes
            run.sums = self.lane_memory.memory
        if run.images * self.batch_bytes > self.batch_images * self.batch_bytes:
            free_scratch(&self.batch_memory)
            self.batch_images = 0
            self.batch_memory = new_scratch(run.images * self.batch_bytes)
            self.batch_images = run.images
            run.batch = self.batch_memory.memory
        return 0

    cdef int pack_what_changed(self, parameters, int n_threads) except -1:
        """Pack the weights that are stale.

        In a prediction copies of them, so that what is packed has the sums that are kept: another thread may change the
        parameters meanwhile, and change them back.
        """
        cdef void* this = <void*> self
        if not self.is_stale(parameters, n_threads):
            return 0
        if not self.training:
            copies = [triple if self.filters[<ptrdiff_t> number].in_place else
                      [a if a is None or is_constant(a) else a.copy() for a in triple]
                      for number, triple in enumerate(parameters)]
            bind(self.filters, copies, None)
            self.is_stale(copies, n_threads)
        with nogil:
            parallel_for(n_threads, self.n_lines, pack_task, this)
        bind(self.filters, parameters, None)
        return 0

    cdef bint is_stale(self, parameters, int n_threads) except -1:
        """Say whether the weights have to be packed: always, but in a prediction with the same values as the last one.

        An array that owns its memory and is read-only has the same values as long as it is the same array.
        """
        cdef ptrdiff_t size = 0, pieces = 0, i
        cdef bint stale = not self.packed
        cdef cnp.ndarray a
        if self.training:
            return True
        cdef list watched = [], constant = []
        for number, triple in enumerate(parameters):
            for array in triple:
                if array is not None and not self.filters[<ptrdiff_t> number].in_place:
                    (constant if is_constant(array) else watched).append(array)
        if len(constant) != len(self.constant) or any([a is not b for a, b in zip(constant, self.constant)]):
            self.constant, stale = constant, True
        for a in watched:
            pieces += parts(cnp.PyArray_NBYTES(a), PIECE)
        if pieces != self.n_pieces:
            free(self.pieces)
            self.pieces, self.n_pieces = NULL, 0
            self.pieces = <Piece*> zeros(pieces * sizeof(Piece))
            self.n_pieces, stale = pieces, True
        pieces = 0
        for a in watched:
            size = cnp.PyArray_NBYTES(a)
            for i in range(parts(size, PIECE)):
                self.pieces[pieces].first = <char*> cnp.PyArray_DATA(a) + i * PIECE
                self.pieces[pieces].size = min(PIECE, size - i * PIECE)
                pieces += 1
        with nogil:
            parallel_for(1 if pieces < 8 else n_threads, pieces, look_at_piece, self.pieces)
        for i in range(pieces):
            stale |= self.pieces[i].changed
        self.packed = True
        return stale


def is_constant(array):
    return array.base is None and not array.flags.writeable


cdef void look_at_piece(void* context, ptrdiff_t piece, int worker) noexcept nogil:
    cdef Piece* p = <Piece*> context + piece
    cdef uint64_t now = checksum(p.first, p.size)
    p.changed, p.sum = now != p.sum, now


cdef ptrdiff_t lanes_of(ptrdiff_t images) noexcept nogil:
    """Return into how many lanes a batch is cut: by its size alone; few small ones in pairs, for two threads."""
    return min(images, MANY_LANES if images >= MANY_IMAGES else min(LANES, 2 * parts(images, 8)))


cdef void* data(cnp.ndarray array) noexcept:
    return NULL if array is None else cnp.PyArray_DATA(array)


cdef int reraise() except -1:
    """Let the exception go that a signal handler has left."""
    return -1


cdef int bind(Filters* filters, parameters, gradients) except -1:
    """Point the filters to the caller's arrays."""
    for i, (weight, bias, scale) in enumerate(parameters):
        filters[<ptrdiff_t> i].weight, filters[<ptrdiff_t> i].bias = data(weight), data(bias)
        filters[<ptrdiff_t> i].scale = data(scale)
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
    cdef char* spare = (<Plan> context).run.scratch + worker * (<Plan> context).most_depth * LINE_BYTES
    if (<Plan> context).run.single:
        if l.phase < 0:
            pack_forward(f, l.line, <float*> f.weight, <float*> f.bias, <float*> spare)
        else:
            pack_back(f, l.phase, l.line, <float*> f.weight)
    elif l.phase < 0:
        pack_forward(f, l.line, <double*> f.weight, <double*> f.bias, <double*> spare)
    else:
        pack_back(f, l.phase, l.line, <double*> f.weight)


cdef void lane_task(void* context, ptrdiff_t lane, int worker) noexcept nogil:
    """Take a lane's images through the steps, a chunk at a time."""
    cdef Run* run = <Run*> context
    cdef Chunk k
    cdef ptrdiff_t first = start_of(lane, run.images, run.lanes), images = start_of(lane + 1, run.images, run.lanes) - first
    cdef ptrdiff_t chunks = parts(images, run.most), i, step
    cdef const Step* s
    k.run, k.fresh = run, True
    k.local, k.scratch = run.local + worker * run.local_bytes, run.scratch + worker * run.scratch_bytes
    k.places, k.begin, k.part, k.parts = 1, 0, 0, 1
    k.sums, k.lane = run.sums + lane * run.sums_bytes, lane
    for i in range(chunks):
        k.first = first + start_of(i, images, chunks)
        k.n = first + start_of(i + 1, images, chunks) - k.first
        for step in range(run.first_step, run.last_step):
            if run.interrupted:
                return
            s = &run.steps[step]
            s.run(s, &k)
            if s.clear:
                clear_surroundings(&run.maps[s.out], k.n, at(&k, s.out))
            if worker == 0:
                look_for_signals(run)
        k.fresh = False


cdef inline ptrdiff_t start_of(ptrdiff_t part, ptrdiff_t images, ptrdiff_t cut) noexcept nogil:
    """Return where a part begins of images cut into so many; larger parts lie everywhere, so that threads end together."""
    return part * images // cut


cdef void look_for_signals(Run* run) noexcept nogil:
    """Let Python's signal handlers run, eight times a second at most; stop where one raises (Ctrl-C)."""
    cdef timespec time
    timespec_get(&time, TIME_UTC)
    cdef long now = time.tv_sec * 8 + time.tv_nsec // 125_000_000
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
