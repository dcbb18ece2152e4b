"""ReLU and 2x2 max pooling at once, and back; the native twin is ../native/relu_pool.pxd."""
from __future__ import annotations

from .compile import inner
from .lines import LINE_BYTES, load, relu_pool, store, where_won


@inner
def relu_pool_rows(a, top, bottom, windows, channels, out, out_at, winner, winner_at):
    """Pool two rows of pixels to one; winner says which of the four it was. `channels` fill whole lines."""
    lanes = LINE_BYTES // a.itemsize
    for w in range(windows):
        for k in range(0, channels, lanes):
            at, to = 2 * w * channels + k, w * channels + k
            store(out, out_at + to, relu_pool(load(a, top + at), load(a, top + at + channels), load(a, bottom + at),
                                              load(a, bottom + at + channels), winner, winner_at + to))


@inner
def relu_unpool_rows(dout, dout_at, winner, winner_at, windows, channels, a, top, bottom):
    """Spread one row of pooled gradients over two rows of a: the winner takes dout, the others nothing."""
    lanes = LINE_BYTES // a.itemsize
    whole = channels // lanes * lanes
    for w in range(windows):
        for k in range(0, whole, lanes):
            at, won = 2 * w * channels + k, winner_at + w * channels + k
            line = load(dout, dout_at + w * channels + k)
            store(a, top + at, where_won(line, winner, won, 0))
            store(a, top + at + channels, where_won(line, winner, won, 1))
            store(a, bottom + at, where_won(line, winner, won, 2))
            store(a, bottom + at + channels, where_won(line, winner, won, 3))
        for k in range(whole, channels):
            at, from_at = 2 * w * channels + k, w * channels + k
            value, first = dout[dout_at + from_at], winner[winner_at + from_at]
            a[top + at] = value if first == 0 else 0
            a[top + at + channels] = value if first == 1 else 0
            a[bottom + at] = value if first == 2 else 0
            a[bottom + at + channels] = value if first == 3 else 0
