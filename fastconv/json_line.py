"""JSON for people's tools: one line, and strictly JSON."""
from __future__ import annotations

import math
from typing import Any


def as_json(values: Any) -> str:
    """Return one line of JSON; numbers that JSON does not know (nan, inf) become null."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    import json  # every command loads this module, few print JSON
    return json.dumps(plain(values))
