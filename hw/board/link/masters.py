"""Carries out requests on the buses."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.board.link.protocol import IDENTITY_WORDS, LINK_ID, LINK_VERSION, MAX_WORDS, REQUEST, WORD_BYTES, Opcode
from rtlm.hw.board.link.receiver import BUFFER_WRITE
from rtlm.hw.common.checks import check_multiple
from rtlm.hw.memory.axi import AXI4, RESPONSE_OKAY, AXI4Lite, Burst

PORT_BITS = 8 * WORD_BYTES
WORD_SHIFT = 2


class LinkMasters(wiring.Component):
    """Reads and writes registers and memory, a request at a time, between a buffer and the buses.

    Protocol: a request is taken while none is under way; `busy` falls when the last access was answered, and `failed`
    then tells whether one was not answered with OKAY. A request has to fit the buses; a read or write of the memory
    is a single burst. The memory has to take an address before its data.

    Latency: four cycles, and those of the bus.

    Throughput: a word a cycle read from memory, one in two cycles written; registers one after the other.

    Parameters
    ----------
    address_bits : int
        Of the memory.
    register_address_bits : int
        Of the registers.
    memory_bytes : int
        What IDENTIFY tells, a multiple of four.

    Attributes
    ----------
    i : In(stream of REQUEST)
        Requests.
    cleared : In(32)
        Words that CLEAR_MEMORY writes, while it is taken.
    busy, failed : Out(1)
        See above.
    moves : Out(1)
        A bus has answered.
    index : Out
        Which word of the buffer is wanted.
    word : In(32)
        That word, a cycle later.
    write, write_en : Out
        What was read, for the buffer.
    registers : Out(AXI4Lite)
    memory : Out(AXI4)
        The buses.
    """

    def __init__(self, *, address_bits: int, register_address_bits: int, memory_bytes: int):
        check_multiple("memory_bytes", memory_bytes, WORD_BYTES)
        self._identity = (LINK_ID, LINK_VERSION, memory_bytes // WORD_BYTES)
        super().__init__(
            {
                "i": In(stream.Signature(REQUEST)),
                "cleared": In(32),
                "busy": Out(1),
                "failed": Out(1),
                "moves": Out(1),
                "index": Out(range(MAX_WORDS + 1)),
                "word": In(32),
                "write": Out(BUFFER_WRITE),
                "write_en": Out(1),
                "registers": Out(AXI4Lite(address_bits=register_address_bits)),
                "memory": Out(AXI4(address_bits=address_bits, data_bits=PORT_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the masters."""
        m = Module()
        request, lite, axi = self.i.payload, self.registers, self.memory
        address, left, zeros = Signal(32), Signal(32), Signal()
        last = Signal()
        m.d.comb += [
            self.busy.eq(~self.i.ready),
            last.eq(self.index + 1 == left),
            self.moves.eq(
                (lite.bvalid & lite.bready)
                | (lite.rvalid & lite.rready)
                | (axi.bvalid & axi.bready)
                | (axi.rvalid & axi.rready)
                | (axi.wvalid & axi.wready)
            ),
            lite.awaddr.eq(address),
            lite.araddr.eq(address),
            lite.wstrb.eq(0b1111),
            axi.araddr.eq(address),
            axi.awaddr.eq(address),
            axi.wstrb.eq(0b1111),
        ]
        for size, burst in ((axi.arsize, axi.arburst), (axi.awsize, axi.awburst)):
            m.d.comb += [size.eq(WORD_SHIFT), burst.eq(Burst.INCR)]
        m.d.sync += self.write_en.eq(0)
        with m.FSM(name="masters"):
            with m.State("rest"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [address.eq(request.address), left.eq(request.count), self.index.eq(0), zeros.eq(0)]
                with m.If(self.i.valid):
                    m.d.sync += self.failed.eq(0)
                    self._begin(m, request, left, zeros)
            with m.State("identify"):
                m.d.sync += self.index.eq(self.index + 1)
                with m.Switch(self.index):
                    for number, value in enumerate(self._identity):
                        with m.Case(number):
                            self._keep(m, Const(value, 32))
                with m.If(self.index == IDENTITY_WORDS - 1):
                    m.next = "rest"
            self._read_registers(m, address, last)
            self._write_registers(m, address, last)
            self._read_memory(m)
            self._write_memory(m, address, left, zeros)
        return m

    def _begin(self, m: Module, request: REQUEST, left: Signal, zeros: Signal) -> None:
        """Go where a request leads."""
        lite, axi = self.registers, self.memory
        with m.Switch(request.opcode):
            with m.Case(Opcode.READ_REGISTERS):
                m.d.sync += lite.arvalid.eq(1)
                m.next = "read register"
            with m.Case(Opcode.WRITE_REGISTERS):
                m.next = "fetch register"
            with m.Case(Opcode.READ_MEMORY):
                m.d.sync += [axi.arvalid.eq(1), axi.arlen.eq(request.count - 1)]
                m.next = "read burst"
            with m.Case(Opcode.WRITE_MEMORY):
                m.next = "begin burst"
            with m.Case(Opcode.CLEAR_MEMORY):
                m.d.sync += [left.eq(self.cleared), zeros.eq(1)]
                with m.If(self.cleared != 0):
                    m.next = "begin burst"
            with m.Default():
                m.next = "identify"

    def _keep(self, m: Module, word: Signal | Const) -> None:
        """Write a word to the buffer."""
        m.d.sync += [self.write_en.eq(1), self.write.index.eq(self.index), self.write.word.eq(word)]

    def _judge(self, m: Module, response: Signal) -> None:
        with m.If(response != RESPONSE_OKAY):
            m.d.sync += self.failed.eq(1)

    def _read_registers(self, m: Module, address: Signal, last: Signal) -> None:
        lite = self.registers
        with m.State("read register"):
            m.d.comb += lite.rready.eq(1)
            with m.If(lite.arready):
                m.d.sync += lite.arvalid.eq(0)
            with m.If(lite.rvalid):
                self._keep(m, lite.rdata)
                self._judge(m, lite.rresp)
                m.d.sync += [self.index.eq(self.index + 1), address.eq(address + WORD_BYTES)]
                with m.If(last):
                    m.next = "rest"
                with m.Else():
                    m.next = "next register"
        with m.State("next register"):
            m.d.sync += lite.arvalid.eq(1)
            m.next = "read register"

    def _write_registers(self, m: Module, address: Signal, last: Signal) -> None:
        lite = self.registers
        with m.State("fetch register"):
            m.next = "begin register"
        with m.State("begin register"):
            m.d.sync += [lite.awvalid.eq(1), lite.wvalid.eq(1), lite.wdata.eq(self.word)]
            m.next = "write register"
        with m.State("write register"):
            m.d.comb += lite.bready.eq(1)
            with m.If(lite.awready):
                m.d.sync += lite.awvalid.eq(0)
            with m.If(lite.wready):
                m.d.sync += lite.wvalid.eq(0)
            with m.If(lite.bvalid):
                self._judge(m, lite.bresp)
                m.d.sync += [self.index.eq(self.index + 1), address.eq(address + WORD_BYTES)]
                with m.If(last):
                    m.next = "rest"
                with m.Else():
                    m.next = "fetch register"

    def _read_memory(self, m: Module) -> None:
        axi = self.memory
        with m.State("read burst"):
            m.d.comb += axi.rready.eq(1)
            with m.If(axi.arready):
                m.d.sync += axi.arvalid.eq(0)
            with m.If(axi.rvalid):
                self._keep(m, axi.rdata)
                self._judge(m, axi.rresp)
                m.d.sync += self.index.eq(self.index + 1)
                with m.If(axi.rlast):
                    m.next = "rest"

    def _write_memory(self, m: Module, address: Signal, left: Signal, zeros: Signal) -> None:
        """Write one burst, or zeros in as many as it takes; none crosses a multiple of a packet's words."""
        axi = self.memory
        beats, room = Signal(range(MAX_WORDS + 1)), Signal(range(MAX_WORDS + 1))
        words = address[WORD_SHIFT:]
        with m.State("begin burst"):
            m.d.comb += room.eq(MAX_WORDS - words[: MAX_WORDS.bit_length() - 1])
            m.d.comb += beats.eq(Mux(zeros & (left > room), room, left))
            m.d.sync += [axi.awvalid.eq(1), axi.awlen.eq(beats - 1)]
            m.next = "burst address"
        with m.State("burst address"):
            with m.If(axi.awready):
                m.d.sync += axi.awvalid.eq(0)
                m.next = "begin beat"
        with m.State("begin beat"):
            m.d.sync += [
                axi.wvalid.eq(1),
                axi.wdata.eq(Mux(zeros, 0, self.word)),
                axi.wlast.eq(self.index == axi.awlen),
                self.index.eq(self.index + 1),
            ]
            m.next = "beat"
        with m.State("beat"):
            with m.If(axi.wready):
                m.d.sync += [axi.wvalid.eq(0), left.eq(left - 1), address.eq(address + WORD_BYTES)]
                m.next = "begin beat"
                with m.If(axi.wlast):
                    m.next = "burst answer"
        with m.State("burst answer"):
            m.d.comb += axi.bready.eq(1)
            m.d.sync += self.index.eq(0)
            with m.If(axi.bvalid):
                self._judge(m, axi.bresp)
                m.next = "rest"
                with m.If(left != 0):
                    m.next = "begin burst"
