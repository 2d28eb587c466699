"""Random single faults on a running accelerator: each must end in a documented error or in the right bits.

After each, a reset and the same tokens again must give the right bits.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rtlm.host.compiler.header import HEADER_BYTES
from rtlm.host.errors import AcceleratorError
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.engine import Engine
from rtlm.hw.control.errors import Error
from rtlm.hw.control.isa import INSTRUCTION_BYTES
from rtlm.hw.memory.axi import RESPONSE_SLVERR
from rtlm.hw.unit_params import unit_params
from rtlm.sim.accelerator import SimulationError

TOKENS = (5, 17)
"""What is fed; the second reads the first one's keys and values."""
MOST_CYCLES = 1_000_000
"""Far beyond a step and the watchdog; a step that takes longer hangs."""
WATCHDOG = 3000
REGISTER_CYCLES = 50
"""More than a register access takes."""
BUS_ERRORS = ("SLVERR", "DECERR")
OF_FIRST_TOKEN = ("first_kv_base",)
"""Faults that meet the first token, which reads no keys and values; all others meet the second."""
ILLEGAL_OPCODE = 0xF
ENDS_OF_READ = {
    "header": ("NONE",),
    "program": ("READ_RESPONSE",),
    "weights": ("READ_RESPONSE",),
    "norms": ("READ_RESPONSE",),
    "embedding": ("READ_RESPONSE", "NONE"),
    "rope": ("READ_RESPONSE", "NONE"),
    "kv": ("READ_RESPONSE", "WRITE_RESPONSE", "NONE"),
}
"""How a step may end that meets an error in the header or in memory of a purpose: a step reads all weights, and one row
of embedding and RoPE table."""


@dataclass(frozen=True)
class Outcome:
    """What became of a fault: an error's name, "right" bits, or that the driver "refused" to start."""

    kind: str
    fault: str
    end: str


def name_of(error):
    """Return an error's name as an outcome."""
    return "right" if error is Error.NONE else error.name


class CampaignError(AssertionError):
    """A fault ended as none may: in a hang, in wrong bits, or in an error that is not the documented one."""


