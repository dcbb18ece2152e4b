"""What reaches a kernel runs on every backend: none may crash, hang or compute on."""
from __future__ import annotations

import pytest

from fastconv import dispatch


@pytest.fixture(params=dispatch.backends())
def backend(request):
    with dispatch.use(request.param):
        yield request.param
