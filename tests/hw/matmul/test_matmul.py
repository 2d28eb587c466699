"""The matrix unit's array in every variant, parameters and order of results; the whole unit: test_benches.py."""

import gc

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Mux, Value
from amaranth.sim import Simulator
from rtlm.hw.common.stages import held_value
from rtlm.hw.matmul import array as array_module
from rtlm.hw.matmul.activations import ActivationBanks
from rtlm.hw.matmul.array import DotArray
from rtlm.hw.matmul.unit import MatmulParams, MatrixUnit
from rtlm.sim.unit_benches.codes import packed


class Mac(Elaboratable):
    """What the array uses of `rtlm.hw.common.mac`, which is Verilog, for Amaranth's simulator."""

    def __init__(self, *, a, b, load_a, load_b, multiply, chain, take, p, pcin, pcout, **unused):
        assert [Value.cast(unused[name]).value for name in ("use_d", "add", "with_product")] == [0, 0, 1]
        self.__dict__.update(a=a, b=b, load_a=load_a, load_b=load_b, multiply=multiply, chain=chain, take=take)
        self.p, self.pcin, self.pcout = p, pcin, pcout

    def elaborate(self, platform):
        m = Module()
        a = held_value(m, self.load_a, self.a.as_signed(), "a")
        b = held_value(m, self.load_b, self.b.as_signed(), "b")
        product = held_value(m, self.multiply, a * b, "product")
        chained = held_value(m, self.multiply, self.chain, "chained")
        base = Mux(chained, self.pcin.as_signed(), 0)
        total = held_value(m, self.take, (base + product)[: len(self.pcout)].as_signed(), "sum")
        m.d.comb += [self.p.eq(total), self.pcout.eq(total)]
        return m


@pytest.mark.parametrize("lanes", [32, 64, 128])
@pytest.mark.parametrize("sharing", [(1, 17), (2, 13), (2, 14), (2, 15), (2, 16), (2, 17)])
def test_array_variants(lanes, sharing, monkeypatch):
    """Every way to share multipliers gives the same exact sums, extremes of both signs next to each other included."""
    monkeypatch.setattr(array_module, "mac", Mac)
    params = MatmulParams(
        lanes=lanes, columns=2, rows_per_multiplier=sharing[0], field_bits=sharing[1], technology="xilinx-us+"
    )
    assert params.product_blocks == (sharing >= (2, 15))
    rng = np.random.default_rng(lanes + sharing[1])
    cases = 40
    u = rng.integers(0, 16, size=(cases, params.rows, 32))
    a = rng.integers(-255, 256, size=(cases, params.columns, 32))
    for case, (weight, activation) in enumerate([(15, -255), (15, 255), (15, -256), (0, -255)]):
        u[case], a[case] = weight, activation
        # The low row of a pair at an extreme, the high one opposite or zero: the borrow between fields.
        u[case, 1::2] = rng.integers(0, 2) * 15
    expected = np.einsum("nrk,nck->ncr", u, a)
    array, latency = DotArray(params), DotArray.latency_of(params)

    schedule = [None] * latency
    for n in range(cases):
        schedule += [None] * int(rng.integers(0, 3)) + [(n, step) for step in range(params.word_cycles)]
    schedule += [None] * latency

    async def drive(ctx):
        for cycle, work in enumerate(schedule[latency:]):
            ctx.set(array.i_valid, work is not None)
            if work is not None:
                n, step = work
                nibbles = (u[n, :, 0::2] | u[n, :, 1::2] << 4).astype(np.uint8)
                ctx.set(array.i_step, step)
                ctx.set(array.word, int.from_bytes(nibbles.tobytes(), "little"))
                for c in range(params.columns):
                    ctx.set(array.a[c], packed(a[n, c]))
            await ctx.tick()
            due = schedule[cycle + 1]
            finished = due is not None and due[1] == params.word_cycles - 1
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
        ({"lanes": 96}, "lanes must be a power of two from 32 to 8192, got 96"),
        ({"lanes": 16}, "lanes must be a power of two from 32 to 8192, got 16"),
        ({"lanes": 128, "columns": 9}, "columns must be from 1 to 8, got 9"),
        ({"lanes": 128, "vector_lanes": 4}, "vector_lanes with 128 lanes must be a power of two from 2 to 2, got 4"),
        ({"lanes": 256, "vector_lanes": 3}, "vector_lanes with 256 lanes must be a power of two from 2 to 4, got 3"),
        ({"lanes": 128, "max_k_blocks": 0}, "max_k_blocks must be from 1 to 65535, got 0"),
        ({"lanes": 128, "max_packet_rows": 48}, "max_packet_rows must be a power of two from 32 to 32768, got 48"),
        ({"lanes": 128, "rows_per_multiplier": 3}, "rows_per_multiplier must be from 1 to 2, got 3"),
        ({"lanes": 128, "field_bits": 18}, "field_bits must be from 13 to 17, got 18"),
    ],
)
def test_parameters_are_checked(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        MatmulParams(**values)


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_banks_check_their_size():
    with pytest.raises(ValueError, match="columns must be from 1 to 8, got 0"):
        ActivationBanks(columns=0, max_k_blocks=4)
    with pytest.raises(ValueError, match="max_k_blocks must be from 1 to 65535, got 0"):
        ActivationBanks(columns=1, max_k_blocks=0)
    gc.collect()  # what was refused complains here that nobody used it


def test_order_of_results():
    y = np.arange(2 * 80, dtype=np.float32).reshape(2, 80)
    order = MatrixUnit.order(y, 32)
    assert order[:33].tolist() == [*range(32), 80.0]
    assert order[-16:].tolist() == list(range(144, 160))
