"""The compiler: what one layer becomes, every field of every instruction, and that programs and memory agree."""

import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.errors import ModelError
from rtlm.hw.control.isa import (
    EXTENSION,
    FIELDS,
    INSTRUCTION_BYTES,
    Index,
    Instruction,
    Opcode,
    Operator,
    assemble,
    disassemble,
)
from rtlm.hw.control.legality import broken_rules
from rtlm.hw.formats import DEFAULT_FORMATS, BlockFormat
from rtlm.hw.unit_params import unit_params
from rtlm.hw.vector.epilogue import Epilogue

from tests.host.small_models import ARRAYS, MIXED, params_of

CONTEXT = 50
FORMAT_RULE = "`format` and `extension` are those of a weight format that the accelerator has"


@pytest.fixture(scope="module")
def model(small_model):
    return small_model(**MIXED)


def bits(value: float) -> int:
    return int(np.array(value, np.float32).view(np.uint32))


def test_disassembly_of_a_layer(model):
    params = params_of("tiny")
    memory, program = compile_model(params, model, context=CONTEXT)

    def where(name):
        region = memory.regions[name]
        return f"words={region.words:#x}", f"address={2 * region.start:#x}"  # a word is two beats

    slot = 2 * 2 * (16 + 2 * 128)  # beats of a layer: 2 heads x (scales, keys, values of 256 positions)
    norm = f"imm0={bits(1 / 128):#x} imm1={bits(1e-5):#x}"
    c0 = bits(math.log2(math.e) / math.sqrt(32))
    lines = []
    for name, text in (
        (
            "layer1.wq",
            "MATMUL    epilogue=rope_q format=q4_1 packet_shift=0x5 operator=qkv W rows=0x80 k_blocks=0x4 A X",
        ),
        (
            "layer1.wk",
            "MATMUL    epilogue=rope_k format=q4_1 packet_shift=0x5 operator=qkv W rows=0x40 k_blocks=0x4 A X",
        ),
        (
            "layer1.wv",
            "MATMUL    epilogue=value format=q4_1 packet_shift=0x5 operator=qkv W rows=0x40 k_blocks=0x4 A X",
        ),
        ("layer1.ffn_norm", "LOAD      epilogue=load_norm operator=load W rows=0x80 A"),
        (
            None,
            f"ATTENTION epilogue=quantise operator=qk rows=0x80 kv_heads=0x2 group=0x2 address={slot:#x} imm0={c0:#x}",
        ),
        ("layer1.wo", f"MATMUL    format=q4_1 bank=0x1 packet_shift=0x5 operator=wo W rows=0x80 k_blocks=0x4 A {norm}"),
        (
            "layer1.gate_up",
            "MATMUL    epilogue=swiglu format=q8_0 packet_shift=0x6 operator=mlp W rows=0x180 k_blocks=0x4 A",
        ),
        ("output_norm", "LOAD      epilogue=load_norm operator=load W rows=0x80 A"),
        (
            "layer1.down",
            f"MATMUL    format=q4_1 bank=0x1 packet_shift=0x5 operator=mlp W rows=0x80 k_blocks=0x6 A {norm}",
        ),
    ):
        words, address = where(name) if name else ("", "")
        text = text.replace(" W ", f" {words} ").replace(" A", f" {address}").replace(" X", f" aux={slot:#x}")
        lines.append(text)
    start = 1 + 2 * params.columns + 9
    assert disassemble(assemble(program).tobytes())[start : start + 9] == lines


