"""What synthesis does for each target: the yosys script, and which cells are which resource."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rtlm.gen.boards.devices import DEVICES
from rtlm.hw.common import mac
from rtlm.hw.hls.directives import PRODUCT_STYLES

RESOURCES = ("lut", "ff", "dsp", "bram", "uram", "carry")
"""Columns of a report on an FPGA, in order; `carry` counts carry-chain cells, which do not take tables of their own."""

BOUND_PRODUCTS = tuple(
    f'setattr -set use_dsp "{value}" a:use_dsp={value} %ci t:$mul %i' for value in sorted(PRODUCT_STYLES.values())
)
"""Bring the attribute by which a kernel binds a product from its wire to the product itself."""


def _bound(techmap: str) -> tuple[str, ...]:
    """Return commands that map products as they are bound: yosys' own mapping does not read ``use_dsp``.

    What is to be of tables gets the type that scripts give to products they have no multiplier for; all others go to
    multipliers, however small they are.
    """
    return (
        "chtype -set $__soft_mul a:use_dsp=no t:$mul %i",
        f"{techmap} -D DSP_A_MINWIDTH=1 -D DSP_B_MINWIDTH=1 -D DSP_Y_MINWIDTH=1 a:use_dsp=yes t:$mul %i",
    )


XILINX = "synth_xilinx -family xcup -flatten -uram -noiopad -noclkbuf -top {top}"
XILINX_SCRIPT = (
    *BOUND_PRODUCTS,
    f"{XILINX} -run begin:map_dsp",
    *_bound(
        "techmap -map +/mul2dsp.v -map +/xilinx/xcu_dsp_map.v -D DSP_NAME=$__MUL27X18 -D DSP_A_MAXWIDTH=27 "
        "-D DSP_B_MAXWIDTH=18 -D DSP_A_MAXWIDTH_PARTIAL=18 -D DSP_SIGNEDONLY=1"
    ),
    f"{XILINX} -run map_dsp:",
)
"""``synth_xilinx``, with products that are bound."""

ECP5_MULTIPLIERS = (
    "techmap -map +/mul2dsp.v -map +/lattice/dsp_map_18x18.v -D DSP_NAME=$__MUL18X18 "
    "-D DSP_A_MAXWIDTH=18 -D DSP_B_MAXWIDTH=18"
)
ECP5_SCRIPT = (
    *BOUND_PRODUCTS,
    "synth_ecp5 -top {top} -run begin:coarse",
    *("proc", "flatten", "opt_expr", "opt_clean", "opt -nodffe -nosdff", "wreduce", "peepopt", "opt_clean"),
    *_bound(ECP5_MULTIPLIERS),
    f"{ECP5_MULTIPLIERS} -D DSP_A_MINWIDTH=4 -D DSP_B_MINWIDTH=4 -D DSP_Y_MINWIDTH=16",
    "chtype -set $mul t:$__soft_mul",
    "synth_ecp5 -top {top} -nodsp -run coarse:",
)
"""``synth_ecp5`` with another limit between multipliers and tables.