class Campaign:
    """A simulated accelerator, and what it must compute.

    `image` is the linear memory image, `program_crc` what the program's check register holds.
    """

    def __init__(self, simulation, image, program_crc, rng):
        self.device, self.engine, self.memory = simulation.device, simulation.engine, simulation.memory
        self.model, self.registers = self.device.model, self.engine.registers
        self.params = self.engine.params
        self.image, self.rng, self.program_crc = image, rng, program_crc
        self.registers.write("WATCHDOG", WATCHDOG)
        self.device.run = lambda: self.model.run(MOST_CYCLES)
        self.control = self.registers.registers["CONTROL"]
        self.turns = itertools.count()
        before = self.model.cycles
        self.reference = [self.feed(0), self.feed(1)]
        self.step_cycles = (self.model.cycles - before) // 2

    def feed(self, position):
        """Feed one token and give its logits."""
        column = ColumnInput(token=TOKENS[position], position=position, history=position, local_first=0, slot=0)
        return self.engine.step([column], read_logits=True).logits[0]

    def kv_cache(self):
        """Give the content of the KV slot."""
        region = self.memory.regions["kv0"]
        return self.device.read_words(region.start, region.words).copy()

    def is_right(self, position, logits):
        return np.array_equal(logits.view(np.uint32), self.reference[position].view(np.uint32))

    def run(self, kind):
        """Inject a fault of a kind, check how it ends and that the accelerator recovers."""
        fault, allowed, undo = getattr(self, kind)()
        try:
            error = self.end_of_step(fault, 0 if kind in OF_FIRST_TOKEN else 1)
        finally:
            # Behind an error, registers are locked until a reset.
            self.engine.reset()
            undo()
        if error.name not in allowed:
            raise CampaignError(f"{kind}: {fault} ended with {error.name}; {', '.join(allowed)} may be")
        self.recover(kind, fault)
        return Outcome(kind, fault, name_of(error))

    def end_of_step(self, fault, position):
        """Run a token; give the error it ended with, or NONE if its logits are right."""
        try:
            logits = self.feed(position)
        except AcceleratorError:
            return Error(self.registers.read("ERROR"))
        if not self.is_right(position, logits):
            raise CampaignError(f"{fault} changed logits without an error")
        return Error.NONE

    def recover(self, kind, fault):
        """Reset, and compute both tokens again."""
        self.engine.reset()
        for position in range(len(TOKENS)):
            if not self.is_right(position, self.feed(position)):
                raise CampaignError(f"after {kind} ({fault}) and a reset, token {position} is wrong")

    # --- kinds: each gives a description, the names of the errors that may come, and what undoes the fault ---

    def read_response(self):
        """An error response to a read of one beat of anything that the program may read."""
        regions = [r for r in self.memory.regions.values() if r.purpose != "logits" and r.words]
        weights = np.array([r.words for r in regions]) ** 0.5
        region = regions[self.rng.choice(len(regions), p=weights / weights.sum())]
        return self._bus_error(region, ENDS_OF_READ[region.name if region.name == "header" else region.purpose])

    def program_response(self):
        """An error response to a read of the program."""
        return self._bus_error(self.memory.regions["program"], ("READ_RESPONSE",))

    def write_response(self):
        """An error response to a write of logits."""
        return self._bus_error(self.memory.regions["logits"], ("WRITE_RESPONSE",))

    def _bus_error(self, region, allowed):
        word = region.start + int(self.rng.integers(region.words))
        beat = word * self.params.beats_per_word + int(self.rng.integers(self.params.beats_per_word))
        port = int(self.rng.integers(self.params.ports))
        answer = str(self.rng.choice(BUS_ERRORS))
        start = self.device.striping.byte_address(beat, port)
        self.model.inject_faults([(start, start + self.params.port_bytes, answer)])
        return f"{answer} at {start:#x} ({region.name})", allowed, lambda: self.model.inject_faults([])

    def program_bit(self):
        """A flipped bit of the program: never unnoticed, whatever it makes of it."""
        region = self.memory.regions["program"]
        word = region.start + int(self.rng.integers(region.words))
        content = self.image[word].copy()
        bit = int(self.rng.integers(8 * content.size))
        content[bit // 8] ^= 1 << bit % 8
        self.device.write_words(word, content)
        allowed = [error.name for error in Error if error not in (Error.NONE, Error.START_WHILE_BUSY)]
        # What it wrote before it was noticed may lie anywhere.
        return f"bit {bit} of program word {word - region.start}", allowed, lambda: self.device.load(self.image)

    def illegal_instruction(self):
        """An opcode that is none, in one of the first instructions."""
        region = self.memory.regions["program"]
        content = self.image[region.start].copy()
        place = int(self.rng.integers(content.size // INSTRUCTION_BYTES)) * INSTRUCTION_BYTES
        content[place : place + INSTRUCTION_BYTES] = 0
        content[place] = ILLEGAL_OPCODE
        self.device.write_words(region.start, content)
        fault = f"illegal opcode at byte {place} of the program"
        return fault, ("ILLEGAL_INSTRUCTION",), lambda: self.device.load(self.image)

    def program_registers(self):
        """A program that is not where, or not as long as, the register says."""
        name = str(self.rng.choice(["PROGRAM_BASE", "PROGRAM_WORDS", "PROGRAM_CRC"]))
        right = self.registers.read(name)
        wrong = right ^ 1 << int(self.rng.integers(16 if name == "PROGRAM_WORDS" else 32))
        allowed = [error.name for error in Error if error not in (Error.NONE, Error.START_WHILE_BUSY)]
        return self._register(name, wrong, allowed, self.image)

    def limit(self):
        """Memory that ends before what the program needs."""
        beats = self.params.beats_per_word * int(self.rng.integers(self.memory.words))
        return self._register("LIMIT", beats, ("READ_LIMIT", "WRITE_LIMIT", "NONE"))

    def kv_base(self):
        """A slot that does not begin at a word or lies behind the address space, in turn."""
        right, beats = self.memory.address("kv0"), self.params.beats_per_word
        bits = range(unit_params(self.params).reader.beat_bits, 32)
        far = [(right | 1 << bit, ("READ_LIMIT", "WRITE_LIMIT")) for bit in bits]
        odd = [(right + i, ("READ_ALIGNMENT", "WRITE_ALIGNMENT")) for i in range(1, beats)]
        cases = odd if odd and next(self.turns) % 2 else far
        wrong, allowed = cases[self.rng.integers(len(cases))]
        self.engine.memory = ShiftedSlot(self.memory, wrong)

        def undo():
            self.engine.memory = self.memory

        return f"KV_BASE = {wrong:#x} instead of {right:#x}", allowed, undo

    def first_kv_base(self):
        """The same for a token that only writes there."""
        return self.kv_base()

    def _register(self, name, value, allowed, image=None):
        right = self.registers.read(name)
        self.registers.write(name, value)

        def undo():
            self.registers.write(name, right)
            if image is not None:
                self.device.load(image)

        return f"{name} = {value:#x} instead of {right:#x}", allowed, undo


class ShiftedSlot:
    """A memory map whose KV slot lies elsewhere."""

    def __init__(self, memory, kv0):
        self._memory, self._kv0 = memory, kv0

    def address(self, name):
        return self._kv0 if name == "kv0" else self._memory.address(name)

    def __getattr__(self, name):
        return getattr(self._memory, name)


def interruptions(campaign) -> dict[str, Callable[[], Outcome]]:
    """Faults of the host: what it does in the middle of a step, at a random cycle, before it tries again."""
    control, registers, model, rng = campaign.control, campaign.registers, campaign.model, campaign.rng
    limit = campaign.params.context_limit
    # Bits that a truncated value would lose.
    high_bits = [1 << bit for bit in range(limit.bit_length(), 32)]

    def begin(margin=0):
        cycle = int(rng.integers(1, campaign.step_cycles - margin))
        registers.write("CONTROL", control.encode(start=1, store_logits=1))
        model.step(cycle)
        return cycle

    def finish(kind, fault, error):
        campaign.recover(kind, fault)
        return Outcome(kind, fault, error if isinstance(error, str) else name_of(error))

    def refused(device):
        """Say whether the driver refuses to start on a device."""
        engine = campaign.engine
        try:
            Engine(
                device,
                engine.params,
                campaign.memory,
                vocabulary=engine.vocabulary,
                context=engine.context,
                program_crc=campaign.program_crc,
            )
        except AcceleratorError:
            return True
        return False

    def reset():
        return finish("reset", f"reset after {begin()} cycles", Error.NONE)

    def hard_reset(kind="hard_reset", length=None):
        """The reset input; registers lose their values, so the host writes them again."""
        cycle = begin()
        model.reset(length or int(rng.integers(1, 20)))
        for name, value in (
            ("PROGRAM_BASE", campaign.memory.address("program")),
            ("PROGRAM_WORDS", campaign.memory.regions["program"].words),
            ("PROGRAM_CRC", campaign.program_crc),
            ("LIMIT", campaign.memory.beats),
            ("WATCHDOG", WATCHDOG),
        ):
            registers.write(name, value)
        return finish(kind, f"reset input after {cycle} cycles", Error.NONE)

    def short_reset():
        """The shortest reset: nothing of what was offered before may be taken in the first cycle after it."""
        return hard_reset("short_reset", 1)

    def start_while_busy():
        # The second start itself takes some cycles to arrive; the step must not end in them.
        cycle = begin(margin=REGISTER_CYCLES)
        registers.write("CONTROL", control.encode(start=1))
        error = Error(registers.read("ERROR"))
        if error is not Error.START_WHILE_BUSY:
            raise CampaignError(f"a start after {cycle} cycles, while busy, ended with {error.name}")
        return finish("start_while_busy", f"second start after {cycle} cycles", error)

    def bad_columns():
        value = int(rng.choice([0, campaign.params.columns + 1, 15, 1 << 31]))
        registers.write("COLUMNS", value)
        registers.write("CONTROL", control.encode(start=1))
        error = Error(registers.read("ERROR"))
        if error is not Error.BAD_COLUMNS:
            raise CampaignError(f"COLUMNS = {value} ended with {error.name}")
        return finish("bad_columns", f"COLUMNS = {value}", error)

    def bad_position():
        """A position behind the context: formerly it was truncated, and an old key overwritten."""
        return bad_register("POSITION", [limit, limit + int(rng.integers(limit)), *high_bits], Error.BAD_POSITION)

    def bad_history():
        """More history than the context: formerly it wrapped around in the memory of scores."""
        return bad_register("HISTORY", [limit + 1, limit + int(rng.integers(1, limit)), *high_bits], Error.BAD_HISTORY)

    def bad_local_first():
        """Attention to a later column: formerly the step stalled until the watchdog."""
        return bad_register("LOCAL_FIRST", [1, int(rng.integers(1, 16)), *high_bits], Error.BAD_LOCAL_FIRST)

    def bad_register(name, values, expected):
        """A step that may not start: it ends with its error at once, and no beat is read or written."""
        right, value = registers.read(name), int(rng.choice(values))
        registers.write(name, value)
        kv, traffic = campaign.kv_cache(), model.counters()
        registers.write("CONTROL", control.encode(start=1, store_logits=1))
        error = Error(registers.read("ERROR"))
        busy = registers.read_fields("STATUS")["busy"]
        if error is not expected or busy:
            raise CampaignError(f"{name} = {value:#x} ended with {error.name}, busy {busy}")
        model.step(campaign.step_cycles)
        after = model.counters()
        if (after.read_bytes, after.write_bytes) != (traffic.read_bytes, traffic.write_bytes):
            raise CampaignError(f"{name} = {value:#x} was refused, but memory was accessed")
        if not np.array_equal(campaign.kv_cache(), kv):
            raise CampaignError(f"{name} = {value:#x} changed the KV cache")
        registers.write(name, right)
        return finish(name.lower(), f"{name} = {value:#x}", error)

    def locked():
        """A register of the step is written while it runs: the write is refused, and the step gives the right bits."""
        cycle = begin(margin=REGISTER_CYCLES)
        register = rng.choice([r for r in registers.registers.registers if r.locked])
        right = registers.read(register.name)
        try:
            registers.write(register.name, right ^ 1 << int(rng.integers(32)))
        except SimulationError as refusal:
            if f"answered with error {RESPONSE_SLVERR}" not in str(refusal):
                raise
        else:
            raise CampaignError(f"{register.name} was written {cycle} cycles after a start")
        if registers.read(register.name) != right:
            raise CampaignError(f"{register.name} changed {cycle} cycles after a start")
        model.run(MOST_CYCLES)
        campaign.engine.check_error()
        if not campaign.is_right(1, campaign.engine.read_logits(1)[0]):
            raise CampaignError(f"a write to {register.name} while busy changed logits")
        return finish("locked", f"write of {register.name} after {cycle} cycles", "refused")

    def watchdog():
        """A watchdog shorter than any step's first read."""
        value = int(rng.integers(1, 12))
        registers.write("WATCHDOG", value)
        registers.write("CONTROL", control.encode(start=1))
        model.run(MOST_CYCLES)
        error = Error(registers.read("ERROR"))
        registers.write("WATCHDOG", WATCHDOG)
        if error is not Error.WATCHDOG:
            raise CampaignError(f"WATCHDOG = {value} ended with {error.name}")
        return finish("watchdog", f"WATCHDOG = {value}", error)

    def identity():
        """A device that says it is another: no step is made."""
        name = str(rng.choice(["ID", "VERSION", "CONFIG_HASH_LOW", "CONFIG_HASH_HIGH"]))
        bit, address = int(rng.integers(32)), registers.registers.address(name)
        if not refused(_Flipped(campaign.device, address, bit)):
            raise CampaignError(f"a device with bit {bit} of {name} flipped was accepted")
        return finish("identity", f"bit {bit} of {name}", "refused")

    def header():
        """A flipped bit of the image's header: no step is made."""
        region = campaign.memory.regions["header"]
        content = campaign.image[region.start : region.start + region.words].reshape(-1).copy()
        bit = int(rng.integers(8 * HEADER_BYTES))
        content[bit // 8] ^= 1 << bit % 8
        campaign.device.write_words(region.start, content)
        if not refused(campaign.device):
            raise CampaignError(f"an image with bit {bit} of its header flipped was accepted")
        campaign.device.load(campaign.image)
        return finish("header", f"bit {bit} of the image's header", "refused")

    kinds = (
        reset,
        hard_reset,
        short_reset,
        start_while_busy,
        bad_columns,
        bad_position,
        bad_history,
        bad_local_first,
        locked,
        watchdog,
        identity,
        header,
    )
    return {function.__name__: function for function in kinds}


class _Flipped:
    """A device with one bit of one register flipped."""

    def __init__(self, device, address, bit):
        self._device, self._address, self._bit = device, address, bit

    def read_register(self, address):
        return self._device.read_register(address) ^ ((1 << self._bit) if address == self._address else 0)

    def __getattr__(self, name):
        return getattr(self._device, name)
