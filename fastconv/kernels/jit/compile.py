"""How the kernels of this folder are compiled, and how their loops are shared among threads."""
from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from numba import types
from numba.extending import register_jitable
from numba.np.ufunc import parallel

from .apart import Apart
from .arguments import Kind, kinds, plain_arguments
from .memory import SERIAL_SIZE

# a * b + c may be rounded once; nothing that assumes away nan or inf, and no sum in another order
FASTMATH = {"contract"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH}

# the functions that loops are made of lack the code to be called from Python, which takes longer to compile than they
# do: only compiled functions may call them, a call from Python ends the process
INNER = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner = numba.njit(**INNER)
inline = numba.njit(forceinline=True, **INNER)
once = numba.njit(inline="always", **INNER)  # for what is called in one place: it becomes a part of its caller
both = register_jitable  # for what Python calls as well


class Loop:
    """A kernel compiled twice: its ``prange`` loops shared among threads, and as plain loops; once where it has none.

    Its first parameter is the number of workers (turns.py), which `on` gives it. One loop at a time is shared; who
    comes meanwhile from another Python thread works alone, because Numba's workqueue layer ends the process when two
    threads use it at once. The child of a fork works alone where its parent shared loops: GNU OpenMP ends it, else.

    Both are compiled for a signature when they are first called with it, and kept on disk. A call goes through Numba's
    dispatcher, which looks at the type of every argument. Where the parameters are annotated (arguments.py) the
    signature follows from a dtype, and ``loop.on(n_threads, dtype)(...)`` calls what was compiled for it at once.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self.alone = _compiled(function, "alone")
        self.is_shared = "prange" in function.__code__.co_names
        self.shared = _compiled(function, "shared", parallel=True) if self.is_shared else self.alone
        found = kinds(function)
        self._alone, self._shared = _Entries(self.alone, found, 1), _Entries(self.shared, found)

    def __call__(self, n_threads: int, *arguments: Any) -> Any:
        """Run it on so many threads."""
        return self.on(n_threads)(*arguments)

    def on(self, n_threads: int, dtype: Any = None, work: int = SERIAL_SIZE, serial: int = SERIAL_SIZE
           ) -> Callable[..., Any]:
        """Return what runs the loop on so many threads, on one where there is less work than `serial`.

        Where its parameters are annotated, `dtype` is that of its floats.
        """
        if n_threads < 2 or work < serial or not self.is_shared:
            return self._alone[dtype]
        return partial(self._share, n_threads, dtype)

    def _share(self, n_threads: int, dtype: Any, *arguments: Any) -> Any:
        workers = threads.take(n_threads)
        if not workers:
            return self._alone[dtype](*arguments)
        try:
            threads.active = True
            threads.start()
            loop = self._shared[dtype]
            threads.begin(workers)
            result = loop(workers, *arguments)
            threads.end()
            return result
        finally:
            threads.active = False  # no signal is looked at before
            threads.give()


class _Entries(dict[Any, Callable[..., Any]]):
    """What a call runs, by dtype: one signature of a compiled function, or its dispatcher; with the workers, if given.

    In a signature their number is a constant.
    """

    def __init__(self, variant: Any, kinds: list[Kind] | None, workers: int = 0) -> None:
        self._variant, self._kinds, self._workers = variant, kinds, workers

    def __missing__(self, dtype: Any) -> Callable[..., Any]:
        variant, kinds, workers = self._variant, self._kinds, self._workers
        if kinds is None:
            entry = variant
        elif numba.config.DISABLE_JIT:
            def entry(*arguments: Any) -> Any:
                return variant(*plain_arguments(arguments, kinds))
        else:
            real = numba.from_dtype(dtype)
            signature = [kind(real) for kind in kinds]
            if workers:
                signature[0] = types.Omitted(workers)
            entry = variant.compile(tuple(signature))
        self[dtype] = entry = partial(entry, workers) if workers else entry
        return entry


class _Threads:
    """Numba's threads, lent to one loop at a time: `take`, `start`, `begin`, the loop, `end`, and in any case `give`.

    A signal may raise between any two of these. What it leaves is the lock in the hands of its thread, which may have
    it again.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.active = False           # the thread that has the lock is in a loop: a handler of signals works alone
        self._used = self._lost = False
        self._before = self._now = 0  # Numba's number of threads outside of the loop, and in it
        self._count = numba.get_num_threads
        self._apart = Apart()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def take(self, n_threads: int) -> int:
        """Return how many threads the caller's loop has until it gives them back: up to so many, 0 if they are lent."""
        n_threads = min(n_threads, numba.config.NUMBA_NUM_THREADS)
        if n_threads < 2 or self._lost or numba.config.DISABLE_JIT or not self._lock.acquire(False):
            return 0
        if self.active:
            self._lock.release()
            return 0
        self._before = self._now = 0
        return n_threads

    def start(self) -> None:
        """Start Numba's threading layer, which compiling a shared loop would do in its own way."""
        if self._used:
            return
        self._used = True
        with _short_waits():
            numba.get_num_threads()
        # which takes two locks each time to ask whether it has started
        self._count = getattr(parallel, "_get_num_threads", numba.get_num_threads)

    def begin(self, n_threads: int) -> None:
        """Have the next loop run on so many threads."""
        self._before = self._now = self._count()
        if self._before != n_threads:
            self._now = n_threads
            numba.set_num_threads(n_threads)
        self._apart.begin(n_threads)

    def end(self) -> None:
        self._apart.end()

    def give(self) -> None:
        try:
            if self._before != self._now:
                numba.set_num_threads(self._before)
        finally:
            self._lock.release()

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self.active, self._lost = False, self._used


threads = _Threads()


@contextmanager
def _short_waits() -> Iterator[None]:
    """Let GNU OpenMP, which reads its settings when it is loaded, wait 50 us for the next loop before it sleeps.

    It would spin for milliseconds, and where two threads get one CPU a loop takes as long. Settings of the user stay.
    """
    if any(name in os.environ for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")):
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = "15000"
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def _compiled(function: Callable[..., None], kind: str, **options: Any) -> Any:
    """Compile a copy under a name of its own: the cache on disk tells functions apart by their names."""
    code = function.__code__
    copy = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__qualname__ = f"{function.__qualname__}.{kind}"
    copy.__module__ = function.__module__
    compiled = numba.njit(**OPTIONS, **options)(copy)
    if not numba.config.DISABLE_JIT:
        try:
            compiled.enable_caching()
        except RuntimeError:  # no folder for the cache can be written to
            return compiled
        _watch_all_sources(compiled)
    return compiled


def _watch_all_sources(compiled: Any) -> None:
    """Let the cache forget a kernel when any file of this folder changes; Numba looks at the kernel's own only."""
    index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if hasattr(index, "_source_stamp"):
        index._source_stamp = SOURCES


SOURCES = sorted((file.name, file.stat().st_mtime_ns, file.stat().st_size)
                 for file in Path(__file__).parent.glob("*.py"))
