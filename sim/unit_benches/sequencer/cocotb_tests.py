"""Cocotb side of sequencer.py: what is read and in which order, what reaches each unit, and how a program ends."""

import itertools
import json
import os
import pathlib
import random
import zlib
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from rtlm.hw.attention.params import ATTENTION_COMMAND
from rtlm.hw.control.isa import INSTRUCTION_BYTES, Index, Instruction, Opcode, assemble
from rtlm.hw.control.legality import broken_rules
from rtlm.hw.control.sequencer import Fault
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.formats import BlockFormat
from rtlm.hw.matmul.unit import MATMUL_COMMAND
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.params import VECTOR_COMMAND
from rtlm.sim.unit_benches.points import Points
from rtlm.sim.unit_benches.sequencer.bench import is_skipped, segments

PARAMS = SequencerParams(**json.loads(os.environ["BENCH_PARAMS"]))
SEED, COUNT = int(os.environ["BENCH_SEED"]), int(os.environ["BENCH_COUNT"])
WORD, BEATS = PARAMS.word_bytes, PARAMS.beats_per_word
TIMEOUT = 20_000
UNITS = ("matmul", "attention", "vector")
COMMANDS = {"matmul": MATMUL_COMMAND, "attention": ATTENTION_COMMAND, "vector": VECTOR_COMMAND}
IDLE = ("matmul_idle", "vector_idle", "attention_idle", "writer_idle")
PROGRAM_BASE = 1 << 24
CHANCES = (1.0, 0.6, 0.2)

POINTS = Points(pathlib.Path(os.environ["BENCH_FOLDER"]))
_EPILOGUES = {
    Opcode.LOAD: (Epilogue.LOAD_NORM, Epilogue.LOAD_ROPE),
    Opcode.EMBED: (Epilogue.EMBED,),
    Opcode.ATTENTION: (Epilogue.QUANTISE,),
    Opcode.MATMUL: tuple(Epilogue(n) for n in range(7)),
}
_KINDS = [f"{opcode.name} {each.name}" for opcode, some in _EPILOGUES.items() for each in some]
POINTS.cross("instruction x active columns", _KINDS, range(1, PARAMS.columns + 1))
POINTS.cross("instruction, executed or skipped", _KINDS, ("executed", "skipped"))
POINTS.cross("instruction x address by", [kind for kind in _KINDS if kind[0] in "LE"], [index.name for index in Index])
POINTS.cross("opcode x chance of memory x of taking a command", [each.name for each in _EPILOGUES], CHANCES, CHANCES)
POINTS.cross("end of a program", ["done", *(fault.name for fault in Fault if fault is not Fault.NONE)])


def legal(rng, opcode):
    """A random instruction that the gates accept."""
    while True:
        instruction = Instruction(
            opcode=opcode,
            epilogue=rng.choice(_EPILOGUES[opcode]),
            format=BlockFormat(rng.randrange(3)),
            bank=rng.randrange(2),
            store=rng.randrange(2),
            logits=int(rng.random() < 0.4),
            index=Index(rng.randrange(3)) if opcode in (Opcode.LOAD, Opcode.EMBED) else Index.NONE,
            packet_shift=rng.randrange(1, 7),
            column=rng.randrange(PARAMS.columns) if opcode in (Opcode.LOAD, Opcode.EMBED) else 0,
            words=rng.randrange(1, 12),
            rows=2 * rng.randrange(1, 100),
            k_blocks=rng.randrange(1, PARAMS.max_k_blocks + 1),
            kv_heads=rng.randrange(1, PARAMS.kv_heads + 1),
            group=rng.randrange(1, PARAMS.group + 1),
            address=rng.randrange(1 << 20) * BEATS,
            aux=rng.choice([0, BEATS, rng.getrandbits(32)]),
            imm0=rng.getrandbits(32),
            imm1=rng.getrandbits(32),
        )
        if not broken_rules(instruction, PARAMS.limits):
            return instruction