@pytest.mark.parametrize("name", ARRAYS)
def test_program_begins_and_ends_as_documented(model, name):
    params = params_of(name)
    memory, program = compile_model(params, model, context=CONTEXT)
    assert memory.regions["program"].words * params.word_bytes >= len(program) * INSTRUCTION_BYTES
    first, *columns = program[: 1 + 2 * params.columns]
    assert (first.opcode, first.epilogue, first.address) == (
        Opcode.LOAD,
        Epilogue.LOAD_NORM,
        memory.address("layer0.attn_norm"),
    )
    beats = params.beats_per_word
    for column in range(params.columns):
        rope, embed = columns[column], columns[params.columns + column]
        assert (rope.opcode, rope.epilogue, rope.index) == (Opcode.LOAD, Epilogue.LOAD_ROPE, Index.POSITION)
        assert (embed.opcode, embed.epilogue, embed.index) == (Opcode.EMBED, Epilogue.EMBED, Index.TOKEN)
        assert rope.column == embed.column == column
        assert rope.aux == rope.words * beats and rope.words * CONTEXT == memory.regions["rope"].words
        assert embed.aux == embed.words * beats and embed.words * model.vocab == memory.regions["embedding"].words
        assert (rope.address, embed.address) == (memory.address("rope"), memory.address("embedding"))
        assert (rope.rows, embed.rows, embed.imm0, embed.imm1) == (32, 128, bits(1 / 128), bits(1e-5))
    output, end = program[-2:]
    assert (output.opcode, output.epilogue, output.store, output.logits) == (Opcode.MATMUL, Epilogue.LOGITS, 1, 1)
    rows = -(-model.vocab // params.vector_lanes) * params.vector_lanes
    assert (output.rows, output.k_blocks, output.operator) == (rows, 4, Operator.LM_HEAD)
    assert output.aux == memory.address("logits") and end == Instruction(opcode=Opcode.END)


@pytest.mark.parametrize("vocab", [320, 321, 323])
@pytest.mark.parametrize("overrides", [[], ["vector.lanes=4"]])
def test_no_instruction_is_illegal(small_model, vocab, overrides):
    """Whatever the vocabulary: the output matrix has a multiple of the vector lanes of rows."""
    params = params_of("wide, one port", *overrides)
    _, program = compile_model(params, small_model(vocab=vocab), context=CONTEXT)
    limits = unit_params(params).sequencer.limits
    assert [broken_rules(instruction, limits) for instruction in program] == [[]] * len(program)


@pytest.mark.parametrize("name", ARRAYS)
def test_instructions_read_exactly_the_regions(model, name):
    """Each region but the header, KV and logits is read by an instruction, in the order of addresses within layers."""
    params = params_of(name)
    memory, program = compile_model(params, model, context=CONTEXT)
    regions = {memory.address(key): region for key, region in memory.regions.items()}
    read = set()
    for instruction in program:
        if instruction.opcode in (Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL):
            region = regions[instruction.address]
            read.add(region.name)
            whole = region.words if instruction.index is Index.NONE else instruction.words
            assert instruction.words == whole > 0, region.name
        if instruction.opcode is Opcode.MATMUL:
            words = params.tile_shape.words(
                instruction.format, instruction.rows, instruction.k_blocks, instruction.group_shift
            )
            assert region.words == words, region.name
    kept = {key for key, region in memory.regions.items() if region.purpose in ("kv", "logits")}
    assert read == memory.regions.keys() - kept - {"header", "program"}
    addresses = [i.address for i in program if i.opcode is Opcode.MATMUL]
    assert addresses == sorted(addresses)


def test_banks_alternate(model):
    """An instruction whose results go into a bank never reads that bank (docs/architecture.md, hazards)."""
    _, program = compile_model(params_of("tiny"), model, context=CONTEXT)
    written = {Epilogue.RESIDUAL: 0, Epilogue.SWIGLU: 1, Epilogue.EMBED: 0, Epilogue.QUANTISE: 1}
    filled = None
    for instruction in program:
        if instruction.opcode is Opcode.MATMUL:
            assert instruction.bank == filled
        if instruction.opcode in (Opcode.MATMUL, Opcode.EMBED, Opcode.ATTENTION):
            filled = written.get(instruction.epilogue, filled)


def test_layers_have_their_own_part_of_a_slot(model):
    params = params_of("three columns")
    memory, program = compile_model(params, model, context=CONTEXT)
    layer = memory.regions["kv1"].words // model.layers * params.beats_per_word
    attention = [i for i in program if i.opcode is Opcode.ATTENTION]
    assert [i.address for i in attention] == [0, layer]
    stores = [i.aux for i in program if i.epilogue in (Epilogue.ROPE_K, Epilogue.VALUE)]
    assert stores == [0, 0, layer, layer]


def test_every_field_is_coded_and_read_back():
    random = np.random.default_rng(1)
    kinds = {"opcode": Opcode, "epilogue": Epilogue, "format": BlockFormat, "index": Index, "operator": Operator}
    for _ in range(200):
        values = {}
        for field in (each for each in FIELDS if each.name != EXTENSION):
            members = [member for member in kinds.get(field.name, []) if member is not Opcode.ILLEGAL]
            number = int(random.integers(0, 1 << field.width))
            values[field.name] = members[number % len(members)] if members else number
        instruction = Instruction(**values)
        raw = instruction.encode()
        assert len(raw) == INSTRUCTION_BYTES and Instruction.decode(raw) == instruction
        word = int.from_bytes(raw, "little")
        values |= {"format": values["format"] & 3, EXTENSION: values["format"] >> 2}
        for field in FIELDS:
            value = values[field.name]
            assert word >> field.start & (1 << field.width) - 1 == int(getattr(value, "value", value)), field.name


def test_fields_do_not_overlap():
    used = 0
    for field in FIELDS:
        mask = (1 << field.width) - 1 << field.start
        assert not used & mask and mask < 1 << 8 * INSTRUCTION_BYTES, field.name
        used |= mask


SIMPLE = [field for field in FIELDS if field.name not in ("opcode", "format", EXTENSION)]


@pytest.mark.parametrize("field", SIMPLE, ids=lambda f: f.name)
def test_values_that_do_not_fit_are_refused(field):
    with pytest.raises(ValueError, match=f"{field.name} = {1 << field.width} does not fit .* {field.width} bits"):
        Instruction(opcode=Opcode.END, **{field.name: 1 << field.width}).encode()


def test_formats_have_two_fields():
    """What all accelerators know fits the first; of others its bits are 3, and the number is in the second."""
    assert [Instruction(opcode=Opcode.MATMUL, format=each).encode()[1] & 3 for each in BlockFormat] == [
        each.value if each in DEFAULT_FORMATS else 3 for each in BlockFormat
    ]
    with pytest.raises(ValueError, match="extension = 16 does not fit the instruction's 4 bits"):
        Instruction(opcode=Opcode.MATMUL, format=64).encode()


def test_formats_of_the_gates_alone_are_legal():
    fields = {"words": 1, "rows": 2, "k_blocks": 1, "packet_shift": 5}
    for formats in (DEFAULT_FORMATS, (BlockFormat.Q4_1,), (BlockFormat.Q8_0, BlockFormat.Q4_K)):
        limits = replace(unit_params(params_of("tiny")).sequencer.limits, formats=formats)
        for format in BlockFormat:
            broken = broken_rules(Instruction(opcode=Opcode.MATMUL, format=format, **fields), limits)
            assert broken == ([] if format in formats else [FORMAT_RULE])


@pytest.mark.parametrize(("raw", "message"), [(bytes(32), "opcode 0 is illegal"), (bytes(31), "31 bytes given")])
def test_illegal_instructions_are_refused(raw, message):
    with pytest.raises(ValueError, match=message):
        Instruction.decode(raw)


def test_checksum_covers_whole_words(model):
    params = params_of("wide, one port")
    _, program = compile_model(params, model, context=CONTEXT)
    raw = assemble(program).tobytes()
    assert len(raw) % params.word_bytes
    assert program_crc(params, program) == zlib.crc32(raw + bytes(params.word_bytes - len(raw) % params.word_bytes))
    assert program_crc(params, program[:-1]) != program_crc(params, program)


def test_too_long_a_context_is_refused(model):
    with pytest.raises(ModelError, match="the context must have 1 to 256 positions in configuration tiny, got 257"):
        compile_model(params_of("tiny"), model, context=257)
