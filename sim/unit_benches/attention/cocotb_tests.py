"""Cocotb side of the attention bench: drives the unit with gaps, compares its results with the model."""

import itertools
import json
import math
import os
import pathlib
import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time
from rtlm.hw.attention.model import attention
from rtlm.hw.attention.params import AttentionParams
from rtlm.hw.common.kv_codes import kv_codes, pack_codes, short_codes
from rtlm.hw.common.kv_window import history_part
from rtlm.hw.hls import BF16, F32, from_bits, to_bits
from rtlm.hw.kernels.quantise import LARGEST, WIDE_LARGEST
from rtlm.sim.unit_benches.codes import packed
from rtlm.sim.unit_benches.points import Points
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up, until
from rtlm.sim.verilator.cocotb_runner import CLOCK_PERIOD_NS

LATENCY = int(os.environ["BENCH_LATENCY"])
"""Cycles from the last key of a head to its first value, and from the last value to the first result."""
GAPS = (1.0, 0.6, 0.15)
"""Chances that a source offers, or the sink takes, in a cycle."""
HISTORIES = ("none", "one", "between", "all but one", "all")
WINDOWS = ("none", "all of the history", "from the middle of a word", "from the start of a word", "none of the history")


def as_words(raw, word_bytes, rng):
    """Cut bytes into words; what is behind the end is garbage."""
    padding = rng.integers(0, 256, size=-len(raw) % word_bytes, dtype=np.uint8).tobytes()
    raw = bytes(raw) + padding
    return [int.from_bytes(raw[i : i + word_bytes], "little") for i in range(0, len(raw), word_bytes)]


def history_kind(history, limit):
    """Name the length of a history."""
    names = {0: "none", 1: "one", limit - 1: "all but one", limit: "all"}
    return names.get(history, "between")


def window_kind(position, history, window, part):
    """Name where a window begins."""
    if not window:
        return "none"
    if part.positions == part.masked:
        return "none of the history"
    if position < window:
        return "all of the history"
    return "from the middle of a word" if part.masked else "from the start of a word"


