"""The plan of a step: its order, its length, what does not fit, and the bytes that it needs."""

import dataclasses

import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.host.compiler.plan import PURPOSES, Matrix, make_plan
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import ModelError
from rtlm.host.models.model import LAYER_MATRICES
from rtlm.host.models.stored import ModelShape, Storage
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.runtime.device import ColumnInput
from rtlm.hw.control.isa import Index, Opcode
from rtlm.hw.formats import BlockFormat

from tests.host.small_models import ARRAYS, MIXED, params_of

CONTEXT = 50
PAPER = {"dim": 128, "hidden_dim": 192, "heads": 4, "kv_heads": 2, "head_dim": 32, "vocab": 301, "rms_eps": 1e-5}
"""Sizes of `small_model`, known without a file."""


@pytest.fixture(scope="module")
def model(small_model):
    return small_model(**MIXED)


@pytest.fixture(scope="module")
def shape(model):
    return ModelShape.of(model)


def column(history, slot=0, local_first=0, position=None):
    return ColumnInput(
        token=1,
        position=history if position is None else position,
        history=history,
        local_first=local_first,
        slot=slot,
    )


def test_order_of_a_step(shape):
    plan = make_plan(params_of("three columns"), shape, context=CONTEXT)
    opcodes = [planned.instruction.opcode.name for planned in plan.instructions]
    reads = [planned.reads.name if planned.reads else None for planned in plan.instructions]
    expected = ["layer0.attn_norm", *3 * ["rope"], *3 * ["embedding"]]
    for i, following in ((0, "layer1.attn_norm"), (1, "output_norm")):
        before, after = ("wq", "wk", "wv", "ffn_norm"), ("wo", "gate_up")
        expected += [*(f"layer{i}.{name}" for name in before), None, *(f"layer{i}.{name}" for name in after)]
        expected += [following, f"layer{i}.down"]
    assert reads == [*expected, "output", None]
    assert [i for i, opcode in enumerate(opcodes) if opcode == "ATTENTION"] == [11, 20]
    assert opcodes[-1] == "END" and opcodes.count("END") == 1
    assert [planned.writes.name for planned in plan.instructions if planned.writes] == ["logits"]


@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_streamed_lies_in_the_order_of_reading(shape, name):
    plan = make_plan(params_of(name), shape, context=CONTEXT)
    streamed = [planned.reads.name for planned in plan.instructions if planned.reads and planned.reads.entries == 1]
    names = [region.name for region in plan.regions]
    slots = [f"kv{slot}" for slot in range(plan.params.columns)]
    assert names == ["header", "program", "embedding", "rope", *streamed, *slots, "logits"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("layers", [1, 3])
def test_the_program_is_as_long_as_the_plan(name, layers, small_model):
    params = params_of(name)
    memory, program = compile_model(params, small_model(layers=layers), context=CONTEXT)
    assert len(program) == len(memory.plan.instructions) == 1 + 2 * params.columns + 9 * layers + 2
    assert memory.plan.regions[1].entry_bytes == 32 * len(program)


def test_a_plan_needs_no_weights(small_model):
    """From sizes alone comes the plan of the model that has weights."""
    params = params_of("tiny")
    shape = ModelShape.uniform(
        layers=2,
        storage=Storage(format=BlockFormat.Q4_1),
        output_storage=Storage(format=BlockFormat.Q8_0),
        **PAPER,
    )
    plan = make_plan(params, shape, context=CONTEXT)
    found = make_plan(params, ModelShape.of(small_model()), context=CONTEXT)
    assert plan.regions == found.regions
    # Epsilon is a float32 in the file.
    assert plan.instructions == found.instructions
    grouped = dataclasses.replace(shape, output_storage=Storage(format=BlockFormat.Q8_0, group_shift=2))
    output = make_plan(params, grouped, context=CONTEXT).instructions[-2]
    assert (output.instruction.group_shift, output.reads.entry_bytes) == (2, 301 * 4 * 32 + 301 * 2)


def test_floats_are_stored_as_q8_0(shape):
    assert shape.storage("attn_output", 0) == Storage(format=BlockFormat.Q8_0)
    assert shape.storage("ffn_gate", 1) == shape.storage("ffn_up", 1) == Storage(format=BlockFormat.Q8_0)


def test_gate_and_up_must_agree(small_model):
    model = small_model(types={"blk.1.ffn_up.weight": Type.Q4_0})
    with pytest.raises(ModelError, match=r"layer 1 has ffn_gate in Q4_1 and ffn_up in Q4_0; .* must have one format"):
        make_plan(params_of("tiny"), ModelShape.of(model), context=CONTEXT)


def test_rows_that_alternate_share_the_smaller_group(shape):
    layer = dict.fromkeys(LAYER_MATRICES, Storage(format=BlockFormat.Q4_0))
    layer |= {name: Storage(format=BlockFormat.Q4_0, group_shift=n) for n, name in ((1, "ffn_gate"), (2, "ffn_up"))}
    plan = make_plan(params_of("tiny"), dataclasses.replace(shape, layer_storage=(layer,)), context=CONTEXT)
    (region,) = (region for region in plan.regions if region.name == "layer0.gate_up")
    assert isinstance(region.tensor, Matrix) and region.tensor.storage.group_shift == 1
    assert region.entry_bytes == 2 * 192 * 128 // 2 + 192 * 2 * 2 + 192 * 1 * 2


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"dim": 96}, "dim must be at most 96 for configuration tiny, got 128"),
        ({"hidden_dim": 160}, "hidden_dim must be at most 160 for configuration tiny, got 192"),
        ({"heads": 2}, "number of query heads must be at most 2 for configuration tiny, got 4"),
        ({"kv_heads": 1}, "number of KV heads must be at most 1 for configuration tiny, got 2"),
        ({"group": 1}, "query heads for each KV head must be at most 1 for configuration tiny, got 2"),
        ({"vocabulary": 300}, "vocabulary must be at most 300 for configuration tiny, got 301"),
        ({"head_dim": 64}, "heads must be 64 wide for configuration tiny, got 32"),
        ({"context_limit": 32}, "the context must have 1 to 32 positions in configuration tiny, got 50"),
    ],
)
def test_models_that_are_too_large(shape, limit, sentence):
    with pytest.raises(ModelError, match=sentence):
        make_plan(dataclasses.replace(params_of("tiny"), **limit), shape, context=CONTEXT)


