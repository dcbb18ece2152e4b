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
from numba.extending import NativeValue, intrinsic, lower_cast, models, register_model, unbox
from numba.np import numpy_support
from numba.np.arrayobj import make_array

from .memory import flat

MOST_AXES = 64  # of an array, in every NumPy
NOTHING = np.empty(0)
Kind = Callable[[types.Type], types.Type]  # an argument's type, where the loop computes in the type given


class RowType(types.Array):
    """A contiguous array of any shape, which compiled functions take as one row; an empty one where it is None."""

    def __init__(self, dtype: types.Type) -> None:
        super().__init__(dtype, 1, "C", name=f"Row({dtype})")


class MatrixType(types.Array):
    """An array of two axes with any strides."""

    def __init__(self, dtype: types.Type) -> None:
        super().__init__(dtype, 2, "A", name=f"Matrix({dtype})")


for kind in (RowType, MatrixType):
    register_model(kind)(models.ArrayModel)


@lower_cast(RowType, types.Array)
def _row_as_array(context, builder, kind, to, row):
    """Where a variable is one or the other; only their names differ."""
    return row


@unbox(RowType)
def _take_row(kind, obj, c):
    """Let Numba take the array with all its axes, and leave out these."""
    row, is_wrong = make_array(kind)(c.context, c.builder), cgutils.alloca_once_value(c.builder, cgutils.false_bit)
    row.itemsize = _itemsize(kind)
    row.shape, row.strides = (cgutils.pack_array(c.builder, [n]) for n in (row.nitems, row.itemsize))
    given = c.builder.icmp_unsigned("!=", obj, c.pyapi.borrow_none())
    with c.builder.if_then(given, likely=True):
        whole, failed = _borrow(types.Array(kind.dtype, MOST_AXES, "A"), obj, c)
        row.data, row.nitems, row.shape = whole.data, whole.nitems, cgutils.pack_array(c.builder, [whole.nitems])
        c.builder.store(failed, is_wrong)
    return NativeValue(row._getvalue(), is_error=c.builder.load(is_wrong))


@unbox(MatrixType)
def _take_matrix(kind, obj, c):
    matrix, failed = _borrow(kind, obj, c)
    return NativeValue(matrix._getvalue(), is_error=failed)


def _borrow(kind, obj, c):
    """Return an array of this kind, which the caller keeps alive, and whether there was an error.

    Numba itself would count one more reference, in memory of its own for each array and call.
    """
    with c.builder.goto_entry_block():
        memory = c.builder.alloca(c.context.get_value_type(kind))  # alloca_once would fill it, twice
    array = make_array(kind)(c.context, c.builder, ref=memory)
    take = ir.FunctionType(ir.IntType(32), [c.pyapi.pyobj, c.pyapi.voidptr])
    adapt = cgutils.get_or_insert_function(c.builder.module, take, "numba_adapt_ndarray")
    failed = c.builder.call(adapt, (obj, c.builder.bitcast(array._getpointer(), c.pyapi.voidptr)))
    failed = c.builder.or_(cgutils.is_not_null(c.builder, failed),
                           c.builder.icmp_unsigned("!=", array.itemsize, _itemsize(kind)))
    with c.builder.if_then(failed, likely=False):
        c.pyapi.err_set_string("PyExc_TypeError", f"a kernel expected an array of {kind.dtype}")
    return array, failed


def _itemsize(kind):
    return ir.Constant(ir.IntType(tuple.__itemsize__ * 8), numpy_support.as_dtype(kind.dtype).itemsize)


Row = Annotated[np.ndarray, RowType]                            # contiguous, of the loop's floats
Matrix = Annotated[np.ndarray, MatrixType]                      # any strides
Flags = Annotated[np.ndarray, lambda real: RowType(types.boolean)]
Labels = Annotated[np.ndarray, lambda real: RowType(types.int64)]
Words = Annotated[np.ndarray, lambda real: RowType(types.uint64)]
Word = Annotated[int, lambda real: types.uint64]


def Records(dtype: np.dtype) -> Kind:
    """Return the kind of a row of records."""
    return lambda real: RowType(numba.from_dtype(dtype))


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
    return [NOTHING if argument is None else argument if not isinstance(argument, np.ndarray)
            else flat(argument) if isinstance(kind(types.float32), RowType) else np.ascontiguousarray(argument)
            for argument, kind in zip(arguments, of, strict=True)]


if numba.config.DISABLE_JIT:
    def all_of(matrix):  # noqa: F811
        return matrix.reshape(-1)
