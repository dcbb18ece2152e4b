"""The transforms of Winograd's method (winograd.py)."""
from __future__ import annotations

from .compile import inline, inner
from .lines import all_finite, fill, is_zero, lanes_of, load, positive, relu_pool, store, where_positive

FOUR_BY_FOUR = 0b001111_001111_001111_001111  # bits i*6 + j

# ---- along one axis: of lines

@inline
def input_points(a, b, c, d, e, f):
    """B' d: six inputs in a row to the points 0, 1, -1, 2, -2, infinity."""
    even1, odd1 = e - 4 * c, d - 4 * b
    even2, odd2 = e - c, 2 * (d - b)
    return 4 * a - 5 * c + e, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, 4 * b - 5 * d + f


@inline
def point_pair(pair, lines):
    """B' d, two of the points: 0 and infinity, 1 and -1, or 2 and -2."""
    a, b, c, d, e, f = lines
    if pair == 0:
        return 4 * a - 5 * c + e, 4 * b - 5 * d + f
    even, odd = (e - 4 * c, d - 4 * b) if pair == 1 else (e - c, 2 * (d - b))
    return even + odd, even - odd


@inline
def filter_points(a, b, c):
    """G g: three filter taps to the six points."""
    even1, odd1 = (a + c) * (1 / 6), b * (1 / 6)
    even2, odd2 = a * (1 / 24) + c * (1 / 6), b * (1 / 12)
    return a * 0.25, (even1 + odd1) * -1.0, odd1 - even1, even2 + odd2, even2 - odd2, c


@inline
def outputs_of(a, b, c, d, e, f):
    """A' m: six points back to four outputs."""
    sum1, difference1, sum2, difference2 = b + c, b - c, d + e, d - e
    return a + sum1 + sum2, difference1 + 2 * difference2, sum1 + 4 * sum2, difference1 + 8 * difference2 + f


@inline
def output_points(a, b, c, d):
    """A dy: four gradients to the six points."""
    even1, odd1, even2, odd2 = a + c, b + d, a + 4 * c, 2 * b + 8 * d
    return a, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, d


@inline
def taps_of(a, b, c, d, e, f):
    """G' u: six points back to three taps."""
    sum1, sum2, difference2 = (b + c) * (1 / 6), d + e, d - e
    return (0.25 * a - sum1 + sum2 * (1 / 24), (c - b) * (1 / 6) + difference2 * (1 / 12),
            sum2 * (1 / 6) - sum1 + f)


@inline
def load6(a, at, step):
    return (load(a, at), load(a, at + step), load(a, at + 2 * step), load(a, at + 3 * step), load(a, at + 4 * step),
            load(a, at + 5 * step))


@inline
def store6(a, at, step, lines):
    store(a, at, lines[0])
    store(a, at + step, lines[1])
    store(a, at + 2 * step, lines[2])
    store(a, at + 3 * step, lines[3])
    store(a, at + 4 * step, lines[4])
    store(a, at + 5 * step, lines[5])


# ---- of one line of channels of one tile; `half` holds them after the first axis

@inner
def winograd_input(d, at, row, column, v, to, step):
    """v[i*6 + j] = B' d B of the 6x6 pixels d[i*row + j*column].

    Two rows of points at a time: after the first axis they fit into registers, all six would not.
    """
    input_rows(0, 0, 5, d, at, row, column, v, to, step)
    input_rows(1, 1, 2, d, at, row, column, v, to, step)
    input_rows(2, 3, 4, d, at, row, column, v, to, step)


@inline
def input_rows(pair, i, k, d, at, row, column, v, to, step):
    a, b = point_pair(pair, load6(d, at, row)), point_pair(pair, load6(d, at + column, row))
    c, e = point_pair(pair, load6(d, at + 2 * column, row)), point_pair(pair, load6(d, at + 3 * column, row))
    f, g = point_pair(pair, load6(d, at + 4 * column, row)), point_pair(pair, load6(d, at + 5 * column, row))
    store6(v, to + i * 6 * step, step, input_points(a[0], b[0], c[0], e[0], f[0], g[0]))
    store6(v, to + k * 6 * step, step, input_points(a[1], b[1], c[1], e[1], f[1], g[1]))


@inner
def winograd_filter(g, at, tap, half, u, to, step):
    """u[i*6 + j] = G g G' of the 3x3 taps g[(i*3 + j)*tap]."""
    lanes = lanes_of(half)
    for j in range(3):
        store6(half, j * lanes, 3 * lanes, filter_points(load(g, at + j * tap), load(g, at + (3 + j) * tap),
                                                         load(g, at + (6 + j) * tap)))
    for i in range(6):
        k = i * 3 * lanes
        store6(u, to + i * 6 * step, step,
               filter_points(load(half, k), load(half, k + lanes), load(half, k + 2 * lanes)))


@inner
def half_output(m, at, step, half):
    """half [4][6] = A' m of the 36 sums m[i*6 + j]."""
    lanes = lanes_of(half)
    for j in range(6):
        a, b, c, d, e, f = load6(m, at + j * step, 6 * step)
        w, x, y, z = outputs_of(a, b, c, d, e, f)
        store(half, j * lanes, w)
        store(half, (6 + j) * lanes, x)
        store(half, (12 + j) * lanes, y)
        store(half, (18 + j) * lanes, z)


@inline
def output_row(half, i, bias):
    """Return the four results of row i."""
    lanes = lanes_of(half)
    a, b, c, d, e, f = load6(half, i * 6 * lanes, lanes)
    w, x, y, z = outputs_of(a, b, c, d, e, f)
    return w + bias, x + bias, y + bias, z + bias


