"""Quantised products as one streaming unit, with their own activation banks."""

import dataclasses
import json
import pathlib

import pytest
from rtlm.hw.units.matmul_params import MatmulParams
from rtlm.hw.units.qmatmul import GemvParams, QMatmul
from rtlm.sim.benches.bench import Bench, Prepared, verilog_text

HERE = pathlib.Path(__file__).parent
CONFIGURATIONS = {
    "one-column": MatmulParams(lanes=32, columns=1, vector_lanes=2, max_k_blocks=5),
    "three-columns": MatmulParams(lanes=128, columns=3, vector_lanes=2, max_k_blocks=6),
}


def run(name, folder, monkeypatch, seed, change=lambda text: text, slow=""):
    params = CONFIGURATIONS[name]
    monkeypatch.syspath_prepend(str(HERE))
    bench = Bench(
        unit="qmatmul",
        name=name,
        module="test_qmatmul_cocotb",
        prepare=lambda: Prepared(
            verilog=verilog_text(QMatmul(params), "qmatmul"),
            top="qmatmul",
            environment={"BENCH_PARAMS": json.dumps(dataclasses.asdict(params)), "BENCH_SLOW": slow},
        ),
    )
    return bench.run(folder, seed=seed, mutate=change)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_products(name, tmp_path, monkeypatch, seed):
    for slow in ("", "i_activations"):
        outcome = run(name, tmp_path / slow, monkeypatch, seed, slow=slow)
        assert outcome.passed, outcome.complaint


def test_stale_bank_is_seen(tmp_path, monkeypatch, seed):
    """A bank that is not emptied lets the next matrix meet the vector before."""

    def never_clear(text):
        before, name, rest = text.partition("module \\qmatmul.banks (")
        body, end, after = rest.partition("endmodule")
        changed = body.replace("clear[0]", "1'h0").replace("clear[1]", "1'h0")
        assert changed != body
        return before + name + changed + end + after

    outcome = run("one-column", tmp_path, monkeypatch, seed, never_clear, slow="i_activations")
    assert not outcome.passed
    assert "results" in outcome.complaint


def test_sizes_are_checked():
    assert GemvParams(lanes=256).word_bytes == 128
    with pytest.raises(ValueError, match="48 lanes are not possible"):
        GemvParams(lanes=48)