It splits a product of two significands, 24 x 24 bits, into four multipliers of 18 x 18, even the piece of 6 x 6, and
takes four for 21 x 20 bits too, the last of them for a piece of 3 x 2. Here a piece that has fewer than 4 bits on a
side, or fewer than 16 in its product, becomes tables: three multipliers for 24 x 24, one for 21 x 20.
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A technology that yosys maps to.

    Parameters
    ----------
    name
        What ``--target`` selects.
    title
        Name for a reader.
    script
        Commands for yosys after the netlist is read; ``{top}`` and ``{netlist}`` are replaced.
    macros
        Verilog macros that select the technology's bodies of modules.
    cells
        For each cell type how much it takes of each resource; a type ending in ``*`` stands for all that begin so.
    technology
        Whose delays pipelines are scheduled with, a key of `rtlm.hw.hls.technology.TECHNOLOGIES`; empty where there is
        no table of them.
    mapped_apart
        Levels of the hierarchy whose modules static timing maps each by itself, before it makes the netlist flat: the
        mapper saves tables wherever a path is shorter than the slowest that it sees. 0 maps the whole.
    device, available
        A device, and what it has of each resource.
    note
        What a reader must know about the counts.
    """

    name: str
    title: str
    script: tuple[str, ...]
    macros: tuple[str, ...] = ()
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    # No part of what a result is cached by: the netlist says how it was scheduled.
    technology: str = field(default="", repr=False)
    mapped_apart: int = 0
    device: str = ""
    available: Mapping[str, int] = field(default_factory=dict)
    note: str = ""

    def resources(self, cells: Mapping[str, int]) -> dict[str, float]:
        """Add up what cells take of each resource.

        Parameters
        ----------
        cells
            Number of cells of each type.
        """
        total = dict.fromkeys(RESOURCES, 0.0)
        for kind, count in cells.items():
            for resource, amount in self._cell(kind).items():
                total[resource] += amount * count
        return total

    def _cell(self, kind: str) -> Mapping[str, float]:
        if kind in self.cells:
            return self.cells[kind]
        return next((v for k, v in self.cells.items() if k.endswith("*") and kind.startswith(k[:-1])), {})


def _tables(*kinds: str, each: float = 1) -> dict[str, Mapping[str, float]]:
    return {kind: MappingProxyType({"lut": each}) for kind in kinds}


def _one(resource: str, *kinds: str, each: float = 1) -> dict[str, Mapping[str, float]]:
    return {kind: MappingProxyType({resource: each}) for kind in kinds}


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="xilinx-us+",
            title="AMD UltraScale+",
            technology="xilinx-us+",
            script=XILINX_SCRIPT,
            mapped_apart=2,
            macros=(mac.BLOCK_MACRO,),
            cells={
                **_tables("LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "INV", "SRL16E", "SRLC16E", "SRLC32E"),
                # Distributed memories, by the tables of a slice that they occupy (UG574).
                **_tables("RAM32X1S", "RAM64X1S"),
                **_tables("RAM32X1D", "RAM64X1D", "RAM128X1S", each=2),
                **_tables("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S", each=4),
                **_tables("RAM32M16", "RAM64M8", "RAM256X1D", "RAM512X1S", each=8),
                **_one("ff", "FDRE", "FDSE", "FDCE", "FDPE", "LDCE", "LDPE"),
                **_one("dsp", "DSP48E2"),
                **_one("bram", "RAMB36E2"),
                **_one("bram", "RAMB18E2", each=0.5),
                **_one("uram", "URAM288"),
                # yosys builds carry chains of 7-series cells (4 bits); two of them make a CARRY8.
                **_one("carry", "CARRY4", each=0.5),
                **_one("carry", "CARRY8"),
            },
            device="XCK26 (KV260)",
            available=DEVICES["kv260"].available,
            note="Counts by yosys. It packs no registers into DSP48E2, which Vivado does, so tables and registers are "
            "on the high side. There is no open place and route for this family: no clock frequency is claimed.",
        ),
        Target(
            name="ecp5",
            title="Lattice ECP5",
            technology="ecp5",
            script=ECP5_SCRIPT,
            cells={
                **_tables("LUT4", "INV"),
                # A carry cell is two tables; a memory of 16 x 4 takes two slices and half of one for its write side.
                "CCU2C": {"lut": 2, "carry": 1},
                **_tables("TRELLIS_DPR16X4", each=6),
                **_one("ff", "TRELLIS_FF"),
                **_one("dsp", "MULT18X18D"),
                **_one("bram", "DP16KD", "PDPW16KD"),
            },
            device="LFE5U-85F",
            available=DEVICES["ulx3s"].available,
            note="Block memories have 18 Kbit.",
        ),
        Target(
            name="ice40",
            title="Lattice iCE40",
            script=("synth_ice40 -dsp -spram -top {top}",),
            cells={
                **_tables("SB_LUT4", "INV"),
                **_one("ff", "SB_DFF*"),
                **_one("dsp", "SB_MAC16"),
                **_one("bram", "SB_RAM40_4K*"),
                **_one("uram", "SB_SPRAM256KA"),
                **_one("carry", "SB_CARRY"),
            },
            device="iCE40UP5K",
            available={"lut": 5_280, "ff": 5_280, "dsp": 8, "bram": 30, "uram": 4},
            note="Block memories have 4 Kbit; URAM stands for SPRAM blocks of 256 Kbit. Only small units fit a device.",
        ),
        Target(
            name="gowin",
            title="Gowin LittleBee/Arora",
            script=("synth_gowin -top {top}",),
            cells={
                **_tables("LUT1", "LUT2", "LUT3", "LUT4", "INV"),
                "ALU": {"lut": 1, "carry": 1},
                **_tables("RAM16S*", each=4),
                **_one("ff", "DFF*", "DFFS*", "DFFR*"),
                **_one("dsp", "MULT*", "MULTALU*", "MULTADDALU*"),
                **_one("bram", "SDPB", "SDPX9B", "DPB", "DPX9B", "SP", "SPX9", "pROM", "pROMX9"),
            },
            device="GW2A-18",
            available={"lut": 20_736, "ff": 15_552, "dsp": 48, "bram": 46},
            note="Block memories have 18 Kbit.",
        ),
    )
}

ASIC = "asic"
"""Target of `rtlm.gen.synthesis.asic`, and the technology that it is scheduled for."""
TARGET_NAMES = (*TARGETS, ASIC)


def technology(target: str) -> str:
    """Return the technology whose delays pipelines are scheduled with for a target, empty where there is none."""
    return ASIC if target == ASIC else TARGETS[target].technology
