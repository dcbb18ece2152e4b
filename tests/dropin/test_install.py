"""install() replaces what is the book's and does what the book's does, and nothing else."""
from __future__ import annotations

import importlib
import inspect
import sys

import numpy as np
import pytest

import fastconv
from fastconv.dropin.book import BOOK


def edit(folder, file, before, after):
    path = folder / file
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def is_replaced(module, name):
    return isinstance(getattr(module, name), type) and issubclass(getattr(module, name), getattr(fastconv, name))


def test_modules_that_are_imported_afterwards_are_replaced(load):
    fastconv.install()
    layers = load("common.layers")
    for name in BOOK["common.layers"]:
        assert is_replaced(layers, name)
        assert getattr(layers, name).__module__ == "common.layers"
    star = {}
    exec("from common.layers import *", star)
    assert star["Affine"] is layers.Affine and star["softmax"] is load("common.functions").softmax
    assert load("common.util").im2col.__wrapped__ is fastconv.im2col


def test_modules_that_were_imported_before_are_replaced_and_get_their_own_back(load):
    layers, functions = load("common.layers"), load("common.functions")
    own = {name: getattr(layers, name) for name in BOOK["common.layers"]}, functions.softmax
    fastconv.install()
    assert fastconv.is_installed() and is_replaced(layers, "Relu") and functions.softmax is not own[1]
    fastconv.uninstall()
    assert not fastconv.is_installed()
    assert ({name: getattr(layers, name) for name in own[0]}, functions.softmax) == own
    load("common.optimizer")
    assert not is_replaced(sys.modules["common.optimizer"], "Adam")


@pytest.mark.parametrize("words, encoding", [("합성곱 계층 \"구현\"", "utf-8"), ("畳み込み層の実装", "utf-8"),
                                             ("畳み込み層の実装", "shift_jis")])
def test_words_of_the_korean_and_the_japanese_edition(folder, load, words, encoding):
    path = folder / "common" / "layers.py"
    said = f'class Relu:\n    """{words} """\n    # {words}'
    text = path.read_text(encoding="utf-8").replace("class Relu:", said)
    path.write_bytes(f"# coding: {encoding}\n{text}".encode(encoding))
    fastconv.install()
    layers = load("common.layers")
    assert all(is_replaced(layers, name) for name in BOOK["common.layers"])


def test_representations_tell_shapes(load):
    fastconv.install()
    layers = load("common.layers")
    assert repr(layers.Convolution(np.ones((16, 1, 3, 3)), np.zeros(16), 1, 1)) == \
        "Convolution(W: 16x1x3x3, stride=1, pad=1)"
    assert repr(layers.Affine(np.ones((784, 50)), np.zeros(50))) == "Affine(W: 784x50)"
    assert repr(layers.Pooling(2, 2, 2)) == "Pooling(2x2, stride=2, pad=0)"


def test_installing_again_changes_the_options(load):
    fastconv.install()
    layers = load("common.layers")
    fastconv.install(only="Relu")
    assert is_replaced(layers, "Relu") and not is_replaced(layers, "Affine")
    assert sum("AfterImport" in type(finder).__name__ for finder in sys.meta_path) == 1


@pytest.mark.parametrize("only, expected", [
    ("layers", set(BOOK["common.layers"])), ("common.layers", set(BOOK["common.layers"])),
    (["Relu", "common.layers.Affine"], {"Relu", "Affine"}), (("Adam", "Pooling"), {"Pooling"})])
def test_only(load, only, expected):
    fastconv.install(only)
    layers = load("common.layers")
    assert {name for name in BOOK["common.layers"] if is_replaced(layers, name)} == expected
    assert all(name.startswith("common.") for name in fastconv.patch_map())


def test_wrong_arguments():
    with pytest.raises(ValueError, match="only names 'Convolutoin', which is nothing of the book's"):
        fastconv.install("Convolutoin")
    with pytest.raises(ValueError, match="precision is 'float16', expected 'float32' or 'float64'"):
        fastconv.install(precision="float16")
    assert not fastconv.is_installed()


