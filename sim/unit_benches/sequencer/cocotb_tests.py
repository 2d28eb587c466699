"""Cocotb side of the sequencer bench: what is read, in which order, what reaches each unit, and how a program ends."""

import itertools
import json
import os
import pathlib
import random
import zlib
from collections import deque

import cocotb
from cocotb.triggers import RisingEdge
from rtlm.hw.attention.params import POSITION_BITS, attention_command
from rtlm.hw.control.isa import INSTRUCTION_BYTES, Index, Instruction, Opcode, assemble
from rtlm.hw.control.legality import broken_rules
from rtlm.hw.control.sequencer import SETTLE_CYCLES, Fault
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.matmul.unit import matmul_command
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.sim.unit_benches.points import Points
from rtlm.sim.unit_benches.sequencer.bench import is_skipped, segments
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, reset, start_clock

PARAMS = SequencerParams(**json.loads(os.environ["BENCH_PARAMS"]))
SEED, COUNT = int(os.environ["BENCH_SEED"]), int(os.environ["BENCH_COUNT"])
WORD, BEATS = PARAMS.word_bytes, PARAMS.beats_per_word
INSTRUCTION_CYCLES = 3
"""For each instruction, when nothing waits."""
UNITS = ("matmul", "attention", "vector")
COMMANDS = {
    "matmul": matmul_command(PARAMS.formats),
    "attention": attention_command(windows=PARAMS.windows),
    "vector": PARAMS.vector_command,
}
IDLE = ("matmul_idle", "vector_idle", "attention_idle", "writer_idle")
PROGRAM_BASE = 1 << 24
CHANCES = (1.0, 0.6, 0.2)
PACES = ("segments", "memory", "words", "commands", "idle")
"""What can wait: for each there is a chance that it does not, in a cycle."""

POINTS = Points(pathlib.Path(os.environ["BENCH_FOLDER"]))
_EPILOGUES = {
    Opcode.LOAD: PARAMS.limits.loads,
    Opcode.EMBED: (Epilogue.EMBED,),
    Opcode.ATTENTION: (Epilogue.QUANTISE,),
    Opcode.MATMUL: PARAMS.limits.results,
}
if PARAMS.post_norms:
    _EPILOGUES[Opcode.ADD] = (Epilogue.ADD,)
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
            format=PARAMS.formats[rng.randrange(len(PARAMS.formats))],
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
            # Of a window the gates look at the low bits only.
            imm1=rng.choice([rng.getrandbits(32), rng.randrange(1 << 12) << POSITION_BITS | rng.randrange(100)]),
            biases=rng.randrange(2),
            head_norms=rng.randrange(2),
            gelu=rng.randrange(2),
        )
        if not broken_rules(instruction, PARAMS.limits):
            return instruction


