"""What the compiled backends share: settings that are read at every call."""
from __future__ import annotations

import os

# 3x3 convolutions at stride 1 in float32 may take fewer products (../winograd.py)
winograd: bool = os.environ.get("FASTCONV_WINOGRAD", "1") != "0"
