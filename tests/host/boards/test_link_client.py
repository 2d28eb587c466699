"""The host's side of the link in front of a port that loses, damages and refuses what a test says."""

import numpy as np
import pytest
from rtlm.host.boards.link_client import RETRIES, LinkClient
from rtlm.host.boards.uart import CLEAR_BYTES, PACKET_BYTES, UartMemory, UartRegisters
from rtlm.host.errors import AcceleratorError
from rtlm.hw.board.link.protocol import (
    LINK_ID,
    LINK_VERSION,
    MAX_WORDS,
    PAYLOAD,
    REQUEST_MARK,
    WORD_BYTES,
    Answer,
    Opcode,
    Status,
    checked,
)

SIZE = 1 << 20
IDENTIFIES = (Opcode.IDENTIFY.value, Opcode.OPEN.value)


class Port:
    """A serial port with a board behind it; `lose` and `damage` say for how many answers and requests."""

    name = "port"

    def __init__(self, identity=(LINK_ID, LINK_VERSION, SIZE // WORD_BYTES)):
        self.memory, self.registers = np.zeros(SIZE, np.uint8), {}
        self.identity, self.opcodes, self.writes = identity, [], []
        self.answers, self.earlier = bytearray(), None
        self.lose, self.damage, self.status, self.silent = set(), set(), {}, False
        self.received, self.handled = bytearray(), 0

    def write(self, content, seconds):
        self.received += content
        while (place := self.received.find(REQUEST_MARK)) >= 0:
            del self.received[:place]
            if len(self.received) < 8:
                return
            opcode, sequence, count = self.received[1:4]
            size = 8 + (count * WORD_BYTES if opcode & PAYLOAD else 0)
            if len(self.received) < size + 4:
                return
            packet = bytes(self.received[: size + 4])
            del self.received[: size + 4]
            self.handle(opcode, sequence, count, int.from_bytes(packet[4:8], "little"), packet)

    def handle(self, opcode, sequence, count, address, packet):
        self.handled += 1
        status, words = Status.OKAY.value, b""
        if checked(packet[:-4]) != packet or self.handled in self.damage:
            status = Status.CHECKSUM.value
        elif opcode in IDENTIFIES:
            words = np.array(self.identity, "<u4").tobytes()
        elif opcode in self.status:
            status = self.status[opcode].value
        else:
            words = self.carry_out(opcode, sequence, count, address, packet[8:-4])
        if not self.silent and self.handled not in self.lose:
            self.answers += Answer(status=status, sequence=sequence, words=words).encode()

    def carry_out(self, opcode, sequence, count, address, words):
        self.opcodes.append(opcode)
        if opcode == Opcode.WRITE_REGISTERS.value and self.earlier != sequence:
            self.writes.append((address, words))
        self.earlier = sequence if opcode == Opcode.WRITE_REGISTERS.value else None
        if opcode == Opcode.READ_REGISTERS.value:
            return (address * 3).to_bytes(4, "little")
        if opcode == Opcode.READ_MEMORY.value:
            return self.memory[address : address + count * WORD_BYTES].tobytes()
        if opcode == Opcode.WRITE_MEMORY.value:
            assert address // 4096 == (address + len(words) - 1) // 4096 and count <= MAX_WORDS
            self.memory[address : address + len(words)] = np.frombuffer(words, np.uint8)
        if opcode == Opcode.CLEAR_MEMORY.value:
            self.memory[address : address + WORD_BYTES * int.from_bytes(words, "little")] = 0
        return b""

    def read(self, seconds):
        content = bytes(self.answers[:7])
        del self.answers[:7]
        return content


def client(port):
    return LinkClient(port, baud=1_000_000, name="uart:port", answer_s=0.005)


def test_memory_is_written_read_and_cleared_in_pieces():
    port = Port()
    memory, rng = UartMemory(client(port)), np.random.default_rng(1)
    content = rng.integers(1, 256, 5 * PACKET_BYTES + 8, dtype=np.uint8)
    memory.write(100, content)
    np.testing.assert_array_equal(memory.read(100, content.size), content)
    assert port.opcodes.count(Opcode.WRITE_MEMORY.value) == port.opcodes.count(Opcode.READ_MEMORY.value) == 6
    port.memory[:] = 7
    memory.clear(64, 2 * CLEAR_BYTES)
    assert port.opcodes.count(Opcode.CLEAR_MEMORY.value) == 3
    assert not port.memory[64 : 64 + 2 * CLEAR_BYTES].any() and port.memory[[63, 64 + 2 * CLEAR_BYTES]].all()
    with pytest.raises(ValueError, match="address and size must be multiples of 4, got 0x2 and 8"):
        memory.read(2, 8)


def test_what_is_said_of_the_time_is_what_the_gates_take():
    """A MiB took 10.76 s of cycles at 1 Mbaud and 25 MHz (docs/boards.md)."""
    assert UartMemory(client(Port())).seconds(1 << 20) == pytest.approx(10.76, rel=0.01)


@pytest.mark.parametrize("kind", ["lose", "damage"])
def test_lost_and_damaged_packets_are_sent_again(kind):
    port = Port()
    link = client(port)
    getattr(port, kind).update(port.handled + n for n in (3, 9, 20))
    content = np.arange(40 * PACKET_BYTES, dtype=np.uint32).view(np.uint8)[: 30 * PACKET_BYTES]
    UartMemory(link).write(0, content)
    np.testing.assert_array_equal(port.memory[: content.size], content)
    assert link.repeated >= 2


def test_bytes_that_nobody_sent_are_skipped():
    port = Port()
    link = client(port)
    port.answers += bytes([0x3A, 0, 0, 0, 1, 2, 3, 4, 5])
    assert UartRegisters(link).read(4) == 12 and link.repeated == 1


def test_a_register_is_written_once_though_its_answer_is_lost():
    port = Port()
    link = client(port)
    port.lose.add(port.handled + 1)
    UartRegisters(link).write(8, 0x1234)
    assert port.writes == [(8, (0x1234).to_bytes(4, "little"))] and link.repeated == 1
    assert UartRegisters(link).read(8) == 24


def test_a_board_that_does_not_answer_is_a_sentence():
    port = Port()
    port.silent = True
    with pytest.raises(AcceleratorError, match=r"port does not answer as an accelerator at 1000000 baud \(no a"):
        client(port)
    assert port.handled == RETRIES
    port.silent = False
    link = client(port)
    port.damage.update(range(port.handled + 1, 1000, 2))
    with pytest.raises(AcceleratorError, match="requests arrive damaged"):
        UartRegisters(link).read(0)


@pytest.mark.parametrize(
    ("status", "part"),
    [
        (Status.RESET, "was reset meanwhile"),
        (Status.BUS, r"got an error from the registers or the memory there \(READ_REGISTERS at 0xc\)"),
        (Status.NO_ANSWER, "got no answer from the registers"),
        (Status.ADDRESS, "has neither registers nor memory there"),
        (Status.OPCODE, "knows no such request"),
    ],
)
def test_what_a_repetition_does_not_mend_is_a_sentence_at_once(status, part):
    port = Port()
    link = client(port)
    port.status[Opcode.READ_REGISTERS.value] = status
    with pytest.raises(AcceleratorError, match=f"uart:port {part}"):
        UartRegisters(link).read(12)
    assert link.repeated == 0


@pytest.mark.parametrize("identity", [(LINK_ID + 1, LINK_VERSION, 4), (LINK_ID, LINK_VERSION + 1, 4)])
def test_another_protocol_is_refused(identity):
    with pytest.raises(AcceleratorError, match=f"this driver knows {LINK_ID:#010x} with version {LINK_VERSION}"):
        client(Port(identity))
