"""How a command says what is wrong."""
from __future__ import annotations

import os


class CommandError(Exception):
    """A failure that the user can put right: shown as one message, without a traceback."""


def check_environment() -> None:
    """Raise CommandError for a FASTCONV_BACKEND or FASTCONV_MAX_ISA that does not exist here."""
    if not (os.environ.get("FASTCONV_BACKEND") or os.environ.get("FASTCONV_MAX_ISA")):
        return
    from ..dispatch import backend
    try:
        backend()
    except (ImportError, ValueError) as error:
        raise CommandError(str(error)) from error
