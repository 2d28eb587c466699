"""What a layer adds to the residual stream, until its norm is known."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.register_slice import SLICE_CYCLES, RegisterSlice
from rtlm.hw.hls import Directives
from rtlm.hw.hls.schedule import Schedule
from rtlm.hw.kernels import scale
from rtlm.hw.vector.params import VectorParams


class KeptSums(wiring.Component):
    """Keep the weighted sums of all columns in the order in which they come; give them back times their column's `r`.

    Protocol: beats wait for `run`, which stands from when each column's `r` has been written until the last beat has
    been taken from `o`. Both streams may stall; `ready` of `i` compares the FIFO's level, and what `o` gives comes from
    registers.
    Latency: `latency` from the first cycle of `run` to the first beat. Throughput: one beat in `schedule` cycles.
    Numerics: those of the kernel.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    run
        Give back what is kept.
    i, o
        Beats in, and times `r` out.
    r_write
        A column's `r`, F32 bits.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        super().__init__(
            {
                "run": In(1),
                "i": In(stream.Signature(params.kept_beat)),
                "r_write": In(stream.Signature(params.kept_scalar, always_ready=True)),
                "o": Out(stream.Signature(params.floats)),
            }
        )
        self._scale = scale.component(self.directives(params))

    @staticmethod
    def directives(params: VectorParams) -> Directives:
        """Return what the kernel is built for."""
        return params.directives(scale)

    @staticmethod
    def latency(params: VectorParams) -> int:
        """Return the cycles from the first one of `run` to the first beat."""
        return KeptSums.schedule(params).latency + SLICE_CYCLES

    @staticmethod
    def schedule(params: VectorParams) -> Schedule:
        """Return the kernel's schedule."""
        return scale.schedule(KeptSums.directives(params))

    def elaborate(self, platform: object) -> Module:
        """Build memory and multipliers."""
        m = Module()
        params = self.params
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(
            width=params.kept_beat.size, depth=params.columns * params.x_stride
        )
        m.submodules.scale = pipe = self._scale
        m.submodules.leave = leave = RegisterSlice(params.floats, entries=params.slice_entries)
        r = [Signal(32, name=f"r_{column}", reset_less=True) for column in range(params.columns)]
        beat = data.View(params.kept_beat, beats.r_data)
        m.d.comb += [
            beats.w_data.eq(self.i.payload),
            beats.w_en.eq(self.i.valid),
            self.i.ready.eq(beats.w_rdy),
            pipe.i.valid.eq(self.run & beats.r_rdy),
            beats.r_en.eq(self.run & pipe.i.ready),
            pipe.i.p.y.eq(beat.y),
            pipe.i.p.r.eq(Array(r)[beat.column] if params.columns > 1 else r[0]),
            leave.i.valid.eq(pipe.o.valid),
            pipe.o.ready.eq(leave.i.ready),
            leave.i.payload.eq(pipe.o.p.result),
        ]
        wiring.connect(m, leave.o, wiring.flipped(self.o))
        with m.If(self.r_write.valid):
            if params.columns > 1:
                with m.Switch(self.r_write.p.column):
                    for column, scalar in enumerate(r):
                        with m.Case(column):
                            m.d.sync += scalar.eq(self.r_write.p.r)
            else:
                m.d.sync += r[0].eq(self.r_write.p.r)
        return m
