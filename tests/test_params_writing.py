"""Parameters are written whole or not at all: killed, without space, over what cannot be replaced."""
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from param_arrays import assert_same

import fastconv
from fastconv import params
from fastconv.images import read_image

pytest.importorskip("safetensors")
WRITTEN = [".pkl", ".npz", ".safetensors"]
OLD, NEW = {"W1": np.arange(3.0)}, {"W1": np.arange(9000.0), "b1": np.ones(500, np.float16)}

KILLED = """
import os, random, signal, sys, time
import numpy as np
from fastconv import params
path, rounds = sys.argv[1], int(sys.argv[2])
contents = [{"W1": np.full(100_000, n, np.float32)} for n in (1, 2)]
params.save(path, contents[0])
left = 0
for n in range(rounds):
    child = os.fork()
    if not child:
        while True:
            for content in (contents[n % 2], contents[n % 2 - 1]):
                params.save(path, content)
    time.sleep(random.Random(n).uniform(0.002, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    read = params.load(path)["W1"]  # whole, or ValueError
    assert read.shape == (100_000,) and (read == read[0]).all()
    for name in os.listdir("."):
        if name != path:
            left += 1
            os.unlink(name)
print(left)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, to be killed at once")
@pytest.mark.parametrize("suffix", WRITTEN)
def test_killed_at_any_moment(tmp_path, suffix):
    done = subprocess.run([sys.executable, "-c", KILLED, f"p{suffix}", "40"], cwd=tmp_path, text=True,
                          capture_output=True, timeout=120,
                          env=os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0  # times that it was killed while it wrote


@pytest.mark.parametrize("suffix", WRITTEN)
def test_no_space_after_any_number_of_bytes(tmp_path, suffix):
    resource = pytest.importorskip("resource")
    path = tmp_path / f"p{suffix}"
    params.save(path, NEW)
    size = path.stat().st_size
    params.save(path, OLD)
    old = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in [*range(0, size - 1, 997), *range(size - 40, size)]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))  # the system writes that much, then refuses
        try:
            with pytest.raises(OSError, match="not written"):
                params.save(path, NEW)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name] and path.read_bytes() == old
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        params.save(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_same(params.load(path), NEW)


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def synced(file):
        steps.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else os.fstat(file).st_size)
        fsync(file)

    def replaced(source, target):
        steps.append("replaced")
        replace(source, target)

    monkeypatch.setattr(params.os, "fsync", synced)
    monkeypatch.setattr(params.os, "replace", replaced)
    params.save(tmp_path / "p.pkl", NEW)
    assert steps == [(tmp_path / "p.pkl").stat().st_size, "replaced", "folder"]


def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(file)

    monkeypatch.setattr(params.os, "fsync", only_files)
    params.save(tmp_path / "p.npz", NEW)
    assert_same(params.load(tmp_path / "p.npz"), NEW)


@pytest.mark.parametrize("before", [0o600, 0o444, 0o777])
def test_the_mode_of_an_old_file_is_not_kept(tmp_path, before):
    path = tmp_path / "p.pkl"
    params.save(path, OLD)
    path.chmod(before)
    old = os.umask(0o027)
    try:
        params.save(path, NEW)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert_same(params.load(path), NEW)


def test_a_link_of_another_name(tmp_path):
    """The suffix is that of the name that was given; what is behind a link may have another."""
    (tmp_path / "best.npz").symlink_to("epoch-7")
    params.save(tmp_path / "best.npz", NEW)
    assert (tmp_path / "best.npz").is_symlink() and not (tmp_path / "epoch-7").is_symlink()
    assert_same(params.load(tmp_path / "best.npz"), NEW)


def test_a_link_to_itself(tmp_path):
    (tmp_path / "p.pkl").symlink_to("p.pkl")
    with pytest.raises(OSError, match="p.pkl"):
        params.load(tmp_path / "p.pkl")


@pytest.mark.parametrize("name", ["x" * 250 + ".pkl", "ü" * 125 + ".pkl"])
def test_long_names(tmp_path, name):
    params.save(tmp_path / name, OLD)
    assert_same(params.load(tmp_path / name), OLD)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("suffix", [*WRITTEN, ".pth"])
def test_what_is_no_file(tmp_path, suffix, kind):
    path = tmp_path / f"p{suffix}"
    ends = os.openpty()  # a device of the test's own: a fault in `save` would replace the machine's
    device = os.ttyname(ends[1])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(device)
    before = path.stat()
    reads = [params.load, read_image] + [params.metadata] * (suffix == ".safetensors")
    for call in (*reads, *[lambda path: params.save(path, OLD)] * (suffix != ".pth")):
        with pytest.raises(OSError, match=f"p{suffix}|{device}"):
            call(path)
    assert os.path.samestat(path.stat(), before) and len(list(tmp_path.iterdir())) == 1
    assert stat.S_ISCHR(os.stat(device).st_mode)
    for end in ends:
        os.close(end)


DTYPES = st.sampled_from([f"{order}{code}" for order in "<>" for code in "b1 i1 u2 i4 u8 i8 f2 f4 f8".split()])
NAMES = st.lists(st.integers(0, sys.maxunicode).map(chr) | st.sampled_from("\0\ud800./"), max_size=6).map("".join)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_any_names_shapes_and_dtypes(tmp_path_factory, suffix):
    path = tmp_path_factory.mktemp("any") / f"p{suffix}"
    written_once = []

    @settings(max_examples=80, deadline=None)
    @given(st.dictionaries(NAMES, arrays_of.arrays(DTYPES, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4)),
                           max_size=4))
    def kept(arrays):
        path.unlink(missing_ok=True)
        try:
            params.save(path, arrays)
        except ValueError:  # names that the format cannot hold
            assert any("\0" in name or any("\ud800" <= c <= "\udfff" for c in name) for name in arrays)
            assert suffix != ".pkl" and not path.exists()
            return
        written_once.append(True)
        assert_same(params.load(path), dict(arrays) if suffix != ".safetensors" else dict(sorted(arrays.items())))

    kept()
    assert written_once
