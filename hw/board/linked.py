"""An accelerator, and a host behind a serial line."""

from dataclasses import dataclass
from fractions import Fraction

from amaranth.hdl import ClockDomain, DomainRenamer, Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.accelerator import REGISTER_ADDRESS_BITS, Accelerator
from rtlm.hw.board.link import LinkParams, UartLink
from rtlm.hw.board.link.masters import PORT_BITS
from rtlm.hw.board.uart import FRAME_BITS, UartReceiver, UartTransmitter
from rtlm.hw.common.checks import check_range
from rtlm.hw.control.counters import ACTIVITY
from rtlm.hw.memory import AXI4, forward
from rtlm.hw.memory.arbiter import MemoryArbiter
from rtlm.hw.params import AcceleratorParams

DEFAULT_BAUD = 1_000_000
"""A third of what an FT231X makes, and 25 cycles of 25 MHz."""

DOMAIN = "link"
"""Clock domain of all but the accelerator, which makes its own: their names must not be those of a domain above."""

MIN_DIVISOR = 4
MAX_DENOMINATOR = 8
BAUD_ERROR = 0.005
"""Of a bit's length, beside the host's own."""

PATIENCE_BYTES = 4096
"""Times of a byte between two bytes of a request at most: 41 ms at 1 Mbaud, where USB brings some each millisecond."""


@dataclass(frozen=True, kw_only=True)
class LinkedParams:
    """What an accelerator behind a serial line is made of.

    Parameters
    ----------
    accelerator
        The accelerator; it has one memory port, of 32 bits.
    clock_hz, baud
        Clock of all; speed of the serial line.
    memory_bytes
        Bytes of the memory, from address 0 on.
    """

    accelerator: AcceleratorParams
    clock_hz: float
    baud: int = DEFAULT_BAUD
    memory_bytes: int

    def __post_init__(self) -> None:
        """Validate."""
        if (self.accelerator.ports, self.accelerator.port_bits) != (1, PORT_BITS):
            raise ValueError(
                f"the accelerator behind a serial line must have one memory port of {PORT_BITS} bits, got "
                f"{self.accelerator.ports} of {self.accelerator.port_bits}"
            )
        check_range("baud", self.baud, 1, int(self.clock_hz / MIN_DIVISOR))
        if abs(float(self.divisor) * self.baud / self.clock_hz - 1) > BAUD_ERROR:
            raise ValueError(
                f"baud must be within {BAUD_ERROR:.1%} of the clock divided by a fraction with a denominator of at "
                f"most {MAX_DENOMINATOR}, got {self.baud}"
            )

    @property
    def divisor(self) -> Fraction:
        """Cycles of a bit on the serial line."""
        return (Fraction(self.clock_hz) / self.baud).limit_denominator(MAX_DENOMINATOR)

    @property
    def link(self) -> LinkParams:
        """Sizes of the link."""
        return LinkParams(
            address_bits=self.accelerator.address_bits,
            memory_bytes=self.memory_bytes,
            register_address_bits=REGISTER_ADDRESS_BITS,
            patience_cycles=int(self.divisor * FRAME_BITS * PATIENCE_BYTES),
        )


class LinkedAccelerator(wiring.Component):
    """An accelerator whose registers and memory a host reaches over a serial line.

    Protocol: that of `rtlm.hw.board.link.protocol`. The memory is somebody else's: a slave of `m0_axi`, such as a
    block memory or a controller of SDRAM. It has to take an address before its data, and to answer in order. Host and
    accelerator may use it at the same time.

    Latency and throughput: those of the accelerator, of `MemoryArbiter` and of the line.

    Parameters
    ----------
    params
        What it is made of.

    Attributes
    ----------
    clk, rst : In(1)
        Clock; reset of accelerator and link, synchronous.
    rx : In(1)
        Serial line from the host, asynchronous.
    tx : Out(1)
        Serial line to the host.
    m0_axi : Out(AXI4)
        The memory.
    activity : Out
        As of `rtlm.hw.accelerator.Accelerator`.
    irq, opened : Out(1)
        The accelerator's interrupt; a host has opened the link. For lamps.
    """

    def __init__(self, params: LinkedParams):
        self.params = params
        sizes = params.accelerator
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "m0_axi": Out(AXI4(address_bits=sizes.address_bits, data_bits=sizes.port_bits)),
                "activity": Out(Shape.cast(ACTIVITY)),
                "irq": Out(1),
                "opened": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect accelerator, link and arbiter."""
        m = Module()
        params = self.params
        m.domains.link = domain = ClockDomain(DOMAIN, local=True)
        m.submodules.accelerator = accelerator = Accelerator(params.accelerator)
        link = UartLink(params.link)
        arbiter = MemoryArbiter(self.m0_axi.signature)
        receiver, transmitter = UartReceiver(divisor=params.divisor), UartTransmitter(divisor=params.divisor)
        parts = {"link": link, "arbiter": arbiter, "receiver": receiver, "transmitter": transmitter}
        for name, part in parts.items():
            m.submodules[name] = DomainRenamer(DOMAIN)(part)
        wiring.connect(m, receiver.o, link.i)
        wiring.connect(m, link.o, transmitter.i)
        wiring.connect(m, link.registers, accelerator.s_axi)
        wiring.connect(m, accelerator.m0_axi, arbiter.m0_axi)
        wiring.connect(m, link.memory, arbiter.m1_axi)
        forward(m, arbiter.axi, self.m0_axi)
        m.d.comb += [
            domain.clk.eq(self.clk),
            domain.rst.eq(self.rst),
            accelerator.clk.eq(self.clk),
            accelerator.rst.eq(self.rst),
            receiver.i.eq(self.rx),
            self.tx.eq(transmitter.o),
            self.activity.eq(accelerator.activity),
            self.irq.eq(accelerator.irq),
            self.opened.eq(link.opened),
        ]
        return m
