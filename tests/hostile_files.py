"""Parameter files that are made to harm: to fill the memory, to take for ever, to crash the reader."""
import pickle
import struct
import zipfile

import numpy as np
from torch_files import of_records, storage, tensor, zipped

HUGE = struct.pack("<Q", 1 << 62)
ZEROS = 100_000_000
MEGABYTE = 1_000_000


def deflated(**entries):
    return of_records(entries, zipfile.ZIP_DEFLATED)


def npy(header, content=b"", version=1):
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + length + header + content


def of_header(header, content=b"", version=1):
    return of_records({"W1.npy": npy(header, content, version)})


def lying():
    """An archive whose directory says 200 bytes of an entry that becomes 100 million, as does its own header."""
    data = bytearray(deflated(**{"W1.npy": npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,), }",
                                               bytes(ZEROS))}))
    for start, offset in ((data.index(b"PK\3\4"), 22), (data.index(b"PK\1\2"), 24)):
        data[start + offset:start + offset + 4] = struct.pack("<I", 200)
    return bytes(data)


def safetensors(header, content=b"", length=None):
    return struct.pack("<Q", len(header) if length is None else length) + header + content


def of_pickle(data):
    return of_records({"archive/data.pkl": data})


PAIRS = b"](" + b"".join(b"X\4\0\0\0%04dN\x86" % n for n in range(1000)) + b"e\x85q\1"
SAME_HASH = [n * (2**61 - 1) for n in range(1, 2000)]
SHAPE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"
ONE = b'"W":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def of_offsets(offsets):
    return safetensors(b"{%s}" % ONE.replace(b"0,4", offsets), bytes(8))


