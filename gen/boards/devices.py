"""What the FPGA of each board has, by the maker's data sheets."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA.

    Parameters
    ----------
    name
        Its name, with the board's.
    target
        What yosys maps to for it, a key of `rtlm.gen.synthesis.targets.TARGETS`.
    available
        Amount of each resource, by the names of `rtlm.gen.synthesis.targets.RESOURCES`; a block memory of the Xilinx
        devices has 36 Kbit, one of the ECP5 18 Kbit.
    source
        The data sheet.
    """

    name: str
    target: str
    available: Mapping[str, int]
    source: str


DEVICES = {
    "kv260": Device(
        name="XCK26 (KV260)",
        target="xilinx-us+",
        available={"lut": 117_120, "ff": 234_240, "dsp": 1_248, "bram": 144, "uram": 64, "carry": 14_640},
        source="AMD DS987",
    ),
    "zcu104": Device(
        name="XCZU7EV (ZCU104)",
        target="xilinx-us+",
        available={"lut": 230_400, "ff": 460_800, "dsp": 1_728, "bram": 312, "uram": 96, "carry": 28_800},
        source="AMD DS891",
    ),
    "u250": Device(
        name="XCU250 (Alveo U250)",
        target="xilinx-us+",
        available={"lut": 1_728_000, "ff": 3_456_000, "dsp": 12_288, "bram": 2_688, "uram": 1_280, "carry": 216_000},
        source="AMD DS962",
    ),
    "u280": Device(
        name="XCU280 (Alveo U280)",
        target="xilinx-us+",
        available={"lut": 1_303_680, "ff": 2_607_360, "dsp": 9_024, "bram": 2_016, "uram": 960, "carry": 162_960},
        source="AMD DS963",
    ),
    "ulx3s": Device(
        name="LFE5U-85F",
        target="ecp5",
        available={"lut": 83_640, "ff": 83_640, "dsp": 156, "bram": 208},
        source="Lattice FPGA-DS-02012",
    ),
}
"""By the name of the board; on an Alveo card the shell takes a part of it that is not subtracted. A CARRY8 serves eight
tables.
"""
