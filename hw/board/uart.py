"""A serial line: bytes out, bytes in."""

from fractions import Fraction

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import cdc, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.checks import check_range

DATA_BITS = 8
FRAME_BITS = DATA_BITS + 2
"""With start bit and stop bit."""


class _BitTimer:
    """Counts the cycles of bits; with a divisor that is no whole number bits last a cycle more or less.

    Parameters
    ----------
    divisor
        Cycles of a bit; the counter counts in units of one by its denominator.
    """

    def __init__(self, divisor: Fraction) -> None:
        self.step, self.bit = divisor.denominator, divisor.numerator
        self.left = Signal(range(self.bit + self.step))
        self.running = self.left >= self.step if self.step > 1 else self.left != 0

    def count(self, m: Module) -> None:
        """Count a cycle."""
        m.d.sync += self.left.eq(self.left - self.step)

    def start(self, m: Module, bits: Fraction = Fraction(1)) -> None:
        """Begin with some bits, in the last cycle of what was counted before; what is left of that is kept."""
        m.d.sync += self.left.eq((self.left if self.step > 1 else 0) + int(self.bit * bits) - self.step)


class UartTransmitter(wiring.Component):
    """Sends bytes on a serial line: a start bit, eight bits (the lowest first), a stop bit.

    Protocol: a byte is taken when the line is idle.

    Latency: the start bit begins in the cycle after a byte is taken.

    Throughput: a byte in 10 x `divisor` + 1 cycles.

    Parameters
    ----------
    divisor : int or Fraction
        Cycles of a bit: clock frequency / baud rate.

    Attributes
    ----------
    i : In(stream of 8 bits)
        Bytes.
    o : Out(1)
        The line, 1 when idle.
    """

    def __init__(self, *, divisor: int | Fraction):
        check_range("divisor", int(divisor), 1)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(DATA_BITS)), "o": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Describe the transmitter."""
        m = Module()
        timer = _BitTimer(Fraction(self.divisor))
        left = Signal(range(FRAME_BITS + 1))
        frame = Signal(DATA_BITS, reset_less=True)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [frame.eq(self.i.payload), self.o.eq(0), left.eq(FRAME_BITS)]
            timer.start(m)
        with m.Elif(timer.running):
            timer.count(m)
        with m.Elif(left != 0):
            # Ones are shifted in: the stop bit, and then the idle line.
            m.d.sync += [
                self.o.eq(frame[0]),
                frame.eq(Cat(frame[1:], Const(1, 1))),
                left.eq(left - 1),
            ]
            with m.If(left != 1):
                timer.start(m)
        return m


class UartReceiver(wiring.Component):
    """Receives bytes from a serial line, each bit in its middle.

    Protocol: a byte is told for one cycle, whether it is taken or not. One whose stop bit is 0 is not told, but
    `framing_error` is; the line has to be 1 before another can begin.

    Latency: two cycles of the synchroniser, and 9.5 bits from the start bit on.

    Throughput: as the line; the next start bit may begin half a bit early, so that baud rates may differ by 4 %, less
    a cycle in 9.5 bits.

    Parameters
    ----------
    divisor : int or Fraction
        Cycles of a bit: clock frequency / baud rate.

    Attributes
    ----------
    i : In(1)
        The line, asynchronous, 1 when idle.
    o : Out(stream of 8 bits, always ready)
        Bytes.
    framing_error : Out(1)
        A stop bit was 0.
    """

    def __init__(self, *, divisor: int | Fraction):
        check_range("divisor", int(divisor), 4)
        self.divisor = divisor
        super().__init__(
            {
                "i": In(1, init=1),
                "o": Out(stream.Signature(DATA_BITS, always_ready=True)),
                "framing_error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the receiver."""
        m = Module()
        line, timer = Signal(init=1), _BitTimer(Fraction(self.divisor))
        m.submodules.line = cdc.FFSynchronizer(self.i, line, init=1)
        left = Signal(range(DATA_BITS + 1))
        m.d.sync += [self.o.valid.eq(0), self.framing_error.eq(0)]
        with m.FSM(name="receiver"):
            with m.State("idle"):
                m.d.sync += [left.eq(DATA_BITS), timer.left.eq(0)]
                with m.If(~line):
                    timer.start(m, Fraction(1, 2))
                    m.next = "start bit"
            with m.State("start bit"):
                with m.If(timer.running):
                    timer.count(m)
                with m.Elif(line):
                    m.next = "idle"
                with m.Else():
                    timer.start(m)
                    m.next = "bits"
            with m.State("bits"):
                with m.If(timer.running):
                    timer.count(m)
                with m.Elif(left != 0):
                    m.d.sync += [self.o.payload.eq(Cat(self.o.payload[1:], line)), left.eq(left - 1)]
                    timer.start(m)
                with m.Elif(line):
                    m.d.sync += self.o.valid.eq(1)
                    m.next = "idle"
                with m.Else():
                    m.d.sync += self.framing_error.eq(1)
                    m.next = "broken"
            with m.State("broken"):
                with m.If(line):
                    m.next = "idle"
        return m
