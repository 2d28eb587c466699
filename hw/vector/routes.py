"""The epilogues' kernels, side by side between the operands and the quantiser they share."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.clock_gate import add_pipeline
from rtlm.hw.common.register_slice import RegisterSlice
from rtlm.hw.hls import Directives, Kernel
from rtlm.hw.hls.schedule import Schedule
from rtlm.hw.kernels import quantise, residual_norm, rope, swiglu
from rtlm.hw.kernels.rmsnorm import SQUARE_BITS
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.params import Destination, VectorParams

DESTINATIONS = {
    Epilogue.RESIDUAL: Destination.BANK_0,
    Epilogue.EMBED: Destination.BANK_0,
    Epilogue.ROPE_Q: Destination.QUERY,
    Epilogue.ROPE_K: Destination.KEY,
    Epilogue.VALUE: Destination.VALUE,
    Epilogue.SWIGLU: Destination.BANK_1,
    Epilogue.QUANTISE: Destination.BANK_1,
}
"""Where the packets of each epilogue go."""

KERNELS = {
    Epilogue.RESIDUAL: residual_norm,
    Epilogue.EMBED: residual_norm,
    Epilogue.ROPE_Q: rope,
    Epilogue.ROPE_K: rope,
    Epilogue.SWIGLU: swiglu,
}
"""What happens to the beats of an epilogue before they are quantised; nothing in the others."""

PAIRED = (rope, swiglu)
"""Kernels of which an element takes two values."""

SLICE_CYCLES = 1
"""Of the register slice in front of the quantiser."""

QUANTISER_INTERVAL = 2
"""Longest interval of the quantiser: attention's results come a beat a cycle, and its next head waits for them."""


