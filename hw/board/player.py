"""Plays a list of register accesses on AXI4-Lite and compares what comes back: a host for an accelerator, in gates."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.checks import check_range
from rtlm.hw.memory.axi import RESPONSE_OKAY, AXI4Lite

ADDRESS_BITS = 20
"""Of a row: enough for a register's byte address and for a beat of any block memory."""

NO_INTERRUPT = 0xE
BUS_REFUSED = 0xF
"""Errors of the player itself, behind those of `rtlm.hw.registers.accelerator.Error`."""


class Kind(enum.Enum, shape=unsigned(3)):
    """What a row does."""

    WRITE = 0
    """Writes the value to a register."""
    AWAIT = 1
    """Waits for the interrupt, at most as many cycles as the value says."""
    ERROR = 2
    """Reads a register that has to be zero; another value is the error."""
    ADD = 3
    """Adds a register to the total."""
    EXPECT = 4
    """Reads a register that has to have the value."""
    DIGEST = 5
    """Compares the digest of what was written to memory, and begins a new one."""
    PATCH = 6
    """Writes the value to a beat of the memory, with its lowest bit inverted while its bit of `corrupt` is set."""
    END = 7
    """Everything was as expected."""


CORRUPTIONS = 2
"""Ways to make a test fail on purpose."""

ROW = data.StructLayout({"kind": Kind, "corruption": range(CORRUPTIONS), "address": ADDRESS_BITS, "value": 32})


@dataclass(frozen=True, kw_only=True)
class Check:
    """A row of the list.

    Parameters
    ----------
    kind
        What it does.
    address
        Byte address of a register, or beat of the memory.
    value
        32 bits; see `Kind`.
    corruption
        Bit of `corrupt` that a PATCH looks at.
    meaning
        For people: what the row is for.
    """

    kind: Kind
    address: int = 0
    value: int = 0
    corruption: int = 0
    meaning: str = ""

    def __post_init__(self) -> None:
        """Validate."""
        check_range("corruption", self.corruption, 0, CORRUPTIONS - 1)
        check_range("address", self.address, 0, (1 << ADDRESS_BITS) - 1)
        check_range("value", self.value, 0, (1 << 32) - 1)


