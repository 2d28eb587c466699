"""Bench of kernels: many side by side in one top, each driven and checked on its own; see cocotb_tests.py."""

import json
import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import rtlm.hw.kernels as kernels
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw import hls
from rtlm.hw.common.clock_gate import ClockGating, add_pipeline
from rtlm.hw.hls import BF16, F16, F32, Float, SInt, UInt
from rtlm.sim.unit_benches.bench import Prepared, verilog_text
from rtlm.sim.unit_benches.kernels.packets import bounded, model_of_beats

DATA_SEED = 20261121
"""Of values and packets; gaps and back-pressure follow the bench's own seed."""
PACKET = 12
"""Longest packet in beats."""
BEATS = 400
LONG_PACKET = 200
"""Longest packet where FIFOs between reductions are tested: longer than any pipeline."""


@hls.kernel
def float_operators(
    a: F32, b: F32, c: F32, k: SInt(10)
) -> tuple[F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, UInt(8), UInt(3), F32]:
    """Use every operator of F32."""
    flags = hls.wrap((a < b) + ((a <= b) << 1) + ((a == b) << 2), UInt(3))
    return (
        a + b,
        a - b,
        a * b,
        hls.fma(a, b, c),
        hls.exp2(a),
        hls.recip(a),
        hls.rsqrt(abs(a)),
        -a,
        hls.maximum(a, b),
        hls.minimum(a, b),
        hls.exponent_field(a),
        flags,
        hls.ldexp(hls.select(a != b, a, -b), k),
    )


@hls.kernel
def small_operators(
    a: BF16, b: BF16, x: F16, y: F16
) -> tuple[BF16, BF16, BF16, BF16, F16, F16, F16, F16, F16, BF16, F16]:
    """Use operators of BF16 and F16."""
    return (
        a + b,
        a * b,
        hls.fma(a, b, a),
        hls.exp2(a),
        x + y,
        x * y,
        hls.recip(x),
        hls.rsqrt(x),
        hls.fma(x, y, x),
        hls.convert(x, BF16),
        hls.convert(hls.recip_exact(a), F16),
    )


@hls.kernel
def conversions(
    a: F32, x: F16, i: SInt(48), j: UInt(64), t: UInt(4)
) -> tuple[SInt(8), UInt(64), SInt(64), UInt(25), SInt(5), F32, BF16, F16, F32, F32, F32, SInt(20), UInt(12)]:
    """Use every conversion between types."""
    return (
        hls.to_int(a, 8),
        hls.to_int(a, UInt(64), 24),
        hls.to_int(a, 64, 10),
        hls.to_int(a, UInt(25), 24),
        hls.to_int(x, 5, -2),
        hls.to_float(i, F32, 24),
        hls.to_float(i, BF16),
        hls.to_float(j, F16, 40),
        hls.to_float(j),
        hls.convert(x, F32) / 3,
        hls.table(t, [n / 7 for n in range(16)], F32),
        hls.clamp(i - 5, -(1 << 19), (1 << 19) - 1),
        hls.wrap((i >> 3) * hls.constant(3, UInt(2)), UInt(12)),
    )


@hls.kernel
def reductions(i: SInt(9), x: F16) -> tuple[SInt(12), SInt(24), F16]:
    """Use every reduction over a packet."""
    return hls.stream_sum(i, SInt(12)), hls.stream_sum(i * i, SInt(24)), hls.stream_max(x)


def dependent(count: int) -> hls.Kernel:
    """Return a kernel whose beats go through `count` reductions, each of the one before."""

    def kernel(x: UInt(16)) -> UInt(16):
        for _ in range(count):
            x = hls.wrap(x + hls.stream_sum(x, UInt(16)), UInt(16))
        return x

    kernel.__name__ = f"dependent_{count}"
    return hls.kernel(kernel)


@hls.kernel
def layer_norm(x: F32) -> F32:
    """Normalise packets to mean 0 and variance 1, in two passes."""
    centred = x - hls.to_float(hls.stream_sum(hls.to_int(x, SInt(40), 16), SInt(48)), F32, 16) * (1 / LONG_PACKET)
    squares = hls.stream_sum(hls.to_int(centred * centred, UInt(40), 16), UInt(56))
    return centred * hls.rsqrt(hls.to_float(squares, F32, 16) * (1 / LONG_PACKET) + 1e-5)


