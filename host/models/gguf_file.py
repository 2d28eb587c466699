"""A bounds-checked reader of GGUF files.

The file is untrusted: every count, length, offset and type is checked against the bytes that are there before anything
is allocated for it, and every failure is a :class:`~rtlm.host.errors.ModelError` of one sentence. The layout is the one
of the GGUF specification (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), little-endian, versions 2 and 3.
"""

import math
import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from gguf import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT, GGUF_MAGIC, GGMLQuantizationType, GGUFValueType, Keys
from rtlm.host.errors import ModelError
from rtlm.hw.formats import BlockFormat

SUPPORTED_TYPES = (
    GGMLQuantizationType.F32,
    GGMLQuantizationType.F16,
    GGMLQuantizationType.BF16,
    *(GGMLQuantizationType[each.name] for each in BlockFormat),
)
"""The tensor types that are read; any other is refused when the file is opened."""

VERSIONS = (2, 3)
MAX_KEY_BYTES = 0xFFFF  # the specification's limit
MAX_NAME_BYTES = 64  # the specification's limit
MAX_DIMENSIONS = 4  # the specification's limit
MAX_NESTING = 4  # arrays of arrays: the format sets no limit, no known file has any
MAX_ALIGNMENT = 1 << 20
MAX_SHOWN = 60  # characters of a foreign string repeated in a message

_SCALARS: dict[GGUFValueType, np.dtype] = {
    GGUFValueType.UINT8: np.dtype("u1"),
    GGUFValueType.INT8: np.dtype("i1"),
    GGUFValueType.UINT16: np.dtype("<u2"),
    GGUFValueType.INT16: np.dtype("<i2"),
    GGUFValueType.UINT32: np.dtype("<u4"),
    GGUFValueType.INT32: np.dtype("<i4"),
    GGUFValueType.FLOAT32: np.dtype("<f4"),
    GGUFValueType.BOOL: np.dtype("u1"),
    GGUFValueType.UINT64: np.dtype("<u8"),
    GGUFValueType.INT64: np.dtype("<i8"),
    GGUFValueType.FLOAT64: np.dtype("<f8"),
}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of a GGUF file, not yet read.

    Parameters
    ----------
    name
        Its name in the file.
    type
        Its element or block format.
    shape
        Row-major shape, outermost dimension first (the file stores the reverse).
    offset, size
        Where its bytes lie in the file, and how many they are.
    """

    name: str
    type: GGMLQuantizationType
    shape: tuple[int, ...]
    offset: int
    size: int
    _buffer: mmap.mmap | bytes = field(repr=False, compare=False)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, the innermost dimension."""
        block, size = GGML_QUANT_SIZES[self.type]
        return self.shape[-1] // block * size

    @property
    def data(self) -> np.ndarray:
        """The raw bytes, read-only and memory-mapped, shaped (..., rows, bytes of a row)."""
        raw = np.frombuffer(self._buffer, np.uint8, self.size, self.offset)
        return raw.reshape(*self.shape[:-1], self.row_bytes)