class RegisterPlayer(wiring.Component):
    """Plays a list once after reset.

    Protocol: begins with the first row after reset and stops at the last, or at the first row that fails; then either
    `passed` or `failed` is set, and all outputs keep their values until the next reset.

    Latency: four cycles for a row without a bus access; a register access takes as long as the bus, and four cycles.

    Throughput: one row at a time.

    Parameters
    ----------
    rows : sequence of Check
        The list; its last row is of the kind END.
    register_address_bits : int
        Bits of a register's byte address.

    Attributes
    ----------
    axi : Out(AXI4Lite)
        The registers.
    irq : In(1)
        Interrupt.
    corrupt : In(2)
        Which PATCH is wrong on purpose.
    digest : In(32)
        Digest of what was written; `digest_start` begins a new one.
    o_patch : Out(stream of {address, value})
        Writes to the memory.
    passed, failed : Out(1)
        The result.
    row, seen, expected, total, error : Out
        The row that failed or the last one; the value that was read last, and the one that was expected; sum of ADD;
        the error, a code of `rtlm.hw.registers.accelerator.Error` or of this module, 0 where a value was merely wrong.
    """

    def __init__(self, rows: Sequence[Check], *, register_address_bits: int):
        if not rows or rows[-1].kind is not Kind.END:
            raise ValueError("the list of a player ends with a row of the kind END")
        self._rows = rows
        patch = data.StructLayout({"address": ADDRESS_BITS, "value": 32})
        super().__init__(
            {
                "axi": Out(AXI4Lite(address_bits=register_address_bits)),
                "irq": In(1),
                "corrupt": In(CORRUPTIONS),
                "digest": In(32),
                "digest_start": Out(1),
                "o_patch": Out(stream.Signature(patch)),
                "passed": Out(1),
                "failed": Out(1),
                "row": Out(range(len(rows))),
                "seen": Out(32),
                "expected": Out(32),
                "total": Out(32),
                "error": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the player."""
        m = Module()
        init = [{name: getattr(row, name) for name, _ in ROW} for row in self._rows]
        m.submodules.rows = rows = memory.Memory(shape=ROW, depth=len(init), init=init)
        read = rows.read_port()
        current, waited = read.data, Signal(32)
        m.d.comb += [
            read.addr.eq(self.row),
            self.axi.wstrb.eq(0xF),
            self.axi.awaddr.eq(current.address),
            self.axi.wdata.eq(current.value),
            self.axi.araddr.eq(current.address),
            self.o_patch.payload.address.eq(current.address),
            self.o_patch.payload.value.eq(current.value ^ self.corrupt.bit_select(current.corruption, 1)),
        ]
        with m.FSM():
            with m.State("fetch"):
                m.d.sync += waited.eq(0)
                m.next = "begin"
            with m.State("begin"):
                m.d.sync += self.expected.eq(current.value)
                self._begin(m, current)
            with m.State("write"):
                self._write(m)
            with m.State("read"):
                self._read(m)
            with m.State("await"):
                m.d.sync += waited.eq(waited + 1)
                with m.If(self.irq):
                    m.next = "next"
                with m.Elif(waited == current.value):
                    m.d.sync += self.error.eq(NO_INTERRUPT)
                    m.next = "failed"
            with m.State("patch"):
                m.d.comb += self.o_patch.valid.eq(1)
                with m.If(self.o_patch.ready):
                    m.next = "next"
            with m.State("judge"):
                self._judge(m, current)
            with m.State("next"):
                m.d.sync += self.row.eq(self.row + 1)
                m.next = "fetch"
            with m.State("passed"):
                m.d.comb += self.passed.eq(1)
            with m.State("failed"):
                m.d.comb += self.failed.eq(1)
        return m

    def _begin(self, m: Module, current: data.View) -> None:
        """Go where the row's kind leads."""
        with m.Switch(current.kind):
            with m.Case(Kind.WRITE):
                m.d.sync += [self.axi.awvalid.eq(1), self.axi.wvalid.eq(1)]
                m.next = "write"
            with m.Case(Kind.AWAIT):
                m.next = "await"
            with m.Case(Kind.PATCH):
                m.next = "patch"
            with m.Case(Kind.DIGEST):
                m.d.sync += self.seen.eq(self.digest)
                m.d.comb += self.digest_start.eq(1)
                m.next = "judge"
            with m.Case(Kind.END):
                m.next = "passed"
            with m.Default():
                m.d.sync += self.axi.arvalid.eq(1)
                m.next = "read"

    def _write(self, m: Module) -> None:
        """Wait until address and data are taken and answered."""
        axi = self.axi
        m.d.comb += axi.bready.eq(1)
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(axi.bvalid):
            self._go_on_if_okay(m, axi.bresp, "next")

    def _read(self, m: Module) -> None:
        """Wait until the address is taken and answered."""
        axi = self.axi
        m.d.comb += axi.rready.eq(1)
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(axi.rvalid):
            m.d.sync += self.seen.eq(axi.rdata)
            self._go_on_if_okay(m, axi.rresp, "judge")

    def _go_on_if_okay(self, m: Module, response: Signal, state: str) -> None:
        with m.If(response == RESPONSE_OKAY):
            m.next = state
        with m.Else():
            m.d.sync += self.error.eq(BUS_REFUSED)
            m.next = "failed"

    def _judge(self, m: Module, current: data.View) -> None:
        """Look at what was read."""
        m.next = "next"
        with m.Switch(current.kind):
            with m.Case(Kind.ADD):
                m.d.sync += self.total.eq(self.total + self.seen)
            with m.Case(Kind.ERROR):
                with m.If(self.seen != 0):
                    m.d.sync += self.error.eq(self.seen)
                    m.next = "failed"
            with m.Default():
                with m.If(self.seen != self.expected):
                    m.next = "failed"
