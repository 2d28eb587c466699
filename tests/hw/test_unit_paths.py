"""No combinational path goes through more than one unit, nor through more than one part of the vector engine."""

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import TOP
from rtlm.gen.synthesis.netlist import cut
from rtlm.gen.synthesis.synthesise import accelerator_netlist

from tests.hw.unit_paths import crossings

BOUNDARIES = (
    "sequencer.router",
    *(
        f"{stream}_slice"
        for stream in (
            "segments",
            "matmul_command",
            "vector_command",
            "attention_command",
            "results",
            "attention_results",
            "writes",
        )
    ),
)
"""Register slices, and the router of words, which has one; by the paths themselves they are registers."""

PARTS = (
    "dequantise",
    "operands",
    *(f"routes.{kernel}" for kernel in ("residual", "rope", "swiglu", "quantise")),
    "collector",
)
"""Parts of the vector engine through which a beat goes, with a register slice between each and the next."""

SLICES = ("embedded", "operands.slice", "routes.turn", "routes.slice", "kept.leave")
"""Those slices; the collector is ready by a register. What is kept is ready by the level of its FIFO."""

OPTIONS = (
    *(f"vector.{option}=true" for option in ("biases", "head_norms", "post_norms", "gelu")),
    "attention.windows=true",
    "attention.kv_bits=4",
    "matmul.formats=[q4_0,q4_1,q8_0,q2_k,q3_k,q6_k,mxfp4,tq1_0]",
)
"""Everything that an accelerator can have beside what every one has."""


@pytest.mark.synthesis
@pytest.mark.parametrize("changes", [(), ("matmul.columns=2", "memory.ports=1")], ids=["tiny", "columns"])
def test_paths_stay_in_a_unit(changes, tmp_path):
    netlist = accelerator_netlist(load_config("tiny", ["clock_gating=off", *changes]))
    assert crossings(netlist, TOP, BOUNDARIES, tmp_path) == set()


@pytest.mark.slow
@pytest.mark.synthesis
def test_paths_stay_in_a_unit_with_all_options(tmp_path):
    """And in a part of its vector engine."""
    netlist = accelerator_netlist(load_config("tiny", ["clock_gating=off", *OPTIONS]))
    assert crossings(netlist, TOP, BOUNDARIES, tmp_path) == set()
    assert crossings(*cut(netlist, "vector"), SLICES, tmp_path, PARTS) == set()


@pytest.mark.synthesis
def test_a_path_through_two_units_is_found(tmp_path):
    """Without the knowledge of what a slice is, its own logic is a unit beside the others."""
    netlist = accelerator_netlist(load_config("tiny", ["clock_gating=off"]))
    found = crossings(netlist, TOP, ("sequencer.router", "results_slice"), tmp_path)
    pairs = {(crossing.source, crossing.sink) for crossing in found}
    assert {("sequencer", "segments_slice"), ("attention", "attention_command_slice")} <= pairs


@pytest.mark.slow
@pytest.mark.synthesis
def test_paths_stay_in_a_part_of_a_large_vector_engine(tmp_path):
    netlist = accelerator_netlist(load_config("kv260", ["clock_gating=off"]))
    assert crossings(*cut(netlist, "vector"), SLICES, tmp_path, PARTS) == set()


@pytest.mark.synthesis
@pytest.mark.parametrize("interval", [1, 4])
def test_paths_stay_in_a_part_of_the_vector_engine(interval, tmp_path):
    """Also where slices have two entries, for a beat a cycle."""
    netlist = accelerator_netlist(load_config("tiny", ["clock_gating=off", f"vector.interval={interval}"]))
    assert crossings(*cut(netlist, "vector"), SLICES, tmp_path, PARTS) == set()


@pytest.mark.synthesis
def test_a_path_through_two_parts_is_found(tmp_path):
    """Without the knowledge of what a slice is, the operands' one hangs on the kernels."""
    netlist = accelerator_netlist(load_config("tiny", ["clock_gating=off"]))
    found = crossings(*cut(netlist, "vector"), ("embedded", "routes.slice"), tmp_path, PARTS)
    pairs = {(crossing.source, crossing.sink) for crossing in found}
    assert pairs == {(f"routes.{kernel}", "operands") for kernel in ("residual", "rope", "swiglu")}
