"""No combinational path of the accelerator goes through more than one unit, in data or `ready`."""

import pytest
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import TOP
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


@pytest.mark.synthesis
@pytest.mark.parametrize("changes", [(), ("matmul.columns=2", "memory.ports=1")], ids=["tiny", "columns"])
def test_paths_stay_in_a_unit(changes, tmp_path):
    netlist = accelerator_netlist(load_config("tiny", ["clock_gating=off", *changes]))
    assert crossings(netlist, TOP, BOUNDARIES, tmp_path) == set()


@pytest.mark.synthesis
def test_a_path_through_two_units_is_found(tmp_path):
    """Without the knowledge of what a slice is, its own logic is a unit beside the others."""
    netlist = accelerator_netlist(load_config("tiny", ["clock_gating=off"]))
    found = crossings(netlist, TOP, ("sequencer.router", "results_slice"), tmp_path)
    pairs = {(crossing.source, crossing.sink) for crossing in found}
    assert {("sequencer", "segments_slice"), ("attention", "attention_command_slice")} <= pairs
