"""The driver against a device that is no more than registers and memory."""

import dataclasses

import numpy as np
import pytest
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import AcceleratorError
from rtlm.host.runtime.control import RESET_POLLS
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.engine import Engine
from rtlm.hw.control.errors import ERROR_MEANINGS, Error
from rtlm.hw.registers.accelerator import COUNTERS, ID_VALUE, VERSION_VALUE, register_map

from tests.host.small_models import params_of

CONTEXT = 50
COLUMNS = 3


class FakeDevice:
    """Keeps what is written, and answers a start with what the test has laid down."""

    def __init__(self, params, image, words):
        self.map = register_map(params.columns)
        self.memory = np.zeros((words, params.word_bytes), np.uint8)
        self.memory[: len(image)] = image
        self.values = {}
        self.starts = []
        self.runs = 0
        self.resets = 0
        self.busy_polls = 0
        self.left = {}
        for name, value in (
            ("ID", ID_VALUE),
            ("VERSION", VERSION_VALUE),
            ("CONFIG_HASH_LOW", params.config_hash & 0xFFFFFFFF),
            ("CONFIG_HASH_HIGH", params.config_hash >> 32),
        ):
            self.set(name, value)

    def set(self, name, value, index=0):
        self.values[self.map.address(name, index)] = value

    def get(self, name, index=0):
        return self.values.get(self.map.address(name, index), 0)

    def write_register(self, address, value):
        if address != self.map.address("CONTROL"):
            assert not self.left, "a register that is locked until a reset"
            self.values[address] = value
            return
        fields = self.map["CONTROL"].decode(value)
        if fields["start"]:
            self.starts.append(fields)
        if fields["reset"]:
            self.resets += 1
            self.left = {}
            self.set("ERROR", 0)

    def read_register(self, address):
        if address == self.map.address("STATUS"):
            self.busy_polls -= 1
            return self.map["STATUS"].encode(resetting=int(self.busy_polls >= 0), **self.left)
        return self.values.get(address, 0)

    def write_words(self, word, content):
        self.memory.reshape(-1)[word * self.memory.shape[1] :][: content.size] = content.reshape(-1)

    def read_words(self, word, count):
        return self.memory[word : word + count].reshape(-1).copy()

    def run(self):
        self.runs += 1


@pytest.fixture(scope="module")
def parts(small_model):
    model = small_model()
    params = params_of("three columns")
    memory, program = compile_model(params, model, context=CONTEXT)
    return model, params, memory, build_image(params, model, memory, program)


@pytest.fixture
def device(parts):
    _, params, memory, image = parts
    return FakeDevice(params, image, memory.words)


@pytest.fixture
def engine(parts, device):
    return connect(parts, device)


def connect(parts, device, **changes):
    model, params, memory, _ = parts
    arguments = {"params": params, "memory": memory} | changes
    return Engine(
        device, arguments["params"], arguments["memory"], vocabulary=model.vocab, context=CONTEXT, program_crc=77
    )


def column(token=5, position=0, history=0, local_first=0, slot=0):
    return ColumnInput(token=token, position=position, history=history, local_first=local_first, slot=slot)


def test_program_and_limit_are_set_once(parts, device, engine):
    memory = parts[2]
    assert device.get("PROGRAM_BASE") == memory.address("program")
    assert device.get("PROGRAM_WORDS") == memory.regions["program"].words
    assert device.get("PROGRAM_CRC") == 77
    assert device.get("LIMIT") == memory.beats
    assert not device.starts and not device.runs


@pytest.mark.parametrize("left", ["busy", "error"])
def test_what_an_earlier_program_left_is_reset(parts, device, left):
    """A step that still runs, or one that has stopped with an error; both lock the registers."""
    device.left = {left: 1}
    connect(parts, device).step([column()])
    assert device.resets == 1
    connect(parts, device)
    assert device.resets == 1


def test_a_device_that_no_reset_ends_is_refused(parts, device):
    device.left = {"busy": 1}
    device.busy_polls = RESET_POLLS + 5
    with pytest.raises(AcceleratorError, match=f"not come out of reset after {RESET_POLLS} looks"):
        connect(parts, device)


