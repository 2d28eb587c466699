"""The instruction set: one definition for hardware, compiler, disassembler and documentation.

An instruction is 32 bytes, little-endian. Fields that an opcode does not use are zero.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Shape, Value, unsigned
from amaranth.lib import data, enum
from numpy.typing import NDArray
from rtlm.hw.common.markdown import table
from rtlm.hw.formats import DEFAULT_FORMATS, BlockFormat
from rtlm.hw.vector.epilogue import Epilogue

INSTRUCTION_BYTES = 32

FORMAT_BITS = 2
"""Bits of a format's code that all accelerators have; the others are a field of their own."""

EXTENSION = "extension"
"""That field."""


class Opcode(enum.Enum, shape=unsigned(4)):
    """What an instruction does."""

    ILLEGAL = 0
    LOAD = 1
    EMBED = 2
    MATMUL = 3
    ATTENTION = 4
    END = 5
    ADD = 6


class Index(enum.Enum, shape=unsigned(2)):
    """Which register of the column is multiplied by `aux` and added to the address."""

    NONE = 0
    TOKEN = 1
    POSITION = 2


class Operator(enum.Enum, shape=unsigned(4)):
    """To which operator the hardware counts the cycles of an instruction."""

    LOAD = 0
    EMBED = 1
    RMS = 2
    QKV = 3
    ROPE = 4
    QK = 5
    SOFTMAX = 6
    PV = 7
    WO = 8
    MLP = 9
    LM_HEAD = 10
    CONTROL = 11


OPERATOR_MEANINGS = {
    Operator.LOAD: "weights of norms and rows of the RoPE table are loaded",
    Operator.EMBED: "the embedding row is read and dequantised",
    Operator.RMS: "the matrix unit waits for a normalised vector; where norms stand behind, these are applied",
    Operator.QKV: "words of the matrices of query, key and value",
    Operator.ROPE: "attention waits for the last of this step's queries, keys and values",
    Operator.QK: "scores: words of the keys and their scales",
    Operator.SOFTMAX: "attention computes weights from scores",
    Operator.PV: "words of the values, weighted sums, and their way out",
    Operator.WO: "words of attention's output projection",
    Operator.MLP: "words of the feed-forward network's matrices",
    Operator.LM_HEAD: "words of the output projection to logits",
    Operator.CONTROL: "the first instructions are fetched; no word has reached a unit yet",
}
"""What happens in the cycles that count to an operator."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of the instruction word: where it lies and what it means."""

    name: str
    start: int
    shape: object
    doc: str

    @property
    def width(self) -> int:
        """Bits."""
        return Shape.cast(self.shape).width


FIELDS = (
    Field(name="opcode", start=0, shape=Opcode, doc="what to do"),
    Field(name="epilogue", start=4, shape=Epilogue, doc="what the vector engine does with the values"),
    Field(
        name="format",
        start=8,
        shape=unsigned(2),
        doc="MATMUL: weight format ("
        + ", ".join(f"{each.value} {each.name}" for each in DEFAULT_FORMATS)
        + "; 3: others)",
    ),
    Field(name="bank", start=10, shape=unsigned(1), doc="MATMUL: activation bank that is read"),
    Field(name="store", start=11, shape=unsigned(1), doc="LOGITS: honour CONTROL.store_logits"),
    Field(name="logits", start=12, shape=unsigned(1), doc="skipped when CONTROL.no_logits is set"),
    Field(name="index", start=13, shape=Index, doc="LOAD, EMBED: register that `aux` is multiplied with"),
    Field(name="packet_shift", start=15, shape=unsigned(4), doc="MATMUL: log2 of the rows in a result packet"),
    Field(name="column", start=19, shape=unsigned(4), doc="LOAD, EMBED: the column; skipped when it is not active"),
    Field(name="operator", start=23, shape=Operator, doc="operator whose cycles are counted"),
    Field(
        name="group_shift",
        start=27,
        shape=unsigned(2),
        doc="MATMUL: log2 of the blocks that share a scale; they divide a row",
    ),
    Field(name="words", start=32, shape=unsigned(32), doc="words that are read (not for ATTENTION and ADD)"),
    Field(name="rows", start=64, shape=unsigned(20), doc="values that reach the epilogue for each column"),
    Field(name="k_blocks", start=84, shape=unsigned(16), doc="MATMUL: blocks of 32 in a row"),
    Field(name="kv_heads", start=100, shape=unsigned(8), doc="ATTENTION: KV heads"),
    Field(name="group", start=108, shape=unsigned(4), doc="ATTENTION: query heads for each KV head"),
    Field(
        name=EXTENSION,
        start=112,
        shape=unsigned(4),
        doc="MATMUL: which of the other formats ("
        + ", ".join(f"{each.value >> FORMAT_BITS} {each.name}" for each in BlockFormat if each not in DEFAULT_FORMATS)
        + "), of accelerators that have them",
    ),
    Field(name="biases", start=116, shape=unsigned(1), doc="ROPE_Q, ROPE_K, VALUE: add biases of heads"),
    Field(name="head_norms", start=117, shape=unsigned(1), doc="ROPE_Q, ROPE_K: normalise each head"),
    Field(name="gelu", start=118, shape=unsigned(1), doc="SWIGLU: GELU instead of SiLU"),
    Field(
        name="address", start=128, shape=unsigned(32), doc="first beat; ATTENTION: the layer's beats within a KV slot"
    ),
    Field(
        name="aux",
        start=160,
        shape=unsigned(32),
        doc="LOAD, EMBED: beats for each index step; MATMUL: beat address of the epilogue "
        "(ROPE_K, VALUE: the layer's beats within a KV slot; LOGITS: result buffer)",
    ),
    Field(
        name="imm0",
        start=192,
        shape=unsigned(32),
        doc="RESIDUAL, EMBED, POST_NORM, ADD: F32 1/n; ATTENTION: F32 log2(e)/sqrt(head_dim); "
        "with `biases`: their first head",
    ),
    Field(
        name="imm1",
        start=224,
        shape=unsigned(32),
        doc="RESIDUAL, EMBED, POST_NORM, ADD, with `head_norms`: F32 epsilon; ATTENTION, of accelerators that have "
        "windows: positions to which a column attends with its own, in the low 20 bits (0: to all)",
    ),
)

