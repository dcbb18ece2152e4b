"""Kernels for Numba (for now: whatever files are there; the final list comes when all are)."""
import importlib

from ...dispatch import OPERATIONS

for _op, _file in OPERATIONS.items():
    try:
        globals()[_op] = getattr(importlib.import_module(f"{__name__}.{_file}"), _op)
    except (ImportError, AttributeError, SyntaxError):
        pass