def test_step_writes_every_column_and_reads_its_answer(parts, device, engine):
    model, params, memory, _ = parts
    columns = [column(7, 4, 4, 0, 2), column(8, 5, 4, 0, 2), column(300, 9, 9, 2, 1)]
    logits = np.random.default_rng(0).standard_normal((COLUMNS, model.vocab)).astype("<f4")
    words = -(-4 * model.vocab // params.word_bytes)
    rows = np.zeros((COLUMNS, words * params.word_bytes), np.uint8)
    rows[:, : 4 * model.vocab] = logits.view(np.uint8)
    device.write_words(memory.regions["logits"].start, rows)
    for c in range(COLUMNS):
        device.set("BEST", 100 + c, c)
    for i, name in enumerate(COUNTERS):
        device.set(name, 1000 + i)
    result = engine.step(columns, read_logits=True)
    assert device.get("COLUMNS") == COLUMNS
    for c, given in enumerate(columns):
        written = [device.get(name, c) for name in ("TOKEN", "POSITION", "HISTORY", "LOCAL_FIRST", "KV_BASE")]
        base = memory.address(f"kv{given.slot}")
        assert written == [given.token, given.position, given.history, given.local_first, base]
    assert device.runs == 1
    assert device.starts == [{"start": 1, "reset": 0, "no_logits": 0, "store_logits": 1, "clear_done": 0}]
    assert result.best == [100, 101, 102]
    np.testing.assert_array_equal(result.logits, logits)
    assert result.counters == {name: 1000 + i for i, name in enumerate(COUNTERS)}


def test_what_nobody_wants_is_left_out(device, engine):
    result = engine.step([column()], want_logits=False)
    assert result.best is None and result.logits is None
    result = engine.step([column()])
    assert result.best == [0] and result.logits is None
    assert [(s["no_logits"], s["store_logits"]) for s in device.starts] == [(1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("register", "value", "sentence"),
    [
        ("ID", 0x12345678, "ID register is 0x12345678; that of an accelerator is 0x4d4c5452"),
        ("VERSION", 99, f"has register map 99; this driver knows version {VERSION_VALUE}"),
        ("CONFIG_HASH_LOW", 0, "was built from configuration .*00000000, but the memory image is for"),
        ("CONFIG_HASH_HIGH", 0, "was built from configuration 00000000.*, but the memory image is for"),
    ],
)
def test_other_devices_are_refused(parts, device, register, value, sentence):
    device.set(register, value)
    with pytest.raises(AcceleratorError, match=sentence) as caught:
        connect(parts, device)
    assert "\n" not in str(caught.value)


def test_memory_without_the_right_image_is_refused(parts, device):
    memory = parts[2]
    saved = device.memory[0].copy()
    for byte, sentence in ((0, "must start with"), (8, "version"), (20, "header is damaged")):
        device.memory[0, byte] ^= 1
        with pytest.raises(AcceleratorError, match=sentence):
            connect(parts, device)
        device.memory[0] = saved
    shorter = dataclasses.replace(memory, regions=dict(list(memory.regions.items())[:-1]))
    with pytest.raises(AcceleratorError, match=f"takes {memory.words} words; that of this model {shorter.words}"):
        connect(parts, device, memory=shorter)
    connect(parts, device)


@pytest.mark.parametrize("error", [error for error in Error if error is not Error.NONE], ids=lambda error: error.name)
def test_error_codes_become_sentences(device, engine, error):
    device.set("ERROR", error.value)
    with pytest.raises(AcceleratorError) as caught:
        engine.step([column()])
    meaning = ERROR_MEANINGS[error]
    assert str(caught.value) == f"the accelerator stopped with error {error.value} ({error.name.lower()}): {meaning}"
    written = dict(device.values)
    with pytest.raises(AcceleratorError, match="has stopped with an error; reset it before the next step"):
        engine.step([column(token=9)])
    assert device.values == written, "a register that is locked until a reset"
    engine.reset()
    engine.step([column()])


def test_every_error_has_its_own_meaning():
    assert set(ERROR_MEANINGS) == set(Error) and len(set(ERROR_MEANINGS.values())) == len(Error)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ([], "the columns of a step must be 1 to 3, got 0"),
        ([column(position=i) for i in range(4)], "the columns of a step must be 1 to 3, got 4"),
        ([column(token=301)], "token of column 0 must be from 0 to 300, got 301"),
        ([column(token=-1)], "token of column 0 must be from 0 to 300, got -1"),
        ([column(slot=3)], "slot of column 0 must be from 0 to 2, got 3"),
        ([column(position=50)], "position of column 0 must be from 0 to 49, got 50"),
        ([column(position=4, history=5)], "history of column 0 must be from 0 to 4, got 5"),
        ([column(), column(position=1, history=1)], "history of column 1 must be from 0 to 0, got 1"),
        ([column(), column(position=1, local_first=2)], "local_first of column 1 must be from 0 to 1, got 2"),
        ([column(), column()], "two columns of a step have the same position of the same KV slot"),
    ],
)
def test_impossible_inputs_reach_no_register(device, engine, columns, sentence):
    before = dict(device.values)
    with pytest.raises(AcceleratorError, match=sentence):
        engine.step(columns)
    assert device.values == before and not device.starts


def test_reset_waits_for_the_bus_and_gives_up_at_last(device, engine):
    device.busy_polls = 20
    engine.reset()
    assert device.resets == 1 and device.busy_polls == -1
    device.busy_polls = RESET_POLLS + 5
    with pytest.raises(AcceleratorError, match=f"not come out of reset after {RESET_POLLS} looks"):
        engine.reset()
