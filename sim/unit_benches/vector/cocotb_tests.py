"""Cocotb side of the vector bench: drives every stream of the engine with gaps, compares all effects with the model."""

import itertools
import json
import os
import pathlib
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from rtlm.hw.control.isa import f32_bits
from rtlm.hw.hls import F32, to_bits
from rtlm.hw.matmul.activations import block_write_layout, vector_scale_layout
from rtlm.hw.matmul.params import SUM_BITS
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.model import VectorModel
from rtlm.hw.vector.params import VectorParams
from rtlm.sim.unit_benches.codes import unpacked
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up
from rtlm.sim.unit_benches.vector.points import VectorPoints

LATENCY = json.loads(os.environ["BENCH_LATENCY"])
"""Cycles from a packet's last beat to its write, by name of the epilogue."""
INTERVALS = json.loads(os.environ["BENCH_INTERVALS"])
"""Cycles between beats, by name of the epilogue."""
COMMAND_CYCLES = 12
"""Between two commands."""
GAPS = (1.0, 0.6, 0.15)
SINK_GAPS = (1.0, 0.4, 0.05)
"""Chances that a source offers, or the sink takes, in a cycle."""


def fields(layout, payload):
    """Plain integers of a payload's fields."""
    return [(payload >> f.offset) & ((1 << f.width) - 1) for _, f in layout]


def floats(values):
    """F32 bits of an array, the first value lowest, as one integer."""
    return int.from_bytes(to_bits(values, F32).astype("<u4").tobytes(), "little")


def as_words(raw, word_bytes, rng):
    """Cut bytes into words; what is behind the end is garbage."""
    padding = rng.integers(0, 256, size=-len(raw) % word_bytes, dtype=np.uint8).tobytes()
    raw = bytes(raw) + padding
    return [int.from_bytes(raw[i : i + word_bytes], "little") for i in range(0, len(raw), word_bytes)]


