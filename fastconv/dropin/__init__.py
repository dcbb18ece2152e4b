"""Put fastconv in the place of the book's modules, so that the book's own scripts run fast.

::

    python -m fastconv ch08/train_deepnet.py

or, in a script or notebook of the book's, before its other imports::

    import fastconv
    fastconv.install()

From then on ``common.layers``, ``common.util`` and the others in `patch_map` are changed as soon as they have been
executed: what is the book's (book.py) and computes what the book's does (probes.py) is replaced.
"""
from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Literal

from .book import BOOK
from .imports import AfterImport

__all__ = ["install", "is_installed", "patch_map", "uninstall"]

_finder: AfterImport | None = None
_options: dict[str, Any] = {}
_wanted: dict[str, set[str]] = {}
_replaced: list[tuple[ModuleType, str, Any, Any]] = []  # module, name, the book's object, ours
_exit_registered = False


def install(only: str | Iterable[str] | None = None, *, strict_book: bool = False,
            precision: Literal["float32", "float64"] = "float32", report: bool | None = None) -> None:
    """Let fastconv stand in for the book's modules, those to be imported and those that have been.

    Names that a script has copied already (``from common.layers import *``) stay the book's: call this first.

    Parameters
    ----------
    only : str or iterable of str, optional
        What to replace: modules (``"common.layers"`` or ``"layers"``) or objects (``"Convolution"``).
    strict_book : bool, default False
        Everything as in the book where fastconv differs by design: the book's Trainer with its samples and its lines,
        the book's dropout masks; layer by layer, so slower.
    precision : {'float32', 'float64'}
        Of a recognised network that a Trainer trains on float32 images.
    report : bool, optional
        Print at exit what was replaced, calls, times, and what the book's own code had to do. By default if
        ``FASTCONV_VERBOSE=1`` is set.

    Raises
    ------
    ValueError
        If `only` names nothing that can be replaced, or there is no such `precision`.
    """
    global _finder, _exit_registered
    if precision not in ("float32", "float64"):
        raise ValueError(f"install: precision is {precision!r}, expected 'float32' or 'float64'")
    wanted = _selected(only)
    uninstall()
    from .report import report as log
    log.clear()
    log.enabled = os.environ.get("FASTCONV_VERBOSE", "") not in ("", "0") if report is None else report
    if log.enabled and not _exit_registered:
        atexit.register(_write_report)
        _exit_registered = True
    _options.update(strict=strict_book, precision=precision)
    _wanted.update(wanted)
    _finder = AfterImport(_wanted, _replace)
    sys.meta_path.insert(0, _finder)
    for name in BOOK:
        module = sys.modules.get(name)
        if name in wanted and module is not None:
            _replace(module)
            log.note(f"{name} had been imported before: names that were copied from it stay the book's")


def uninstall() -> None:
    """Give the book's modules their own objects back, and leave modules alone that are imported from now on."""
    global _finder
    if _finder is not None and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    _finder = None
    _wanted.clear()
    for module, name, book, ours in reversed(_replaced):
        if getattr(module, name, None) is ours:
            setattr(module, name, book)
    _replaced.clear()


def is_installed() -> bool:
    """Say whether fastconv stands in for the book's modules."""
    return _finder is not None


def patch_map() -> dict[str, str]:
    """Return what stands in for what: names of the book's objects, and of fastconv's.

    All that can be replaced; while installed, what was asked for.
    """
    from .replacements import home
    return {f"{module}.{name}": home(module, name)
            for module, names in (_wanted if is_installed() else BOOK).items() for name in sorted(names)}


def _selected(only: str | Iterable[str] | None) -> dict[str, set[str]]:
    if only is None:
        return {module: set(names) for module, names in BOOK.items()}
    found: dict[str, set[str]] = {}
    for wish in (only,) if isinstance(only, str) else only:
        hits = [(module, name) for module, names in BOOK.items() for name in names
                if wish in (module, module.partition(".")[2], name, f"{module}.{name}")]
        if not hits:
            raise ValueError(f"install: only names {wish!r}, which is nothing of the book's; there are the modules "
                             f"{', '.join(BOOK)} and their objects (fastconv.patch_map())")
        for module, name in hits:
            found.setdefault(module, set()).add(name)
    return found


def _replace(module: ModuleType) -> None:
    """Put fastconv's objects into a module that has just been executed."""
    from .replacements import replacements
    for name, book, ours in replacements(module, _wanted.get(module.__name__, set()), **_options):
        setattr(module, name, ours)
        _replaced.append((module, name, book, ours))


def _write_report() -> None:
    from .report import report as log
    if log.enabled:
        log.write()
