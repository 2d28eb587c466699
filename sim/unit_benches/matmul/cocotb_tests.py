"""Cocotb side of the matrix bench: random matrices through the unit, with gaps and back-pressure, bit for bit."""

import itertools
import json
import os
import pathlib
import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from rtlm.hw.formats import BLOCK, MAX_GROUP_SHIFT, Blocks, Factors, pack_tiles
from rtlm.hw.hls import F32, to_bits
from rtlm.hw.kernels.quantise import WIDE_LARGEST
from rtlm.hw.matmul.activations import block_write_layout, vector_scale_layout
from rtlm.hw.matmul.unit import MatmulParams, MatrixUnit, matmul_command
from rtlm.sim.unit_benches.points import EXTENTS, Points, extent
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up, until

CHANCES = (1.0, 0.6, 0.15)
"""Chances that a source offers, or the sink takes, in a cycle."""

PARAMS = MatmulParams(**json.loads(os.environ["BENCH_PARAMS"]))
COMMAND = matmul_command(PARAMS.formats)
SEED = int(os.environ["BENCH_SEED"])
GROUPS = int(os.environ["BENCH_COUNT"])
LATENCY = int(os.environ["BENCH_LATENCY"])
SOURCES = ("i_command", "i_words", "i_write", "i_scale")
EVENTS = ("busy", "starved", "blocked_activation", "blocked_output")
FP16_EXTREMES = (0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF, 0x7C00, 0xFFFF, 0x3C00)
BF16_EXTREMES = (0x0000, 0x007F, 0x0080, 0x7F80, 0x7FFF, 0x3F80)

POINTS = Points(pathlib.Path(os.environ["BENCH_FOLDER"]))
_FORMATS, _ACTIVE = [format.name for format in PARAMS.formats], range(1, PARAMS.columns + 1)
_GROUPED = [format.name for format in PARAMS.formats if not format.group_shift]
POINTS.cross("format x lanes x active columns", _FORMATS, [PARAMS.lanes], _ACTIVE)
POINTS.cross("format x group of weights", _GROUPED, [BLOCK << shift for shift in range(MAX_GROUP_SHIFT + 1)])
POINTS.cross("format x blocks of a row", _FORMATS, EXTENTS)
POINTS.cross("format x chance of a word x of taking", _FORMATS, CHANCES, CHANCES)


def scales(rng, shape, bits, extremes):
    """Random bit patterns: all of them, ordinary ones, or the extremes."""
    kind = rng.integers(0, 4)
    if kind == 0:
        return rng.integers(0, 1 << bits, shape).astype(np.uint16)
    if kind == 1:
        return rng.choice(np.array(extremes, dtype=np.uint16), shape)
    if bits == 16:
        return rng.normal(0, 0.05, shape).astype(np.float16).view(np.uint16)
    return (rng.integers(110, 135, shape) << 7 | rng.integers(0, 128, shape)).astype(np.uint16)


def factors(rng, format, shape):
    """Random factors of super-blocks: any, or all the same extreme."""
    if format.factors is Factors.NONE:
        return None
    ranges = format.factors.ranges
    if rng.random() < 0.3:
        extremes = [rng.choice(each) for each in ranges]
        return np.stack([np.full(shape, each, np.int8) for each in extremes], axis=-1)
    return np.stack([rng.integers(low, high + 1, shape).astype(np.int8) for low, high in ranges], axis=-1)