INSTRUCTION = data.FlexibleLayout(8 * INSTRUCTION_BYTES, {f.name: data.Field(f.shape, f.start) for f in FIELDS})
"""The instruction word as an Amaranth layout."""


def format_code(word: data.View) -> Value:
    """Return the format's code in an instruction in gates."""
    return Cat(word.format, word[EXTENSION])


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction, as the compiler sees it. Fields as in `FIELDS`."""

    opcode: Opcode
    epilogue: Epilogue = Epilogue.RESIDUAL
    format: BlockFormat = BlockFormat.Q4_0
    bank: int = 0
    store: int = 0
    logits: int = 0
    index: Index = Index.NONE
    packet_shift: int = 0
    column: int = 0
    operator: Operator = Operator.CONTROL
    group_shift: int = 0
    words: int = 0
    rows: int = 0
    k_blocks: int = 0
    kv_heads: int = 0
    group: int = 0
    biases: int = 0
    head_norms: int = 0
    gelu: int = 0
    address: int = 0
    aux: int = 0
    imm0: int = 0
    imm1: int = 0

    def encode(self) -> bytes:
        """Return the 32 bytes.

        Raises
        ------
        ValueError
            If a value does not fit its field.
        """
        word = 0
        values = {name: int(getattr(value, "value", value)) for name, value in vars(self).items()}
        values[EXTENSION], values["format"] = self.format >> FORMAT_BITS, self.format & (1 << FORMAT_BITS) - 1
        for field in FIELDS:
            value = values[field.name]
            if not 0 <= value < 1 << field.width:
                raise ValueError(f"{field.name} = {value} does not fit the instruction's {field.width} bits")
            word |= value << field.start
        return word.to_bytes(INSTRUCTION_BYTES, "little")

    @classmethod
    def decode(cls, raw: bytes) -> "Instruction":
        """Undo `encode`.

        Raises
        ------
        ValueError
            If the bytes are no legal instruction.
        """
        if len(raw) != INSTRUCTION_BYTES:
            raise ValueError(f"{len(raw)} bytes given where an instruction has {INSTRUCTION_BYTES}")
        word = int.from_bytes(raw, "little")
        kinds: dict[str, Any] = {
            "opcode": Opcode,
            "epilogue": Epilogue,
            "format": BlockFormat,
            "index": Index,
            "operator": Operator,
        }
        values = {f.name: (word >> f.start) & ((1 << f.width) - 1) for f in FIELDS}
        values["format"] |= values.pop(EXTENSION) << FORMAT_BITS
        instruction = cls(**{name: kinds.get(name, int)(value) for name, value in values.items()})
        if instruction.opcode is Opcode.ILLEGAL:
            raise ValueError("opcode 0 is illegal")
        return instruction

    def __str__(self) -> str:
        """Disassemble: the opcode and every field that is not at its default."""
        shown = []
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "opcode" and value != f.default:
                shown.append(f"{f.name}={value.name.lower() if hasattr(value, 'name') else hex(value)}")
        return f"{self.opcode.name:<9} {' '.join(shown)}".rstrip()


def f32_bits(value: float) -> int:
    """Return the bit pattern of a float32 immediate."""
    return int(np.float32(value).view(np.uint32))


def assemble(program: list[Instruction]) -> NDArray[np.uint8]:
    """Encode a program."""
    return np.frombuffer(b"".join(instruction.encode() for instruction in program), dtype=np.uint8)


def disassemble(raw: bytes) -> list[str]:
    """Return one line of text for each instruction."""
    size = INSTRUCTION_BYTES
    return [str(Instruction.decode(raw[i : i + size])) for i in range(0, len(raw) - len(raw) % size, size)]


def markdown() -> str:
    """Return the documentation table of the instruction word."""
    rows = ((f"{field.start + field.width - 1}:{field.start}", f"`{field.name}`", field.doc) for field in FIELDS)
    return table(("bits", "field", "meaning"), rows)
