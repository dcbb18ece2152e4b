"""Denormals cost up to a hundred times a normal operation; what trains flushes them to zero while it runs.

The twin of ../native/float_mode.h. Each task gives its thread's mode back, so that other code on it computes as ever.
Under ``NUMBA_DISABLE_JIT=1``, and on CPUs that are neither x86-64 nor aarch64, the mode stays as it is.
"""
from __future__ import annotations

import platform

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

X86 = platform.machine().lower() in ("x86_64", "amd64")
AARCH64 = platform.machine().lower() in ("aarch64", "arm64")
FLUSH = 0x8040 if X86 else 1 << 24  # of MXCSR: flush to zero, denormals are zero; of FPCR: flush to zero
INT32, INT64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def flush_denormals(typingctx):
    """Flush denormals on this thread from now on; return the mode before."""
    def codegen(context, builder, signature, args):
        before = _read(builder)
        _write(builder, builder.or_(before, ir.Constant(INT64, FLUSH)))
        return before

    return types.int64(), codegen


@intrinsic
def restore_mode(typingctx, before):
    """Bring back the mode that `flush_denormals` returned."""
    def codegen(context, builder, signature, args):
        _write(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _read(builder):
    """Return the thread's floating-point control register as 64 bits."""
    if X86:
        slot = cgutils.alloca_once(builder, INT32)
        builder.call(_x86(builder, "stmxcsr"), [builder.bitcast(slot, ir.IntType(8).as_pointer())])
        return builder.zext(builder.load(slot), INT64)
    if AARCH64:
        return builder.asm(ir.FunctionType(INT64, []), "mrs $0, fpcr", "=r", [], side_effect=True)
    return ir.Constant(INT64, 0)


def _write(builder, mode):
    if X86:
        slot = cgutils.alloca_once_value(builder, builder.trunc(mode, INT32))
        builder.call(_x86(builder, "ldmxcsr"), [builder.bitcast(slot, ir.IntType(8).as_pointer())])
    elif AARCH64:
        builder.asm(ir.FunctionType(ir.VoidType(), [INT64]), "msr fpcr, $0", "r,~{memory}", [mode], side_effect=True)


def _x86(builder, name):
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
    return cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")


if numba.config.DISABLE_JIT:
    from .plain import flush_denormals, restore_mode  # noqa: F811

__all__ = ["flush_denormals", "restore_mode"]
