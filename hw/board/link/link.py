"""A host behind a serial line masters the buses of a board."""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.board.link.masters import PORT_BITS, LinkMasters
from rtlm.hw.board.link.protocol import (
    IDENTITY_WORDS,
    MAX_WORDS,
    PAYLOAD,
    WORD_BYTES,
    Opcode,
    Status,
)
from rtlm.hw.board.link.receiver import PacketReceiver
from rtlm.hw.board.link.sender import PacketSender
from rtlm.hw.common.checks import check_range
from rtlm.hw.memory.axi import AXI4, BURST_BOUNDARY_BYTES, AXI4Lite

QUEUE_BYTES = 512
"""Bytes that may arrive while a request is carried out and answered."""


@dataclass(frozen=True, kw_only=True)
class LinkParams:
    """Sizes of a link.

    Parameters
    ----------
    address_bits
        Of the memory's port, 12 to 32.
    memory_bytes
        Bytes of the memory from address 0 on.
    register_address_bits
        Of the registers' port.
    patience_cycles
        Cycles between two bytes of a request, and until a bus answers, at most.
    """

    address_bits: int
    memory_bytes: int
    register_address_bits: int
    patience_cycles: int = 1 << 20

    def __post_init__(self) -> None:
        """Validate."""
        check_range("address_bits", self.address_bits, 12, 32)
        check_range("memory_bytes", self.memory_bytes, WORD_BYTES, 1 << self.address_bits)
        check_range("register_address_bits", self.register_address_bits, 12, 31)


