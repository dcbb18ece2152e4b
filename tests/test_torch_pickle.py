"""State dicts that PyTorch wrote, read without it."""
import io
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_files import assert_read, of_records

from fastconv import params
from fastconv.torch_pickle import read_tensors

pytestmark = pytest.mark.torch
FORMATS = pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def saved(torch, value, is_zip=True, **options):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=is_zip, **options)
    return file.getvalue()


def expected(torch, tensors):
    return {name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
            for name, tensor in tensors.items()}


def network(torch):
    return torch.nn.Sequential(torch.nn.Conv2d(3, 5, (3, 1)), torch.nn.BatchNorm2d(5), torch.nn.Linear(5, 17))


def many_tensors(torch):
    shared = torch.arange(35.0).reshape(5, 7)
    return OrderedDict({
        **network(torch).state_dict(),  # float32, and int64 in num_batches_tracked
        **{str(dtype): torch.arange(-3, 4).to(dtype) for dtype in (
            torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
            torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64)},
        "parameter": torch.nn.Parameter(torch.randn(2, 3)),
        "whole": shared, "rows": shared[1::2], "turned": shared[:, 2:5].T, "one": shared[4, 6], "again": shared,
        "half of bfloat16": torch.randn(6, 5).bfloat16()[::2, 1:],
        "permuted": torch.randn(2, 3, 4, 1).permute(3, 1, 0, 2),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "expanded": torch.randn(3, 1).expand(3, 40), "number": torch.tensor(2.5), "flag": torch.tensor(True),
        "nothing": torch.zeros(0, 3), "nothing of something": shared[5:],
        "nan and inf": torch.tensor([float("nan"), float("-inf"), -0.0]).bfloat16(),
    })


@FORMATS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_all_kinds_of_tensors(torch, is_zip, protocol):
    tensors = many_tensors(torch)
    assert_read(saved(torch, tensors, is_zip, pickle_protocol=protocol), expected(torch, tensors))
    assert_read(saved(torch, dict(tensors), is_zip, pickle_protocol=protocol), expected(torch, tensors))
    assert_read(saved(torch, {}, is_zip, pickle_protocol=protocol), {})


@FORMATS
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net", "network", "params", "my weights"])
def test_checkpoints_of_training_scripts(torch, is_zip, key):
    model = network(torch)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model[2](torch.ones(2, 5)).sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "arch": "resnet50", "best_acc1": torch.tensor(0.5), key: model.state_dict(), "none": None,
                  "optimizer": optimizer.state_dict(), "history": [0.5, 2**70, True], "empty": {}}
    assert_read(saved(torch, checkpoint, is_zip), expected(torch, model.state_dict()))
    if key != "my weights":
        checkpoint["ema"] = {"W": torch.ones(2)}
        assert_read(saved(torch, checkpoint, is_zip), expected(torch, model.state_dict()))


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_by_params_load(torch, tmp_path, suffix):
    path = tmp_path / f"network{suffix}"
    torch.save(network(torch).state_dict(), path)
    assert list(params.load(path)) == list(network(torch).state_dict())
    assert params.metadata(path) == {}


def test_big_endian(torch, monkeypatch):
    data = saved(torch, {"W": torch.arange(6.0).reshape(2, 3)})
    assert data.count(b"little") == 1
    source, file = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in source.namelist():
            content = source.read(name).replace(b"little", b"big")
            swapped = name.endswith("data/0")
            archive.writestr(name, np.frombuffer(content, "<f4").astype(">f4").tobytes() if swapped else content)
    assert_read(file.getvalue(), {"W": np.arange(6, dtype=np.float32).reshape(2, 3)})


