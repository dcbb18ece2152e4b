"""Scripts in the manner of every chapter compute on fastconv what they compute without, whichever way in."""
from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fastconv
from benchmarks.scripts import SCRIPTS, difference, numbers, reader_folder, run

INSTALLED = "import fastconv\nfastconv.install()\n"
CHAPTERS = sorted({Path(script.name).parent.name for script in SCRIPTS})
every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A reader's folder, and what its scripts print: ``printed(script, options)`` runs each once."""
    folder = reader_folder(tmp_path_factory.mktemp("scripts") / "reader")

    @cache
    def printed(script, options=None):
        return run(folder, script.name, script.few, options=options)[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        yield folder, printed


@every_script
def test_it_prints_the_same_numbers(script, reader):
    _, printed = reader
    options = ("--strict-book",) if script.by_design else ()
    expected = printed(script)
    assert len(numbers(expected)) >= 3 and np.isfinite(numbers(expected)).all()
    assert difference(printed(script, options), expected) < script.tolerance


@every_script
def test_install_at_its_top_does_the_same(script, reader):
    folder, printed = reader
    path = folder / script.name
    changed = path.with_name(f"installed_{path.name}")
    changed.write_text(INSTALLED + path.read_text())
    assert run(folder, str(changed.relative_to(folder)), script.few)[0] == printed(script, ())


@pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="IPython is not installed")
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_load_ext_in_ipython_does_the_same(chapter, reader, tmp_path):
    folder, printed = reader
    scripts = [script for script in SCRIPTS if Path(script.name).parent.name == chapter]
    session = ["%load_ext fastconv"]
    for script in scripts:
        session += ["print('begin')", f"%run {Path(script.name).name} {script.few}", "print('end')"]
    file = tmp_path / "session.ipy"
    file.write_text("\n".join(session))
    root = str(Path(fastconv.__file__).parents[1])
    done = subprocess.run([sys.executable, "-m", "IPython", "--no-banner", "--quick", "--colors=NoColor", str(file)],
                          cwd=folder / chapter, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": root, "IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)})
    found = [part.partition("end\n")[0] for part in done.stdout.split("begin\n")[1:]]
    assert found == [printed(script, ()) for script in scripts], done.stderr


def test_a_trained_network_is_saved_as_the_books_is(reader):
    folder, _ = reader
    saved = []
    for options in (None, ("--strict-book",), ()):
        run(folder, "ch07/train_convnet.py", 1, options=options)
        saved.append(pickle.loads((folder / "ch07" / "params.pkl").read_bytes()))
    expected, strict, fast = saved
    for key, value in expected.items():
        assert type(strict[key]) is type(fast[key]) is np.ndarray and fast[key].dtype == value.dtype == np.float64
        np.testing.assert_allclose(strict[key], value, rtol=0, atol=1e-7)
        assert fast[key].shape == value.shape
