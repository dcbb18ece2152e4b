"""Times that can be compared: several calls measured in turns, A B A B, so that a noisy minute hits all of them."""
from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

TURN = 0.01      # seconds that one measurement lasts at least: shorter calls are repeated
SETTLE = 0.2     # a call shorter than this gets a pause, and one unmeasured run, before each turn:
QUIET = 0.12     # seconds until the idle threads of the library before it stop spinning (OpenBLAS: measured 0.1)
PATIENCE = 1.0   # seconds: a call whose rounds would last longer gets fewer than `least` of them
SLOW = 0.1       # a call that takes longer needs no warm-up of its own
MOST = 5         # rounds of a short call


@dataclass(frozen=True)
class Timed:
    """One of the calls.

    Parameters
    ----------
    call : callable
        Runs once; its result is dropped.
    context : callable
        Makes a context manager that is entered around each turn, outside of the measured time.
    """

    call: Callable[[], Any]
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


def interleave(calls: Mapping[str, Timed], seconds: float = 0.25, least: int = 5,
               known: Mapping[str, float] | None = None) -> dict[str, list[float]]:
    """Measure the calls in turns.

    Parameters
    ----------
    calls : mapping of name to Timed
        Each is run once or more to warm up and to learn how long it takes.
    seconds : float
        What is spent on each call, roughly.
    least : int
        Rounds that each call gets, unless these would last longer than `PATIENCE`.
    known : mapping of name to float, optional
        What calls took that ran already; where that is long they need no warm-up.

    Returns
    -------
    dict of name to list of float
        Seconds per call, one number for each round.
    """
    lengths = {name: _length(timed, (known or {}).get(name, 0.0)) for name, timed in calls.items()}
    rounds = {name: _rounds(length, seconds, least) for name, length in lengths.items()}
    last = max(rounds.values(), default=0)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(last):
        for name, timed in calls.items():
            # a slow call's few rounds are spread evenly over those of the fast ones
            if turn * rounds[name] // last != (turn - 1) * rounds[name] // last:
                times[name].append(_turn(timed, lengths[name]))
    return times


def _length(timed: Timed, known: float) -> float:
    """Return the seconds of one warm call; a slow one is not warmed up."""
    if known > SLOW:
        return known
    with timed.context():
        first = _seconds(timed.call, 1)
        return first if first > SLOW else min(first, _seconds(timed.call, 1))


def _rounds(length: float, seconds: float, least: int) -> int:
    most_patient = max(1, min(least, int(PATIENCE / length)))
    return max(most_patient, min(MOST, int(seconds / max(length, TURN))))


def _turn(timed: Timed, length: float) -> float:
    with timed.context():
        if length < SETTLE:
            time.sleep(QUIET)
            timed.call()
        return _seconds(timed.call, max(1, round(TURN / length)))


def _seconds(call: Callable[[], Any], repeat: int) -> float:
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(repeat):
            call()
        return (time.perf_counter() - start) / repeat
    finally:
        if enabled:
            gc.enable()