class EpilogueRoutes(wiring.Component):
    """Send beats through the kernels of the present epilogue, then all through one quantiser behind a register slice.

    Protocol: `kind` may change only when every beat of the earlier kind is on its way to the quantiser (`final`), and
    stands for two cycles before the first beat; it is decoded into registers.
    Latency: `latency`, by epilogue, from a packet's last beat to its first quantised beat, if beats come `interval`
    cycles apart.
    Throughput: one beat in `interval` cycles; SWIGLU makes one beat of two.
    Numerics: those of the kernels.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    kind
        The present epilogue.
    i
        Beats with their operands.
    o
        Quantised beats.
    o_x
        RESIDUAL and EMBED: new residual values and squares, in the cycle in which their beat leaves for the quantiser.
    packet, final
        A packet's, and the command's, last beat leaves for the quantiser.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        lanes = params.lanes
        self._residual, self._rope, self._swiglu = (
            kernel.component(self.directives(params, kernel), tag=params.beat_tag, busy=params.gated)
            for kernel in (residual_norm, rope, swiglu)
        )
        self._quantise = quantise.component(
            self.directives(params, quantise),
            max_length=max(params.head_beats, params.block_beats),
            tag=params.packet_tag,
            busy=params.gated,
        )
        quantised = data.StructLayout(
            {"q": data.ArrayLayout(8, lanes), "scale": 16, "last": 1, "tag": params.packet_tag}
        )
        fresh = data.StructLayout(
            {"x": params.floats, "square": data.ArrayLayout(SQUARE_BITS, lanes), "tag": params.beat_tag}
        )
        super().__init__(
            {
                "kind": In(Epilogue),
                "i": In(stream.Signature(params.operands)),
                "o": Out(stream.Signature(quantised)),
                "o_x": Out(stream.Signature(fresh, always_ready=True)),
                "packet": Out(1),
                "final": Out(1),
            }
        )

    @staticmethod
    def directives(params: VectorParams, kernel: Kernel) -> Directives:
        """Return what one of the kernels is built for."""
        if kernel is quantise:
            return params.directives(kernel, longest=QUANTISER_INTERVAL)
        return params.directives(kernel, lanes=params.lanes // 2 if kernel in PAIRED else params.lanes)

    @staticmethod
    def schedule(params: VectorParams, kernel: Kernel) -> Schedule:
        """Return the schedule of one of the kernels."""
        return kernel.schedule(EpilogueRoutes.directives(params, kernel))

    @staticmethod
    def intervals(params: VectorParams) -> dict[Epilogue, int]:
        """Return the cycles between beats in."""
        schedules = {kernel: EpilogueRoutes.schedule(params, kernel) for kernel in (quantise, *KERNELS.values())}
        quantised = schedules[quantise].initiation_interval
        found = dict.fromkeys(DESTINATIONS, quantised)
        for epilogue, kernel in KERNELS.items():
            beats = 2 if epilogue is Epilogue.SWIGLU else 1
            found[epilogue] = max(schedules[kernel].initiation_interval, quantised // beats)
        return {epilogue: max(interval, params.slice_interval) for epilogue, interval in found.items()}

    @staticmethod
    def latency(params: VectorParams) -> dict[Epilogue, int]:
        """Return the cycles from a packet's last beat in to its first quantised beat out."""
        quantised = EpilogueRoutes.schedule(params, quantise).latency
        return {
            epilogue: cycles + SLICE_CYCLES + quantised
            for epilogue, cycles in EpilogueRoutes.entry_latency(params).items()
        }

    @staticmethod
    def entry_latency(params: VectorParams) -> dict[Epilogue, int]:
        """Return the cycles from a beat in to its departure for the quantiser."""
        return {
            epilogue: EpilogueRoutes.schedule(params, KERNELS[epilogue]).latency if epilogue in KERNELS else 0
            for epilogue in DESTINATIONS
        }

    def elaborate(self, platform: object) -> Module:
        """Build the routes."""
        m = Module()
        params = self.params
        lanes = params.lanes
        gating = self.params.clock_gating
        add = add_pipeline(m, "residual", self._residual, gating)
        rotate = add_pipeline(m, "rope", self._rope, gating)
        gate = add_pipeline(m, "swiglu", self._swiglu, gating)
        quantiser = add_pipeline(m, "quantise", self._quantise, gating)
        i = self.i
        entry = stream.Signature(data.StructLayout({"x": params.floats, "tag": params.beat_tag})).create()
        m.submodules.slice = slice_ = RegisterSlice(
            data.StructLayout({"x": params.floats, "last": 1, "tag": params.packet_tag}), entries=params.slice_entries
        )
        to_add, to_rotate, to_gate, direct = (Signal(name=f"to_{n}") for n in ("add", "rotate", "gate", "quantiser"))
        destination = Signal(Destination)
        with m.Switch(self.kind):
            for epilogue, target in DESTINATIONS.items():
                with m.Case(epilogue):
                    m.d.sync += destination.eq(target)
        m.d.sync += [
            to_add.eq((self.kind == Epilogue.RESIDUAL) | (self.kind == Epilogue.EMBED)),
            to_rotate.eq((self.kind == Epilogue.ROPE_Q) | (self.kind == Epilogue.ROPE_K)),
            to_gate.eq(self.kind == Epilogue.SWIGLU),
            direct.eq((self.kind == Epilogue.VALUE) | (self.kind == Epilogue.QUANTISE)),
        ]
        m.d.comb += [
            add.i.valid.eq(i.valid & to_add),
            add.i.p.x.eq(i.p.x),
            add.i.p.y.eq(i.p.y),
            add.i.p.w.eq(i.p.w),
            rotate.i.valid.eq(i.valid & to_rotate),
            gate.i.valid.eq(i.valid & to_gate),
        ]
        for unit in (add, rotate, gate):
            m.d.comb += unit.i.p.tag.eq(i.p.tag)
        for pair in range(lanes // 2):
            even, odd = 2 * pair, 2 * pair + 1
            m.d.comb += [
                rotate.i.p.x0[pair].eq(i.p.y[even]),
                rotate.i.p.x1[pair].eq(i.p.y[odd]),
                rotate.i.p.cos[pair].eq(i.p.w[even]),
                rotate.i.p.sin[pair].eq(i.p.w[odd]),
                gate.i.p.gate[pair].eq(i.p.y[even]),
                gate.i.p.up[pair].eq(i.p.y[odd]),
            ]

        # SwiGLU halves the values: two beats make one.
        half = Signal(32 * (lanes // 2), reset_less=True)
        second = Signal()
        m.d.comb += gate.o.ready.eq(~second | entry.ready)
        with m.If(gate.o.valid & gate.o.ready):
            m.d.sync += second.eq(~second)
            with m.If(~second):
                m.d.sync += half.eq(Value.cast(gate.o.p.result))

        rotated = Cat(Cat(rotate.o.p.result0[pair], rotate.o.p.result1[pair]) for pair in range(lanes // 2))
        m.d.comb += [
            add.o.ready.eq(entry.ready),
            rotate.o.ready.eq(entry.ready),
            i.ready.eq(
                (to_add & add.i.ready)
                | (to_rotate & rotate.i.ready)
                | (to_gate & gate.i.ready)
                | (direct & entry.ready)
            ),
            entry.valid.eq(add.o.valid | rotate.o.valid | (gate.o.valid & second) | (direct & i.valid)),
        ]
        with m.If(to_add):
            m.d.comb += [entry.p.x.eq(add.o.p.z), entry.p.tag.eq(add.o.p.tag)]
        with m.Elif(to_rotate):
            m.d.comb += [entry.p.x.eq(rotated), entry.p.tag.eq(rotate.o.p.tag)]
        with m.Elif(to_gate):
            m.d.comb += [entry.p.x.eq(Cat(half, gate.o.p.result)), entry.p.tag.eq(gate.o.p.tag)]
        with m.Else():
            m.d.comb += [entry.p.x.eq(i.p.y), entry.p.tag.eq(i.p.tag)]

        enters = entry.valid & entry.ready
        tag = entry.p.tag
        m.d.comb += [
            slice_.i.valid.eq(entry.valid),
            entry.ready.eq(slice_.i.ready),
            slice_.i.p.x.eq(entry.p.x),
            slice_.i.p.last.eq(tag.packet_last),
            slice_.i.p.tag.destination.eq(destination),
            slice_.i.p.tag.index.eq(tag.index),
            slice_.i.p.tag.column.eq(tag.column),
            slice_.i.p.tag.last_column.eq(tag.last_column),
            quantiser.i.valid.eq(slice_.o.valid),
            slice_.o.ready.eq(quantiser.i.ready),
            quantiser.i.p.x.eq(slice_.o.p.x),
            quantiser.i.p.last.eq(slice_.o.p.last),
            quantiser.i.p.tag.eq(slice_.o.p.tag),
            self.packet.eq(enters & tag.packet_last),
            self.final.eq(enters & tag.final),
            self.o_x.valid.eq(enters & to_add),
            self.o_x.p.x.eq(add.o.p.x),
            self.o_x.p.square.eq(add.o.p.square),
            self.o_x.p.tag.eq(add.o.p.tag),
            self.o.valid.eq(quantiser.o.valid),
            quantiser.o.ready.eq(self.o.ready),
            self.o.p.q.eq(quantiser.o.p.q),
            self.o.p.scale.eq(quantiser.o.p.scale),
            self.o.p.last.eq(quantiser.o.p.last),
            self.o.p.tag.eq(quantiser.o.p.tag),
        ]
        return m
