"""The device of a board in front of registers, memory and interrupts that do what a test says."""

import sys
import types

import numpy as np
import pytest
from rtlm.host.boards import contiguous
from rtlm.host.boards.address import BoardAddress
from rtlm.host.boards.contiguous import contiguous_memory
from rtlm.host.boards.device import BoardDevice, Polling
from rtlm.host.boards.xdma import CHUNK_BYTES, XdmaMemory
from rtlm.host.errors import AcceleratorError
from rtlm.hw.registers.accelerator import register_map

from tests.host.small_models import params_of

PARAMS = params_of("three columns")
MAP = register_map(PARAMS.columns)


class Board:
    """Registers, memory and interrupt of a board: STATUS takes the values of a list, the last one for ever."""

    size = 1 << 20

    def __init__(self, *statuses, interrupts=True):
        self.statuses, self.interrupts = list(statuses), interrupts
        self.content = np.zeros(self.size, np.uint8)
        self.commands = []

    def read(self, address, size=None):
        if size is not None:
            return self.content[address : address + size].copy()
        if address != MAP.address("STATUS"):
            return 7
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def write(self, address, content):
        if isinstance(content, np.ndarray):
            self.content[address : address + content.size] = content.reshape(-1)
        elif address == MAP.address("CONTROL"):
            self.commands.append(next(name for name, on in MAP["CONTROL"].decode(content).items() if on))

    def wait(self, seconds):
        return self.interrupts

    def device(self, **changes):
        values = {"registers": self, "memory": self, "interrupt": self, "timeout_s": 0.01, "name": "board"} | changes
        return BoardDevice(PARAMS, **values)


def status(**fields):
    return MAP["STATUS"].encode(**fields)


def test_interrupts_of_earlier_steps_are_not_taken_for_this_one():
    board = Board(status(busy=1), status(busy=1), status(done=1))
    board.device(timeout_s=10).run()
    assert board.commands == ["clear_done"]


def test_a_step_that_does_not_end_is_told_and_reset():
    board = Board(status(busy=1), status(busy=1), 0)
    board.statuses[2:2] = [status(busy=1)] * 100_000
    with pytest.raises(AcceleratorError, match=r"not end within 0.01 s on board \(STATUS busy, ERROR 7, CYCLES 7, "):
        board.device().run()
    assert board.commands == ["reset"]


def test_a_step_without_an_interrupt_is_told():
    board = Board(status(done=1), interrupts=False)
    with pytest.raises(AcceleratorError, match="no interrupt came through board: connect the accelerator's irq"):
        board.device(timeout_s=10).run()
    assert board.commands == ["reset"]
    Board(status(busy=1), status(done=1), interrupts=False).device(interrupt=Polling(), timeout_s=10).run()


def test_a_device_that_has_gone_is_told():
    with pytest.raises(AcceleratorError, match="does not answer: its register STATUS reads 0xffffffff"):
        Board(0xFFFFFFFF).device().run()


def test_an_error_ends_the_wait_and_stays_for_the_engine():
    board = Board(status(error=1))
    board.device().run()
    assert board.device().read_register(MAP.address("ERROR")) == 7


def test_words_are_striped_over_the_ports():
    board = Board(0)
    device = board.device()
    content = np.random.default_rng(1).integers(0, 256, (40, PARAMS.word_bytes), dtype=np.uint8)
    device.write_words(3, content)
    np.testing.assert_array_equal(device.read_words(3, 40), content.reshape(-1))
    stripes = -(-43 * PARAMS.word_bytes // device.striping.stripe_bytes) * device.striping.stripe_bytes
    linear = device.striping.gather(board.content[:stripes])
    np.testing.assert_array_equal(linear[3 * PARAMS.word_bytes :][: content.size], content.reshape(-1))


def test_dma_is_cut_into_bounded_transfers(monkeypatch):
    card = np.zeros(3 * CHUNK_BYTES, np.uint8)
    sizes = []

    def pwrite(descriptor, view, place):
        sizes.append(len(view))
        count = min(len(view), 3_000_000)
        card[place - 0x1000 : place - 0x1000 + count] = np.frombuffer(view, np.uint8)[:count]
        return count

    def preadv(descriptor, views, place):
        views[0][:] = card[place - 0x1000 : place - 0x1000 + len(views[0])].tobytes()
        return len(views[0])

    monkeypatch.setattr("os.pwrite", pwrite)
    monkeypatch.setattr("os.preadv", preadv)
    memory = XdmaMemory(1, 2, base=0x1000, name="card")
    content = np.random.default_rng(1).integers(0, 256, 2 * CHUNK_BYTES + 10, dtype=np.uint8)
    memory.write(64, content)
    assert max(sizes) == CHUNK_BYTES and len(sizes) == 5
    np.testing.assert_array_equal(memory.read(64, content.size), content)
    monkeypatch.setattr("os.preadv", lambda *_: 0)
    with pytest.raises(AcceleratorError, match="card reads no bytes at DMA address 0x1040: the card's memory may end"):
        memory.read(64, 10)


class PynqArray(np.ndarray):
    """Stands for PYNQ's buffer: what is flushed and invalidated is counted."""

    physical_address = 0x4000_0000
    calls: tuple = ()

    def flush(self):
        type(self).calls += ("flush",)

    def invalidate(self):
        type(self).calls += ("invalidate",)

    def freebuffer(self):
        type(self).calls += ("freebuffer",)


def test_pynq_allocates_where_it_is_there(monkeypatch):
    module = types.ModuleType("pynq")
    module.allocate = lambda shape, dtype: np.zeros(shape, dtype).view(PynqArray)
    monkeypatch.setitem(sys.modules, "pynq", module)
    monkeypatch.setattr(contiguous, "find_spec", lambda name: object())
    monkeypatch.setattr(PynqArray, "calls", ())
    content = np.arange(64, dtype=np.uint8)
    with contiguous_memory(BoardAddress.parse("uio:/dev/uio0,base=0x40000000"), 4096) as memory:
        memory.write(128, content)
        np.testing.assert_array_equal(memory.read(128, 64), content)
    assert PynqArray.calls == ("flush", "invalidate", "freebuffer")
    with pytest.raises(AcceleratorError, match="the buffer of PYNQ begins at physical address 0x40000000, but"):
        with contiguous_memory(BoardAddress.parse("uio:/dev/uio0"), 4096):
            pytest.fail("opened")


def test_without_a_buffer_the_sentence_says_what_is_needed(monkeypatch):
    monkeypatch.setattr(contiguous, "CLASSES", ("/sys/class/none-of-it",))
    with pytest.raises(AcceleratorError, match="must be a physically contiguous buffer: name a u-dma-buf as in"):
        with contiguous_memory(BoardAddress.parse("uio:/dev/uio0"), 4096):
            pytest.fail("opened")
    with pytest.raises(AcceleratorError, match="/dev/none cannot be opened: No such file or directory; it is a buffer"):
        with contiguous_memory(BoardAddress.parse("uio:/dev/uio0,udmabuf=none"), 4096):
            pytest.fail("opened")
