"""What the parameters of a loop are annotated with: how it takes its arguments from Python.

    @Loop
    def _relu_forward(x: Row, out: Row): ...

A loop so annotated is compiled once for float32 and once for float64, whatever the shapes, the layouts and the flags
of the arrays, and called without Numba's dispatcher, which looks at the type of every argument anew (compile.py). What
an argument is nobody checks but for the size of its elements: the functions that call loops know.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, intrinsic, models, register_model, unbox
from numba.np import numpy_support
from numba.np.arrayobj import make_array

from .memory import flat

MOST_AXES = 64  # of an array, in every NumPy
Kind = Callable[[types.Type], types.Type]  # an argument's type, where the loop computes in the type given


class RowType(types.Array):
    """A contiguous array of any shape, which compiled functions take as one row."""

    def __init__(self, dtype: types.Type) -> None:
        super().__init__(dtype, 1, "C", name=f"Row({dtype})")


register_model(RowType)(models.ArrayModel)


@unbox(RowType)
def _take_row(kind, obj, c):
    """Let Numba take the array with all its axes, and leave out these."""
    whole = make_array(types.Array(kind.dtype, MOST_AXES, "A"))(c.context, c.builder)
    failed = c.pyapi.nrt_adapt_ndarray_from_python(obj, c.builder.bitcast(whole._getpointer(), c.pyapi.voidptr))
    row = make_array(kind)(c.context, c.builder)
    row.meminfo, row.parent, row.data = whole.meminfo, whole.parent, whole.data
    row.nitems, row.itemsize = whole.nitems, whole.itemsize
    row.shape = cgutils.pack_array(c.builder, [whole.nitems])
    row.strides = cgutils.pack_array(c.builder, [whole.itemsize])
    size = ir.Constant(whole.itemsize.type, numpy_support.as_dtype(kind.dtype).itemsize)
    failed = c.builder.or_(cgutils.is_not_null(c.builder, failed),
                           c.builder.icmp_unsigned("!=", whole.itemsize, size))
    with c.builder.if_then(failed, likely=False):
        c.pyapi.err_set_string("PyExc_TypeError", f"a kernel expected an array of {kind.dtype}")
    return NativeValue(row._getvalue(), is_error=failed)


Row = Annotated[np.ndarray, RowType]                            # contiguous, of the loop's floats
Matrix = Annotated[np.ndarray, lambda real: types.Array(real, 2, "A")]  # any strides
Flags = Annotated[np.ndarray, lambda real: RowType(types.boolean)]
Labels = Annotated[np.ndarray, lambda real: RowType(types.int64)]
Words = Annotated[np.ndarray, lambda real: RowType(types.uint64)]
Word = Annotated[int, lambda real: types.uint64]
NUMBERS: dict[type, Kind] = {int: lambda real: types.int64, float: lambda real: types.float64}


def kinds(function: Callable[..., Any]) -> list[Kind] | None:
    """Return the kinds of a loop's parameters, None where they are not annotated."""
    hints = get_type_hints(function, include_extras=True)
    return [NUMBERS[hint] if hint in NUMBERS else hint.__metadata__[0] for hint in hints.values()] or None


@intrinsic
def all_of(typingctx, matrix):
    """Return a matrix' memory as a row: row[i*strides[0] + j*strides[1]], in elements, is matrix[i, j].

    The row says that it is empty, so that no index counts from its end: negative strides may lead below its beginning.
    """
    row_type = types.Array(matrix.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        given, row = make_array(matrix)(context, builder, args[0]), make_array(row_type)(context, builder)
        row.data, row.itemsize = given.data, given.itemsize
        row.nitems = ir.Constant(given.nitems.type, 0)
        row.shape = cgutils.pack_array(builder, [row.nitems])
        row.strides = cgutils.pack_array(builder, [given.itemsize])
        row.meminfo = cgutils.get_null_value(row.meminfo.type)
        row.parent = cgutils.get_null_value(row.parent.type)
        return row._getvalue()

    return row_type(matrix), codegen


def plain_arguments(arguments: tuple[Any, ...], of: list[Kind]) -> list[Any]:
    """Return arguments as a loop that is not compiled takes them: rows as rows, matrices contiguous."""
    return [argument if not isinstance(argument, np.ndarray)
            else flat(argument) if isinstance(kind(types.float32), RowType) else np.ascontiguousarray(argument)
            for argument, kind in zip(arguments, of, strict=True)]


if numba.config.DISABLE_JIT:
    def all_of(matrix):  # noqa: F811
        return matrix.reshape(-1)
