"""Commands for the benches of kernels with loops: arguments that keep loops short, and the beats that come of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from rtlm.hw import hls
from rtlm.hw.hls import Kernel
from rtlm.hw.hls.evaluate import UnloadedError, bounds_of
from rtlm.hw.hls.types import Float

TRIES = 400
"""Draws of a command's arguments until its reads lie in what is loaded."""
MOST_ITERATIONS = 600
"""Iterations of a command whose bounds can be chosen."""
ALL_ITERATIONS = 12_000
"""Iterations of all commands together, as far as two of them have so few."""


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Commands, and what comes out.

    Parameters
    ----------
    inputs
        Bits of each argument, one a command.
    outputs
        Bits of each field of what comes out, one a beat, or one for each of its lanes.
    known
        The same with ones for the bits that are known: not those of lanes without an iteration.
    iterations
        Of all commands together.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    known: dict[str, np.ndarray]
    iterations: int


def draw_commands(
    kernel: Kernel,
    lanes: int,
    masked: bool,
    draw: Callable[[Any], int],
    loads: list[Mapping[str, list[np.ndarray]]],
    most: int,
    rng: np.random.Generator,
) -> Commands:
    """Draw commands that read loads, and compute what comes of them.

    Parameters
    ----------
    kernel
        A kernel with loops.
    lanes, masked
        Lanes of its component, and whether that has an output `active`.
    draw
        Draws the bits of a type.
    loads
        For each command, and each memory, the words of its fields.
    most
        Largest number of commands.
    rng
        Random numbers.
    """
    chosen: list[list[int]] = []
    parts: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = []
    iterations = 0
    for words in loads[:most]:
        bits, counts, results = _draw(kernel, draw, words, rng)
        chosen.append(bits)
        iterations += prod(counts)
        if 0 not in counts:
            parts.append(_beats(kernel, lanes, masked, results))
    inputs = {name: np.array(column) for name, column in zip(kernel.arguments, zip(*chosen, strict=True), strict=False)}
    outputs, known = (
        {name: np.concatenate([part[side][name] for part in parts]) for name in parts[0][side]} for side in (0, 1)
    )
    return Commands(inputs=inputs, outputs=outputs, known=known, iterations=iterations)


def commands_within(kernel: Kernel, most: int) -> int:
    """Return how many commands a bench sends: fewer, if known bounds make each long."""
    bounds = [level.bound for level in kernel.nest.levels]
    each = prod(bound for bound in bounds if isinstance(bound, int))
    return max(2, min(most, ALL_ITERATIONS // each))


def _draw(kernel: Kernel, draw: Callable[[Any], int], words: Mapping[str, list[np.ndarray]], rng: Any) -> tuple:
    """Draw arguments: bits, numbers of iterations, results."""
    args = kernel.graph.args[: len(kernel.arguments)]
    for _ in range(TRIES):
        bits = [draw(type_) for type_, _ in kernel.arguments.values()]
        bits = [
            b if isinstance(type_, Float) or rng.random() < 0.3 else b >> int(rng.integers(0, type_.width))
            for b, (type_, _) in zip(bits, kernel.arguments.values(), strict=True)
        ]
        values = [
            hls.from_bits(np.array(b, dtype=np.uint64 if type_.width == 64 else np.int64), type_)
            for b, (type_, _) in zip(bits, kernel.arguments.values(), strict=True)
        ]
        counts = bounds_of(kernel.nest, {id(v): np.asarray(a) for v, a in zip(args, values, strict=True)})
        chosen = prod(
            n for n, level in zip(counts, kernel.nest.levels, strict=True) if not isinstance(level.bound, int)
        )
        if chosen > MOST_ITERATIONS:
            continue
        try:
            return bits, counts, kernel.model_of_fields(values, dict(words))
        except UnloadedError:
            continue
    raise RuntimeError(f"no command of {kernel.name} was found in {TRIES} draws that reads loaded words only")


def _beats(kernel: Kernel, lanes: int, masked: bool, results: list[Any]) -> tuple[dict, dict]:
    """Cut the results of a command into beats: their bits, and which of them are known."""
    outputs: dict[str, np.ndarray] = {}
    known: dict[str, np.ndarray] = {}
    for (name, type_), result, node in zip(kernel.results.items(), results, kernel.graph.results, strict=True):
        bits = np.asarray(hls.to_bits(np.asarray(result), type_)).astype(np.uint64)
        ones = np.full(bits.shape, (1 << type_.width) - 1, dtype=np.uint64)
        if kernel.graph.once_per_packet:
            outputs[name], known[name] = bits.reshape(-1), ones.reshape(-1)
            continue
        lanes_bits, lanes_ones = _in_lanes(bits, lanes), _in_lanes(ones, lanes)
        outputs[name] = lanes_bits if node.per_lane else lanes_bits[:, 0]
        known[name] = lanes_ones if node.per_lane else lanes_ones[:, 0]
        if masked:
            outputs["active"] = _in_lanes(np.ones(bits.shape, dtype=np.uint64), lanes)
            known["active"] = np.ones_like(outputs["active"])
    count = len(next(iter(outputs.values())))
    outputs["last"] = (np.arange(count) == count - 1).astype(np.uint64)
    known["last"] = np.ones_like(outputs["last"])
    return outputs, known


def _in_lanes(values: np.ndarray, lanes: int) -> np.ndarray:
    """Put the innermost loop's iterations into lanes; zeros where there are none."""
    short = -values.shape[-1] % lanes
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, short)]).reshape(-1, lanes)
