"""The epilogues' kernels, side by side between the operands and the quantiser they share."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.clock_gate import add_pipeline
from rtlm.hw.common.layouts import CODE_BITS
from rtlm.hw.common.register_slice import SLICE_CYCLES, RegisterSlice
from rtlm.hw.hls import F32, Directives, Kernel, to_bits
from rtlm.hw.hls.schedule import Schedule
from rtlm.hw.kernels import gated, quantise, quantise_head, residual_norm, rope, swiglu
from rtlm.hw.kernels.rmsnorm import SQUARE_BITS
from rtlm.hw.matmul.activations import ONE
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.params import Destination, VectorParams, is_stored

DESTINATIONS = {
    Epilogue.RESIDUAL: Destination.BANK_0,
    Epilogue.EMBED: Destination.BANK_0,
    Epilogue.ADD: Destination.BANK_0,
    Epilogue.ROPE_Q: Destination.QUERY,
    Epilogue.ROPE_K: Destination.KEY,
    Epilogue.VALUE: Destination.VALUE,
    Epilogue.SWIGLU: Destination.BANK_1,
    Epilogue.QUANTISE: Destination.BANK_1,
}
"""Where the packets of each epilogue go."""

ADDED = (Epilogue.POST_NORM, Epilogue.ADD)
"""Epilogues of engines that normalise what a layer adds."""

SUMS = (Epilogue.RESIDUAL, Epilogue.EMBED, Epilogue.ADD)
"""Epilogues that make new residual values."""

WEIGHTED = (*SUMS, Epilogue.POST_NORM)
"""Epilogues that pass the residual's kernel with the weights of a norm."""

TURNED = (Epilogue.ROPE_Q, Epilogue.ROPE_K)
"""Epilogues whose heads are rotated."""

HEADS = (*TURNED, Epilogue.VALUE)
"""Epilogues of heads."""

PAIRED = (rope, swiglu, gated)
"""Kernels of which an element takes two values."""

QUANTISER_INTERVAL = 2
"""Longest interval of the quantiser: attention's results come a beat a cycle, and its next head waits for them."""


def available(params: VectorParams, epilogues: Iterable[Epilogue]) -> tuple[Epilogue, ...]:
    """Return those of some epilogues that an engine has."""
    return tuple(epilogue for epilogue in epilogues if params.post_norms or epilogue not in ADDED)


