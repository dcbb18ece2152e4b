"""Write the seeds of the corpus: small files of our own writers, of others' formats, and hostile ones.

    python tests/fuzz/seeds.py

What atheris found besides, under names that are hashes, is left alone.
"""
from __future__ import annotations

import gzip
import io
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostile_files import BOMBS, SHAPE, npy, of_header  # noqa: E402
from mnist_files import idx_bytes  # noqa: E402
from torch_files import FLOATS, Made, legacy, pickled, storage, tensor, zipped  # noqa: E402

from fastconv import params  # noqa: E402

CORPUS = Path(__file__).parent / "corpus"
LARGEST = 4000  # bytes of a seed
ARRAYS = {"W1": np.arange(6, dtype=np.float32).reshape(2, 3), "b1": np.ones(3, np.float16), "n": np.array(-7, ">i8"),
          "flag": np.array([True, False]), "none": np.zeros((0, 2))}
TENSORS = {"W": tensor(), "b": tensor(offset=1, shape=(2, 2), strides=(1, 3)),
           "p": Made("torch._utils._rebuild_parameter", tensor(), True, None)}


def seeds() -> Iterator[tuple[str, str, bytes]]:
    """Yield reader, name and content."""
    for suffix in (".pkl", ".npz", ".safetensors"):
        file = io.BytesIO()
        params.FORMATS[suffix]().write(file, ARRAYS)  # type: ignore[misc]
        yield suffix[1:], "own", file.getvalue()
    for protocol in range(6):
        yield "pkl", f"protocol {protocol}", pickle.dumps(ARRAYS, protocol)
    yield "pkl", "turned", pickle.dumps({"W": np.zeros((2, 1, 3)).transpose(1, 2, 0)}, 5)
    packed = io.BytesIO()
    np.savez_compressed(packed, **ARRAYS)
    yield "npz", "packed", packed.getvalue()
    yield "npz", "python 2", of_header(SHAPE % b"2L, 1L", bytes(16))
    yield "npy", "version 1", npy(SHAPE % b"2, 3", bytes(48))
    yield "npy", "version 2", npy(SHAPE.replace(b"<f8", b">u2") % b"", bytes(2), 2)
    yield "npy", "fortran", npy(SHAPE.replace(b"False", b"True").replace(b"<f8", b"|b1") % b"3, 1", b"\0\1\2")
    entry = '{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'
    numbers, number = entry % ("F32", "2,2", 0, 16), entry % ("I64", "", 16, 24)
    yield "safetensors_header", "two", f'{{"a":{numbers},"b":{number}}}'.encode()
    yield "safetensors_header", "half", f'{{"a":{entry % ("BF16", "12,1", 0, 24)}}}'.encode()
    yield "safetensors_header", "metadata", (f'{{"a":{entry % ("U8", "24", 0, 24)},"__metadata__":{{"fastconv":"1",'
                                             '"crc32":"00000000"}}').encode()
    for name, value in (("tensors", TENSORS), ("checkpoint", {"epoch": 3, "state_dict": TENSORS})):
        yield "pth", f"zip of {name}", zipped(value)
        yield "pth", f"older {name}", legacy(value)
        for protocol in (2, 4):
            yield "pth_pickle", f"{name}, protocol {protocol}", pickled(value, protocol)
    typed = Made("torch._utils._rebuild_tensor_v3", storage(), 0, (2, 3), (3, 1), False, None, Made("torch.bfloat16"))
    yield "pth_pickle", "typed", pickled({"W": typed, "v": tensor(storage(6, FLOATS, "0", ("v", 2, 3)), 1, (2,), (1,))})
    yield "idx", "images", idx_bytes(np.arange(30).reshape(3, 2, 5))
    yield "idx", "images packed", gzip.compress(idx_bytes(np.arange(30).reshape(3, 2, 5)), mtime=0)
    yield "idx", "labels", idx_bytes([1, 2, 3])
    yield "idx", "two parts", b"".join(gzip.compress(part, mtime=0) for part in (idx_bytes([1, 2])[:9], b"\2"))
    yield "idx", "huge", b"\0\0\x08\x03" + b"\xff" * 12
    yield "idx", "huge and nothing", b"\0\0\x08\x03" + bytes(4) + b"\xff" * 8
    yield "idx", "bomb", gzip.compress(idx_bytes([1, 2]) + bytes(2_000_000), mtime=0)
    yield from ((("image", *rest)) for rest in images())
    for name, (suffix, content, _) in BOMBS.items():
        yield suffix[1:], f"hostile, {name}", content


def images() -> Iterator[tuple[str, bytes]]:
    from PIL import Image
    pixels = (np.arange(5 * 4 * 4) * 3).astype(np.uint8).reshape(5, 4, 4)
    for suffix, mode in (("png", "RGBA"), ("png", "LA"), ("jpeg", "RGB"), ("jpeg", "CMYK"), ("gif", "P"),
                         ("bmp", "RGB"), ("ppm", "RGB"), ("tiff", "I;16"), ("tiff", "1"), ("webp", "RGB")):
        source = Image.fromarray(pixels if mode in ("RGBA", "CMYK") else pixels[:, :, :3])
        made = Image.fromarray(pixels[:, :, 0].astype(np.uint16)) if mode == "I;16" else source.convert(mode)
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        made.save(file, suffix, exif=exif) if suffix in ("jpeg", "png", "webp") else made.save(file, suffix)
        yield f"{suffix} {mode.replace(';', '')}", file.getvalue()


def main() -> None:
    for reader, name, content in seeds():
        if len(content) <= LARGEST:
            folder = CORPUS / reader
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name.replace(", ", "_").replace(" ", "_").replace("**", "_to_")).write_bytes(content)
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files):,} bytes")


if __name__ == "__main__":
    main()