@hls.kernel
def spread(x: UInt(16)) -> UInt(16):
    """Sum distances from the packet's largest value, once a packet."""
    return hls.stream_sum(hls.stream_max(x) - x, UInt(16))


ALL = {name: getattr(kernels, name) for name in kernels.__all__}
ALL |= {k.name: k for k in (float_operators, small_operators, conversions, reductions, layer_norm, spread)}
ALL |= {k.name: k for k in map(dependent, range(4))}
"""The accelerator's kernels, some that use every operator of the language, and every depth of reductions."""
REUSING = ("rmsnorm", "softmax", "quantise", "quantise_head")
"""Kernels that use elements again after a reduction."""
GROUPS = {
    "operators": ["float_operators", "small_operators", "conversions"],
    "streams": [*REUSING, "argmax", "reductions"],
    "elements": [n for n in kernels.__all__ if n not in (*REUSING, "argmax")],
}
DEPTHS = ("dependent_0", "dependent_1", "dependent_2", "dependent_3", "layer_norm", "spread")
"""Kernels with none to three reductions after each other."""


def corner_bits(type_):
    """Return bit patterns at the borders of a float type's ranges."""
    m, top = type_.mantissa, type_.special
    halves = [
        f << m | g
        for f in (0, 1, 2, type_.bias - 1, type_.bias, type_.bias + 1, top - 2, top - 1, top)
        for g in (0, 1, (1 << m) - 1)
    ]
    return np.array([h | s << (type_.width - 1) for h in halves for s in (0, 1)], dtype=np.int64)


def random_bits(rng, type_, shape):
    """Bits on the wires, raw subnormal and NaN patterns included: moderate values, any pattern, corners."""
    if not isinstance(type_, Float):
        raw = rng.integers(0, 1 << 64, size=shape, dtype=np.uint64) >> rng.integers(0, 64, size=shape, dtype=np.uint64)
        raw = np.where(rng.random(shape) < 0.3, raw, ~raw if isinstance(type_, SInt) else raw)
        return raw & np.uint64((1 << type_.width) - 1)
    moderate = hls.to_bits(
        hls.types.round_to(rng.normal(size=shape) * 2.0 ** rng.integers(-6, 6, size=shape), type_), type_
    )
    anything = rng.integers(0, 1 << type_.width, size=shape)
    kind = rng.random(shape)
    return np.where(kind < 0.6, moderate, np.where(kind < 0.8, anything, rng.choice(corner_bits(type_), size=shape)))


def beats(layout, columns, lanes):
    """Integers of payloads, from (type, array of bits of shape (beats,) or (beats, lanes)) in field order."""
    count = len(columns[0][1])
    out = [0] * count
    offset = 0
    for type_width, array in columns:
        array = array.reshape(count, -1)
        for lane in range(array.shape[1]):
            for n, v in enumerate(array[:, lane].tolist()):
                out[n] |= int(v) << offset
            offset += type_width
    assert offset == layout.size
    return [f"{v:x}" for v in out]