class UartLink(wiring.Component):
    """Carries out the requests of `rtlm.hw.board.link.protocol`.

    Protocol: bytes of requests come in at any time; each whole request is answered. One that is wrong in itself, or
    whose accesses fail, is answered with an error. When a bus does not answer at all, that request and all later ones
    are answered with `Status.NO_ANSWER` until it does.

    Latency: a request that is whole is answered after its accesses and some ten cycles.

    Throughput: requests of writes come as fast as a serial line brings them, while their bytes are not more than
    `QUEUE_BYTES` ahead of the answers.

    Parameters
    ----------
    params
        Sizes.

    Attributes
    ----------
    i : In(stream of 8 bits, always ready)
        Bytes from the host; what finds no room is lost, and its packet with it.
    o : Out(stream of 8 bits)
        Bytes to the host.
    registers : Out(AXI4Lite)
    memory : Out(AXI4)
        The buses.
    opened : Out(1)
        A host has opened the link since the last reset.
    """

    def __init__(self, params: LinkParams):
        self.params = params
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "o": Out(stream.Signature(8)),
                "registers": Out(AXI4Lite(address_bits=params.register_address_bits)),
                "memory": Out(AXI4(address_bits=params.address_bits, data_bits=PORT_BITS)),
                "opened": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the parts."""
        m = Module()
        params = self.params
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=8, depth=QUEUE_BYTES)
        m.submodules.receiver = receiver = PacketReceiver(patience=params.patience_cycles)
        m.submodules.sender = sender = PacketSender()
        m.submodules.masters = masters = LinkMasters(
            address_bits=params.address_bits,
            register_address_bits=params.register_address_bits,
            memory_bytes=params.memory_bytes,
        )
        m.submodules.buffer = buffer = memory.Memory(shape=32, depth=MAX_WORDS, init=[])
        read, write = buffer.read_port(), buffer.write_port()
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            receiver.i.payload.eq(queue.r_data),
            receiver.i.valid.eq(queue.r_rdy),
            queue.r_en.eq(receiver.i.ready),
            read.addr.eq(Mux(masters.busy, masters.index, sender.index)),
            sender.word.eq(read.data),
            masters.word.eq(read.data),
            write.en.eq(masters.write_en | receiver.write_en),
            write.addr.eq(Mux(masters.write_en, masters.write.index, receiver.write.index)),
            write.data.eq(Mux(masters.write_en, masters.write.word, receiver.write.word)),
            masters.cleared.eq(receiver.word),
        ]
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        wiring.connect(m, masters.registers, wiring.flipped(self.registers))
        wiring.connect(m, masters.memory, wiring.flipped(self.memory))
        self._control(m, receiver, masters, sender)
        return m

    def _control(self, m: Module, receiver: PacketReceiver, masters: LinkMasters, sender: PacketSender) -> None:
        """Take a request, judge it, have it carried out, answer it."""
        request, status = receiver.o.payload, sender.i.payload.status
        identifies = (request.opcode == Opcode.IDENTIFY) | (request.opcode == Opcode.OPEN)
        complaint = Signal(Status)
        waited = Signal(range(self.params.patience_cycles + 1))
        earlier = Signal(data.StructLayout({"valid": 1, "sequence": 8, "status": Status}))
        repeated = Signal()
        m.d.comb += [
            masters.i.payload.eq(request),
            sender.i.payload.sequence.eq(request.sequence),
            repeated.eq(
                earlier.valid & (request.opcode == Opcode.WRITE_REGISTERS) & (request.sequence == earlier.sequence)
            ),
        ]
        judge = self._judge(m, request, receiver.word)
        answered = Signal(Status)
        m.d.comb += status.eq(answered)
        with m.FSM(name="link"):
            with m.State("listen"):
                m.d.sync += waited.eq(0)
                with m.If(receiver.o.valid):
                    m.next = "judge"
            with m.State("judge"):
                m.d.sync += complaint.eq(judge)
                with m.If(~receiver.good):
                    m.d.sync += complaint.eq(Status.CHECKSUM)
                with m.Elif((judge == Status.OKAY) & ~identifies & ~self.opened):
                    m.d.sync += complaint.eq(Status.RESET)
                with m.Elif((judge == Status.OKAY) & masters.busy):
                    m.d.sync += complaint.eq(Status.NO_ANSWER)
                m.next = "begin"
            with m.State("begin"):
                m.d.sync += answered.eq(complaint)
                with m.If(complaint != Status.OKAY):
                    m.next = "answer"
                with m.Elif(repeated):
                    m.d.sync += answered.eq(earlier.status)
                    m.next = "answer"
                with m.Else():
                    m.d.comb += masters.i.valid.eq(1)
                    with m.If(request.opcode == Opcode.OPEN):
                        m.d.sync += [self.opened.eq(1), earlier.valid.eq(0)]
                    m.next = "wait"
            with m.State("wait"):
                m.d.sync += waited.eq(Mux(masters.moves, 0, waited + 1))
                with m.If(~masters.busy):
                    m.d.sync += answered.eq(Mux(masters.failed, Status.BUS, Status.OKAY))
                    m.next = "note"
                with m.Elif(waited == self.params.patience_cycles):
                    m.d.sync += answered.eq(Status.NO_ANSWER)
                    m.next = "note"
            with m.State("note"):
                with m.If(~identifies):
                    m.d.sync += [
                        earlier.valid.eq(request.opcode == Opcode.WRITE_REGISTERS),
                        earlier.sequence.eq(request.sequence),
                        earlier.status.eq(answered),
                    ]
                m.next = "answer"
            with m.State("answer"):
                m.d.comb += sender.i.valid.eq(1)
                with m.If(answered == Status.OKAY):
                    with m.If(identifies):
                        m.d.comb += sender.i.payload.count.eq(IDENTITY_WORDS)
                    with m.Elif((request.opcode & PAYLOAD) == 0):
                        m.d.comb += sender.i.payload.count.eq(request.count)
                with m.If(sender.i.ready):
                    m.next = "send"
            with m.State("send"):
                # The buffer is the answer's until it is sent.
                with m.If(sender.i.ready):
                    m.d.comb += receiver.o.ready.eq(1)
                    m.next = "listen"

    def _judge(self, m: Module, request: data.View, word: Signal) -> Signal:
        """Return what is wrong with a request in itself."""
        params, judged = self.params, Signal(Status)
        words = Signal(32)
        end, row_end = Signal(33), Signal(range(2 * BURST_BOUNDARY_BYTES // WORD_BYTES))
        of_registers, of_memory, clears = Signal(), Signal(), Signal()
        identifies = (request.opcode == Opcode.IDENTIFY) | (request.opcode == Opcode.OPEN)
        row_words = BURST_BOUNDARY_BYTES // WORD_BYTES
        m.d.comb += [
            of_registers.eq((request.opcode & ~PAYLOAD & 0xFF) == Opcode.READ_REGISTERS),
            of_memory.eq((request.opcode & ~PAYLOAD & 0xFF) == Opcode.READ_MEMORY),
            clears.eq(request.opcode == Opcode.CLEAR_MEMORY),
            words.eq(Mux(clears, word, request.count)),
            end.eq(request.address[2:] + words),
            row_end.eq((request.address[2:] % row_words) + request.count),
        ]
        beyond = Mux(
            of_registers, end > 1 << (params.register_address_bits - 2), end > params.memory_bytes // WORD_BYTES
        )
        with m.If(identifies):
            m.d.comb += judged.eq(Mux(request.count == 0, Status.OKAY, Status.COUNT))
        with m.Elif(~of_registers & ~of_memory & ~clears):
            m.d.comb += judged.eq(Status.OPCODE)
        with m.Elif((request.count == 0) | (request.count > MAX_WORDS) | (clears & (request.count != 1))):
            m.d.comb += judged.eq(Status.COUNT)
        with m.Elif((request.address[:2] != 0) | beyond | (of_memory & (row_end > row_words))):
            m.d.comb += judged.eq(Status.ADDRESS)
        return judged