class Program:
    """A random program, the registers of its step, and everything that must come of it."""

    def __init__(self, rng):
        opcodes = [Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL, Opcode.ATTENTION]
        self.instructions = [legal(rng, rng.choice(opcodes)) for _ in range(rng.randrange(1, 40))]
        self.instructions.append(Instruction(opcode=Opcode.END))
        raw = assemble(self.instructions).tobytes()
        raw += rng.randbytes(-len(raw) % WORD)  # what follows END must not matter, but for the check
        self.words = [raw[n : n + WORD] for n in range(0, len(raw), WORD)]
        self.crc = zlib.crc32(raw)
        self.active = rng.randrange(1, PARAMS.columns + 1)
        self.no_logits, self.store_logits = rng.randrange(2), rng.randrange(2)
        columns = range(PARAMS.columns)
        longest = PARAMS.row_words * WORD // PARAMS.head_dim
        self.registers = {
            "token": [rng.getrandbits(20) for _ in columns],
            "position": [rng.getrandbits(12) for _ in columns],
            "history": [rng.choice([0, 1, longest, rng.randrange(longest)]) for _ in columns],
            "kv_base": [rng.randrange(1 << 16) * BEATS for _ in columns],
        }
        self.reads, self.clears = [], [0, 0]
        self.routed: dict[str, list] = {unit: [] for unit in UNITS}
        self.commands: dict[str, list] = {unit: [] for unit in UNITS}
        self.demand: dict[str, list[int]] = {unit: [] for unit in UNITS}  # words that each command takes
        for instruction in self.instructions:
            if not is_skipped(instruction, active=self.active, no_logits=self.no_logits):
                self._expect(instruction)

    def _expect(self, i):
        unit = {Opcode.MATMUL: "matmul", Opcode.ATTENTION: "attention"}.get(i.opcode, "vector")
        before = len(self.routed[unit])
        for address, words in segments(PARAMS, i, self.registers, self.active):
            self.reads.append((address, words))
            self.routed[unit] += [(address + n * BEATS) % (1 << 32) for n in range(words)]
        if i.opcode is Opcode.END:
            return
        self.demand["vector"].append(0)
        if unit != "vector":
            self.demand[unit].append(0)
        self.demand[unit][-1] = len(self.routed[unit]) - before
        vector = {"epilogue": i.epilogue.value, "rows": i.rows, "column": i.column, "imm0": i.imm0, "imm1": i.imm1}
        self.commands["vector"].append(vector | {"store": i.store & self.store_logits, "address": i.aux})
        if unit == "matmul":
            names = ("format", "group_shift", "k_blocks", "rows", "bank", "packet_shift")
            values = {name: int(getattr(i, name)) for name in names}
            self.commands[unit].append(values | {"columns_active": self.active})
        elif unit == "attention":
            values = {"kv_heads": i.kv_heads, "group": i.group, "columns_active": self.active, "c0": i.imm0}
            self.commands[unit].append(values)
        self.clears[0] += i.epilogue is Epilogue.RESIDUAL or (i.epilogue is Epilogue.EMBED and i.column == 0)
        self.clears[1] += i.epilogue in (Epilogue.SWIGLU, Epilogue.QUANTISE)


