"""Register slices: what stands between two units, so that no logic runs from one into the other."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

SLICE_CYCLES = 1
"""Latency of a register slice."""


class Handover(wiring.Component):
    """Registers in a stream's handshake, none for the payload: a command goes over in the same cycle for both sides.

    Protocol: streams; the sink, once ready for what is offered, stays so until it has it. `o.valid` and `i.ready` are
    one register.
    Latency: a cycle, in which the source holds the payload.
    Throughput: a payload every second cycle.

    Parameters
    ----------
    shape
        Payload.
    """

    def __init__(self, shape: object):
        beats = stream.Signature(shape)
        super().__init__({"i": In(beats), "o": Out(beats)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        goes = Signal()
        m.d.sync += goes.eq(self.i.valid & self.o.ready & ~goes)
        m.d.comb += [self.o.valid.eq(goes), self.i.ready.eq(goes), self.o.payload.eq(self.i.payload)]
        return m


class RegisterSlice(wiring.Component):
    """A register in a stream, of payload and `valid` in the one direction and of `ready` in the other.

    Protocol: streams; `o.valid`, `o.payload` and `i.ready` come from registers.
    Latency: `SLICE_CYCLES`.
    Throughput: a payload a cycle, from two entries; with one entry a payload every second cycle.

    Parameters
    ----------
    shape
        Payload.
    entries
        2, or 1 for streams that rest most of the time: half the registers and no multiplexer.
    """

    def __init__(self, shape: object, *, entries: int = 2):
        if entries not in (1, 2):
            raise ValueError(f"a register slice has 1 or 2 entries, got {entries}")
        self._entries = entries
        beats = stream.Signature(shape)
        super().__init__({"i": In(beats), "o": Out(beats)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        i, o = self.i, self.o
        coming, first = Value.cast(i.payload), Signal(len(Value.cast(i.payload)), name="first", reset_less=True)
        ready, free = Signal(init=1), Signal()
        m.d.comb += [i.ready.eq(ready), Value.cast(o.payload).eq(first), free.eq(~o.valid | o.ready)]
        if self._entries == 1:
            with m.If(ready & i.valid):
                m.d.sync += [first.eq(coming), o.valid.eq(1), ready.eq(0)]
            with m.Elif(free):
                m.d.sync += [o.valid.eq(0), ready.eq(1)]
            return m

        # The second entry takes what comes while the first one waits; `ready` is low as long as it holds something.
        second = Signal.like(first, name="second")
        with m.If(free):
            m.d.sync += [o.valid.eq(i.valid | ~ready), ready.eq(1)]
        with m.Elif(i.valid):
            m.d.sync += ready.eq(0)
        with m.If(free & (i.valid | ~ready)):
            m.d.sync += first.eq(Mux(ready, coming, second))
        with m.If(ready & i.valid & ~free):
            m.d.sync += second.eq(coming)
        return m