class Trial:
    """One command with random sizes and data."""

    def __init__(self, params, rng):
        self.columns = int(rng.integers(1, params.columns + 1))
        self.kv_heads = int(rng.integers(1, params.kv_heads + 1))
        self.group = int(rng.integers(1, params.group + 1))
        limit = params.context_limit
        choices = (0, 1, limit, limit - 1, int(rng.integers(0, limit + 1)), int(rng.integers(0, limit // 2) * 2 + 1))
        self.history = [int(rng.choice(choices)) for _ in range(params.columns)]
        self.local_first = [int(rng.choice([0, c, rng.integers(0, c + 1)])) for c in range(params.columns)]
        # A column's position follows from its history, but the gates take any.
        self.position = [
            int(rng.choice([history, min(limit - 1, history + c), rng.integers(0, limit)]))
            for c, history in enumerate(self.history)
        ]
        word = params.kv.word_positions
        aligned = max(1, self.position[0] + 1 - word * int(rng.integers(1, 1 + max(1, limit // word))))
        windows = (1, int(rng.integers(1, limit + 1)), int(rng.integers(1, 2 * word)), limit, aligned, aligned)
        self.window = int(rng.choice(windows)) if params.windows and rng.random() < 0.8 else 0
        self.parts = [
            history_part(position, history, self.window, word_positions=word)
            for position, history in zip(self.position, self.history, strict=True)
        ]
        dim = params.head_dim
        self.c0 = np.float32(np.log2(math.e) / np.sqrt(dim))
        # Small scales give even weights, large ones a single survivor, zeros a position without meaning.
        spread, level = int(rng.choice([0, 3, 30])), int(rng.choice([-12, -6, -5, 0]))

        def scales(count):
            exponents = level + rng.integers(-spread, spread + 1, count)
            bits = (((exponents + 127).clip(1, 254)) << 7) | rng.integers(0, 128, count)
            return from_bits(np.where(rng.random(count) < 0.05, 0, bits), BF16)

        def codes(*shape, largest=LARGEST):
            extreme = rng.choice([-largest, largest], shape)
            drawn = rng.integers(-largest, largest, shape, endpoint=True)
            return np.where(rng.random() < 0.2, extreme, drawn).astype(np.int16)

        heads = self.group * self.kv_heads
        self.q = codes(self.columns, heads, dim, largest=WIDE_LARGEST)
        self.sq = scales(self.columns * heads).reshape(self.columns, heads)
        self.k, self.v = (codes(self.columns, self.kv_heads, dim) for _ in range(2))
        self.sk, self.sv = (scales(self.columns * self.kv_heads).reshape(self.columns, -1) for _ in range(2))
        self.local = []
        for c in range(self.columns):
            self.local += [(0, c, h, self.q[c, h], self.sq[c, h]) for h in range(heads)]
            for kind, each, s in ((1, self.k, self.sk), (2, self.v, self.sv)):
                self.local += [
                    (kind, c, h, short_codes(each[c, h], params.kv_bits), s[c, h]) for h in range(self.kv_heads)
                ]
        rng.shuffle(self.local)
        self.words, self.expected = [], []
        for c in range(self.columns):
            for h in range(self.kv_heads):
                # What is masked is as good as random.
                part, own = self.parts[c], slice(self.local_first[c], c + 1)
                count, seen = part.positions, slice(part.masked, None)
                k, v = (kv_codes(codes(count, dim), params.kv_bits) for _ in range(2))
                local_k, local_v = (kv_codes(each[own, h], params.kv_bits) for each in (self.k, self.v))
                sk, sv = scales(count), scales(count)
                pairs = np.stack([to_bits(sk, BF16), to_bits(sv, BF16)], axis=-1).astype("<u2")
                for region in (pairs, *(pack_codes(each, params.kv_bits) for each in (k, v))):
                    self.words += as_words(region.tobytes(), params.word_bytes, rng)
                own_heads = slice(h * self.group, (h + 1) * self.group)
                o = attention(
                    self.q[c, own_heads],
                    self.sq[c, own_heads],
                    np.concatenate([k[seen], local_k]),
                    np.concatenate([sk[seen], self.sk[own, h]]),
                    np.concatenate([v[seen], local_v]),
                    np.concatenate([sv[seen], self.sv[own, h]]),
                    self.c0,
                )
                bits = to_bits(o.reshape(-1, params.vector_lanes), F32).astype("<u4")
                self.expected += [int.from_bytes(row.tobytes(), "little") for row in bits]

    def cycles(self, params):
        """Return the unit's own cycles: keys and values beat by beat, and what each head waits for."""
        total = 0
        for c in range(self.columns):
            beats = -(-self.parts[c].positions // params.positions) + c + 1 - self.local_first[c]
            total += self.kv_heads * (2 * beats * params.beat_cycles + LATENCY + self.group * params.beat_cycles)
        return total

    def command(self, params):
        fields = {
            "kv_heads": self.kv_heads,
            "group": self.group,
            "columns_active": self.columns,
            "c0": int(to_bits(self.c0, F32)),
        }
        if params.windows:
            fields["window"] = self.window
        return params.command.const(fields).as_value().value


def local_writes(params, kind, column, head, codes, s):
    """Put a head of this step into payloads of `i_local`: one for each part; only the last one has the scale."""
    layout = params.local_write
    common = kind | column << layout["column"].offset | head << layout["head"].offset
    parts = []
    for part in range(params.beat_cycles):
        value = common | packed(codes[params.part_codes * part :][: params.part_codes]) << layout["data"].offset
        if params.beat_cycles > 1:
            value |= part << layout["part"].offset
        parts.append(value)
    parts[-1] |= int(to_bits(s, BF16)) << layout["s"].offset
    return parts


def declare(params):
    """Return the points of the bench."""
    points = Points(pathlib.Path(os.environ["BENCH_FOLDER"]))
    points.cross("head size x bytes a cycle x history", [params.head_dim], [params.bytes_per_cycle], HISTORIES)
    points.cross("chance of a word x of taking", GAPS, GAPS)
    sees = [f"{column} from {first}" for column in range(params.columns) for first in range(column + 1)]
    points.cross("column and the first it attends to", sees)
    if params.windows:
        points.cross("where a window begins", WINDOWS)
    points.cross("query heads of a group x key heads", range(1, params.group + 1), range(1, params.kv_heads + 1))
    return points


def record(points, params, trial, offer, take):
    """Note what has been checked."""
    points.hit("chance of a word x of taking", offer, take)
    points.hit("query heads of a group x key heads", trial.group, trial.kv_heads)
    for c in range(trial.columns):
        kind = history_kind(trial.history[c], params.context_limit)
        points.hit("head size x bytes a cycle x history", params.head_dim, params.bytes_per_cycle, kind)
        points.hit("column and the first it attends to", f"{c} from {trial.local_first[c]}")
        if params.windows:
            kind = window_kind(trial.position[c], trial.history[c], trial.window, trial.parts[c])
            points.hit("where a window begins", kind)


@cocotb.test()
async def trials(dut):
    params = AttentionParams(**json.loads(os.environ["BENCH_PARAMS"]))
    points = declare(params)
    seed = int(os.environ["BENCH_SEED"])
    rng = np.random.default_rng(seed)
    local, command, words = (
        Source(dut, name, random.Random(f"{seed} {name}")) for name in ("i_local", "i_command", "i_words")
    )
    results = Sink(dut, "o", random.Random(f"{seed} o"))
    await power_up(dut)
    for each in (local, command, words, results):
        cocotb.start_soon(each.run())
    pairs = rng.permutation(list(itertools.product(GAPS, GAPS)))
    for number in range(int(os.environ["BENCH_COUNT"])):
        trial = Trial(params, rng)
        for c in range(params.columns):
            getattr(dut, f"history__{c}").value = trial.history[c]
            getattr(dut, f"local_first__{c}").value = trial.local_first[c]
            if params.windows:
                getattr(dut, f"position__{c}").value = trial.position[c]
        # The first trial meets no pause; all pairs come before one comes again.
        offer, take = map(float, pairs[(number - 1) % len(pairs)] if number else (1.0, 1.0))
        words.chance, results.chance, local.chance = offer, take, float(rng.choice(GAPS))
        heads = [part for head in trial.local for part in local_writes(params, *head)]
        await local.send(*heads, cycles=budget(len(heads), local.chance))
        assert dut.idle.value, "busy without a command"
        words.push(trial.words)
        results.taken.clear()
        await command.send(trial.command(params), cycles=budget(1, command.chance))
        await RisingEdge(dut.clk)

        def complete(trial=trial, number=number):
            over = len(results.taken) >= len(trial.expected)
            assert over or not dut.idle.value, f"idle before the results of trial {number}"
            return over and not words.queue

        began = get_sim_time("ns")
        most = budget(len(trial.words), offer) + budget(len(trial.expected), take) + UNIT_MARGIN * trial.cycles(params)
        await until(dut, complete, most, f"trial {number} ({trial.history}) does not end")
        cycles = round((get_sim_time("ns") - began) / CLOCK_PERIOD_NS)
        for _ in range(3):
            await RisingEdge(dut.clk)
        assert dut.idle.value and not dut.o__valid.value, f"not idle after trial {number}"
        taken = results.taken
        wrong = [i for i, (a, b) in enumerate(zip(taken, trial.expected, strict=True)) if a != b]
        assert not wrong, (
            f"trial {number}: results {wrong[:8]} of {len(taken)} differ; history {trial.history}, "
            f"local_first {trial.local_first}, position {trial.position}, window {trial.window}, "
            f"columns {trial.columns}, kv_heads {trial.kv_heads}, group {trial.group}: "
            f"{taken[wrong[0]]:x} instead of {trial.expected[wrong[0]]:x}"
        )
        dut._log.info(f"trial {number}: {cycles} of {most} cycles, {len(trial.words)} words, {len(taken)} results")
        record(points, params, trial, offer, take)
