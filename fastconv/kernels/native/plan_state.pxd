"""What a plan is made of (plan.pyx): maps, the steps that go from map to map, and the part of a batch they work on.

A map is one tensor, for a few images at a time: (n, h, w, c), channels-last, with zeros around each image where a
convolution will look for padding. Rows (n, D) are maps with h = w = 1.

            before       w       after
    before    0  0  0  0  0  0  0  0
              0  x  x  x  x  x  0  0        row = (before + w + after) * c elements
       h      0  x  x  x  x  x  0  0        image = (before + h + after) * row
     after    0  0  0  0  0  0  0  0
"""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint64_t

from .convolution_plan cimport Filters
from .response cimport Response
from .windows cimport Pool

cdef enum:
    SHARED_IMAGES = 8        # at a time at most, where all workers share each step

cdef struct Map:
    ptrdiff_t h
    ptrdiff_t w
    ptrdiff_t c
    ptrdiff_t before
    ptrdiff_t after
    ptrdiff_t row            # elements
    ptrdiff_t image
    ptrdiff_t item           # bytes of an element
    ptrdiff_t offset         # of the map in its memory, in bytes; of a batch's map, for each image of the batch
    ptrdiff_t origin         # bytes from there to the first image's first pixel
    bint batch               # one place for each image of the batch, else a few places that each worker has to itself

cdef struct Columns:         # of a BatchNormalization layer, all of the caller but the sums
    ptrdiff_t count
    double eps
    void* gamma
    void* beta
    void* mean
    void* var
    void* dgamma
    void* dbeta
    double* sums             # [lane][2][count]

cdef enum Rule:              # of a step that goes element by element
    RELU
    RELU_GRADIENT            # of (dout, out)
    SIGMOID
    SIGMOID_GRADIENT         # of (dout, out)
    SUM
    SUM_RELU                 # of two branches, the positive part
    COPY

cdef struct Step:
    void (*run)(const Step* step, Chunk* chunk) noexcept nogil
    ptrdiff_t a              # numbers of maps: inputs, what a forward pass left, the result; -1: none
    ptrdiff_t b
    ptrdiff_t c
    ptrdiff_t out
    bint relu
    bint clear               # the result has zeros around it, to be written anew
    bint by_rows             # its rows can be taken by themselves
    void (*finish)(const Run* run, const Step* step) noexcept nogil  # once all lanes are through; ends a segment
    Filters* filters
    Columns* columns
    Rule rule
    Pool pool
    Response response        # of an LRN layer
    bint largest             # pooling takes the maximum, else the average
    ptrdiff_t first          # channel of a slice
    ptrdiff_t other          # channel where it goes
    ptrdiff_t channels
    ptrdiff_t number         # of the Dropout layer
    double ratio

cdef struct Run:             # one run over a batch
    Map* maps
    Step* steps
    char* batch              # memory of the batch's maps
    char* local              # of the workers' maps, `local_bytes` each
    char* scratch            # of the kernels, `scratch_bytes` each
    char* sums               # gradients of the lanes, `sums_bytes` each
    ptrdiff_t local_bytes
    ptrdiff_t scratch_bytes
    ptrdiff_t sums_bytes
    ptrdiff_t first_step     # of the segment that is running
    ptrdiff_t last_step
    ptrdiff_t images
    ptrdiff_t group_first    # images that the batch's maps are for: all, or where all workers share each step, a few
    ptrdiff_t group
    ptrdiff_t lanes
    ptrdiff_t most           # images per chunk
    bint single              # float, else double
    bint shared              # all workers share each step
    int interrupted          # a signal handler has raised
    long last_look           # for signals, in eighths of a second
    const char* x            # the caller's images and how far apart their values are, in bytes
    ptrdiff_t x_step[4]      # image, channel, row, column
    char x_kind              # 'f', 'd' or 'B' (0..255, to be divided by 255)
    const int64_t* index     # which image comes when; NULL: as they are
    const int64_t* labels
    void* soft               # labels as rows (N, K), or NULL
    void* y                  # probabilities, or the scores of a prediction
    double* losses
    const uint64_t* keys     # of the Dropout layers

cdef struct Chunk:           # a few images on one worker, or on all
    const Run* run
    ptrdiff_t first
    ptrdiff_t n
    char* local              # where its maps are, which were laid out for the images of a chunk,
    ptrdiff_t places         # or for one: this many times as large
    ptrdiff_t begin          # the first image's place there
    ptrdiff_t part           # of the images' rows,
    ptrdiff_t parts          # of so many
    char* scratch
    ptrdiff_t lane
    char* sums               # of its lane
    bint fresh               # nothing has been added to them


cdef inline const Map* map_of(const Chunk* k, ptrdiff_t number) noexcept nogil:
    return &k.run.maps[number]


cdef inline char* at(const Chunk* k, ptrdiff_t number) noexcept nogil:
    """Return the chunk's first pixel of a map."""
    cdef const Map* m = &k.run.maps[number]
    if m.batch:
        return (k.run.batch + m.offset * k.run.group + (k.first - k.run.group_first) * m.image * m.item + m.origin)
    return k.local + m.offset * k.places + k.begin * m.image * m.item + m.origin


cdef inline ptrdiff_t first_row(const Chunk* k, ptrdiff_t rows) noexcept nogil:
    return rows * k.part // k.parts


cdef inline ptrdiff_t last_row(const Chunk* k, ptrdiff_t rows) noexcept nogil:
    return rows * (k.part + 1) // k.parts