class EpilogueRoutes(wiring.Component):
    """Send beats through the kernels of the present epilogue, then all through one quantiser behind a register slice.

    Protocol: `kind` may change only when every beat of the earlier kind is on its way to the quantiser (`final`), and
    stands for two cycles before the first beat; it is decoded into registers.
    Latency: `latency`, by epilogue, from a packet's last beat to its first quantised beat, if beats come `interval`
    cycles apart.
    Throughput: one beat in `interval` cycles; SWIGLU makes one beat of two.
    Numerics: those of the kernels.

    Where the engine adds biases or normalises heads, heads first pass the residual's kernel: the bias comes as the old
    residual value, the norm's weight as its weight, which is 1 for heads without a norm. Their rotations and, to the
    quantiser, their squares go along. A register slice lies between that kernel and the rotation.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    kind
        The present epilogue.
    normed, eps
        Where heads can be normalised: whether these are, and epsilon. They change with `kind`.
    gelu
        Where there is GELU: whether the gate's activation is this. It changes with `kind`.
    i
        Beats with their operands.
    o
        Quantised beats.
    o_x
        `SUMS`: new residual values and squares, in the cycle in which their beat leaves for the quantiser.
    o_kept
        POST_NORM: weighted values; their squares are those of `o_x`, whether that is valid or not.
    packet, final
        A packet's last beat leaves for the quantiser; the command's last beat leaves.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        lanes = params.lanes
        squares = data.ArrayLayout(SQUARE_BITS, lanes)
        # What goes along with a head's beat beside its tag.
        to_rotation = {"w": params.floats} if params.head_inputs else {}
        to_quantiser = {"square": squares} if params.head_norms else {}
        self._squares = to_quantiser
        tags = {
            residual_norm: _beside(params, to_rotation),
            rope: _beside(params, to_quantiser),
            params.activation: params.beat_tag,
        }
        self._residual, self._rope, self._gate = (
            kernel.component(self.directives(params, kernel), tag=tag, busy=params.gated)
            for kernel, tag in tags.items()
        )
        self._quantise = params.quantiser.component(
            self.directives(params, params.quantiser),
            max_length=max(params.head_beats, params.block_beats),
            tag=params.packet_tag,
            busy=params.gated,
        )
        quantised = data.StructLayout(
            {"q": data.ArrayLayout(CODE_BITS, lanes), "scale": 16, "last": 1, "tag": params.packet_tag}
        )
        fresh = data.StructLayout({"x": params.floats, "square": squares, "tag": params.beat_tag})
        super().__init__(
            {
                "kind": In(Epilogue),
                **({"normed": In(1), "eps": In(32)} if params.head_norms else {}),
                **({"gelu": In(1)} if params.gelu else {}),
                "i": In(stream.Signature(params.operands)),
                **({"o_kept": Out(stream.Signature(params.kept_beat))} if params.post_norms else {}),
                "o": Out(stream.Signature(quantised)),
                "o_x": Out(stream.Signature(fresh, always_ready=True)),
                "packet": Out(1),
                "final": Out(1),
            }
        )

    @staticmethod
    def directives(params: VectorParams, kernel: Kernel) -> Directives:
        """Return what one of the kernels is built for."""
        if kernel in (quantise, quantise_head):
            return params.directives(kernel, longest=QUANTISER_INTERVAL)
        return params.directives(kernel, lanes=params.lanes // 2 if kernel in PAIRED else params.lanes)

    @staticmethod
    def schedule(params: VectorParams, kernel: Kernel) -> Schedule:
        """Return the schedule of one of the kernels."""
        return kernel.schedule(EpilogueRoutes.directives(params, kernel))

    @staticmethod
    def intervals(params: VectorParams) -> dict[Epilogue, int]:
        """Return the cycles between beats in."""
        quantised = EpilogueRoutes.schedule(params, params.quantiser).initiation_interval
        found = {}
        for epilogue in EpilogueRoutes.epilogues(params):
            beats = 2 if epilogue is Epilogue.SWIGLU else 1
            kernels = EpilogueRoutes.kernels(params, epilogue)
            taken = (EpilogueRoutes.schedule(params, kernel).initiation_interval for kernel in kernels)
            found[epilogue] = max(quantised // beats if epilogue in DESTINATIONS else 1, *taken, 1)
        return {epilogue: max(interval, params.slice_interval) for epilogue, interval in found.items()}

    @staticmethod
    def latency(params: VectorParams) -> dict[Epilogue, int]:
        """Return the cycles from a packet's last beat in to its first quantised beat out."""
        quantised = EpilogueRoutes.schedule(params, params.quantiser).latency
        return {
            epilogue: cycles + SLICE_CYCLES + quantised
            for epilogue, cycles in EpilogueRoutes.entry_latency(params).items()
            if epilogue in DESTINATIONS
        }

    @staticmethod
    def entry_latency(params: VectorParams) -> dict[Epilogue, int]:
        """Return the cycles from a beat in to its departure."""
        found = {}
        for epilogue in EpilogueRoutes.epilogues(params):
            kernels = EpilogueRoutes.kernels(params, epilogue)
            taken = sum(EpilogueRoutes.schedule(params, kernel).latency for kernel in kernels)
            found[epilogue] = taken + SLICE_CYCLES * max(len(kernels) - 1, 0)
        return found

    @staticmethod
    def epilogues(params: VectorParams) -> tuple[Epilogue, ...]:
        """Return the epilogues whose beats pass here."""
        return available(params, (*DESTINATIONS, Epilogue.POST_NORM))

    @staticmethod
    def kernels(params: VectorParams, epilogue: Epilogue) -> tuple[Kernel, ...]:
        """Return what happens to the beats of an epilogue before they are quantised, in order."""
        if epilogue in WEIGHTED:
            return (residual_norm,)
        if epilogue is Epilogue.SWIGLU:
            return (params.activation,)
        first = (residual_norm,) if params.head_inputs and epilogue in HEADS else ()
        return (*first, rope) if epilogue in TURNED else first

    def elaborate(self, platform: object) -> Module:
        """Build the routes."""
        m = Module()
        params = self.params
        lanes = params.lanes
        gating = self.params.clock_gating
        add = add_pipeline(m, "residual", self._residual, gating)
        rotate = add_pipeline(m, "rope", self._rope, gating)
        gate = add_pipeline(m, "swiglu", self._gate, gating)
        quantiser = add_pipeline(m, "quantise", self._quantise, gating)
        i = self.i
        entry = stream.Signature(data.StructLayout({"x": params.floats, "tag": params.beat_tag})).create()
        norm = {**self._squares, "normed": 1, "eps": 32} if params.head_norms else {}
        m.submodules.slice = slice_ = RegisterSlice(
            data.StructLayout({"x": params.floats, **norm, "last": 1, "tag": params.packet_tag}),
            entries=params.slice_entries,
        )
        to_add, to_rotate, to_gate, direct = (Signal(name=f"to_{n}") for n in ("add", "rotate", "gate", "quantiser"))
        destination = Signal(Destination)
        with m.Switch(self.kind):
            for epilogue in available(params, DESTINATIONS):
                with m.Case(epilogue):
                    m.d.sync += destination.eq(DESTINATIONS[epilogue])
        m.d.sync += [
            to_add.eq(reduce(or_, (self.kind == each for each in available(params, SUMS)))),
            to_rotate.eq((self.kind == Epilogue.ROPE_Q) | (self.kind == Epilogue.ROPE_K)),
            to_gate.eq(self.kind == Epilogue.SWIGLU),
        ]
        # What passes the residual's kernel, and what the rotation takes: beats, or what comes out of that kernel.
        adds, weight = to_add, i.p.w
        if params.post_norms:
            to_keep = Signal()
            m.d.sync += to_keep.eq(self.kind == Epilogue.POST_NORM)
            adds = to_add | to_keep
        turned, turned_by, turned_tag, turned_valid = i.p.y, i.p.w, i.p.tag, i.valid & to_rotate
        if params.head_inputs:
            to_head = Signal()
            m.d.sync += [
                to_head.eq(Cat(self.kind == each for each in HEADS).any()),
                direct.eq(self.kind == Epilogue.QUANTISE),
            ]
            head_weight = i.p.head_norm if params.head_norms else Cat(Const(ONE, 32) for _ in range(lanes))
            adds, weight = adds | to_head, Mux(to_head, head_weight, i.p.w)
            head = data.StructLayout({"x": params.floats, "tag": add.o.p.tag.shape(), **self._squares})
            m.submodules.turn = turn = RegisterSlice(head, entries=params.slice_entries)
            turned, turned_by, turned_tag, turned_valid = turn.o.p.x, turn.o.p.tag.w, turn.o.p.tag.beat, turn.o.valid
            m.d.comb += [
                add.i.p.tag.w.eq(i.p.w),
                turn.i.valid.eq(add.o.valid & to_rotate),
                turn.i.p.x.eq(add.o.p.z),
                turn.i.p.tag.eq(add.o.p.tag),
                turn.o.ready.eq(rotate.i.ready),
            ]
        else:
            m.d.sync += direct.eq((self.kind == Epilogue.VALUE) | (self.kind == Epilogue.QUANTISE))
        m.d.comb += [
            add.i.valid.eq(i.valid & adds),
            add.i.p.x.eq(i.p.x),
            add.i.p.y.eq(i.p.y),
            add.i.p.w.eq(weight),
            rotate.i.valid.eq(turned_valid),
            gate.i.valid.eq(i.valid & to_gate),
            _beat(add.i.p.tag).eq(i.p.tag),
            _beat(rotate.i.p.tag).eq(turned_tag),
            gate.i.p.tag.eq(i.p.tag),
        ]
        for pair in range(lanes // 2):
            even, odd = 2 * pair, 2 * pair + 1
            m.d.comb += [
                rotate.i.p.x0[pair].eq(turned[even]),
                rotate.i.p.x1[pair].eq(turned[odd]),
                rotate.i.p.cos[pair].eq(turned_by[even]),
                rotate.i.p.sin[pair].eq(turned_by[odd]),
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
        from_add, added, add_ready = to_add, add.o.valid, entry.ready
        takes = (adds & add.i.ready) | (to_rotate & rotate.i.ready)
        if params.head_inputs:
            from_add, added = to_add | (to_head & ~to_rotate), add.o.valid & ~to_rotate
            add_ready = Mux(to_rotate, turn.i.ready, entry.ready)
            takes = adds & add.i.ready
        if params.post_norms:
            added &= ~to_keep
            add_ready = Mux(to_keep, self.o_kept.ready, add_ready)
        m.d.comb += [
            add.o.ready.eq(add_ready),
            rotate.o.ready.eq(entry.ready),
            i.ready.eq(takes | (to_gate & gate.i.ready) | (direct & entry.ready)),
            entry.valid.eq(added | rotate.o.valid | (gate.o.valid & second) | (direct & i.valid)),
        ]
        with m.If(from_add):
            m.d.comb += [entry.p.x.eq(add.o.p.z), entry.p.tag.eq(_beat(add.o.p.tag))]
        with m.Elif(to_rotate):
            m.d.comb += [entry.p.x.eq(rotated), entry.p.tag.eq(_beat(rotate.o.p.tag))]
        with m.Elif(to_gate):
            m.d.comb += [entry.p.x.eq(Cat(half, gate.o.p.result)), entry.p.tag.eq(gate.o.p.tag)]
        with m.Else():
            m.d.comb += [entry.p.x.eq(i.p.y), entry.p.tag.eq(i.p.tag)]
        if params.head_norms:
            # Only heads that turn have a norm: the others' squares do not matter.
            m.d.comb += [
                turn.i.p.square.eq(add.o.p.square),
                rotate.i.p.tag.square.eq(turn.o.p.square),
                slice_.i.p.square.eq(rotate.o.p.tag.square),
                slice_.i.p.normed.eq(to_rotate & self.normed),
                slice_.i.p.eps.eq(self.eps),
                quantiser.i.p.square.eq(slice_.o.p.square),
                quantiser.i.p.normed.eq(slice_.o.p.normed),
                quantiser.i.p.eps.eq(slice_.o.p.eps),
                quantiser.i.p.inv_n.eq(int(to_bits(1 / params.head_dim, F32))),
            ]

        enters = entry.valid & entry.ready
        tag = entry.p.tag
        final = enters & tag.final
        if params.post_norms:
            m.d.comb += [self.o_kept.valid.eq(add.o.valid & to_keep), self.o_kept.p.y.eq(add.o.p.z)]
            if params.columns > 1:
                m.d.comb += self.o_kept.p.column.eq(_beat(add.o.p.tag).column)
            final |= self.o_kept.valid & self.o_kept.ready & _beat(add.o.p.tag).final
        if params.gelu:
            m.d.comb += gate.i.p.gelu.eq(self.gelu)
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
            quantiser.i.p.wide.eq(~is_stored(slice_.o.p.tag.destination)),
            quantiser.i.p.last.eq(slice_.o.p.last),
            quantiser.i.p.tag.eq(slice_.o.p.tag),
            self.packet.eq(enters & tag.packet_last),
            self.final.eq(final),
            self.o_x.valid.eq(enters & to_add),
            self.o_x.p.x.eq(add.o.p.x),
            self.o_x.p.square.eq(add.o.p.square),
            self.o_x.p.tag.eq(_beat(add.o.p.tag)),
            self.o.valid.eq(quantiser.o.valid),
            quantiser.o.ready.eq(self.o.ready),
            self.o.p.q.eq(quantiser.o.p.q),
            self.o.p.scale.eq(quantiser.o.p.scale),
            self.o.p.last.eq(quantiser.o.p.last),
            self.o.p.tag.eq(quantiser.o.p.tag),
        ]
        return m


def _beside(params: VectorParams, more: dict[str, Any]) -> data.StructLayout:
    """Return the tag of beats that other values go along with."""
    return data.StructLayout({"beat": params.beat_tag, **more}) if more else params.beat_tag


def _beat(tag: data.View) -> data.View:
    """Return the beat's own tag."""
    return tag.beat if "beat" in tag.shape().members else tag