class _Cursor:
    """Reads little-endian values in order and never past the end."""

    def __init__(self, buffer: mmap.mmap | bytes):
        self.buffer = buffer
        self.size = len(buffer)
        self.position = 0

    def take(self, count: int, what: str) -> int:
        """Advance by ``count`` bytes and return where they start."""
        if count > self.size - self.position:
            raise ModelError(
                f"the file ends inside {what}: {count} bytes are needed at offset {self.position}, the file has "
                f"{self.size}"
            )
        start = self.position
        self.position += count
        return start

    def u32(self, what: str) -> int:
        return struct.unpack_from("<I", self.buffer, self.take(4, what))[0]

    def u64(self, what: str) -> int:
        return struct.unpack_from("<Q", self.buffer, self.take(8, what))[0]

    def string(self, what: str, limit: int | None = None) -> str:
        length = self.u64(what)
        if limit is not None and length > limit:
            raise ModelError(f"{what} must have at most {limit} bytes, got {length}")
        start = self.take(length, what)
        try:
            return self.buffer[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise ModelError(f"{what} at offset {start} is not UTF-8 ({error.reason})") from None

    def value_type(self, what: str) -> GGUFValueType:
        number = self.u32(what)
        try:
            return GGUFValueType(number)
        except ValueError:
            raise ModelError(f"{what} has the unknown value type {number}") from None

    def value(self, kind: GGUFValueType, what: str, depth: int = 0) -> Any:
        if kind is GGUFValueType.STRING:
            return self.string(what)
        if kind is GGUFValueType.ARRAY:
            return self._array(what, depth)
        return self._scalars(kind, 1, what)[0].item()

    def _scalars(self, kind: GGUFValueType, count: int, what: str) -> np.ndarray:
        dtype = _SCALARS[kind]
        values = np.frombuffer(self.buffer, dtype, count, self.take(count * dtype.itemsize, what)).copy()
        if kind is GGUFValueType.BOOL:
            if values.size and values.max() > 1:
                raise ModelError(f"{what} must hold the truth values 0 and 1, got {values.max()}")
            values = values.astype(bool)
        return values

    def _array(self, what: str, depth: int) -> np.ndarray | list:
        if depth == MAX_NESTING:
            raise ModelError(f"{what} nests arrays more than {MAX_NESTING} deep")
        kind, count = self.value_type(what), self.u64(what)
        if kind in _SCALARS:
            return self._scalars(kind, count, what)
        least = 8 if kind is GGUFValueType.STRING else 12  # bytes of an empty element
        if count > (self.size - self.position) // least:
            raise ModelError(
                f"{what} claims {count} elements; the file has only {self.size - self.position} bytes left"
            )
        return [self.value(kind, what, depth + 1) for _ in range(count)]


class GGUFFile:
    """The metadata and the tensors of one GGUF file.

    Parameters
    ----------
    buffer
        The whole file, memory-mapped or in memory.
    types
        Tensor types that are accepted.

    Attributes
    ----------
    version : int
        Format version.
    metadata : dict
        Keys to Python scalars, strings, NumPy arrays (of scalars) or lists (of strings or arrays).
    tensors : dict
        Names to :class:`Tensor`, in the order of the file.
    """

    def __init__(self, buffer: mmap.mmap | bytes, *, types: Collection[GGMLQuantizationType] = SUPPORTED_TYPES):
        cursor = _Cursor(buffer)
        magic = cursor.u32("the header")
        if magic != GGUF_MAGIC:
            raise ModelError(f"the file starts with 0x{magic:08x}, so it is not GGUF (0x{GGUF_MAGIC:08x})")
        self.version = cursor.u32("the header")
        if self.version not in VERSIONS:
            raise ModelError(f"the GGUF version must be 2 or 3 (little-endian), got {self.version}")
        tensor_count, key_count = cursor.u64("the header"), cursor.u64("the header")
        self._check_count(cursor, key_count, 8 + 4 + 1, "metadata keys")
        self._check_count(cursor, tensor_count, 8 + 4 + 8 + 4 + 8, "tensors")
        self.metadata = self._read_metadata(cursor, key_count)
        self.tensors = self._read_tensors(cursor, tensor_count, types)

    @classmethod
    def open(cls, path: str | PathLike, *, types: Collection[GGMLQuantizationType] = SUPPORTED_TYPES) -> Self:
        """Map the file at ``path`` and check it; `types` are those of tensors that are accepted."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                if path.stat().st_size == 0:
                    raise ModelError(f"{path} is empty")
                buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise ModelError(f"cannot open the model {path}: {error.strerror}") from None
        try:
            return cls(buffer, types=types)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None

    def get(self, key: str, kinds: type | tuple[type, ...], default: Any = None) -> Any:
        """Return the metadata value of ``key``, checked to be one of ``kinds``.

        Parameters
        ----------
        key
            Metadata key.
        kinds
            Allowed Python types; a boolean does not pass for an integer.
        default
            Returned when the key is absent; if None, absence is an error.
        """
        if key not in self.metadata:
            if default is None:
                raise ModelError(f"the metadata key {key} is missing")
            return default
        value = self.metadata[key]
        allowed = kinds if isinstance(kinds, tuple) else (kinds,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            names = " or ".join(kind.__name__ for kind in allowed)
            raise ModelError(f"the metadata key {key} must hold {names}, got {_shown(value)}")
        return value

    @staticmethod
    def _check_count(cursor: _Cursor, count: int, least: int, what: str) -> None:
        if count > (cursor.size - cursor.position) // least:
            raise ModelError(f"the header claims {count} {what}; a file of {cursor.size} bytes cannot hold them")

    @staticmethod
    def _read_metadata(cursor: _Cursor, count: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for index in range(count):
            key = cursor.string(f"metadata key {index}", MAX_KEY_BYTES)
            if key in metadata:
                raise ModelError(f"the metadata key {_shown(key)} appears twice")
            what = f"the metadata value {_shown(key)}"
            metadata[key] = cursor.value(cursor.value_type(what), what)
        return metadata

    def _read_tensors(self, cursor: _Cursor, count: int, types: Collection[GGMLQuantizationType]) -> dict[str, Tensor]:
        alignment = self.get(Keys.General.ALIGNMENT, int, GGUF_DEFAULT_ALIGNMENT)
        if not 8 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            raise ModelError(f"the alignment must be a power of two from 8 to {MAX_ALIGNMENT}, got {alignment}")
        entries: dict[str, tuple] = {}
        for index in range(count):
            name = cursor.string(f"the name of tensor {index}", MAX_NAME_BYTES)
            if name in entries:
                raise ModelError(f"the tensor {_shown(name)} appears twice")
            entries[name] = _read_entry(cursor, name, alignment, types)
        start = -(-cursor.position // alignment) * alignment
        tensors = {
            name: Tensor(name=name, type=kind, shape=shape, offset=start + offset, size=size, _buffer=cursor.buffer)
            for name, (kind, shape, offset, size) in entries.items()
        }
        end, previous = start, None
        for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
            if tensor.offset + tensor.size > cursor.size:
                raise ModelError(
                    f"the tensor {_shown(tensor.name)} lies at bytes {tensor.offset} to {tensor.offset + tensor.size}; "
                    f"the file has {cursor.size}"
                )
            if tensor.offset < end:
                raise ModelError(f"the tensors {_shown(previous)} and {_shown(tensor.name)} overlap at {tensor.offset}")
            end, previous = tensor.offset + tensor.size, tensor.name
        return tensors


def _read_entry(
    cursor: _Cursor, name: str, alignment: int, types: Collection[GGMLQuantizationType]
) -> tuple[GGMLQuantizationType, tuple[int, ...], int, int]:
    what = f"the tensor {_shown(name)}"
    dimensions = cursor.u32(what)
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise ModelError(f"{what} must have 1 to {MAX_DIMENSIONS} dimensions, got {dimensions}")
    shape = tuple(cursor.u64(what) for _ in range(dimensions))[::-1]
    if 0 in shape:
        raise ModelError(f"{what} has the empty shape {shape}")
    number = cursor.u32(what)
    if number not in types:
        named = GGMLQuantizationType(number).name if number in list(GGMLQuantizationType) else f"number {number}"
        supported = ", ".join(kind.name for kind in types)
        raise ModelError(f"{what} must have one of the types {supported}, got {named}")
    kind = GGMLQuantizationType(number)
    block, block_bytes = GGML_QUANT_SIZES[kind]
    if shape[-1] % block:
        raise ModelError(f"the rows of {what} must be a multiple of {block} elements for {kind.name}, got {shape[-1]}")
    offset = cursor.u64(what)
    if offset % alignment:
        raise ModelError(f"the offset of {what} must be a multiple of the alignment {alignment}, got {offset}")
    return kind, shape, offset, math.prod(shape) // block * block_bytes


def _shown(value: Any) -> str:
    """Quote a foreign value for a message: printable, on one line and short."""
    text = repr(value) if isinstance(value, str) else " ".join(str(value).split())
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