class Step:
    """A random program with one set of columns, its data, and what must come of it."""

    def __init__(self, params, model, rng, columns_active):
        self.params, self.model, self.rng, self.active = params, model, rng, columns_active
        self.position = rng.integers(0, params.context_limit, size=params.columns)
        self.kv_base = rng.integers(0, 1 << 20, size=params.columns) * params.beats_per_word
        self.commands, self.results, self.attention, self.words = [], [], [], []
        self.kinds = []  # epilogue and rows of each command
        self.bank, self.scales, self.local, self.memory = [], [], [], {}
        self.writes = 0  # words that go to memory

    def cycles(self):
        """Return the engine's own cycles: beat after beat, and between commands until the pipelines are empty."""
        beats = sum(self.active * rows // self.params.lanes for _, rows in self.kinds)
        return self.params.interval * beats + len(self.kinds) * (max(LATENCY.values()) + COMMAND_CYCLES)

    def command(self, epilogue, rows, **values):
        self.kinds.append((epilogue, rows))
        self.commands.append(self.params.command.const({"epilogue": epilogue, "rows": rows, **values}).as_value().value)

    def expect(self, effects):
        self.bank += effects.bank
        self.scales += effects.scales
        self.local += effects.local
        assert not self.memory.keys() & effects.memory.keys()
        self.memory |= effects.memory
        self.writes += len({address // self.params.write_bytes for address in effects.memory})

    def values(self, rows, extreme=0.0):
        y = self.rng.normal(size=(self.active, rows)) * 2.0 ** self.rng.integers(-3, 4, size=(self.active, 1))
        wild = 2.0 ** self.rng.uniform(-149, 128, size=y.shape) * self.rng.choice([-1, 1], size=y.shape)
        with np.errstate(over="ignore"):
            y = np.where(self.rng.random(y.shape) < extreme, wild, y).astype(np.float32)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype=np.float32)
        chosen = self.rng.choice(special, size=y.shape)
        y = np.where(self.rng.random(y.shape) < extreme * 0.05, chosen, y).astype(np.float32)
        if extreme:
            y[:, :32] = 0
        return np.where(np.abs(y) < 2.0**-126, np.copysign(np.float32(0), y), y)

    def send_packets(self, y, size):
        for start in range(0, y.shape[1], size):
            for column in y:
                packet = column[start : start + size]
                self.results += [floats(beat) for beat in packet.reshape(-1, self.params.lanes)]

    def load_norm(self, dim):
        w = (1 + 0.3 * self.rng.normal(size=dim)).astype(np.float32)
        self.command(Epilogue.LOAD_NORM, dim)
        self.words += as_words(w.astype("<f4").tobytes(), self.params.word_bytes, self.rng)
        self.model.load(Epilogue.LOAD_NORM, w)

    def load_rope(self):
        for c in range(self.active):
            angles = self.rng.uniform(0, 7, size=self.params.head_dim // 2)
            table = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(-1).astype(np.float32)
            self.command(Epilogue.LOAD_ROPE, self.params.head_dim, column=c)
            self.words += as_words(table.astype("<f4").tobytes(), self.params.word_bytes, self.rng)
            self.model.load(Epilogue.LOAD_ROPE, table, c)

    def immediates(self, n):
        return {"imm0": f32_bits(1 / n), "imm1": f32_bits(1e-5)}, (np.float32(1 / n), np.float32(1e-5))

    def embed(self, dim):
        bits, imm = self.immediates(dim)
        for c in range(self.active):
            codes = self.rng.integers(-128, 128, size=dim).astype(np.int8)
            scales = self.rng.normal(size=dim // 32).astype(np.float16).view(np.uint16)
            scales[0] = self.rng.integers(0, 1024)
            self.command(Epilogue.EMBED, dim, column=c, **bits)
            self.words += as_words(scales.astype("<u2").tobytes(), self.params.word_bytes, self.rng)
            self.words += as_words(codes.tobytes(), self.params.word_bytes, self.rng)
            self.expect(self.model.embed(codes, scales, c, self.active, imm))

    def residual(self, dim, extreme=0.0):
        bits, imm = self.immediates(dim)
        y = self.values(dim)
        if extreme:
            # Several, so that the sum of their squares goes beyond 64 bits.
            y[:, -8:] = extreme
        self.command(Epilogue.RESIDUAL, dim, **bits)
        self.send_packets(y, 32)
        self.expect(self.model.residual(y, imm))

    def add(self, dim, **extreme):
        """Add what a layer gives, normalised where the engine can and chance says so."""
        if not self.params.post_norms or self.rng.random() < 0.2:
            self.residual(dim, **extreme)
            return
        bits, imm = self.immediates(dim)
        y = self.values(dim)
        if self.rng.random() < 0.3:
            self.load_norm(dim)
        self.command(Epilogue.POST_NORM, dim, **bits)
        self.send_packets(y, 32)
        self.expect(self.model.post_norm(y, imm))
        if self.rng.random() < 0.7:
            self.load_norm(dim)
        self.command(Epilogue.ADD, dim, **bits)
        self.expect(self.model.add(imm))

    def load_heads(self, epilogue, values):
        self.command(epilogue, values.size)
        self.words += as_words(values.astype("<f4").tobytes(), self.params.word_bytes, self.rng)
        self.model.load(epilogue, values)

    def load_head_inputs(self):
        """Biases of all heads, and norms of a query and a key, where the engine has them."""
        params = self.params
        if params.biases:
            self.load_heads(Epilogue.LOAD_BIAS, self.values(params.bias_heads * params.head_dim)[0])
        if params.head_norms:
            weights = 1 + 0.3 * self.rng.normal(size=2 * params.head_dim)
            self.load_heads(Epilogue.LOAD_HEAD_NORM, weights.astype(np.float32))

    def heads(self, epilogue, heads, address=0, extreme=0.0):
        params = self.params
        flags: dict[str, int] = {}
        inputs: dict[str, Any] = {}
        if params.biases and self.rng.random() < 0.7:
            first = int(self.rng.integers(0, params.bias_heads - heads + 1))
            flags |= {"biases": 1, "imm0": first}
            inputs["first_bias"] = first
        if params.head_norms and epilogue is not Epilogue.VALUE and self.rng.random() < 0.7:
            eps = self.rng.choice([1e-6, 1e-5, 0.01])
            flags |= {"head_norms": 1, "imm1": f32_bits(eps)}
            inputs["eps"] = np.float32(eps)
        y = self.values(heads * params.head_dim, extreme)
        self.command(epilogue, y.shape[1], address=address, **flags)
        self.send_packets(y, params.head_dim)
        self.expect(self.model.heads(epilogue, y, address, self.position, self.kv_base, **inputs))

    def swiglu(self, hidden, extreme=0.0):
        y = self.values(2 * hidden, extreme)
        gelu = self.params.gelu and self.rng.random() < 0.6
        self.command(Epilogue.SWIGLU, y.shape[1], **({"gelu": 1} if gelu else {}))
        self.send_packets(y, 64)
        self.expect(self.model.blocks(Epilogue.SWIGLU, y, gelu=gelu))

    def quantise(self, rows, extreme=0.0):
        y = self.values(rows, extreme)
        self.command(Epilogue.QUANTISE, rows)
        self.attention += [floats(beat) for column in y for beat in column.reshape(-1, self.params.lanes)]
        self.expect(self.model.blocks(Epilogue.QUANTISE, y))

    def logits(self, rows, store):
        # Few distinct values, so that the largest comes several times; both zeros; at times all negative.
        y = np.round(self.rng.normal(size=(self.active, rows)) * 2) / 2 - self.rng.choice([0, 6])
        y = np.where(self.rng.random(y.shape) < 0.1, -0.0, y).astype(np.float32)
        address = int(self.rng.integers(1 << 22, 1 << 23)) * self.params.beats_per_word
        self.command(Epilogue.LOGITS, rows, store=int(store), address=address)
        self.send_packets(y, 32)
        self.expect(self.model.logits(y, store=store, address=address))


def layers(params, model, rng, columns_active, count):
    """The commands of a decode step."""
    step = Step(params, model, rng, columns_active)
    dim = 32 * int(rng.integers(1, params.max_dim // 32 + 1))
    hidden = 32 * int(rng.integers(1, params.max_hidden // 32 + 1))
    heads, kv_heads = int(rng.integers(1, params.heads + 1)), int(rng.integers(1, params.kv_heads + 1))
    while heads * params.head_dim % 32:
        heads += 1
    step.load_rope()
    step.load_norm(dim)
    step.load_head_inputs()
    step.embed(dim)
    size = params.kv_heads * params.kv.head_words * params.beats_per_word
    for layer in range(count):
        wild = 0.02 if rng.random() < 0.5 else 0
        step.heads(Epilogue.ROPE_Q, heads, extreme=wild)
        step.heads(Epilogue.ROPE_K, kv_heads, layer * size, extreme=wild)
        step.heads(Epilogue.VALUE, kv_heads, layer * size, extreme=wild)
        step.load_norm(dim)
        step.quantise(heads * params.head_dim, extreme=wild)
        step.add(dim)
        step.swiglu(hidden, extreme=wild)
        step.load_head_inputs()
        step.load_norm(dim)
        step.add(dim, extreme=float(rng.choice([0, 0, 1e15, 3e38])) if layer == count - 1 else 0.0)
    step.logits(params.lanes * int(rng.integers(1, 200)), store=rng.random() < 0.7)
    return step


def jumble(params, model, rng, columns_active):
    """Commands in any order, the same kind several times in a row among them."""
    step = Step(params, model, rng, columns_active)
    dim = params.max_dim
    step.load_rope()
    step.load_norm(dim)
    step.load_head_inputs()
    step.embed(dim)
    size = params.kv_heads * params.kv.head_words * params.beats_per_word
    even_heads = 32 // params.head_dim if params.head_dim < 32 else 1
    for turn in range(10):
        for _ in range(int(rng.integers(1, 4))):
            where = {"address": len(step.commands) * size}
            match int(rng.integers(0, 9)):
                case 0:
                    step.heads(Epilogue.ROPE_Q, 1)
                case 1:
                    step.heads(Epilogue.ROPE_K, 1, **where)
                    step.heads(Epilogue.ROPE_K, 1, address=where["address"] + size // params.kv_heads)
                case 2:
                    step.heads(Epilogue.VALUE, 1, **where)
                case 3:
                    step.swiglu(32)
                case 4:
                    step.quantise(even_heads * params.head_dim)
                case 5:
                    step.add(32)
                case 6:
                    step.load_norm(32)
                    step.load_rope()
                    step.load_head_inputs()
                case 7:
                    step.logits(params.lanes * (1 + turn), store=True)
                case 8:
                    step.embed(32)
    return step


class Engine:
    """The device and everything around it, advanced one clock edge at a time."""

    def __init__(self, dut, params, seed):
        self.dut, self.params = dut, params
        self.sources = {
            name: Source(dut, name, random.Random(f"{seed} {name}"))
            for name in ("i_command", "i_results", "i_attention", "i_words")
        }
        self.writes = Sink(dut, "o_writes", random.Random(f"{seed} o_writes"))
        self.bank_layout = block_write_layout(params.columns, params.max_blocks)
        self.scale_layout = vector_scale_layout(params.columns)
        self.cycles = 0

    def edge(self, seen):
        dut, params = self.dut, self.params
        self.cycles += 1
        if dut.o_bank__valid.value:
            bank, column, block, last, a, s, suma = fields(self.bank_layout, int(dut.o_bank__payload.value))
            suma -= suma >> SUM_BITS - 1 << SUM_BITS
            seen.bank.append((bank, column, block, last, unpacked(a, 32), s, suma))
        if dut.o_scale__valid.value:
            seen.scales.append(tuple(fields(self.scale_layout, int(dut.o_scale__payload.value))))
        if dut.o_local__valid.value:
            kind, column, head, *part, codes, s = fields(params.local_write, int(dut.o_local__payload.value))
            codes = unpacked(codes, params.head_dim // params.head_parts)
            seen.part((kind, column, head), *(part or [0]), codes, s, complete=params.head_dim)
        payload = self.writes.edge()
        if payload is not None:
            self.write(seen, payload)
        for source in self.sources.values():
            source.edge()

    def write(self, seen, payload):
        address, strobe, word, last = fields(self.params.word_write, payload)
        assert address % self.params.write_beats == 0
        assert strobe, "a write without any byte"
        start = address // self.params.write_beats * self.params.write_bytes
        for i in range(self.params.write_bytes):
            if strobe >> i & 1:
                assert start + i not in seen.memory, "a byte was written twice"
                seen.memory[start + i] = word >> 8 * i & 255
        seen.last_write = last


class Seen:
    def __init__(self):
        self.bank, self.scales, self.local, self.memory, self.last_write = [], [], [], {}, 1
        self._head, self._codes = None, []

    def part(self, head, number, codes, s, *, complete):
        """Put a part of a head behind those before it; with so many codes it is complete."""
        if not self._codes:
            self._head = head
        of = self._head, len(self._codes)
        assert of == (head, number * len(codes)), f"part {number} of {head} behind {of[1]} codes of {of[0]}"
        self._codes += codes
        if len(self._codes) == complete:
            self.local.append((*head, self._codes, s))
            self._codes = []


def compare(name, seen, expected):
    for i, (a, b) in enumerate(zip(seen, expected, strict=False)):
        assert a == b, f"{name} {i}: {a} instead of {b}"
    assert len(seen) == len(expected), f"{len(seen)} {name} instead of {len(expected)}"


async def begin(dut):
    """Reset; return parameters, random generator and the device's surroundings."""
    params = VectorParams(**json.loads(os.environ["BENCH_PARAMS"]))
    seed = int(os.environ["BENCH_SEED"])
    rng = np.random.default_rng(seed)
    dut._log.info("seed %d, %s", seed, params)
    engine = Engine(dut, params, seed)
    await power_up(dut, columns_active=1, position=0, kv_base=0)
    return params, rng, engine


@cocotb.test()
async def latency(dut):
    """From the last beat of a packet to its write, of beats that come as fast as they are taken; cycles at work."""
    params, rng, engine = await begin(dut)
    rows = {"RESIDUAL": 32, "SWIGLU": 64, "QUANTISE": 32, "ROPE_Q": params.head_dim, "VALUE": params.head_dim}
    for name, count in rows.items():
        step = Step(params, VectorModel(params), rng, 1)
        step.command(Epilogue[name], count)
        began = engine.cycles
        source = engine.sources["i_attention" if name == "QUANTISE" else "i_results"]
        waiting = [floats(beat) for beat in step.values(count)[0].reshape(-1, params.lanes)]
        turns, worked = len(waiting) * INTERVALS[name], 0
        engine.sources["i_command"].push(step.commands)
        seen, last_in, last_out = Seen(), None, None
        most = budget(params.interval * len(waiting), 1.0) + UNIT_MARGIN * LATENCY[name]
        while last_out is None:
            begun = not engine.sources["i_command"].queue
            await RisingEdge(dut.clk)
            engine.edge(seen)
            worked += int(dut.busy.value)
            if waiting and begun and engine.cycles % params.interval == 0:
                source.push([waiting.pop(0)])
            if last_in is None and not waiting and not source.queue:
                last_in = engine.cycles
            if seen.bank or seen.local:
                last_out = engine.cycles
            assert engine.cycles < began + most, f"{name}: nothing came within {most} cycles"
        assert last_out - last_in == LATENCY[name], f"{name}: {last_out - last_in} cycles instead of {LATENCY[name]}"
        assert worked == turns, f"{name}: operators worked for {worked} cycles instead of {turns}"
        while not dut.idle.value:
            await RisingEdge(dut.clk)
            engine.edge(seen)
            assert engine.cycles < began + 2 * most, f"{name}: not idle within {2 * most} cycles"


@cocotb.test()
async def random_programs(dut):
    params, rng, engine = await begin(dut)
    model = VectorModel(params)
    points = VectorPoints(pathlib.Path(os.environ["BENCH_FOLDER"]), params, GAPS, SINK_GAPS)
    pairs = rng.permutation(list(itertools.product(GAPS, SINK_GAPS)))
    for number in range(int(os.environ["BENCH_COUNT"])):
        active = int(rng.integers(1, params.columns + 1)) if number else params.columns
        with np.errstate(all="ignore"):
            step = layers(params, model, rng, active, 2) if number % 2 == 0 else jumble(params, model, rng, active)
        dut.columns_active.value = active
        dut.position.value = sum(int(p) << 32 * c for c, p in enumerate(step.position))
        dut.kv_base.value = sum(int(b) << 32 * c for c, b in enumerate(step.kv_base))
        payloads = {
            "i_command": step.commands,
            "i_results": step.results,
            "i_attention": step.attention,
            "i_words": step.words,
        }
        chances = {name: GAPS[int(rng.integers(len(GAPS)))] for name in payloads}
        chances["i_results"], engine.writes.chance = map(float, pairs[number % len(pairs)])
        for name, source in engine.sources.items():
            source.chance = chances[name]
            source.push(payloads[name])
        seen, commands = Seen(), len(step.commands)
        most = sum(budget(len(payloads[name]), chances[name]) for name in payloads)
        most += budget(step.writes, engine.writes.chance) + UNIT_MARGIN * step.cycles()
        start, quiet = engine.cycles, 0
        while quiet < 3:
            await RisingEdge(dut.clk)
            # Idle must stay until something new is offered.
            waiting = any(s.queue for s in engine.sources.values())
            assert not (quiet and not dut.idle.value), "idle fell without a command"
            quiet = 0 if waiting or not dut.idle.value else quiet + 1
            engine.edge(seen)
            assert engine.cycles - start < most, (
                f"step {number} does not end within {most} cycles: "
                f"{[(name, len(source.queue)) for name, source in engine.sources.items()]}"
            )
        compare("bank writes", seen.bank, step.bank)
        compare("scales", seen.scales, step.scales)
        compare("heads", seen.local, step.local)
        compare("bytes", sorted(seen.memory.items()), sorted(step.memory.items()))
        assert seen.last_write, "the final word was not marked as last"
        for c in range(active):
            index = int(dut.best_index.value) >> 20 * c & 0xFFFFF
            value = int(dut.best_value.value) >> 32 * c & 0xFFFFFFFF
            best = model.best_index[c], int(to_bits(model.best_value[c], F32))
            assert (index, value) == best, f"arg-max of column {c}: {index, value} instead of {best}"
        points.record(step.kinds, active, chances, engine.writes.chance)
        cycles = engine.cycles - start
        dut._log.info("step %d: %d columns, %d commands, %d of %d cycles", number, active, commands, cycles, most)