@FORMATS
@pytest.mark.parametrize("make, reason", [
    (lambda torch: network(torch), "asks for torch.nn.modules.container.Sequential, .*state_dict"),
    (lambda torch: torch.ones(2), "holds a tensor, expected a dict of tensors; .*state_dict"),
    (lambda torch: [torch.ones(2)], "holds a list"),
    (lambda torch: {"W": torch.ones(2), "b": 3}, "entry 'b': is no tensor but a int"),
    (lambda torch: {"epoch": 3, "lr": 0.1}, "holds no tensors"),
    (lambda torch: {"a": {"W": torch.ones(2)}, "b": {"W": torch.ones(2)}}, "several dicts of tensors, 'a', 'b'"),
    (lambda torch: {3: torch.ones(2)}, "entry 3: has a number for a name"),
    (lambda torch: {(1, 2): torch.ones(2)}, "strings and whole numbers as keys"),
    (lambda torch: {"W": torch.ones(2, dtype=torch.complex64)}, "asks for torch.ComplexFloatStorage"),
    (lambda torch: {"W": torch.ones(2).to(torch.float8_e5m2)}, "asks for torch.float8_e5m2"),
    (lambda torch: {"W": torch.eye(2).to_sparse()}, "asks for torch._utils._rebuild_sparse_tensor"),
    (lambda torch: {"W": torch.ones(2, device="meta")}, "asks for torch._utils._rebuild_meta_tensor"),
    (lambda torch: {"W": np.ones(2)}, "asks for numpy"),
    (lambda torch: {"W": torch.zeros(1).expand(10**5, 10**5)}, "over 4 times as large as the file"),
    (lambda torch: dict.fromkeys(map(str, range(999)), torch.zeros(10_000)), "over 4 times as large as the file"),
])
def test_what_is_no_state_dict(torch, tmp_path, is_zip, make, reason):
    path = tmp_path / "p.pth"
    path.write_bytes(saved(torch, make(torch), is_zip))
    with pytest.raises(ValueError, match=reason) as error:
        params.load(path)
    assert str(path) in str(error.value) and len(str(error.value)) < 500


def test_a_program(torch, tmp_path):
    torch.jit.script(torch.nn.Linear(2, 3)).save(str(tmp_path / "p.pt"))
    with pytest.raises(ValueError, match=r"p.pt: is a program \(torch.jit.save\); .*state_dict"):
        params.load(tmp_path / "p.pt")


@FORMATS
def test_truncated_anywhere(torch, is_zip):
    data = saved(torch, {"W": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3).half()}, is_zip)
    for length in range(len(data)):
        with pytest.raises(ValueError):
            read_tensors(io.BytesIO(data[:length]))
    with pytest.raises(ValueError, match="behind its"):
        read_tensors(io.BytesIO(data + b"x"))


def test_a_changed_byte_anywhere_is_recognised_or_without_effect(torch):
    tensors = {"W": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3).half()}
    data = saved(torch, tensors)
    for position in range(len(data)):
        changed = data[:position] + bytes((data[position] ^ (1 << position % 8),)) + data[position + 1:]
        try:
            read_tensors(io.BytesIO(changed))
        except ValueError:
            continue
        assert_read(changed, expected(torch, tensors))


@FORMATS
def test_random_damage_is_a_value_error_or_arrays(torch, is_zip):
    parameter = torch.nn.Parameter(torch.ones(3).bfloat16())
    whole = saved(torch, {"W": torch.arange(6.0).reshape(2, 3).T, "b": parameter}, is_zip)
    if is_zip:  # a changed pickle under a right checksum
        source = zipfile.ZipFile(io.BytesIO(whole))
        records = {name: source.read(name) for name in source.namelist()}
        whole = records["archive/data.pkl"]

    @settings(max_examples=600, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=4))
    def damaged(changes):
        data = bytearray(whole)
        for position, byte in changes:
            data[position] = byte
        if is_zip:
            data = of_records(records | {"archive/data.pkl": bytes(data)})
        try:
            read = read_tensors(io.BytesIO(bytes(data)))
        except ValueError:
            return
        assert all(type(array) is np.ndarray and array.dtype.kind in "biuf" for array in read.values())

    damaged()