def make_case(name, kern, component, params):
    """Return a kernel's inputs, what must come of them, and when."""
    lanes, longest, beat_count = params.lanes, params.packet, params.beats
    rng = np.random.default_rng([DATA_SEED, zlib.crc32(name.encode()), lanes])
    graph = kern.graph
    last = rng.random(beat_count) < 1.8 / longest
    last[-longest:] = False
    last[-longest - 1] = True  # the last packet is a longest one: nothing comes in while it goes through the FIFOs
    if graph.framed:
        last = bounded(last, longest)
    last[-1] = True
    raw, values = [], []
    for type_, shared in kern.arguments.values():
        bits = random_bits(rng, type_, (beat_count,) if shared else (beat_count, lanes))
        if graph.framed and isinstance(type_, Float):  # mostly tame packets, else one NaN is in all of them
            tame = np.repeat(rng.random(last.sum()) < 0.7, np.diff(np.r_[0, np.flatnonzero(last) + 1]))
            calm = hls.to_bits(hls.types.round_to(rng.normal(size=bits.shape), type_), type_)
            bits = np.where(tame.reshape(-1, *[1] * (bits.ndim - 1)), calm, bits)
        raw.append((type_.width, bits))
        values.append(hls.from_bits(bits, type_))
    tag = rng.integers(0, 32, size=beat_count)
    results = model_of_beats(kern, values, {}, last)
    out = []
    for type_, value, r in zip(kern.results.values(), results, graph.results, strict=True):
        bits = hls.to_bits(value, type_)
        out.append((type_.width, bits if r.per_lane or bits.ndim == 1 else bits[:, 0]))
    # A phase that reduces what comes from a FIFO ends when the last beat has come out of it.
    waits = sum(bool(a.every_beat and b.reductions) for a, b in pairwise(component.plan.phases))
    interval, once = component.schedule.initiation_interval, graph.once_per_packet
    out_last = np.ones(last.sum(), dtype=np.int64) if once else last.astype(np.int64)
    first_packet = int(np.flatnonzero(last)[0]) if graph.reduces else 0
    return {
        "name": name,
        "latency": component.latency,
        "passes": 1 + waits,
        "expected_first": component.latency + first_packet * (interval + waits),
        "reduces": graph.reduces,
        "inputs": beats(component.i.payload.shape(), [*raw, (1, last.astype(np.int64)), (5, tag)], lanes),
        "fields": [(key, field.offset, field.width) for key, field in component.o.payload.shape()],
        "outputs": beats(component.o.payload.shape(), [*out, (1, out_last), (5, tag[last] if once else tag)], lanes),
    }


class Top(wiring.Component):
    """Components side by side, with their streams as flat ports; each with a clock that rests, if there is a gate."""

    def __init__(self, components, gating):
        self.components, self.gating = components, gating
        ports: dict[str, wiring.Member] = {}
        for name, c in components.items():
            ports |= {
                f"{name}_i_payload": In(c.i.payload.shape().size),
                f"{name}_i_valid": In(1),
                f"{name}_i_ready": Out(1),
            }
            ports |= {
                f"{name}_o_payload": Out(c.o.payload.shape().size),
                f"{name}_o_valid": Out(1),
                f"{name}_o_ready": In(1),
            }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Connect them."""
        m = Module()
        for name, c in self.components.items():
            add_pipeline(m, name, c, self.gating)
            port = {
                s: getattr(self, f"{name}_{s}")
                for s in ("i_payload", "i_valid", "i_ready", "o_payload", "o_valid", "o_ready")
            }
            m.d.comb += [
                c.i.payload.as_value().eq(port["i_payload"]),
                c.i.valid.eq(port["i_valid"]),
                port["i_ready"].eq(c.i.ready),
                port["o_payload"].eq(c.o.payload.as_value()),
                port["o_valid"].eq(c.o.valid),
                c.o.ready.eq(port["o_ready"]),
            ]
        return m


@dataclass(frozen=True, kw_only=True)
class KernelSet:
    """Kernels of a bench, and what their pipelines are built for."""

    names: tuple[str, ...]
    lanes: int
    clock_mhz: float
    technology: str = "generic"
    packet: int = PACKET
    beats: int = BEATS
    gating: ClockGating = ClockGating.OFF


SETS = {
    f"{group}-{lanes}x{clock_mhz}": KernelSet(names=tuple(names), lanes=lanes, clock_mhz=clock_mhz)
    for group, names in GROUPS.items()
    for lanes, clock_mhz in ((1, 100), (2, 300))
}
SETS |= {
    f"depths-gating-{gating}": KernelSet(
        names=DEPTHS, lanes=1, clock_mhz=100, packet=LONG_PACKET, beats=4 * LONG_PACKET, gating=gating
    )
    for gating in ClockGating
}


def prepare(params: KernelSet) -> Prepared:
    """Return the kernels as Verilog, with their inputs and what must come of them."""
    components = {
        name: ALL[name].component(
            lanes=params.lanes,
            clock_mhz=params.clock_mhz,
            technology=params.technology,
            max_length=params.packet,
            tag=5,
            framing=True,
            busy=params.gating != ClockGating.OFF,
        )
        for name in params.names
    }
    cases = [make_case(name, ALL[name], component, params) for name, component in components.items()]
    return Prepared(
        verilog=verilog_text(Top(components, params.gating), "top"),
        top="top",
        files={"cases.json": json.dumps(cases).encode()},
    )
