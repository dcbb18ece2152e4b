"""Every layer test runs on every available backend."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import dispatch


@pytest.fixture(autouse=True, params=dispatch.backends())
def backend(request):
    with dispatch.use(request.param):
        yield request.param


@pytest.fixture
def rng():
    return np.random.default_rng(1)
