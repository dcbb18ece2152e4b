"""Benchmarks of fastconv: ``pytest --benchmark``, then ``python -m benchmarks.report results.json``.

One table of workloads (`benchmarks.table`) says what is computed and how each implementation does it; the suites
(``test_*.py``) check and time its rows; `benchmarks.report` and `benchmarks.guard` read the JSON.
`benchmarks.scripts` times the book's scripts before and after.
"""

SCHEMA = 1  # of what the suites add to pytest-benchmark's JSON