@pytest.mark.parametrize("name", ARRAYS)
def test_needed_bytes_are_those_that_the_program_reads(model, name):
    """But for the padding of entries to whole words, and of matrices to whole tiles."""
    params = params_of(name)
    memory, program = compile_model(params, model, context=CONTEXT)
    needed = needed_bytes(memory.plan, [column(0)] * params.columns, logits=True, stored_logits=False)
    purposes = {region.start * params.beats_per_word: region.purpose for region in memory.regions.values()}
    read, padding = dict.fromkeys(PURPOSES, 0), dict.fromkeys(PURPOSES, 0)
    for instruction in program:
        if instruction.opcode in (Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL):
            purpose = purposes[instruction.address]
            read[purpose] += instruction.words * params.word_bytes
            # An embedding is padded twice. The last rows of a matrix may leave tiles nearly empty, with a scale word
            # for each four of them.
            words = 2 if instruction.index is Index.TOKEN else 1 + 1.25 * instruction.k_blocks
            padding[purpose] += words * params.word_bytes
    for purpose in ("weights", "norms", "rope", "embedding"):
        assert needed[purpose] <= read[purpose] < needed[purpose] + padding[purpose], purpose


@pytest.mark.parametrize("kind", [Type.Q4_0, Type.Q4_1, Type.Q8_0])
def test_needed_weights_are_those_of_the_file(small_model, kind):
    """Blocks go to memory as they are, so that the file's own bytes are needed, each once."""
    model = small_model(matrix_type=kind, tied=False)
    plan = make_plan(params_of("tiny"), ModelShape.of(model), context=CONTEXT)
    size = {name: tensor.size for name, tensor in model.file.tensors.items()}
    with_logits, without = (
        needed_bytes(plan, [column(0)], logits=logits, stored_logits=False) for logits in (True, False)
    )
    norms = {name: bytes_ for name, bytes_ in size.items() if "norm" in name}
    layers = sum(bytes_ for name, bytes_ in size.items() if name.startswith("blk.") and name not in norms)
    assert without["weights"] == layers
    assert with_logits == without | {"weights": layers + size["output.weight"]}
    assert without["norms"] == sum(norms.values())


def test_needed_bytes_of_columns(shape):
    plan = make_plan(params_of("three columns"), shape, context=CONTEXT)
    row = 2 * 2 * (32 + 2) * shape.layers  # for 2 KV heads a key and a value of 32 codes, with a scale each
    one = needed_bytes(plan, [column(7)], logits=True, stored_logits=True)
    assert one["kv"] == (7 + 1) * row
    assert (one["embedding"], one["rope"], one["logits"]) == (128 + 4 * 2, 4 * 32, 4 * 301)
    assert one["program"] == 0 and one.keys() == set(PURPOSES)
    # Two columns of one sequence have one history, a third one has its own.
    columns = [column(7), column(7, position=8), column(20, slot=1, local_first=2)]
    three = needed_bytes(plan, columns, logits=True, stored_logits=True)
    assert three["kv"] == (7 + 20 + 3) * row
    assert all(three[purpose] == 3 * one[purpose] for purpose in ("embedding", "rope", "logits"))
    assert all(three[purpose] == one[purpose] for purpose in ("weights", "norms"))
    unread = needed_bytes(plan, columns, logits=True, stored_logits=False)
    assert unread == three | {"logits": 0}
