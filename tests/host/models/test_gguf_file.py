"""The reader of GGUF files: good files against the gguf package, bad ones against sentences."""

import struct

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value
from hypothesis import given, settings
from hypothesis import strategies as st
from rtlm.host.errors import ModelError
from rtlm.host.models.gguf_file import GGUFFile


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name: str, kind: int, payload: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + payload


def entry(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


def crafted(
    keys=(), entries=(), data=b"", *, magic=b"GGUF", version=3, key_count=None, tensor_count=None, alignment=32
) -> bytes:
    counts = len(entries) if tensor_count is None else tensor_count, len(keys) if key_count is None else key_count
    head = magic + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(entries)
    return head + bytes(-len(head) % alignment) + data


F32_ENTRY = entry("a", (8,), Type.F32, 0)
DEEP = struct.pack("<IQ", Value.ARRAY, 1) * 6

BAD = {
    "empty header": (b"", "ends inside the header"),
    "magic": (crafted(magic=b"GGML"), "is not GGUF"),
    "version 1": (crafted(version=1), "GGUF version must be 2 or 3 .*, got 1"),
    "big-endian": (crafted(version=3 << 24), "must be 2 or 3 .little-endian., got 50331648"),
    "key count": (crafted(key_count=1 << 60), "claims 1152921504606846976 metadata keys"),
    "tensor count": (crafted(tensor_count=1 << 60), "claims 1152921504606846976 tensors"),
    "key length": (crafted([struct.pack("<Q", 1 << 40) + bytes(64)]), "at most 65535 bytes"),
    "string length": (crafted([key("k", Value.STRING, struct.pack("<Q", 1 << 62))]), "ends inside the metadata value"),
    "not UTF-8": (crafted([key("k", Value.STRING, struct.pack("<Q", 2) + b"\xff\xfe")]), "is not UTF-8"),
    "value type": (crafted([key("k", 99, bytes(8))]), "unknown value type 99"),
    "truth value": (crafted([key("k", Value.BOOL, b"\x02")]), "must hold the truth values 0 and 1, got 2"),
    "array length": (
        crafted([key("k", Value.ARRAY, struct.pack("<IQ", Value.UINT64, 1 << 61))]),
        "ends inside the metadata value",
    ),
    "array of strings": (
        crafted([key("k", Value.ARRAY, struct.pack("<IQ", Value.STRING, 1 << 61))]),
        "claims 2305843009213693952 elements",
    ),
    "nesting": (crafted([key("k", Value.ARRAY, DEEP + struct.pack("<IQ", Value.UINT8, 0))]), "more than 4 deep"),
    "duplicate key": (crafted([key("k", Value.UINT8, b"\1")] * 2), "'k' appears twice"),
    "duplicate tensor": (crafted([], [F32_ENTRY, F32_ENTRY], bytes(64)), "'a' appears twice"),
    "alignment": (
        crafted([key("general.alignment", Value.UINT32, struct.pack("<I", 48))]),
        "to 1048576, got 48",
    ),
    "alignment type": (crafted([key("general.alignment", Value.STRING, text("x"))]), "must hold int, got 'x'"),
    "name length": (crafted([], [entry("n" * 65, (8,), Type.F32, 0)], bytes(64)), "at most 64"),
    "no dimensions": (crafted([], [entry("a", (), Type.F32, 0)], bytes(64)), "1 to 4 dimensions, got 0"),
    "many dimensions": (crafted([], [entry("a", (1,) * 5, Type.F32, 0)], bytes(64)), "1 to 4 dimensions, got 5"),
    "empty shape": (crafted([], [entry("a", (8, 0), Type.F32, 0)], bytes(64)), r"empty shape \(0, 8\)"),
    "type": (
        crafted([], [entry("a", (256,), Type.IQ4_XS, 0)], bytes(256)),
        "types F32, F16, BF16, Q4_0, Q4_1, Q8_0, Q5_0, .*, TQ2_0, MXFP4, got IQ4_XS",
    ),
    "unknown type": (crafted([], [entry("a", (256,), 1234, 0)], bytes(256)), "got number 1234"),
    "row length": (
        crafted([], [entry("a", (33, 2), Type.Q4_0, 0)], bytes(64)),
        "for Q4_0, got 33",
    ),
    "row of no whole super-blocks": (
        crafted([], [entry("a", (576, 2), Type.Q4_K, 0)], bytes(1024)),
        "a multiple of 256 elements for Q4_K, got 576",
    ),
    "offset": (
        crafted([], [entry("a", (8,), Type.F32, 8)], bytes(64)),
        "multiple of the alignment 32, got 8",
    ),
    "beyond the end": (crafted([], [entry("a", (8,), Type.F32, 64)], bytes(64)), "the file has"),
    "huge offset": (crafted([], [entry("a", (8,), Type.F32, (1 << 64) - 32)], bytes(64)), "the file has"),
    "huge shape": (crafted([], [entry("a", (1 << 62,) * 4, Type.F32, 0)], bytes(64)), "the file has"),
    "overlap": (crafted([], [F32_ENTRY, entry("b", (16,), Type.F32, 0)], bytes(64)), "overlap"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_refused_in_a_sentence(name):
    content, message = BAD[name]
    with pytest.raises(ModelError, match=message) as caught:
        GGUFFile(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_long_foreign_strings_are_shortened():
    with pytest.raises(ModelError, match="…") as caught:
        GGUFFile(crafted([key("k" * 5000, 99, bytes(8))]))
    assert len(str(caught.value)) < 400


def test_values_of_every_kind():
    nested = struct.pack("<IQ", Value.ARRAY, 2) + b"".join(struct.pack("<IQ2h", Value.INT16, 2, i, -i) for i in (1, 2))
    file = GGUFFile(
        crafted(
            [
                key("u8", Value.UINT8, b"\xff"),
                key("i64", Value.INT64, struct.pack("<q", -5)),
                key("f64", Value.FLOAT64, struct.pack("<d", 0.1)),
                key("bool", Value.BOOL, b"\1"),
                key("text", Value.STRING, text("Grüße")),
                key("strings", Value.ARRAY, struct.pack("<IQ", Value.STRING, 2) + text("a") + text("")),
                key("floats", Value.ARRAY, struct.pack("<IQ2f", Value.FLOAT32, 2, 0.5, 2)),
                key("nested", Value.ARRAY, nested),
            ],
            [F32_ENTRY, entry("b", (4, 3, 2), Type.F16, 32)],
            np.arange(8, dtype="<f4").tobytes() + np.arange(24, dtype="<f2").tobytes(),
        )
    )
    simple = {k: file.metadata[k] for k in ("u8", "i64", "f64", "bool", "text", "strings")}
    assert simple == {"u8": 255, "i64": -5, "f64": 0.1, "bool": True, "text": "Grüße", "strings": ["a", ""]}
    assert file.metadata["floats"].tolist() == [0.5, 2]
    assert [inner.tolist() for inner in file.metadata["nested"]] == [[1, -1], [2, -2]]
    assert file.tensors["b"].shape == (2, 3, 4)
    assert file.tensors["b"].data.view("<f2").ravel().tolist() == list(range(24))
    assert not file.tensors["a"].data.flags.writeable
    with pytest.raises(ModelError, match="must hold int, got True"):
        file.get("bool", int)
    with pytest.raises(ModelError, match="missing is missing"):
        file.get("missing", int)


def test_same_bytes_as_the_gguf_package(random_model):
    path = random_model(seed=3)
    ours, theirs = GGUFFile.open(path), gguf.GGUFReader(path)
    assert list(ours.tensors) == [tensor.name for tensor in theirs.tensors]
    for tensor in theirs.tensors:
        mine = ours.tensors[tensor.name]
        assert (mine.offset, mine.size, mine.type) == (tensor.data_offset, tensor.n_bytes, tensor.tensor_type)
        assert mine.shape == tuple(tensor.shape.tolist()[::-1])
        assert (mine.data.ravel() == tensor.data.view(np.uint8).ravel()).all()


@pytest.fixture(scope="module")
def good(random_model) -> bytes:
    return random_model(layers=1, vocab=64, dim=32).read_bytes()


def test_every_truncation_is_refused(good):
    for size in [*range(0, 200), *range(200, len(good), 97), len(good) - 1]:
        with pytest.raises(ModelError):
            GGUFFile(good[:size])


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, (1 << 16) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_files_are_read_or_refused(good, changes):
    header = len(good) - sum(tensor.size for tensor in GGUFFile(good).tensors.values())
    damaged = bytearray(good)
    for place, byte in changes:
        damaged[place % header] = byte
    try:
        for tensor in GGUFFile(bytes(damaged)).tensors.values():
            assert tensor.data.nbytes == tensor.size
    except ModelError as error:
        assert "\n" not in str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(content):
    with pytest.raises(ModelError):
        GGUFFile(b"GGUF\3\0\0\0" + struct.pack("<QQ", 2, 2) + content)


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        GGUFFile.open(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match="Is a directory"):
        GGUFFile.open(tmp_path)
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(ModelError, match="is empty"):
        GGUFFile.open(tmp_path / "empty.gguf")
