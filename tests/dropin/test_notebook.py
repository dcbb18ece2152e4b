"""fastconv in a notebook: a kernel of its own, cells, what they show."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

import fastconv

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")


@pytest.fixture
def shown(folder, tmp_path, monkeypatch):
    """Run cells in a new kernel in the reader's folder; return what each shows, its result or what it printed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(fastconv.__file__).parents[1]))
    monkeypatch.delenv("FASTCONV_VERBOSE", raising=False)
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
        os.makedirs(tmp_path / name.lower())

    def show(*cells):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3",
                                resources={"metadata": {"path": str(folder)}}, allow_errors=True).execute()
        return ["\n".join(_text(output) for output in cell["outputs"]).strip() for cell in notebook.cells]

    return show


def _text(output):
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    return output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]


def test_the_extension_is_loaded_and_unloaded(shown):
    found = shown(
        "%load_ext fastconv",
        "import fastconv\nfastconv.is_installed()",
        "import numpy as np\nfrom common.layers import *\nfrom common.util import im2col\n"
        "layer = Convolution(np.zeros((16, 1, 3, 3)), np.zeros(16), stride=1, pad=1)\nlayer",
        "isinstance(layer, fastconv.layers.Convolution), layer.forward(np.ones((2, 1, 5, 5))).shape",
        "[Pooling(2, 2, stride=2), Affine(np.zeros((784, 50)), np.zeros(50)), Relu(), Dropout(0.3)]",
        "%unload_ext fastconv",
        "fastconv.is_installed()",
        "from common.layers import *\nisinstance(Convolution(1, 2), fastconv.layers.Convolution)",
        "%reload_ext fastconv\nimport common\nissubclass(common.layers.Convolution, fastconv.layers.Convolution)")
    assert found == ["", "True", "Convolution(W: 16x1x3x3, stride=1, pad=1)", "(True, (2, 16, 5, 5))",
                     "[Pooling(2x2, stride=2, pad=0), Affine(W: 784x50), Relu(), Dropout(0.3)]", "", "False", "False",
                     "True"]


def test_help_teaches(shown):
    _, layer, method, function, question = shown(
        "%load_ext fastconv\nfrom common.layers import Convolution\nfrom common.util import im2col",
        "help(Convolution)", "help(Convolution.forward)", "help(im2col)",
        "import inspect\ninspect.getdoc(Convolution)[:60], str(inspect.signature(Convolution)), "
        "inspect.getmodule(Convolution).__name__")
    assert "class Convolution" in layer and "W : array (FN, C // groups, FH, FW)" in layer
    assert "cross-correlation" in layer and "stride=1, pad=0" in layer
    assert "Return the convolution (N, FN, OH, OW) of the images `x` (N, C, H, W)." in method
    assert "im2col(" in function and "stride" in function
    assert "(W, b, stride=1, pad=0)" in question and "'common.layers'" in question


def test_an_error_shows_in_clear_words_and_the_session_goes_on(shown):
    _, wrong, after = shown(
        "%load_ext fastconv\nimport numpy as np\nfrom common.layers import Convolution",
        "Convolution(np.zeros((2, 1, 3, 3)), np.zeros(2)).forward(np.zeros((28, 28)))", "1 + 1")
    assert wrong.startswith("ValueError: Convolution.forward: x has shape (28, 28), expected (N, C, H, W)")
    assert after == "2"
