"""Two masters of one memory."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.memory.axi import AXI4

MASTERS = 2
MAX_OPEN = 64
"""Bursts of one direction that may be open at once; further addresses wait."""


class MemoryArbiter(wiring.Component):
    """Joins two AXI4 masters to one memory; reads and writes go their ways independently.

    Protocol: a direction belongs to one master; it passes to the other when that one asks and no burst is open. The
    owner's further addresses wait meanwhile, so that neither waits for ever. Data to be written are passed on after
    their address: the memory has to take an address before its data, and to answer in order.

    Latency: none for the owner; a cycle, and what is open, for the other.

    Throughput: that of the memory.

    Parameters
    ----------
    port : AXI4
        Signature of all three.

    Attributes
    ----------
    m0_axi, m1_axi : In(AXI4)
        The masters; the first owns both directions after a reset.
    axi : Out(AXI4)
        The memory.
    """

    def __init__(self, port: AXI4):
        super().__init__({**{f"m{n}_axi": In(port) for n in range(MASTERS)}, "axi": Out(port)})

    def elaborate(self, platform: object) -> Module:
        """Describe the arbiter."""
        m = Module()
        masters = [getattr(self, f"m{n}_axi") for n in range(MASTERS)]
        reads, writes = self._owner(m, masters, "ar"), self._owner(m, masters, "aw")
        memory = self.axi
        owed = Signal(range(MAX_OPEN + 1))
        """Write bursts whose address was taken and whose last beat was not."""
        m.d.comb += [
            reads.ends.eq(memory.rvalid & memory.rready & memory.rlast),
            writes.ends.eq(memory.bvalid & memory.bready),
        ]
        self._forward(m, masters, reads.owner, ("rdata", "rresp", "rlast", "rid"), "rvalid", "rready")
        self._forward(m, masters, writes.owner, ("bresp", "bid"), "bvalid", "bready")
        writer = Array(masters)[writes.owner]
        m.d.comb += [getattr(memory, name).eq(getattr(writer, name)) for name in ("wdata", "wstrb", "wlast")]
        m.d.comb += memory.wvalid.eq(writer.wvalid & (owed != 0))
        for number, master in enumerate(masters):
            m.d.comb += master.wready.eq(memory.wready & (owed != 0) & (writes.owner == number))
        last = memory.wvalid & memory.wready & memory.wlast
        m.d.sync += owed.eq(owed + (memory.awvalid & memory.awready) - last)
        return m

    def _forward(self, m: Module, masters: list, owner: Signal, names: tuple[str, ...], valid: str, ready: str) -> None:
        """Bring what the memory answers to its owner."""
        memory = self.axi
        for number, master in enumerate(masters):
            m.d.comb += [getattr(master, name).eq(getattr(memory, name)) for name in names]
            m.d.comb += getattr(master, valid).eq(getattr(memory, valid) & (owner == number))
        m.d.comb += getattr(memory, ready).eq(getattr(Array(masters)[owner], ready))

    def _owner(self, m: Module, masters: list, channel: str) -> "_Direction":
        """Pass addresses on, and say whose the direction is."""
        direction, memory = _Direction(), self.axi
        ours = Array(masters)[direction.owner]
        theirs = Array(masters)[~direction.owner]
        valid, ready = getattr(memory, f"{channel}valid"), getattr(memory, f"{channel}ready")
        wanted, offered, full, served = Signal(), Signal(), Signal(), Signal()
        for name in ("addr", "len", "size", "burst", "id"):
            m.d.comb += getattr(memory, channel + name).eq(getattr(ours, channel + name))
        m.d.comb += [
            wanted.eq(getattr(theirs, f"{channel}valid")),
            full.eq(direction.open == MAX_OPEN),
            valid.eq(getattr(ours, f"{channel}valid") & (offered | ~(wanted & served | full))),
        ]
        for number, master in enumerate(masters):
            # An address that is offered and not passed on is not taken.
            m.d.comb += getattr(master, f"{channel}ready").eq(ready & valid & (direction.owner == number))
        # What was offered to the memory has to stay until it is taken.
        m.d.sync += [
            offered.eq(valid & ~ready),
            direction.open.eq(direction.open + (valid & ready) - direction.ends),
        ]
        with m.If(valid):
            m.d.sync += served.eq(1)
        with m.Elif(wanted & (direction.open == 0)):
            m.d.sync += [direction.owner.eq(~direction.owner), served.eq(0)]
        return direction


class _Direction:
    """Reads or writes: whose they are, bursts that are open, and whether one ends."""

    def __init__(self) -> None:
        self.owner, self.ends = Signal(), Signal()
        self.open = Signal(range(MAX_OPEN + 1))
