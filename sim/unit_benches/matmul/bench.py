"""Bench of the matrix unit with its activation banks; the cocotb side is cocotb_tests.py."""

import json
from dataclasses import asdict

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In
from rtlm.hw.formats import DEFAULT_FORMATS, BlockFormat
from rtlm.hw.matmul.activations import ActivationBanks, block_write_layout, vector_scale_layout
from rtlm.hw.matmul.unit import MatmulParams, MatrixUnit
from rtlm.sim.unit_benches.bench import Prepared, verilog_text

GROUPS_OF_FORMAT = 8
"""Random vectors for each format, each with matrices that read it."""

ALL_FORMATS = tuple(BlockFormat)
BIT_FORMATS = tuple(format for format in BlockFormat if format.table is None)
"""Formats whose codes are what is multiplied."""

SETS = {
    "four-steps": MatmulParams(lanes=32, columns=2, vector_lanes=2, field_bits=13, max_k_blocks=16),
    "one-column": MatmulParams(lanes=128, columns=1, vector_lanes=2, max_k_blocks=16),
    "three-columns": MatmulParams(lanes=256, columns=3, vector_lanes=4, max_k_blocks=16),
    # Multipliers with registers and sums inside, a word in two steps.
    "blocks": MatmulParams(lanes=64, columns=2, max_k_blocks=16, technology="xilinx-us+"),
    "eight-rows-one-column": MatmulParams(lanes=256, columns=1, vector_lanes=2, rows_per_multiplier=1, max_k_blocks=16),
    "five-bits": MatmulParams(
        lanes=128, columns=2, max_k_blocks=24, formats=(*DEFAULT_FORMATS, BlockFormat.Q5_0, BlockFormat.Q5_1)
    ),
    "six-bit-scales": MatmulParams(
        lanes=256, rows_per_multiplier=1, max_k_blocks=24, formats=(BlockFormat.Q4_0, BlockFormat.Q4_K)
    ),
    "all-formats": MatmulParams(lanes=128, field_bits=14, max_k_blocks=24, formats=ALL_FORMATS),
    "six-bits-four-steps": MatmulParams(lanes=32, columns=2, field_bits=13, max_k_blocks=24, formats=BIT_FORMATS),
}


def prepare(params: MatmulParams) -> Prepared:
    """Return the harness as Verilog and what its cocotb side has to know."""
    harness = Harness(params)
    return Prepared(
        verilog=verilog_text(harness, "matmul"),
        top="matmul",
        environment={
            "BENCH_PARAMS": json.dumps(asdict(params)),
            "BENCH_COUNT": str(GROUPS_OF_FORMAT * len(params.formats)),
            "BENCH_LATENCY": str(harness.unit.latency),
        },
    )


class Harness(wiring.Component):
    """The matrix unit and its banks with ordinary ports.

    Parameters
    ----------
    params : MatmulParams
        Sizes.
    """

    def __init__(self, params: MatmulParams):
        self.unit = MatrixUnit(params)
        self.banks = ActivationBanks(columns=params.columns, max_k_blocks=params.max_k_blocks)
        members = {name: member for name, member in self.unit.signature.members.items() if name != "read"}
        members["i_write"] = In(stream.Signature(block_write_layout(params.columns, params.max_k_blocks)))
        members["i_scale"] = In(stream.Signature(vector_scale_layout(params.columns)))
        super().__init__({**members, "clear": In(2)})

    def elaborate(self, platform: object) -> Module:
        """Connect them."""
        m = Module()
        m.submodules.unit, m.submodules.banks = self.unit, self.banks
        wiring.connect(m, self.unit.read, self.banks.read)
        for name, member in self.unit.signature.members.items():
            if name == "read":
                continue
            if member.is_signature:
                wiring.connect(m, getattr(self.unit, name), wiring.flipped(getattr(self, name)))
            else:
                m.d.comb += getattr(self, name).eq(getattr(self.unit, name))
        for name in ("i_write", "i_scale"):
            inner, outer = getattr(self.banks, name), getattr(self, name)
            m.d.comb += [inner.valid.eq(outer.valid), inner.payload.eq(outer.payload), outer.ready.eq(1)]
        m.d.comb += self.banks.clear.eq(self.clear)
        return m
