"""The device of each board, and what it has: what a design must fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA.

    Parameters
    ----------
    name
        Its part.
    target
        Synthesis target, a key of `rtlm.gen.synthesis.targets.TARGETS`.
    available
        Amount of each resource, by the names of synthesis (`lut`, `ff`, `dsp`, `bram`, `uram`).
    source
        Where the numbers stand.
    part
        Part on the board as Vivado calls it, the one in the head of the board's constraints; empty if it is not AMD's.
    vivado_board
        Vivado's board file, without its version, with the settings of processing system or memory; empty without one.
    """

    name: str
    target: str
    available: Mapping[str, int]
    source: str
    part: str = ""
    vivado_board: str = ""


DEVICES = MappingProxyType(
    {
        "kv260": Device(
            name="XCK26",
            target="xilinx-us+",
            available={"lut": 117_120, "ff": 234_240, "dsp": 1_248, "bram": 144, "uram": 64, "carry": 14_640},
            part="xck26-sfvc784-2LV-c",
            source="AMD DS987, Kria K26 SOM, programmable logic",
            vivado_board="xilinx.com:kv260_som:part0",
        ),
        "zcu104": Device(
            name="XCZU7EV",
            target="xilinx-us+",
            available={"lut": 230_400, "ff": 460_800, "dsp": 1_728, "bram": 312, "uram": 96},
            part="xczu7ev-ffvc1156-2-e",
            source="AMD DS891, Zynq UltraScale+ MPSoC overview, EV devices",
            vivado_board="xilinx.com:zcu104:part0",
        ),
        "u250": Device(
            name="XCU250",
            target="xilinx-us+",
            available={"lut": 1_728_000, "ff": 3_456_000, "dsp": 12_288, "bram": 2_688, "uram": 1_280},
            part="xcu250-figd2104-2-e",
            source="AMD DS962, Alveo U200 and U250 data sheet",
            vivado_board="xilinx.com:au250:part0",
        ),
        "u280": Device(
            name="XCU280",
            target="xilinx-us+",
            available={"lut": 1_303_680, "ff": 2_607_360, "dsp": 9_024, "bram": 2_016, "uram": 960},
            part="xcu280-fsvh2892-2L-e",
            source="AMD DS963, Alveo U280 data sheet",
            vivado_board="xilinx.com:au280:part0",
        ),
        "ulx3s": Device(
            name="LFE5U-85F",
            target="ecp5",
            available={"lut": 83_640, "ff": 83_640, "dsp": 156, "bram": 208},
            source="Lattice FPGA-DS-02012, ECP5 family data sheet, and nextpnr's device database",
        ),
    }
)
"""Devices by board, a key of `rtlm.gen.configuration.schema.BOARDS`; block memories have 36 Kbit on UltraScale+ and 18
Kbit on ECP5. What a shell or platform takes for itself is not subtracted."""
