"""Work by operator: against sums from the model's sizes, and against the bytes that a simulated memory moved."""

import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.compiler.plan import make_plan
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import write_random_model
from rtlm.host.models.stored import ModelShape, Storage
from rtlm.host.reports.work import MODULES, operator_name, step_work
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate
from rtlm.hw.control.isa import Operator
from rtlm.hw.formats import BlockFormat

SIZES = {"layers": 2, "dim": 128, "hidden_dim": 192, "heads": 4, "kv_heads": 2, "vocab": 301}
CONFIGURATION = ["matmul.columns=3", "memory.ports=4", "memory.prefetch_kib=32"]

STEPS = {
    "first token": [(0, 0, 0)],
    "long history": [(37, 37, 0)],
    "batch": [(5, 5, 0), (21, 21, 1), (0, 0, 2)],
    "prompt": [(8, 8, 0), (9, 8, 0), (10, 8, 0)],
}
"""Position, history and slot of each column."""


def columns_of(name: str) -> list[ColumnInput]:
    together = name == "prompt"
    return [
        ColumnInput(token=9 + c, position=position, history=history, local_first=0 if together else c, slot=slot)
        for c, (position, history, slot) in enumerate(STEPS[name])
    ]


@pytest.fixture(scope="module")
def plan():
    shape = ModelShape.uniform(
        storage=Storage(format=BlockFormat.Q4_0),
        output_storage=Storage(format=BlockFormat.Q8_0),
        head_dim=32,
        rms_eps=1e-5,
        **SIZES,
    )
    return make_plan(load_config("tiny", CONFIGURATION).to_params(), shape, context=64)


def test_every_operator_belongs_to_one_module():
    assert sorted(operator.name for module in MODULES.values() for operator in module) == sorted(Operator.__members__)
    assert operator_name(Operator.QK) == "qk^t"
    assert operator_name(Operator.LM_HEAD) == "lm_head"


@pytest.mark.parametrize("name", STEPS)
def test_counts_and_multiplications_follow_from_the_sizes(plan, name):
    columns = columns_of(name)
    work = step_work(plan, columns, logits=True, stored_logits=False)
    layers, dim, keys = SIZES["layers"], SIZES["dim"], 64
    runs = len(columns) * SIZES["kv_heads"]
    counts = {"qkv": 3, "rope": 2, "qk^t": runs, "softmax": runs, "pv": runs, "wo": 1, "mlp": 2}
    for operator, found in work.items():
        if operator_name(operator) in counts:
            assert found.count == layers * counts[operator_name(operator)]
    assert work[Operator.RMS].count == 2 * layers + 1
    assert work[Operator.LM_HEAD].count == work[Operator.CONTROL].count == 1
    assert work[Operator.EMBED].count == len(columns)

    assert work[Operator.QKV].macs == len(columns) * layers * dim * (dim + 2 * keys)
    assert work[Operator.MLP].macs == len(columns) * layers * 3 * dim * SIZES["hidden_dim"]
    # One row more than the vocabulary, to a multiple of the vector lanes.
    assert work[Operator.LM_HEAD].macs == len(columns) * dim * 302
    attended = sum(column.history + c - column.local_first + 1 for c, column in enumerate(columns))
    assert work[Operator.QK].macs == work[Operator.PV].macs == layers * dim * attended
    assert work[Operator.SOFTMAX].macs == work[Operator.RMS].bytes == 0


def test_a_step_without_logits_has_no_head(plan):
    work = step_work(plan, columns_of("prompt"), logits=False, stored_logits=False)
    assert (work[Operator.LM_HEAD].count, work[Operator.LM_HEAD].bytes) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("logits", [False, True])
def test_bytes_are_those_that_the_memory_moved(tmp_path, logits):
    model = LlamaModel.open(write_random_model(tmp_path / "random.gguf", context=64, **SIZES))
    with simulate(load_config("tiny", CONFIGURATION), model, context=64, progress=SilentProgress()) as simulation:
        for name in STEPS:
            columns = columns_of(name)
            before = simulation.device.model.counters()
            simulation.engine.step(columns, want_logits=logits, read_logits=logits)
            moved = simulation.device.model.counters().since(before)
            work = step_work(simulation.memory.plan, columns, logits=logits, stored_logits=logits)
            expected = sum(moved.read_bytes.values()) + sum(moved.write_bytes.values())
            assert sum(each.bytes for each in work.values()) == expected, (moved.read_bytes, moved.write_bytes)
