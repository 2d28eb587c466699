"""Windows: which configuration has them, what lies in memory, what instructions say, and the bytes of a step."""

import numpy as np
import pytest
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.plan import make_plan
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import ModelError
from rtlm.host.models.stored import ModelShape
from rtlm.host.reports.traffic import moved_bytes, needed_bytes
from rtlm.host.reports.work import step_work
from rtlm.host.runtime.device import side_by_side, successive
from rtlm.hw.control.isa import Opcode, Operator

from tests.host.small_models import params_of, with_windows

CONTEXT, WINDOW, LAYERS = 60, 20, (0, 2, 3)
ON = "attention.windows=true"
POSITION_BYTES = 2 * (4 + 2 * 32)
"""Of a position in a layer: 2 KV heads, each with two scales, a key and a value of 32 codes."""


@pytest.fixture(scope="module")
def model(small_model):
    return with_windows(small_model(layers=4), WINDOW, LAYERS)


@pytest.fixture(scope="module")
def plan(model):
    return make_plan(params_of("three columns", ON), ModelShape.of(model), context=CONTEXT)


def test_a_configuration_without_them_is_told_what_is_missing(model):
    sentence = "sliding-window attention, which configuration tiny does only with attention.windows = true"
    with pytest.raises(ModelError, match=sentence):
        compile_model(params_of("tiny"), model, context=CONTEXT)


def test_columns_must_fit_a_window(small_model):
    model = with_windows(small_model(), 2, [1])
    compile_model(params_of("tiny", ON, "matmul.columns=2"), model, context=CONTEXT)
    with pytest.raises(ModelError, match=r"window must be at least the 3 columns of configuration tiny.*, got 2"):
        compile_model(params_of("three columns", ON), model, context=CONTEXT)


def test_a_window_as_long_as_the_context_is_none(small_model):
    """Such a model runs without gates for windows: only its tables are those of windows."""
    params = params_of("tiny")
    model = with_windows(small_model(), params.context_limit, [1])
    memory, program = compile_model(params, model, context=CONTEXT)
    assert [i.imm1 for i in program if i.opcode is Opcode.ATTENTION] == [0, 0]
    assert "window_rope" in memory.regions


def test_instructions_have_their_window_and_tables_are_loaded_where_they_change(plan):
    instructions = [planned.instruction for planned in plan.instructions]
    assert [i.imm1 for i in instructions if i.opcode is Opcode.ATTENTION] == [20, 0, 20, 20]
    loads = [p.reads.name for p in plan.instructions if p.reads and p.reads.purpose == "rope"]
    assert loads == [name for name in ("window_rope", "rope", "window_rope") for _ in range(3)]


def test_a_model_without_them_has_no_table_for_them(small_model):
    memory, program = compile_model(params_of("tiny", ON), small_model(), context=CONTEXT)
    assert "window_rope" not in memory.regions
    assert not any(i.imm1 for i in program if i.opcode is Opcode.ATTENTION)


def test_tables_lie_in_memory(model):
    params = params_of("tiny", ON)
    memory, program = compile_model(params, model, context=CONTEXT)
    image = build_image(params, model, memory, program)
    for name, windowed in (("rope", False), ("window_rope", True)):
        region = memory.regions[name]
        stored = image[region.start :][: region.words].view("<f4").reshape(CONTEXT, -1)
        cos, sin = model.rope_table(range(CONTEXT), windowed=windowed)
        np.testing.assert_array_equal(stored[:, 0:32:2], cos)
        np.testing.assert_array_equal(stored[:, 1:32:2], sin)


@pytest.mark.parametrize(
    ("columns", "attended", "words"),
    [
        # Of 64 bytes: 16 scales, 2 keys.
        (side_by_side([(1, 19, 0)]), 19, 2 + 2 * 10),
        (side_by_side([(1, 40, 0)]), 19, 2 + 2 * 12),  # positions 21 to 39, from 16 on
        (side_by_side([(1, 40, 0), (1, 51, 1), (1, 0, 2)]), 19 + 19, 2 + 2 * 12 + 2 + 2 * 10),
        # From positions 14, 15 and 16 on: two columns begin with the first word.
        (successive([1, 1, 1], 33, slot=0), 19, 2 * (3 + 2 * 17) + 2 + 2 * 9),
    ],
)
def test_bytes_of_a_step(plan, columns, attended, words):
    """All of the history in one layer, the window in three."""
    everything = sum({column.slot: column.history for column in columns}.values())
    needed = needed_bytes(plan, columns, logits=True, stored_logits=False)
    positions = everything + 3 * attended + 4 * len(columns)
    assert needed["kv"] == positions * POSITION_BYTES
    read, written = moved_bytes(plan, columns, logits=True)
    full = sum(-(-column.history // 16) + 2 * -(-column.history // 2) for column in columns)
    assert read["kv"] == 2 * 64 * (full + 3 * words)
    assert written["kv"] == 4 * len(columns) * POSITION_BYTES
    work = step_work(plan, columns, logits=True, stored_logits=False)
    seen = sum(min(c.position + 1, WINDOW) for c in columns)
    own = sum(n - c.local_first + 1 for n, c in enumerate(columns))
    assert work[Operator.QK].macs == 128 * (3 * seen + sum(c.history for c in columns) + own)
