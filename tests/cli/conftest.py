import pytest
from mnist_files import write_mnist

from fastconv import DeepConvNet, get_num_threads, set_num_threads
from fastconv.datasets import fetch


@pytest.fixture(autouse=True)
def own_world(monkeypatch, tmp_path):
    """Each test works in an empty folder, without a data folder, a cache or a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTCONV_DATA_DIR", raising=False)
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fetch, "MIRRORS", ("http://127.0.0.1:9/",))


@pytest.fixture(autouse=True)
def one_thread():
    """One thread is enough for tiny data, and ``--threads`` sets it for the process: set it back."""
    before = get_num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


@pytest.fixture
def data(tmp_path):
    """A folder with 60 training and 20 test images."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_mnist(folder, 60, 20)
    return str(folder)


@pytest.fixture
def network(tmp_path):
    """An untrained DeepConvNet whose parameters are in p.npz."""
    made = DeepConvNet(seed=0)
    made.save_params(tmp_path / "p.npz")
    return made
