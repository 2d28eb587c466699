"""Random data, gaps and back-pressure through the generated kernel, against its golden model, bit for bit.

``python bench.py`` builds the Verilog beside this file with Verilator and runs this module in cocotb; it exits with 1
when something differs. ``python bench.py 7`` takes another seed.
"""

import json
import os
import pathlib
import random
import sys
import warnings

import cocotb
import numpy as np
from rtlm.gen.package.user_kernel import load_kernel
from rtlm.hw import hls
from rtlm.hw.hls.vectors import leaves
from rtlm.sim.unit_benches.kernels.commands import commands_within, draw_commands
from rtlm.sim.unit_benches.kernels.packets import draw_ends, load_spans, model_of_beats
from rtlm.sim.unit_benches.streams import UNIT_MARGIN, Sink, Source, budget, power_up, until

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "bench.json").read_text())
MANIFEST = json.loads((HERE / "manifest.json").read_text())
PORTS = {port["name"]: port for port in MANIFEST["ports"]}
CHANCES = (1.0, 0.7, 0.2)
"""Chances that the source offers, or the sink takes, in a cycle."""
LOADS = 3
"""Times that memories are filled."""
COMMANDS = 24
"""Commands for a kernel with loops."""


def random_bits(rng, type_, shape):
    """Draw bit patterns as they may come on wires: ordinary values, and any pattern at all."""
    anything = rng.integers(0, 1 << 63, shape, dtype=np.uint64) >> np.uint64(max(0, 63 - type_.width))
    anything = anything & np.uint64((1 << type_.width) - 1)
    if not isinstance(type_, hls.Float):
        return anything
    values = hls.types.round_to(rng.normal(size=shape) * 2.0 ** rng.integers(-4, 5, shape), type_)
    ordinary = hls.to_bits(values, type_).astype(np.uint64)
    return np.where(rng.random(shape) < 0.9, ordinary, anything)


def pack(port, columns):
    """Put arrays of bits, by field name, into the payloads of a port."""
    payloads = [0] * len(next(iter(columns.values())))
    for part in PORTS[port]["fields"]:
        bits = columns[part["name"].partition("[")[0]].reshape(len(payloads), -1)
        width = part.get("each", part["bits"])
        for lane in range(bits.shape[1]):
            for n, value in enumerate(bits[:, lane].tolist()):
                payloads[n] |= int(value) << (part["offset"] + lane * width)
    return payloads


def values_of(bits, type_):
    """Numbers that bits on the wires stand for."""
    return hls.from_bits(bits.astype(np.int64 if type_.width < 64 else np.uint64), type_)


def draw_loads(rng, kernel, last):
    """Draw what memories hold, and which beats read it.

    Returns
    -------
    list[tuple[int, int, dict]]
        For each load the first of its beats, the one behind them, and for each memory the bits of its fields.
    """
    loads = []
    for first, behind in load_spans(last, LOADS if kernel.memories else 1):
        loads.append((first, behind, draw_words(rng, kernel)))
    return loads


def model_results(kernel, values, last, loads):
    """Compute what comes out with the golden model, load by load."""
    parts = []
    for first, behind, contents in loads:
        words = {
            name: [
                values_of(b, leaf) for b, (_, leaf) in zip(bits, leaves(name, kernel.memories[name].item), strict=True)
            ]
            for name, bits in contents.items()
        }
        parts.append(model_of_beats(kernel, [v[first:behind] for v in values], words, last[first:behind]))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def draw_words(rng, kernel):
    """Draw the bits of a load of each memory."""
    return {
        name: [random_bits(rng, leaf, (type_.depth,)) for _, leaf in leaves(name, type_.item)]
        for name, type_ in kernel.memories.items()
    }


