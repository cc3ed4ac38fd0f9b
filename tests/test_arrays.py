"""Arrays of others: read as numpy wrote them, and refused before they take memory."""

import io
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from sottovoce.arrays import read_array, read_arrays
from sottovoce.errors import ModelError

LARGEST = 1 << 20


def packed(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def zipped(members, how=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def header(text, values=b"", version=b"\x01\x00"):
    text = text.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + values


def described(descr, shape, values=b""):
    return header(f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}", values)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.array("one text"),
        np.array(["a", "später"]),
        np.array(["x", "y"], dtype=">U1"),
        np.array([True, False]),
        np.zeros((0, 161, 128), np.float32),
        np.float32(2.5),
        np.array([np.nan, np.inf], ">f8"),
        np.zeros((1, 0), np.float16),
    ],
)
def test_what_numpy_wrote_comes_back(array, tmp_path):
    found = read_arrays(packed(one=array, two=np.arange(3)), LARGEST)
    assert found.keys() == {"one", "two"}
    np.testing.assert_array_equal(found["one"], array)
    assert found["one"].dtype == np.asarray(array).dtype
    np.save(tmp_path / "array.npy", array)
    np.testing.assert_array_equal(read_array(tmp_path / "array.npy", LARGEST), array)
    (tmp_path / "arrays.npz").write_bytes(packed(one=array))
    np.testing.assert_array_equal(read_arrays(tmp_path / "arrays.npz", LARGEST)["one"], array)


BOMBS = {
    "zeros": packed(words=np.zeros(1 << 24, np.uint8)),
    "many": packed(**{f"w{i}": np.zeros(1 << 19, np.uint8) for i in range(64)}),
    "text": packed(tasks=np.array("x" * (1 << 22))),
    "claims": zipped([("words.npy", described("|u1", "(1099511627776,)", b"1"))]),
    "claims text": zipped([("words.npy", described("<U1073741824", "()", b"1"))]),
    "claims nothing, long": zipped([("words.npy", described("|u1", "(1099511627776, 0)"))]),
    "claims empty text": zipped([("words.npy", described("<U0", "(1099511627776,)"))]),
    "records": zipped([("words.npy", header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"))]),
    "negative": zipped([("words.npy", described("|u1", "(-1,)"))]),
    "a truth value as a length": zipped([("words.npy", described("|u1", "(True,)", b"1"))]),
    "truth values as lengths": zipped([("words.npy", described("|u1", "(2, False)"))]),
    "dimensions": zipped([("words.npy", described("|u1", (1,) * 60, b"1"))]),
    "nested header": zipped([("words.npy", header("(" * 9000))]),
    "signs": zipped([("words.npy", header("-" * 9000 + "1"))]),
    "long header": zipped([("words.npy", header("{" + " " * 60000 + "}"))]),
    "objects": packed(words=np.array([{}, []], object)),
    "twice": zipped([("a.npy", described("|u1", "(1,)", b"1"))] * 2),
    "other file": zipped([("a.txt", b"hello")]),
    "lzma": zipped([("a.npy", described("|u1", "(1,)", b"1"))], zipfile.ZIP_LZMA),
    "not Unicode": zipped([("a.npy", described("<U1", "(1,)", b"\xff\xff\xff\xff"))]),
    "short": zipped([("a.npy", described("<f4", "(4,)", b"1234"))]),
    "long": zipped([("a.npy", described("<f4", "(1,)", b"12345678"))]),
    "cut": packed(a=np.arange(10))[:-30],
    "no archive": b"PK\x03\x04" + b"\0" * 100,
    "empty": b"",
    "directory": b"PK\x01\x02" * (1 << 18),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", BOMBS)
def test_what_is_too_large_or_no_array_is_refused_before_it_takes_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(ModelError) as error:
            read_arrays(BOMBS[name], LARGEST)
        assert tracemalloc.get_traced_memory()[1] < 8 * LARGEST
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 400


def test_an_archive_that_says_it_is_small_gives_no_more_than_it_said():
    content = bytearray(packed(words=np.zeros(1 << 22, np.uint8)))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.find(signature) + at
        content[place : place + 4] = struct.pack("<I", 1000)
    with pytest.raises(ModelError):
        read_arrays(bytes(content), LARGEST)


def test_every_broken_byte_gives_a_sentence_or_an_array():
    rng = np.random.default_rng(0)
    whole = packed(a=np.arange(20), b=np.array(["x"]))
    for _ in range(500):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            broken[place] = rng.integers(0, 256)
        with suppress(ModelError):
            read_arrays(bytes(broken), LARGEST)
