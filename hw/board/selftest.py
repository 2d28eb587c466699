"""An accelerator that tests itself: its model in block RAM, its host in gates, the result as text and on two lamps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from amaranth.hdl import DomainRenamer, Module, Mux, ResetSignal, Signal
from amaranth.lib import crc, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.accelerator import REGISTER_ADDRESS_BITS, Accelerator
from rtlm.hw.board.clock import DOMAIN, add_board_clock
from rtlm.hw.board.player import CORRUPTIONS, Check, RegisterPlayer
from rtlm.hw.board.reporter import TextReporter
from rtlm.hw.board.uart import UartTransmitter
from rtlm.hw.memory import forward
from rtlm.hw.memory.axi import AXI4
from rtlm.hw.memory.block_memory import BlockMemory
from rtlm.hw.params import AcceleratorParams

FIELDS = ("error", "row", "read", "expected", "cycles")
PASS_TEXT = "PASS token {read} cycles {cycles}\r\n"
FAIL_TEXT = "FAIL error {error} row {row} read {read} expected {expected} cycles {cycles}\r\n"
"""What is sent; the last row before the end of the list reads the token."""

DIGEST = crc.catalog.CRC32_ISO_HDLC
"""Of what the accelerator writes: zlib's crc32 over the bytes."""


@dataclass(frozen=True, kw_only=True)
class SelfTestParams:
    """What a self-test is made of.

    Parameters
    ----------
    accelerator
        The accelerator; it has one memory port.
    clock_hz, baud
        Clock of the board; speed of the serial line.
    content
        The memory image, a number for each beat.
    depth
        Beats of the memory, with everything that the accelerator writes.
    digest_from
        First beat whose content goes into the digest: the logits.
    rows
        What is done and expected.
    """

    accelerator: AcceleratorParams
    clock_hz: float
    baud: int = 115_200
    content: Sequence[int] = field(repr=False)
    depth: int
    digest_from: int
    rows: Sequence[Check] = field(repr=False)

    def __post_init__(self) -> None:
        """Validate."""
        if self.accelerator.ports != 1:
            raise ValueError(f"the accelerator has {self.accelerator.ports} memory ports; a self-test has one memory")
        if self.divisor < 1:
            raise ValueError(f"baud must be at most the clock's {self.clock_hz:g} Hz, got {self.baud}")

    @property
    def divisor(self) -> int:
        """Cycles of a bit on the serial line."""
        return round(self.clock_hz / self.baud)


class WriteDigest(wiring.Component):
    """CRC-32 of the beats that a master writes from a certain beat on, in the order of writing.

    Protocol: looks on only; the memory takes data after their address, and no address before the last data.
    Latency: a cycle. Throughput: a beat a cycle.

    Parameters
    ----------
    port : AXI4
        The port's signature.
    first : int
        Byte address from which on bursts count.

    Attributes
    ----------
    axi : In(AXI4), all members inputs
        The port that is looked at.
    start : In(1)
        Forget.
    digest : Out(32)
        CRC-32 since then.
    """

    def __init__(self, port: AXI4, *, first: int):
        self._first = first
        self._names = ("awaddr", "awvalid", "awready", "wdata", "wvalid", "wready")
        watched = {name: In(port.members[name].shape) for name in self._names}
        super().__init__({**watched, "start": In(1), "digest": Out(32)})

    def watch(self, m: Module, axi: wiring.PureInterface) -> None:
        """Connect the port that is looked at."""
        m.d.comb += [getattr(self, name).eq(getattr(axi, name)) for name in self._names]

    def elaborate(self, platform: object) -> Module:
        """Describe the digest."""
        m = Module()
        m.submodules.crc = check = DIGEST(data_width=len(self.wdata)).create()
        counts = Signal()
        with m.If(self.awvalid & self.awready):
            m.d.sync += counts.eq(self.awaddr >= self._first)
        m.d.comb += [
            check.start.eq(self.start),
            check.data.eq(self.wdata),
            check.valid.eq(self.wvalid & self.wready & counts),
            self.digest.eq(check.crc),
        ]
        return m


class SelfTest(wiring.Component):
    """Runs a model for some tokens and tells whether all came out as expected.

    Protocol: starts by itself after configuration, and again when `again` was pressed. A button of `corrupt` that is
    pressed at the start inverts a bit of the memory, so that the test has to fail: the first one a bit of a weight,
    the second one a bit of the program. A line of text ends each run (`PASS_TEXT`, `FAIL_TEXT`; numbers are
    hexadecimal).

    Latency: that of the steps, and ten bits for each character. Throughput: one run at a time.

    Parameters
    ----------
    params : SelfTestParams
        What it is made of.

    Attributes
    ----------
    clk : In(1)
        Clock.
    corrupt : In(2)
    again : In(1)
        Buttons, asynchronous, 1 when pressed.
    tx : Out(1)
        Serial line.
    running, passed, failed : Out(1)
        Lamps.
    """

    clk: In(1)
    corrupt: In(CORRUPTIONS)
    again: In(1)
    tx: Out(1)
    running: Out(1)
    passed: Out(1)
    failed: Out(1)

    def __init__(self, params: SelfTestParams):
        self.params = params
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        """Connect accelerator, memory, player and serial line."""
        m = Module()
        params, sizes = self.params, self.params.accelerator
        corrupt = add_board_clock(m, self.clk, self.again, corrupt=self.corrupt)["corrupt"]
        m.submodules.accelerator = accelerator = Accelerator(sizes)
        widths = {"address_bits": sizes.address_bits, "data_bits": sizes.port_bits}
        memory = BlockMemory(**widths, depth=params.depth, init=params.content)
        player = RegisterPlayer(params.rows, register_address_bits=REGISTER_ADDRESS_BITS)
        digest = WriteDigest(AXI4(**widths), first=params.digest_from * sizes.port_bytes)
        reporter = TextReporter((PASS_TEXT, FAIL_TEXT), FIELDS)
        uart = UartTransmitter(divisor=params.divisor)
        parts = {"memory": memory, "player": player, "digest": digest, "reporter": reporter, "uart": uart}
        for name, part in parts.items():
            m.submodules[name] = DomainRenamer(DOMAIN)(part)
        forward(m, accelerator.m0_axi, memory.axi)
        digest.watch(m, accelerator.m0_axi)
        wiring.connect(m, player.axi, accelerator.s_axi)
        wiring.connect(m, reporter.o, uart.i)
        patch = player.o_patch
        m.d.comb += [
            accelerator.clk.eq(self.clk),
            accelerator.rst.eq(ResetSignal(DOMAIN)),
            memory.i_patch.valid.eq(patch.valid),
            memory.i_patch.payload.address.eq(patch.payload.address),
            memory.i_patch.payload.data.eq(patch.payload.value),
            patch.ready.eq(memory.i_patch.ready),
            player.irq.eq(accelerator.irq),
            player.corrupt.eq(corrupt),
            player.digest.eq(digest.digest),
            digest.start.eq(player.digest_start),
            reporter.field_error.eq(player.error),
            reporter.field_row.eq(player.row),
            reporter.field_read.eq(player.seen),
            reporter.field_expected.eq(player.expected),
            reporter.field_cycles.eq(player.total),
            reporter.text.eq(Mux(player.passed, 0, 1)),
            self.tx.eq(uart.o),
            self.running.eq(~player.passed & ~player.failed),
            self.passed.eq(player.passed),
            self.failed.eq(player.failed),
        ]
        told = Signal()
        with m.If(~self.running & ~told):
            m.d.comb += reporter.start.eq(1)
            m.d[DOMAIN] += told.eq(1)
        return m