@inner
def blank_outputs(d, at, row, column, channels):
    """Return which outputs, bit i*6 + j, see nothing but zeros in 6x6 pixels; every window holds one of the middle."""
    lanes, middle = lanes_of(d), at + 2 * row + 2 * column
    if not (is_zero(load(d, middle)) or is_zero(load(d, middle + column)) or is_zero(load(d, middle + row))
            or is_zero(load(d, middle + row + column))):
        return 0
    zeros = 0
    for pixel in range(36):
        first, k = at + pixel // 6 * row + pixel % 6 * column, 0
        while k < channels and is_zero(load(d, first + k)):
            k += lanes
        zeros |= (k >= channels) << pixel
    across = zeros & (zeros >> 1) & (zeros >> 2)
    return across & (across >> 6) & (across >> 12) & FOUR_BY_FOUR


@inline
def blanked(blank, w, x, y, z, bias):
    """Return a row of results, the bias where they are blank: without what rounding has left."""
    return (bias if blank & 1 else w, bias if blank & 2 else x, bias if blank & 4 else y, bias if blank & 8 else z)


@inline
def finish_line(line, relu, masked, mask, mask_at):
    """Return the positive part (relu), zero where the mask is <= 0 (masked), or the line as it is."""
    if relu:
        return positive(line)
    if masked:
        return where_positive(load(mask, mask_at), line)
    return line


@inner
def winograd_output(m, at, step, bias, bias_at, blank, relu, mask, mask_at, mask_row, half, y, to, row, column):
    """y[i*row + j*column] = the 4x4 results, finished; mask_at < 0: no mask. Return whether they are finite."""
    half_output(m, at, step, half)
    b, nothing, masked = load(bias, bias_at), fill(bias, 0), mask_at >= 0
    for i in range(4):
        w, x, v, z = output_row(half, i, b)
        nothing = nothing + (w * 0.0 + x * 0.0) + (v * 0.0 + z * 0.0)
        if blank != 0:
            w, x, v, z = blanked(blank >> 6 * i, w, x, v, z, b)
        k, p = mask_at + i * mask_row, to + i * row
        store(y, p, finish_line(w, relu, masked, mask, k))
        store(y, p + column, finish_line(x, relu, masked, mask, k + column))
        store(y, p + 2 * column, finish_line(v, relu, masked, mask, k + 2 * column))
        store(y, p + 3 * column, finish_line(z, relu, masked, mask, k + 3 * column))
    return all_finite(nothing)


@inner
def winograd_pooled(m, at, step, bias, bias_at, blank, half, y, to, row, column, winner, winner_at, winner_row):
    """y[i*row + j*column] = the largest of each 2x2 of the results' positive parts; winner says which of four won."""
    half_output(m, at, step, half)
    b, nothing = load(bias, bias_at), fill(bias, 0)
    for i in range(2):
        w, x, v, z = output_row(half, 2 * i, b)
        w2, x2, v2, z2 = output_row(half, 2 * i + 1, b)
        nothing = nothing + (w * 0.0 + x * 0.0) + (v * 0.0 + z * 0.0) + (w2 * 0.0 + x2 * 0.0) + (v2 * 0.0 + z2 * 0.0)
        if blank != 0:
            w, x, v, z = blanked(blank >> 12 * i, w, x, v, z, b)
            w2, x2, v2, z2 = blanked(blank >> 12 * i + 6, w2, x2, v2, z2, b)
        k, p = winner_at + i * winner_row, to + i * row
        store(y, p, relu_pool(w, x, w2, x2, winner, k))
        store(y, p + column, relu_pool(v, z, v2, z2, winner, k + column))
    return all_finite(nothing)


@inner
def winograd_gradient(dy, at, row, column, half, z, to, step, total, total_at):
    """z[i*6 + j] = A dy A' of the 4x4 gradients dy[i*row + j*column], whose sum is added to total."""
    lanes = lanes_of(half)
    all_of = load(total, total_at)
    for j in range(4):
        p = at + j * column
        a, b, c, d = load(dy, p), load(dy, p + row), load(dy, p + 2 * row), load(dy, p + 3 * row)
        all_of = all_of + ((a + b) + (c + d))
        store6(half, j * lanes, 4 * lanes, output_points(a, b, c, d))
    store(total, total_at, all_of)
    for i in range(6):
        k = i * 4 * lanes
        a, b, c, d = load(half, k), load(half, k + lanes), load(half, k + 2 * lanes), load(half, k + 3 * lanes)
        store6(z, to + i * 6 * step, step, output_points(a, b, c, d))


@inner
def winograd_taps(u, at, step, half, g, to, tap):
    """g[(i*3 + j)*tap] = G' u G of the 36 sums u[i*6 + j]; return whether they are finite."""
    lanes = lanes_of(half)
    nothing = fill(g, 0)
    for j in range(6):
        a, b, c, d, e, f = load6(u, at + j * step, 6 * step)
        x, y, z = taps_of(a, b, c, d, e, f)
        store(half, j * lanes, x)
        store(half, (6 + j) * lanes, y)
        store(half, (12 + j) * lanes, z)
    for i in range(3):
        a, b, c, d, e, f = load6(half, i * 6 * lanes, lanes)
        x, y, z = taps_of(a, b, c, d, e, f)
        nothing = nothing + x * 0.0 + y * 0.0 + z * 0.0
        store(g, to + i * 3 * tap, x)
        store(g, to + (i * 3 + 1) * tap, y)
        store(g, to + (i * 3 + 2) * tap, z)
    return all_finite(nothing)
