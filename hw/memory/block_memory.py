"""Memory on the chip behind an AXI4 port, with content from the bitstream."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2
from rtlm.hw.common.checks import check_range
from rtlm.hw.memory.axi import AXI4, RESPONSE_OKAY, RESPONSE_SLVERR, Burst

BYTE_BITS = 8


class BlockMemory(wiring.Component):
    """Block RAM that answers an AXI4 master.

    Protocol: one read burst and one write burst at a time, independently of each other; write data are taken after
    their address. Bursts are INCR with full beats; another kind, or a beat behind the end of the memory, is answered
    with SLVERR (and not written). A read of a beat in the cycle in which it is written gives what it was before.
    `i_patch` writes a beat while no write burst is under way; it is for whoever sets the memory up.

    Latency: two cycles from a read address to its first beat; a write response in the cycle after the last beat.

    Throughput: a beat a cycle in a burst; a burst of n beats takes n + 1 cycles of reading, n + 2 of writing.

    Parameters
    ----------
    address_bits, data_bits
        Widths of the port.
    depth : int
        Beats of the memory.
    init : sequence of int
        Content of the first beats after configuration; the others are zero.

    Attributes
    ----------
    axi : In(AXI4)
        The port.
    i_patch : In(stream of {address, data})
        A beat address and what to write there.
    """

    def __init__(self, *, address_bits: int, data_bits: int, depth: int, init: Sequence[int] = ()):
        port = AXI4(address_bits=address_bits, data_bits=data_bits)
        beat_bits = address_bits - exact_log2(data_bits // BYTE_BITS)
        check_range(f"depth with {address_bits} address bits", depth, 2, 1 << beat_bits)
        if len(init) > depth:
            raise ValueError(f"the content has {len(init)} beats, the memory {depth}")
        self.depth, self.init, self.beat_bits = depth, list(init), beat_bits
        patch = data.StructLayout({"address": range(depth), "data": data_bits})
        super().__init__({"axi": In(port), "i_patch": In(stream.Signature(patch))})

    def elaborate(self, platform: object) -> Module:
        """Describe the memory."""
        m = Module()
        bits = len(self.axi.rdata)
        m.submodules.storage = storage = memory.Memory(shape=bits, depth=self.depth, init=self.init)
        self._read(m, storage.read_port())
        self._write(m, storage.write_port(granularity=BYTE_BITS))
        return m

    def _first(self, address: Signal) -> Signal:
        """Return the beat at a byte address."""
        return address[-self.beat_bits :]

    def _strange(self, size: Signal, burst: Signal) -> Signal:
        """Tell whether a burst is of a kind that is not supported."""
        whole = exact_log2(len(self.axi.rdata) // BYTE_BITS)
        return (size != whole) | (burst != Burst.INCR)

    def _read(self, m: Module, port: memory.ReadPort) -> None:
        """Answer read bursts: a beat is fetched whenever there is none on the bus or it is taken."""
        axi = self.axi
        active, fetch, strange = Signal(), Signal(), Signal()
        address, left, identifier = Signal(self.beat_bits), Signal(8), Signal.like(axi.rid)
        m.d.comb += [
            axi.arready.eq(~active),
            fetch.eq(active & (~axi.rvalid | axi.rready)),
            port.addr.eq(address),
            port.en.eq(fetch),
            axi.rdata.eq(port.data),
        ]
        with m.If(axi.rready):
            m.d.sync += axi.rvalid.eq(0)
        with m.If(fetch):
            m.d.sync += [
                axi.rvalid.eq(1),
                axi.rlast.eq(left == 0),
                axi.rid.eq(identifier),
                axi.rresp.eq(Mux(strange | (address >= self.depth), RESPONSE_SLVERR, RESPONSE_OKAY)),
                address.eq(address + 1),
                left.eq(left - 1),
                active.eq(left != 0),
            ]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [
                active.eq(1),
                address.eq(self._first(axi.araddr)),
                left.eq(axi.arlen),
                identifier.eq(axi.arid),
                strange.eq(self._strange(axi.arsize, axi.arburst)),
            ]

    def _write(self, m: Module, port: memory.WritePort) -> None:
        """Take write bursts, and patches between them."""
        axi, patch = self.axi, self.i_patch
        active, failed, inside = Signal(), Signal(), Signal()
        address = Signal(self.beat_bits)
        m.d.comb += [
            axi.awready.eq(~active & ~axi.bvalid),
            axi.wready.eq(active),
            inside.eq(address < self.depth),
            patch.ready.eq(~active),
            port.addr.eq(Mux(active, address, patch.payload.address)),
            port.data.eq(Mux(active, axi.wdata, patch.payload.data)),
        ]
        with m.If(active):
            m.d.comb += port.en.eq(Mux(axi.wvalid & inside & ~failed, axi.wstrb, 0))
        with m.Else():
            m.d.comb += port.en.eq(patch.valid.replicate(len(port.en)))
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [address.eq(address + 1), failed.eq(failed | ~inside)]
            with m.If(axi.wlast):
                failure = Mux(failed | ~inside, RESPONSE_SLVERR, RESPONSE_OKAY)
                m.d.sync += [active.eq(0), axi.bvalid.eq(1), axi.bresp.eq(failure)]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [
                active.eq(1),
                address.eq(self._first(axi.awaddr)),
                failed.eq(self._strange(axi.awsize, axi.awburst)),
                axi.bid.eq(axi.awid),
            ]