class Bench:
    """Memory in front of the sequencer, units behind it."""

    def __init__(self, dut, rng):
        self.dut, self.rng = dut, rng
        self.clock = None
        self.queue: deque = deque()  # words on their way: (is a program word, payload)
        self.chance = dict.fromkeys(("segments", "memory", "words", "commands", "idle"), 1.0)

    def reset_records(self):
        self.reads, self.program_reads, self.clears, self.done = [], [], [0, 0], 0
        self.routed: dict[str, list] = {unit: [] for unit in UNITS}
        self.commands: dict[str, list] = {unit: [] for unit in UNITS}
        self.held = {}

    def lucky(self, name):
        return int(self.rng.random() < self.chance[name])

    async def start(self):
        dut = self.dut
        for name in ("start", "o_segments__ready", "i_program__valid", "i_words__valid", "program_crc"):
            getattr(dut, name).value = 0
        for unit in UNITS:
            getattr(dut, f"o_{unit}__ready").value = getattr(dut, f"o_{unit}_words__ready").value = 0
        for name in IDLE:
            getattr(dut, name).value = 1
        dut.matmul_blocked.value = dut.attention_phase.value = 0
        dut.rst.value = 1
        if not self.clock:
            self.clock = cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst.value = 0

    def offer(self):
        """Offer the oldest word; one that is offered stays until it is taken."""
        dut = self.dut
        standing = int(dut.i_program__valid.value) or int(dut.i_words__valid.value)
        if not standing and self.queue and self.lucky("memory"):
            program, payload = self.queue[0]
            (dut.i_program__payload if program else dut.i_words__payload).value = payload
            (dut.i_program__valid if program else dut.i_words__valid).value = 1

    def stream(self, name):
        """Payload that moves in this cycle, None if none; what waits must not change."""
        valid, ready, payload = (getattr(self.dut, f"{name}__{part}") for part in ("valid", "ready", "payload"))
        seen = int(payload.value) if int(valid.value) else None
        if name in self.held and not name.endswith("segments"):
            assert seen == self.held[name], f"{name} changed or was withdrawn while it waited"
        self.held.pop(name, None)
        if seen is not None and not int(ready.value):
            self.held[name] = seen
        return seen if seen is not None and int(ready.value) else None

    def is_busy(self, program, name):
        """Whether a unit still waits for words of a command that it has taken."""
        unit = name.removesuffix("_idle")
        if unit not in UNITS:
            return False
        return len(self.routed[unit]) < sum(program.demand[unit][: len(self.commands[unit])])

    def moves(self, name):
        return int(getattr(self.dut, f"{name}__valid").value) and int(getattr(self.dut, f"{name}__ready").value)

    async def cycle(self, program):
        dut = self.dut
        dut.o_segments__ready.value = self.lucky("segments")
        for unit in UNITS:
            getattr(dut, f"o_{unit}__ready").value = self.lucky("commands")
            getattr(dut, f"o_{unit}_words__ready").value = self.lucky("words")
        for name in IDLE:
            getattr(dut, name).value = int(self.lucky("idle") and not self.is_busy(program, name))
        self.offer()
        await ReadOnly()
        segment = self.stream("o_segments")
        for unit in UNITS:
            word = self.stream(f"o_{unit}_words")
            if word is not None:
                self.routed[unit].append(word)
            command = self.stream(f"o_{unit}")
            if command is not None:
                layout = COMMANDS[unit]
                fields = {n: command >> f.offset & ((1 << f.width) - 1) for n, f in layout}
                self.commands[unit].append(fields)
        taken = [name for name in ("i_program", "i_words") if self.moves(name)]
        clear = int(dut.clear_banks.value)
        self.clears = [count + (clear >> bank & 1) for bank, count in enumerate(self.clears)]
        self.done += int(dut.done.value)
        await RisingEdge(dut.clk)
        for name in taken:
            getattr(dut, f"{name}__valid").value = 0
            self.queue.popleft()
        # An offer that was taken is renewed a cycle later: valid is low in between.
        if segment is not None:
            self.request(program, segment)
        dut.start.value = 0

    def request(self, program, segment):
        address, words, kind = segment & 0xFFFFFFFF, segment >> 32 & 0xFFFFFFFF, segment >> 64
        if kind:
            number = (address - PROGRAM_BASE) // BEATS
            assert words == 1 and 0 <= number < len(program.words), f"program word {number} was asked for"
            self.program_reads.append(number)
            self.queue.append((True, int.from_bytes(program.words[number], "little")))
        else:
            self.reads.append((address, words))
            self.queue += [(False, (address + n * BEATS) % (1 << 32)) for n in range(words)]

    async def run(self, program, crc):
        dut, columns = self.dut, range(PARAMS.columns)
        self.reset_records()
        for name, values in program.registers.items():
            getattr(dut, name).value = sum(values[c] << 32 * c for c in columns)
        dut.columns_active.value, dut.program_crc.value = program.active, crc
        dut.no_logits.value, dut.store_logits.value = program.no_logits, program.store_logits
        dut.program_base.value, dut.program_words.value = PROGRAM_BASE, len(program.words)
        dut.start.value = 1
        for _ in range(TIMEOUT):
            await self.cycle(program)
            if self.done or int(dut.fault.value):
                return
        raise AssertionError(f"no end after {TIMEOUT} cycles: {len(self.reads)} of {len(program.reads)} segments")