class Group:
    """Activation vectors in a bank and the matrices that read them."""

    def __init__(self, rng, bank, *, k_blocks=None, rows=None, format=None, group_shift=None, commands=None):
        self.bank = bank
        self.active = int(rng.integers(1, PARAMS.columns + 1))
        self.k_blocks = k_blocks or int(rng.integers(1, PARAMS.max_k_blocks + 1))
        if k_blocks is None and rng.random() < 0.5:  # most numbers have no room for large groups
            self.k_blocks = int(rng.choice([k for k in (4, 8, 12, 16, 24) if k <= PARAMS.max_k_blocks]))
        shape = (self.active, self.k_blocks)
        self.a = rng.integers(-WIDE_LARGEST, WIDE_LARGEST, (*shape, 32), endpoint=True).astype(np.int16)
        if rng.random() < 0.3:
            self.a[:] = rng.choice([-WIDE_LARGEST, WIDE_LARGEST])
        self.s = scales(rng, shape, 15, BF16_EXTREMES)
        self.r = np.ones(self.active, np.float32)
        if bank == 0:
            self.r = (rng.normal(size=self.active) * 2.0 ** rng.integers(-100, 100, self.active)).astype(np.float32)
        self.commands, self.words, self.results, self.kinds = [], [], [], []
        for _ in range(commands or int(rng.integers(1, 4))):
            self._matrix(rng, rows, format, group_shift)
        self.writes = list(self._writes(int(rng.integers(1, 3))))

    def _matrix(self, rng, rows, format, group_shift):
        if format is None:
            formats = [each for each in PARAMS.formats if self.k_blocks % (1 << each.group_shift) == 0]
            format = formats[int(rng.integers(0, len(formats)))]
        if group_shift is None:
            shifts = range(format.group_shift, MAX_GROUP_SHIFT + 1)
            group_shift = int(rng.choice([shift for shift in shifts if self.k_blocks % (1 << shift) == 0]))
        rows = rows or int(rng.integers(1, 200 // PARAMS.vector_lanes)) * PARAMS.vector_lanes
        self.kinds.append((format, BLOCK << group_shift))
        shape = (rows, self.k_blocks)
        u = rng.integers(0, 1 << format.bits, (*shape, 32)).astype(np.uint8)
        if rng.random() < 0.3:
            u[:] = rng.choice([0, (1 << format.bits) - 1])
        if format.table is not None:
            u = np.array(format.table, np.uint8)[u]
        groups = (rows, self.k_blocks >> group_shift)
        d, m = (scales(rng, groups, 16, FP16_EXTREMES).repeat(1 << group_shift, axis=1) for _ in range(2))
        if format.has_short_scales:
            d &= 0xFF00
        weights = Blocks(
            format=format, u=u, d=d, m=m if format.has_minimum else None, factors=factors(rng, format, shape)
        )
        packed = pack_tiles(PARAMS.tile, weights, group_shift)
        self.words += [int.from_bytes(word.tobytes(), "little") for word in packed]
        packet_shift = int(rng.integers(5, PARAMS.max_packet_rows.bit_length()))
        self.commands.append(
            COMMAND.const(
                {
                    "format": int(format),
                    "group_shift": group_shift,
                    "k_blocks": self.k_blocks,
                    "rows": rows,
                    "bank": self.bank,
                    "packet_shift": packet_shift,
                    "columns_active": self.active,
                }
            )
            .as_value()
            .value
        )
        y = MatrixUnit.model(weights, self.a, self.s, self.r)
        self.results += to_bits(MatrixUnit.order(y, 1 << packet_shift), F32).tolist()

    def _writes(self, packet):
        """Blocks as they come: packets of one column after the other."""
        layout = block_write_layout(PARAMS.columns, PARAMS.max_k_blocks)
        for first in range(0, self.k_blocks, packet):
            for c in range(self.active):
                for k in range(first, min(first + packet, self.k_blocks)):
                    a = self.a[c, k]
                    yield (
                        layout.const(
                            {
                                "bank": self.bank,
                                "column": c,
                                "block": k,
                                "last_column": c == self.active - 1,
                                "a": a.tolist(),
                                "s": int(self.s[c, k]),
                                "suma": int(a.sum(dtype=np.int64)),
                            }
                        )
                        .as_value()
                        .value
                    )

    def vector_scales(self):
        layout = vector_scale_layout(PARAMS.columns)
        for c, bits in enumerate(to_bits(self.r, F32).tolist()):
            yield layout.const({"column": c, "last_column": c == self.active - 1, "r": bits}).as_value().value


class Run:
    """Sources, sink and checks around the unit for a list of groups."""

    def __init__(self, dut, groups, chances, name):
        self.dut, self.groups, self.chances = dut, groups, chances
        self.finished_commands = 0  # groups of which all commands have been taken
        self.expected = [bits for group in groups for bits in group.results]
        self.received = 0
        self.cycle = 0
        self.word_cycles, self.result_cycles, self.events = [], [], []
        self.sources = {
            each: Source(dut, each, random.Random(f"{SEED} {name} {each}"), chance=chances[each]) for each in SOURCES
        }
        self.sink = Sink(dut, "o", random.Random(f"{SEED} {name} o"), chance=chances["o"], check=self.check)

    def check(self, payload, number):
        lanes = PARAMS.vector_lanes
        self.result_cycles.append(self.cycle)
        for index in range(number * lanes, (number + 1) * lanes):
            got = payload >> 32 * (index - number * lanes) & 0xFFFF_FFFF
            assert index < len(self.expected), "a result too many"
            assert got == self.expected[index], f"result {index}: {got:08x} for {self.expected[index]:08x}"
        self.received += lanes

    async def clear(self, bank):
        """Empty a bank."""
        self.dut.clear.value = 1 << bank
        await RisingEdge(self.dut.clk)
        self.dut.clear.value = 0

    async def commands(self):
        for index, group in enumerate(self.groups):
            # The sequencer empties the bank that an instruction will fill when it dispatches that instruction.
            await self.sources["i_command"].send(*group.commands, cycles=self.budget())
            if index + 1 < len(self.groups):
                await self.clear(self.groups[index + 1].bank)
            self.finished_commands = index + 1

    async def activations(self):
        results = 0
        for index, group in enumerate(self.groups):
            # Earlier results must be out, as if they were what is written; the bank's last reader is then long done.
            while self.finished_commands < index or (index > 1 and self.received < results):
                await RisingEdge(self.dut.clk)
            results += len(self.groups[index - 1].results) if index else 0
            await self.fill(group)

    async def fill(self, group):
        """Write a group's activations into its bank."""
        await self.sources["i_write"].send(*group.writes, cycles=self.budget())
        if group.bank == 0:
            await self.sources["i_scale"].send(*group.vector_scales(), cycles=self.budget())

    async def edges(self):
        """Count cycles and events, and move all streams."""
        dut, words = self.dut, self.sources["i_words"]
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            self.events.append(tuple(int(getattr(dut, name).value) for name in EVENTS))
            assert not dut.idle.value or not dut.o__valid.value
            sent = words.sent
            for source in self.sources.values():
                source.edge()
            if words.sent > sent:
                self.word_cycles.append(self.cycle)
            self.sink.edge()

    def budget(self):
        """Return the cycles in which all must be over, even if no two streams ever move at once."""
        counts = {
            "i_command": sum(len(group.commands) for group in self.groups),
            "i_words": sum(len(group.words) for group in self.groups),
            "i_write": sum(len(group.writes) for group in self.groups),
            "i_scale": sum(group.active for group in self.groups),
            "o": len(self.expected) // PARAMS.vector_lanes,
        }
        own = counts["i_words"] * PARAMS.word_cycles + counts["i_command"] * LATENCY
        return UNIT_MARGIN * own + sum(budget(count, self.chances[name]) for name, count in counts.items())

    async def go(self, *, filled=False):
        """Run the sources, that of the activations too unless the banks are filled, and the sink."""
        tasks = [cocotb.start_soon(self.commands())]
        if not filled:
            tasks.append(cocotb.start_soon(self.activations()))
        for group in self.groups:
            self.sources["i_words"].push(group.words)

        def complete():
            return self.received == len(self.expected) and all(task.done() for task in tasks)

        dut, most = self.dut, self.budget()
        await until(dut, complete, most, lambda: f"{self.received} of {len(self.expected)} results")
        self.sink.chance = 1.0
        for _ in range(4):
            await RisingEdge(dut.clk)
        assert dut.idle.value and not dut.o__valid.value
        dut._log.info("%d of %d cycles, %d results", self.cycle, most, self.received)
        self.record()

    def record(self):
        """Note what has been checked."""
        for group in self.groups:
            for format, weights in group.kinds:
                name, blocks = format.name, extent(group.k_blocks, PARAMS.max_k_blocks, least=1 << format.group_shift)
                POINTS.hit("format x lanes x active columns", name, PARAMS.lanes, group.active)
                if name in _GROUPED:
                    POINTS.hit("format x group of weights", name, weights)
                POINTS.hit("format x blocks of a row", name, blocks)
                POINTS.hit("format x chance of a word x of taking", name, self.chances["i_words"], self.chances["o"])


async def begin(dut):
    await power_up(dut, clear=0, **{f"{name}__valid": 0 for name in SOURCES}, o__ready=0)
    await RisingEdge(dut.clk)
    assert dut.idle.value


@cocotb.test()
async def random_programs(dut):
    """Random groups of matrices, each program with its own gaps."""
    await begin(dut)
    rng = np.random.default_rng(SEED)
    bank = 0
    pairs = rng.permutation(list(itertools.product(CHANCES, CHANCES)))
    for first in range(0, GROUPS, 4):
        groups = [Group(rng, (bank + n) % 2) for n in range(4)]
        chances = {name: float(rng.choice(CHANCES)) for name in SOURCES}
        chances["i_words"], chances["o"] = map(float, pairs[first // 4 % len(pairs)])
        dut._log.info("seed %d, groups from %d, chances %s", SEED, first, chances)
        run = Run(dut, groups, chances, f"groups from {first}")
        # Between programs everything is idle, so the first group's bank can be emptied by hand.
        await run.clear(groups[0].bank)
        edges = cocotb.start_soon(run.edges())
        await run.go()
        edges.cancel()


@cocotb.test()
async def full_rate(dut):
    """Without gaps: a tile in every cycle across commands, the stated latency, and events that add up."""
    await begin(dut)
    rng = np.random.default_rng(SEED + 1)
    always = dict.fromkeys((*SOURCES, "o"), 1.0)
    for format, group_shift in itertools.product(PARAMS.formats, range(MAX_GROUP_SHIFT + 1)):
        if group_shift < format.group_shift:
            continue
        k_blocks = PARAMS.max_k_blocks >> MAX_GROUP_SHIFT << MAX_GROUP_SHIFT
        runs = PARAMS.tile.runs(format, group_shift)
        row_groups = max(4, 3 * max(runs) // (2 * k_blocks))  # more than one scale word a matrix
        rows = row_groups * PARAMS.tile.group_rows(format)
        group = Group(rng, 1, k_blocks=k_blocks, rows=rows, format=format, group_shift=group_shift, commands=3)
        run = Run(dut, [group], always, f"{format.name} {group_shift}")
        await run.clear(group.bank)
        edges = cocotb.start_soon(run.edges())
        # The bank is full before the first command.
        await run.fill(group)
        run.events.clear()
        await run.go(filled=True)
        edges.cancel()
        spacing = np.diff(run.word_cycles)
        assert spacing.max() <= PARAMS.word_cycles * format.tiles_per_word
        tiles = row_groups * k_blocks
        words = sum(-(-tiles // served) for served in (*runs, format.tiles_per_word))
        assert len(run.word_cycles) == 3 * words
        bits = len(run.word_cycles) * PARAMS.word_bits / (3 * rows * k_blocks * BLOCK)
        cycles = run.word_cycles[-1] - run.word_cycles[0] + 1
        told = "%s in groups of %d: %d words in %d cycles, %.4f bits a weight"
        dut._log.info(told, format.name, BLOCK << group_shift, len(run.word_cycles), cycles, bits)
        events = dict(zip(EVENTS, np.sum(run.events, axis=0).tolist(), strict=True))
        assert np.sum(run.events, axis=1).max() <= 1
        assert events["busy"] == 3 * tiles * PARAMS.word_cycles
        assert events["blocked_activation"] == events["blocked_output"] == 0
        first_group_words = sum(-(-group.k_blocks // served) for served in (*runs, format.tiles_per_word))
        latency = run.result_cycles[0] - run.word_cycles[first_group_words - 1]
        # The last word of pairs is that of the last two tiles.
        assert latency == LATENCY + PARAMS.word_cycles * (format.tiles_per_word - 1)