def make_commands(kernel, rng):
    """Draw the commands of a kernel with loops, and compute the expected outputs with the golden model.

    Returns
    -------
    tuple
        Payloads that go in, that come out, the bits of these that are known, payloads of memories, and the beats that
        a command takes at most on the average.
    """
    count = commands_within(kernel, COMMANDS)
    cuts = rng.choice(count - 1, min(LOADS, count) - 1, replace=False)
    releases = np.isin(np.arange(count), [*cuts, count - 1])
    contents = [draw_words(rng, kernel) for _ in range(int(releases.sum()))]
    words = [
        {
            name: [
                values_of(b, leaf) for b, (_, leaf) in zip(bits, leaves(name, kernel.memories[name].item), strict=True)
            ]
            for name, bits in load.items()
        }
        for load in contents
    ]
    load_of = np.concatenate([[0], np.cumsum(releases)[:-1]])
    commands = draw_commands(
        kernel,
        SETTINGS["lanes"],
        any(part["name"].startswith("active") for part in PORTS["o__payload"]["fields"]),
        lambda type_: int(random_bits(rng, type_, ())),
        [words[n] for n in load_of],
        count,
        rng,
    )
    inputs = commands.inputs | ({"release": releases} if kernel.memories else {})
    memories = {
        name: [beat for load in contents for beat in load_payloads(kernel, name, load[name])]
        for name in kernel.memories
    }
    return (
        pack("i__payload", inputs),
        pack("o__payload", commands.outputs),
        pack("o__payload", commands.known),
        memories,
        -(-commands.iterations // count),
    )


def load_payloads(kernel, name, bits):
    """Payloads of a memory's stream that load it once."""
    return pack_words(name, [field for field, _ in leaves(name, kernel.memories[name].item)], bits)


def make_beats(kernel, rng):
    """Draw the inputs, and compute the expected outputs with the golden model; as `make_commands`."""
    lanes, count = SETTINGS["lanes"], SETTINGS["beats"]
    longest = min([SETTINGS["max_length"] or count, *(type_.depth // lanes for type_ in kernel.memories.values())])
    last = draw_ends(rng, count, longest, chance=0.15)
    loads = draw_loads(rng, kernel, last)
    inputs, values = {}, []
    for name, (type_, shared) in kernel.arguments.items():
        inputs[name] = random_bits(rng, type_, (count,) if shared else (count, lanes))
        values.append(values_of(inputs[name], type_))
    graph = kernel.graph
    if graph.framed:
        inputs["last"] = last
    results = model_results(kernel, values, last, loads)
    outputs = {}
    for (name, type_), value, node in zip(kernel.results.items(), results, graph.results, strict=True):
        bits = hls.to_bits(value, type_)
        outputs[name] = bits if node.per_lane or bits.ndim == 1 else bits[:, 0]
    if graph.framed:
        outputs["last"] = np.ones(int(last.sum()), dtype=bool) if graph.once_per_packet else last
    if kernel.memories:
        inputs["release"] = np.isin(np.arange(count), [behind - 1 for _, behind, _ in loads])
    memories: dict[str, list[int]] = {name: [] for name in kernel.memories}
    for _, _, contents in loads:
        for name, bits in contents.items():
            memories[name] += load_payloads(kernel, name, bits)
    expected = pack("o__payload", outputs)
    return pack("i__payload", inputs), expected, [-1] * len(expected), memories, 1


def pack_words(name, fields, bits):
    """Payloads of a memory's stream that load it whole; as many words a beat as its payload has."""
    port = f"{name}__payload"
    first = next(part for part in PORTS[port]["fields"] if part["name"].partition("[")[0] == fields[0])
    words = first["bits"] // first.get("each", first["bits"])
    columns = {field: b.reshape(-1, words) for field, b in zip(fields, bits, strict=True)}
    beats = len(columns[fields[0]])
    return pack(port, columns | {"last": np.arange(beats) == beats - 1})


@cocotb.test
async def gates_equal_model(dut):
    """Compare every beat that comes out; one that is not taken must stay."""
    seed = int(os.environ["BENCH_SEED"])
    kernel = load_kernel(SETTINGS["kernel"], HERE)
    make = make_commands if kernel.nest.loops else make_beats
    inputs, expected, known, memories, length = make(kernel, np.random.default_rng(seed))

    def check(seen, number):
        assert number < len(expected), "more beats came out than the model gives"
        seen &= known[number]
        assert seen == expected[number], f"beat {number} is {seen:#x}; the model says {expected[number]:#x}"
        sink.chance = CHANCES[(number + 1) * len(CHANCES) // (len(expected) + 1)]

    source = Source(dut, "i", random.Random(f"{seed} i"))
    sink = Sink(dut, "o", random.Random(f"{seed} o"), check=check)
    await power_up(dut)
    cocotb.start_soon(source.run())
    cocotb.start_soon(sink.run())
    for name, payloads in memories.items():
        loader = Source(dut, name, random.Random(f"{seed} {name}"), chance=CHANCES[1])
        loader.push(payloads)
        cocotb.start_soon(loader.run())
    # As if all beats went in and came out as slowly as some do, and not at once.
    slowest = min(CHANCES)
    moves = budget(len(inputs), slowest) + budget(len(expected), slowest)
    moves = (moves + length * len(inputs)) * MANIFEST["cost"]["initiation_interval"]
    moves += sum(budget(len(payloads), CHANCES[1]) for payloads in memories.values())
    most = moves + UNIT_MARGIN * MANIFEST["cost"]["latency_cycles"]
    for part, chance in enumerate(CHANCES):
        first, behind = (n * len(inputs) // len(CHANCES) for n in (part, part + 1))
        source.chance = chance
        await source.send(*inputs[first:behind], cycles=most)
    await until(
        dut,
        lambda: len(sink.taken) == len(expected),
        most,
        lambda: f"{len(sink.taken)} of {len(expected)} beats came out",
    )


if __name__ == "__main__":
    from rtlm.sim.verilator.cocotb_runner import main_of_folder

    warnings.filterwarnings("ignore", module="amaranth")
    sys.exit(main_of_folder(HERE, SETTINGS["top"], sys.argv[1:]))