def check(bench, program):
    assert bench.program_reads == list(range(len(program.words)))
    assert bench.reads == program.reads
    for unit in UNITS:
        assert bench.routed[unit] == program.routed[unit], f"words of {unit}"
        assert bench.commands[unit] == program.commands[unit], f"commands of {unit}"
    assert bench.clears == program.clears
    assert not bench.queue


def record(bench, program):
    """Note what has been checked."""
    POINTS.hit("end of a program", "done")
    for i in program.instructions[:-1]:
        kind = f"{i.opcode.name} {i.epilogue.name}"
        skipped = is_skipped(i, active=program.active, no_logits=program.no_logits)
        POINTS.hit("instruction, executed or skipped", kind, "skipped" if skipped else "executed")
        if skipped:
            continue
        POINTS.hit("instruction x active columns", kind, program.active)
        chances = bench.chance["memory"], bench.chance["commands"]
        POINTS.hit("opcode x chance of memory x of taking a command", i.opcode.name, *chances)
        if i.opcode in (Opcode.LOAD, Opcode.EMBED):
            POINTS.hit("instruction x address by", kind, i.index.name)


@cocotb.test()
async def random_programs(dut):
    """Random programs: reads, words and commands of each unit in order, banks cleared, one `done`."""
    rng = random.Random(f"{SEED} programs")
    print(f"seed {SEED}")
    bench = Bench(dut, rng)
    await bench.start()
    # The first program meets no pause; then come all other pairs of the two that matter most, before one comes again.
    pairs = rng.sample(list(itertools.product(CHANCES, CHANCES)), len(CHANCES) ** 2)
    pairs.sort(key=lambda pair: pair != (1.0, 1.0))
    for number in range(COUNT):
        bench.chance = {name: rng.choice(CHANCES) for name in bench.chance} if number else bench.chance
        bench.chance["memory"], bench.chance["commands"] = pairs[number % len(pairs)]
        bench.chance["idle"] = max(0.9, bench.chance["idle"])  # seven quiet cycles in a row end a program
        program = Program(rng)
        await bench.run(program, program.crc if number % 2 else 0)
        assert int(dut.fault.value) == Fault.NONE.value
        assert bench.done == 1
        check(bench, program)
        record(bench, program)
        for _ in range(5):
            await bench.cycle(program)
        assert not int(dut.busy.value) and bench.done == 1


@cocotb.test()
async def wrong_programs(dut):
    """An unknown opcode and a program with another check end in their faults, and never in `done`."""
    rng = random.Random(f"{SEED} wrong")
    bench = Bench(dut, rng)
    for fault in (Fault.PROGRAM_CHECKSUM, Fault.ILLEGAL_INSTRUCTION):
        await bench.start()
        program = Program(rng)
        crc = program.crc ^ 1 << rng.randrange(32)
        if fault is Fault.ILLEGAL_INSTRUCTION:
            place = rng.randrange(len(program.instructions))
            word, offset = divmod(place * INSTRUCTION_BYTES, WORD)
            raw = bytearray(program.words[word])
            # Not skipped, and an opcode that is none.
            raw[offset : offset + INSTRUCTION_BYTES] = bytes([0xF]) + bytes(INSTRUCTION_BYTES - 1)
            program.words[word] = bytes(raw)
        await bench.run(program, crc)
        assert int(dut.fault.value) == fault.value
        assert not bench.done
        POINTS.hit("end of a program", fault.name)
        bench.queue.clear()
