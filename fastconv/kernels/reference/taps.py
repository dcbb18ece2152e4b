"""Where each tap of a sliding filter meets the image: the one piece of index arithmetic of the reference.

The output pixel (oh, ow) reads, at the filter's tap (fh, fw), the image pixel

    h = oh * stride_h - pad_h + fh * dilation_h        w = ow * stride_w - pad_w + fw * dilation_w

so for one tap the output pixels that fall inside the image are a rectangle, and so are the image pixels
they read. Everything outside is padding and is never touched:

    image, W = 5, pad 1        . 0 1 2 3 4 .
    output, stride 2, FW = 3   [--0--]
                                   [--1--]
                                       [--2--]
    tap fw = 0                 output 1, 2 reads image 1, 3       (slice(1, 3), slice(1, 4, 2))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Index = tuple[slice, slice, slice]


def taps(
    x_shape: Sequence[int],
    out_shape: Sequence[int],
    filter_size: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> Iterator[tuple[int, int, Index, Index]]:
    """Yield ``(fh, fw, o, i)`` for each tap that meets the image, in window order: ``out[o]`` reads ``x[i]``.

    `x_shape` (N, H, W, ...) and `out_shape` (N, OH, OW, ...) are the shapes of the arrays `i` and `o` index.
    """
    rows, columns = (_reaching(filter_size[a], x_shape[1 + a], out_shape[1 + a], stride[a], pad[a], dilation[a])
                     for a in (0, 1))
    for fh in rows:
        oh, h = _meeting(x_shape[1], out_shape[1], stride[0], fh * dilation[0] - pad[0])
        for fw in columns:
            ow, w = _meeting(x_shape[2], out_shape[2], stride[1], fw * dilation[1] - pad[1])
            yield fh, fw, (slice(None), oh, ow), (slice(None), h, w)


def _reaching(taps: int, size: int, out_size: int, stride: int, pad: int, dilation: int) -> range:
    """Taps t that are not outside of the image, 0 to size - 1, at all of o * stride - pad + t * dilation."""
    first = -(((out_size - 1) * stride - pad) // dilation) if out_size else 0
    return range(max(0, first), min(taps, (size - 1 + pad) // dilation + 1))


def _meeting(size: int, out_size: int, stride: int, offset: int) -> tuple[slice, slice]:
    """Slices of the outputs o with 0 <= o * stride + offset < size, and of the inputs they read."""
    first = max(0, -(offset // stride))  # ceil(-offset / stride)
    count = min(out_size, (size - 1 - offset) // stride + 1) - first
    if count <= 0:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, first + count), slice(start, start + (count - 1) * stride + 1, stride)