class Program:
    """A random program, the registers of its step, and everything that must come of it."""

    def __init__(self, rng):
        opcodes = list(_EPILOGUES)
        self.instructions = [legal(rng, rng.choice(opcodes)) for _ in range(rng.randrange(1, 40))]
        self.instructions.append(Instruction(opcode=Opcode.END))
        raw = assemble(self.instructions).tobytes()
        raw += rng.randbytes(-len(raw) % WORD)  # what follows END must not matter, but for the check
        self.words = [raw[n : n + WORD] for n in range(0, len(raw), WORD)]
        self.crc = zlib.crc32(raw)
        self.active = rng.randrange(1, PARAMS.columns + 1)
        self.no_logits, self.store_logits = rng.randrange(2), rng.randrange(2)
        columns = range(PARAMS.columns)
        longest = PARAMS.row_words * WORD // PARAMS.row_bytes
        self.registers = {
            "token": [rng.getrandbits(20) for _ in columns],
            "position": [rng.choice([rng.getrandbits(12), rng.randrange(longest)]) for _ in columns],
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
        flags = {"biases": i.biases, "head_norms": i.head_norms, "gelu": i.gelu}
        vector |= {name: flag for name, flag in flags.items() if getattr(PARAMS, name)}
        self.commands["vector"].append(vector | {"store": i.store & self.store_logits, "address": i.aux})
        if unit == "matmul":
            names = ("format", "group_shift", "k_blocks", "rows", "bank", "packet_shift")
            values = {name: int(getattr(i, name)) for name in names}
            self.commands[unit].append(values | {"columns_active": self.active})
        elif unit == "attention":
            values = {"kv_heads": i.kv_heads, "group": i.group, "columns_active": self.active, "c0": i.imm0}
            if PARAMS.windows:
                values["window"] = i.imm1 % (1 << POSITION_BITS)
            self.commands[unit].append(values)
        self.clears[0] += i.epilogue in (Epilogue.RESIDUAL, Epilogue.ADD) or (
            i.epilogue is Epilogue.EMBED and i.column == 0
        )
        self.clears[1] += i.epilogue in (Epilogue.SWIGLU, Epilogue.QUANTISE)


class Bench:
    """Memory in front of the sequencer, units behind it."""

    def __init__(self, dut, name):
        self.dut, self.rng = dut, random.Random(f"{SEED} {name} idle")
        self.queue: deque = deque()  # words on their way: (is a program word, payload)

        def stream(kind, port, **options):
            return kind(dut, port, random.Random(f"{SEED} {name} {port}"), **options)

        self.segments = stream(Sink, "o_segments", holds=False)
        self.memory = {True: stream(Source, "i_program"), False: stream(Source, "i_words")}
        self.words = {unit: stream(Sink, f"o_{unit}_words") for unit in UNITS}
        self.taken = {unit: stream(Sink, f"o_{unit}") for unit in UNITS}
        self.pace(dict.fromkeys(PACES, 1.0))

    def pace(self, chance):
        """Set the chances of everything that can wait."""
        self.chance = chance
        self.segments.chance = chance["segments"]
        for name, streams in (("memory", self.memory), ("words", self.words), ("commands", self.taken)):
            for each in streams.values():
                each.chance = chance[name]

    def reset_records(self):
        self.reads, self.program_reads, self.clears, self.done = [], [], [0, 0], 0
        self.routed: dict[str, list] = {unit: [] for unit in UNITS}
        self.commands: dict[str, list] = {unit: [] for unit in UNITS}

    async def reset(self):
        """Reset the sequencer; what is under way is forgotten."""
        self.queue.clear()
        for source in self.memory.values():
            source.withdraw()
        for sink in (self.segments, *self.words.values(), *self.taken.values()):
            sink.hold.forget()
        quiet = {"start": 0, "program_crc": 0, "matmul_blocked": 0, "attention_phase": 0}
        await reset(self.dut, **quiet, **dict.fromkeys(IDLE, 1))

    def is_busy(self, program, name):
        """Whether a unit still waits for words of a command that it has taken."""
        unit = name.removesuffix("_idle")
        if unit not in UNITS:
            return False
        return len(self.routed[unit]) < sum(program.demand[unit][: len(self.commands[unit])])

    async def cycle(self, program):
        """Let a cycle pass, and note what moved in it."""
        dut = self.dut
        await RisingEdge(dut.clk)
        segment = self.segments.edge()
        for unit in UNITS:
            word, command = self.words[unit].edge(), self.taken[unit].edge()
            if word is not None:
                self.routed[unit].append(word)
            if command is not None:
                fields = {n: command >> f.offset & ((1 << f.width) - 1) for n, f in COMMANDS[unit]}
                self.commands[unit].append(fields)
        clear = int(dut.clear_banks.value)
        self.clears = [count + (clear >> bank & 1) for bank, count in enumerate(self.clears)]
        self.done += int(dut.done.value)
        if segment is not None:
            self.request(program, segment)
        for source in self.memory.values():
            source.edge()
        if self.queue and not any(source.queue for source in self.memory.values()):  # words come in order
            kind, payload = self.queue.popleft()
            self.memory[kind].push([payload])
        for name in IDLE:
            lucky = self.rng.random() < self.chance["idle"]
            getattr(dut, name).value = int(lucky and not self.is_busy(program, name))
        dut.start.value = 0

    def is_empty(self):
        """Whether no word is on its way."""
        return not self.queue and not any(source.queue for source in self.memory.values())

    def budget(self, program):
        """Return the cycles in which a program must end, even if no two streams ever move at once."""
        segments = len(program.reads) + len(program.words)
        words = {unit: len(program.routed[unit]) for unit in UNITS}
        counts = {
            "segments": [segments],
            "memory": [sum(words.values()) + len(program.words)],
            "words": words.values(),
            "commands": [len(program.commands[unit]) for unit in UNITS],
        }
        total = sum(budget(count, self.chance[name]) for name, some in counts.items() for count in some)
        # An instruction may wait until all are idle at once, the end until they were for some cycles in a row.
        idle = self.chance["idle"] ** len(IDLE)
        total += budget(len(program.instructions), idle) + SETTLE_CYCLES * budget(1, idle**SETTLE_CYCLES)
        return total + UNIT_MARGIN * (INSTRUCTION_CYCLES * len(program.instructions) + segments)

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
        most = self.budget(program)
        for cycle in range(most):
            await self.cycle(program)
            if self.done or int(dut.fault.value):
                dut._log.info("%d of %d cycles, %d segments", cycle, most, len(self.reads))
                return
        raise AssertionError(f"no end within {most} cycles: {len(self.reads)} of {len(program.reads)} segments")


def check(bench, program):
    assert bench.program_reads == list(range(len(program.words)))
    assert bench.reads == program.reads
    for unit in UNITS:
        assert bench.routed[unit] == program.routed[unit], f"words of {unit}"
        assert bench.commands[unit] == program.commands[unit], f"commands of {unit}"
    assert bench.clears == program.clears
    assert bench.is_empty()


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
    start_clock(dut)
    bench = Bench(dut, "programs")
    await bench.reset()
    # The first program meets no pause; then come all other pairs of the two that matter most, before one comes again.
    pairs = rng.sample(list(itertools.product(CHANCES, CHANCES)), len(CHANCES) ** 2)
    pairs.sort(key=lambda pair: pair != (1.0, 1.0))
    for number in range(COUNT):
        chance = {name: rng.choice(CHANCES) if number else 1.0 for name in PACES}
        chance["memory"], chance["commands"] = pairs[number % len(pairs)]
        chance["idle"] = max(0.9, chance["idle"])  # seven quiet cycles in a row end a program
        bench.pace(chance)
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
    start_clock(dut)
    bench = Bench(dut, "wrong")
    for fault in (Fault.PROGRAM_CHECKSUM, Fault.ILLEGAL_INSTRUCTION):
        await bench.reset()
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