def test_patch_map_names_what_there_is():
    found = fastconv.patch_map()
    assert len(found) == sum(map(len, BOOK.values()))
    for ours in found.values():
        module, _, name = ours.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_somebody_elses_common_package_is_left_alone(load, folder):
    (folder / "common" / "layers.py").write_text("class Affine:\n    def __init__(self, weight): pass\n")
    (folder / "common" / "util.py").write_text("def im2col(image, size): return 1\n")
    fastconv.install()
    layers, util = load("common.layers"), load("common.util")
    assert not issubclass(layers.Affine, fastconv.Affine) and util.im2col(1, 2) == 1


def test_objects_from_elsewhere_are_left_alone(load, folder):
    (folder / "common" / "layers.py").rename(folder / "common" / "own_layers.py")
    (folder / "common" / "layers.py").write_text("from common.own_layers import *\n")
    fastconv.install()
    assert not issubclass(load("common.layers").Affine, fastconv.Affine)


@pytest.mark.parametrize("name, before, after", [
    ("Dropout", "return x * self.mask\n", "return x * self.mask / (1.0 - self.dropout_ratio)\n"),
    ("Relu", "np.where(self.mask, 0, x)", "np.where(self.mask, 0.01 * x, x)"),
    ("Convolution", "out = self.col @ self.col_W + self.b", "out = self.col @ self.col_W - self.b"),
    ("BatchNormalization", "np.sqrt(var + 10e-7)", "np.sqrt(var + 1e-2)"),
    ("Sigmoid", "self.out = sigmoid(x)", "raise RuntimeError"),
])
def test_what_a_reader_has_changed_stays_the_readers(load, folder, name, before, after):
    edit(folder, "common/layers.py", before, after)
    fastconv.install()
    layers = load("common.layers")
    assert [other for other in BOOK["common.layers"] if not is_replaced(layers, other)] == [name]


def test_parameters_of_ones_own_stay(load, folder):
    edit(folder, "common/layers.py", "def __init__(self, pool_h, pool_w, stride=1, pad=0):",
         "def __init__(self, pool_h, pool_w, stride=1, pad=0, mode=None):")
    fastconv.install()
    layers = load("common.layers")
    assert not is_replaced(layers, "Pooling") and is_replaced(layers, "Convolution")


def test_editions_differ_in_nesterov(load, folder):
    fastconv.install()
    assert not is_replaced(load("common.optimizer"), "Nesterov")  # this folder has the early one
    assert is_replaced(sys.modules["common.optimizer"], "Momentum")


def test_without_the_names_that_only_some_editions_have(load, folder):
    path = folder / "common" / "functions.py"
    path.write_text(path.read_text().replace("sum_squared_error", "mean_squared_error").replace("def relu_grad",
                                                                                                "def rectified_grad"))
    fastconv.install()
    functions = load("common.functions")
    assert functions.mean_squared_error.__wrapped__ is fastconv.mean_squared_error
    assert not hasattr(functions, "relu_grad") and not hasattr(functions, "sum_squared_error")


def test_the_random_stream_is_not_touched(load):
    np.random.seed(3)
    expected = np.random.rand(4)
    np.random.seed(3)
    fastconv.install()
    for module in BOOK:
        load(module)
    np.testing.assert_array_equal(np.random.rand(4), expected)


def test_modules_look_as_without_fastconv(load, folder):
    fastconv.install()
    layers = load("common.layers")
    assert type(layers.__spec__.loader).__module__ != "fastconv.dropin.imports"
    assert inspect.getsource(layers) == (folder / "common" / "layers.py").read_text()
    assert is_replaced(importlib.reload(layers), "Affine")


def test_an_error_in_a_module_is_the_readers(load, folder):
    edit(folder, "common/gradient.py", "import numpy as np", "import numpy as np\n1 / 0")
    fastconv.install()
    with pytest.raises(ZeroDivisionError):
        load("common.gradient")


def test_the_backend_is_as_before(load):
    before = fastconv.dispatch.backend()
    fastconv.install()
    load("common.layers")
    assert fastconv.dispatch.backend() == before


def test_notebooks(load):
    fastconv.load_ipython_extension(None)
    assert is_replaced(load("common.layers"), "Relu")
    fastconv.unload_ipython_extension(None)
    assert not fastconv.is_installed() and not is_replaced(sys.modules["common.layers"], "Relu")
