"""Downloading, from mirrors that this test serves on 127.0.0.1."""
import functools
import hashlib
import http.server
import os
import threading
import time
from pathlib import Path

import numpy as np
import pooch
import pytest
from mnist_files import write_mnist

from fastconv.datasets import DatasetError, fetch, find_mnist, load_mnist

DEAD = "http://127.0.0.1:9/"
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"  # the first two to be fetched


class Mirror:
    """A folder served over HTTP on this machine; `requests` lists what was asked for."""

    def __init__(self, folder):
        self.folder, self.requests = folder, []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(handler, *_):
                self.requests.append(f"{handler.command} {handler.path}")

        handler = functools.partial(Handler, directory=folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirrors(tmp_path, monkeypatch):
    """Two mirrors with the same tiny MNIST, whose checksums the download code takes for MNIST's."""
    monkeypatch.delenv("FASTCONV_DATA_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_mnist(tmp_path / name)
    files = [tmp_path / "first" / name for name in fetch.SHA256]
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    monkeypatch.setattr(fetch, "SHA256", sums)
    monkeypatch.setattr(pooch.get_logger(), "disabled", True)
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "home" / "cache")
    both = Mirror(tmp_path / "first"), Mirror(tmp_path / "second")
    monkeypatch.setattr(fetch, "MIRRORS", tuple(mirror.url for mirror in both))
    yield both
    for mirror in both:
        mirror.close()


def gets(mirror):
    return [request for request in mirror.requests if request.startswith("GET")]


def test_downloads_once(mirrors):
    (x, _), _ = load_mnist()
    assert len(x) == 60
    assert len(gets(mirrors[0])) == 4 and not gets(mirrors[1])
    assert find_mnist("auto").folder == fetch.cache_folder()
    np.testing.assert_array_equal(load_mnist()[0][0], x)
    assert len(gets(mirrors[0])) == 4


def test_dead_first_mirror(mirrors, monkeypatch):
    monkeypatch.setattr(fetch, "MIRRORS", (DEAD, mirrors[1].url))
    assert len(load_mnist()[0][0]) == 60
    assert len(gets(mirrors[1])) == 4


def test_a_mirror_with_a_corrupt_file_is_replaced_by_the_next(mirrors):
    content = (mirrors[0].folder / LABELS).read_bytes()
    (mirrors[0].folder / LABELS).write_bytes(content[:-20] + b"\0" * 20)
    assert len(load_mnist()[0][0]) == 60
    assert gets(mirrors[0]) == [f"GET /{IMAGES}", f"GET /{LABELS}"]
    assert len(gets(mirrors[1])) == 3
    assert (fetch.cache_folder() / LABELS).read_bytes() == content


def test_corrupt_everywhere_leaves_nothing_bad_in_the_cache(mirrors):
    for mirror in mirrors:
        (mirror.folder / LABELS).write_bytes(b"not MNIST")
    with pytest.raises(DatasetError, match="(?s)hash.*hash.*source='excerpt'"):
        load_mnist()
    assert [path.name for path in fetch.cache_folder().iterdir()] == [IMAGES]


def test_a_damaged_file_in_the_cache_is_fetched_again(mirrors):
    load_mnist()
    cached = fetch.cache_folder() / IMAGES
    content = cached.read_bytes()
    cached.write_bytes(content[:100])
    assert len(load_mnist()[0][0]) == 60
    assert cached.read_bytes() == content
    assert len(gets(mirrors[0])) == 5


def test_a_damaged_file_in_the_cache_without_network(mirrors, monkeypatch):
    load_mnist()
    (fetch.cache_folder() / IMAGES).write_bytes(b"")
    monkeypatch.setattr(fetch, "MIRRORS", (DEAD,))
    with pytest.raises(DatasetError, match=f"no intact {IMAGES} in {fetch.cache_folder()}"):
        load_mnist()


def test_missing_on_the_mirrors(mirrors):
    for mirror in mirrors:
        (mirror.folder / IMAGES).unlink()
    with pytest.raises(DatasetError, match="(?s)404.*404"):
        load_mnist()


def test_cache_folder_that_cannot_be_made(mirrors):
    fetch.cache_folder().parent.write_text("a file where the cache's parent folder should be")
    with pytest.raises(DatasetError, match="Not a directory|File exists"):
        load_mnist()
    assert find_mnist("auto").name == "excerpt of MNIST"


def test_a_name_look_up_that_hangs_does_not_hang_us(monkeypatch, tmp_path):
    import requests
    released = threading.Event()

    def head(*_, **__):
        released.wait(60)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", head)
    started = time.monotonic()
    with pytest.raises(DatasetError, match="no answer within 0.2 s"):
        fetch.download(tmp_path, timeout=0.2)
    assert time.monotonic() - started < 5
    released.set()


def test_cache_folder_is_the_users():
    assert fetch.cache_folder().name == "fastconv"


def test_checksums_are_those_of_the_published_files():
    folder = os.environ.get("FASTCONV_DATA_DIR")
    if not folder or not (Path(folder) / IMAGES).is_file():
        pytest.skip("FASTCONV_DATA_DIR does not name a folder with MNIST's four .gz files")
    assert fetch.lacking(Path(folder)) == []
