"""A reader's folder: a copy of ``book/``, written in the book's manner, on the path and forgotten afterwards."""
from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

import fastconv

BOOK = Path(__file__).parent / "book"
PACKAGES = ("common", "dataset", "deep_net")


@pytest.fixture
def folder(tmp_path):
    """A copy that a test may change."""
    target = tmp_path / "reader"
    shutil.copytree(BOOK, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.fixture
def load(folder, monkeypatch):
    """Import a module of the reader's folder; fastconv is taken out again afterwards."""
    monkeypatch.setattr(sys, "path", [str(folder), str(folder / "ch08"), *sys.path])
    monkeypatch.delenv("FASTCONV_VERBOSE", raising=False)
    _forget()
    yield importlib.import_module
    fastconv.uninstall()
    _forget()


def _forget():
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    importlib.invalidate_caches()