BOMBS = {  # name: suffix, content, what is said of it
    "a call of ndarray": (".pkl", b"}VW\ncnumpy\nndarray\n(J\xff\xff\xff\x7ftRs.", "is no array but a call"),
    "a call of dtype": (".pkl", b"}VW\ncnumpy\ndtype\n(VV2000000000\ntRs.", "is no array but a call"),
    "a call of bytes": (".pkl", b"}VW\nc__builtin__\nbytes\n(J\xff\xff\xff\x7ftRs.", "is no array but a call"),
    "long text": (".pkl", b"\x80\4\x8d" + HUGE + b"W", "no complete pickle"),
    "long bytes": (".pkl", b"\x80\4}VW\nB\xff\xff\xff\x7f", "no complete pickle"),
    "long bytearray": (".pkl", b"\x80\5}VW\n\x96" + HUGE, "no complete pickle"),
    "long number": (".pkl", b"\x80\2\x8b\xff\xff\xff\x7f1.", "no complete pickle"),
    "numbered at will": (".pkl", b"}" + b"".join(b"p%d\n" % n for n in SAME_HASH) + b".", "otherwise than by counting"),
    "a shape of huge numbers": (".pkl", pickle.dumps({"W1": np.zeros((0, 1))}, 3).replace(
        b"K\0K\1\x86", b"(" + (b"\x8a\xff" + b"\x7f" * 255) * 31 + b"K\0t"), "entry 'W1': has no valid shape"),
    "a shape that wraps to 0": (".pkl", pickle.dumps({"W1": np.zeros((0, 1))}, 3).replace(
        b"K\0K\1\x86", (b"\x8a\5" + struct.pack("<q", 1 << 32)[:5]) * 2 + b"\x86"), "entry 'W1': has 0 bytes for"),
    "zip that lies": (".npz", lying(), "entry 'W1.npy': (Bad CRC|has 1.. bytes)"),
    "zip that does not": (".npz", deflated(W=bytes(ZEROS)), "over 20 times as large"),
    "many entries": (".npz", deflated(**{f"W{n}": bytes(MEGABYTE) for n in range(30)}), "over 20 times as large"),
    "an archive in an archive": (".npz", deflated(**{"W1.npy": deflated(W=bytes(MEGABYTE))}), "'W1.npy': is no array"),
    "one name twice": (".npz", of_records(dict.fromkeys(("W1", "W1.npy"), npy(SHAPE % b"1,", bytes(8)))),
                       "two entries of one name, 'W1'"),
    "long header": (".npz", of_header(b" " * 3_000_000, version=2), "'W1.npy': has a header of 3000000 by"),
    "long header, packed": (".npz", deflated(**{"W1.npy": npy(b"(" * 3_000_000, version=2)}), "header of 3000000 by"),
    "header beyond the end": (".npz", of_records({"W1.npy": npy(b"")[:-2] + b"\xff\xff"}),
                              "has a header of 65535 bytes"),
    "header cut off": (".npz", of_records({"W1.npy": npy(b"")[:9]}), "entry 'W1.npy': "),
    "huge product": (".npz", of_header(SHAPE % b"4294967296, 4294967296"), "has 0 bytes for shape"),
    "huge and nothing": (".npz", of_header(SHAPE % b"0, 9223372036854775807, 9223372036854775807"),
                         "entry 'W1.npy': "),
    "long numbers": (".npz", of_header(SHAPE % (b"9" * 5000)), "has no header of an array"),
    "many axes": (".npz", of_header(SHAPE % (b"1," * 99), bytes(8)), "entry 'W1.npy': maximum supported dimension"),
    "power": (".npz", of_header(SHAPE % b"9**9**9**9,"), "has no header of an array"),
    "a call": (".npz", of_header(SHAPE % b"__import__('os').getpid(),"), "has no header of an array"),
    "string": (".npz", of_header(SHAPE.replace(b"<f8", b"|S2000000000") % b"1,"), "has dtype '.S2"),
    "long name of a dtype": (".npz", of_header(SHAPE.replace(b"<f8", b"f" * 9000) % b""),
                             "has dtype 'fffffffffffffffffff, expected"),
    "a record": (".npz", of_header(b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", bytes(8)),
                 "has no header of an array"),
    "length of 2**63": (".safetensors", safetensors(b"{}", b"", 1 << 63), "[hH]eader"),
    "length of 2**64 - 1": (".safetensors", safetensors(b"{}", b"", (1 << 64) - 1), "[hH]eader"),
    "deep header": (".safetensors", safetensors(b'{"a":' * 100_000), "recursion|Header"),
    "deep metadata": (".safetensors", safetensors(b'{"__metadata__":{"a":' + b"[" * 100_000), "[hH]eader"),
    "an entry twice": (".safetensors", safetensors(b"{%s,%s}" % (ONE, ONE), bytes(4)), "two entries of one name"),
    "metadata twice": (".safetensors", safetensors(b'{"__metadata__":{"a":"b","a":"c"},%s}' % ONE, bytes(4)),
                       "two entries of one name"),
    "offsets backwards": (".safetensors", of_offsets(b"4,0"), "W"),
    "offsets that wrap": (".safetensors", of_offsets(b"18446744073709551612,0"), "W"),
    "a hole": (".safetensors", of_offsets(b"4,8"), "W"),
    "nothing and huge": (".safetensors", safetensors(
        b'{"W":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}'), "dimension|too big"),
    "keys of one hash": (".pth", of_pickle(b"}(" + b"".join(b"L%dL\nN" % n for n in SAME_HASH) + b"u."),
                         "huge numbers"),
    "a list for many dicts": (".pth", of_pickle(b"ccollections\nOrderedDict\nq\0" + PAIRS + b"h\0h\1R" * 2001 + b"."),
                              "many dicts of one list"),
    "long number of PyTorch": (".pth", b"\x80\2\x8b\xff\xff\xff\x7f\1.", "neither a zip archive nor"),
    "long bytes of PyTorch": (".pth", b"\x80\2B\xff\xff\xff\x7f\1.", "neither a zip archive nor"),
    "long text of PyTorch": (".pth", of_pickle(b"\x80\4\x8d" + HUGE), "no complete pickle"),
    "a record packed": (".pth", of_records({"archive/data.pkl": b"}.", "archive/data/0": bytes(ZEROS)},
                                           zipfile.ZIP_DEFLATED), "is compressed"),
    "one storage very often": (".pth", zipped({f"W{n}": tensor(storage(9999), 0, (9999,), (1,)) for n in range(99)},
                                              bytes(4 * 9999)), "over 4 times as large"),
}
