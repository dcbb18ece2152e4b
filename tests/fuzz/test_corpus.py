"""The corpus of the fuzzer, and many small changes of it, without the fuzzer: no reader does what it should not."""
import random
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors")
pytest.importorskip("PIL")
from fuzz import readers  # noqa: E402
from fuzz.readers import READERS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")
CORPUS = Path(__file__).parent / "corpus"
LARGEST = 300_000  # bytes of all files
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.startfile",
             "subprocess.Popen", "socket.connect", "shutil.rmtree", "exec", "compile")
CHANGES = 1500  # of each reader's files together
INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"\xff" * 8, b"9" * 20, b"}", b".", b"\x94")
seen: list[str] | None = None  # while a reader reads


def _see(event, arguments):
    if seen is not None and event in FORBIDDEN:
        seen.append(f"{event} {arguments!r:.100}")


sys.addaudithook(_see)


def files(reader):
    return sorted((CORPUS / reader).iterdir())


@pytest.fixture
def nothing_is_run(reader):
    """While a reader reads, Python reports neither a call of something in a pickle, nor code, nor a process."""
    global seen
    for path in files(reader):  # which imports what it needs
        READERS[reader](path.read_bytes())
    seen = []
    yield
    found, seen = seen, None
    assert not found


def changed(data, random):
    """Return bytes with one to four changes, of the kinds that fuzzers make."""
    data = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        kind = random.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = random.randrange(256)
        elif kind == 2:
            data[at:at + random.choice((1, 2, 8, len(data)))] = b""
        elif kind == 3:
            data[at:at] = random.choice(INTERESTING)
        elif kind == 4:
            data[at:at + 4] = random.choice(INTERESTING)
        else:
            data[at:at] = data[random.randrange(len(data) + 1):][:random.randrange(64)]
    return bytes(data)


@pytest.mark.parametrize("reader", READERS)
def test_the_corpus(reader, nothing_is_run):
    for path in files(reader):
        READERS[reader](path.read_bytes())


@pytest.mark.parametrize("reader", READERS)
def test_changes_of_the_corpus(reader, nothing_is_run):
    for path in files(reader):
        data = path.read_bytes()
        stream = random.Random(zlib.crc32(path.name.encode()))
        for n in range(CHANGES // len(files(reader)) + 1):
            try:
                READERS[reader](changed(data, stream))
            except Exception as error:
                raise AssertionError(f"{path}, change {n}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("reader", READERS)
def test_a_harness_notices_faults(reader, monkeypatch):
    """What a reader must not do is an AssertionError, or what it raised."""
    seed = files(reader)[-1].read_bytes()

    def broken(*_):
        raise KeyError("fault")

    def returns_objects(*_):
        return {"W": np.array([None])}

    for module, name in ((readers.params, "load"), (readers, "read_idx"), (readers, "read_image")):
        monkeypatch.setattr(module, name, broken)
    with pytest.raises(KeyError):
        READERS[reader](seed)
    for module, name in ((readers.params, "load"), (readers, "read_idx"), (readers, "read_image")):
        monkeypatch.setattr(module, name, returns_objects)
    with pytest.raises(AssertionError):
        READERS[reader](seed)


def test_the_corpus_is_small():
    assert set(READERS) == {folder.name for folder in CORPUS.iterdir()}
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < LARGEST
