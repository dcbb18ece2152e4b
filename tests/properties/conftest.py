"""How many examples each property is tried with, from FASTCONV_EXAMPLES; the same ones each time."""
from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("fastconv", max_examples=int(os.environ.get("FASTCONV_EXAMPLES", "35")), deadline=None,
                          derandomize=True, database=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.load_profile("fastconv")

# the harness asks for three threads; Numba has as many as there are CPUs, unless this is set before it is imported
os.environ.setdefault("NUMBA_NUM_THREADS", "4")
