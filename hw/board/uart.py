"""Serial output."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.checks import check_range

DATA_BITS = 8


class UartTransmitter(wiring.Component):
    """Sends bytes on a serial line: a start bit, eight bits (the lowest first), a stop bit.

    Protocol: a byte is taken when the line is idle.

    Latency: the start bit begins in the cycle after a byte is taken.

    Throughput: a byte in 10 x `divisor` + 1 cycles.

    Parameters
    ----------
    divisor : int
        Cycles of a bit: clock frequency / baud rate.

    Attributes
    ----------
    i : In(stream of 8 bits)
        Bytes.
    o : Out(1)
        The line, 1 when idle.
    """

    def __init__(self, *, divisor: int):
        check_range("divisor", divisor, 1)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(DATA_BITS)), "o": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Describe the transmitter."""
        m = Module()
        ticks = Signal(range(self.divisor))
        left = Signal(range(DATA_BITS + 3))
        frame = Signal(DATA_BITS, reset_less=True)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [frame.eq(self.i.payload), self.o.eq(0), left.eq(DATA_BITS + 2), ticks.eq(self.divisor - 1)]
        with m.Elif(ticks != 0):
            m.d.sync += ticks.eq(ticks - 1)
        with m.Elif(left != 0):
            # Ones are shifted in: the stop bit, and then the idle line.
            m.d.sync += [
                self.o.eq(frame[0]),
                frame.eq(Cat(frame[1:], Const(1, 1))),
                left.eq(left - 1),
                ticks.eq(self.divisor - 1),
            ]
        return m
