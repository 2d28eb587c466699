"""What has to hold between the values of a configuration; each rule shows its arithmetic."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from rtlm.gen.common.cache import remembered
from rtlm.gen.configuration.schema import Configuration
from rtlm.hw import hls, kernels
from rtlm.hw.attention.params import MOST_POSITIONS
from rtlm.hw.common.clock_gate import ClockGating
from rtlm.hw.common.kv_cache import KvGeometry
from rtlm.hw.common.layouts import ADDRESS_BITS as BEAT_ADDRESS_BITS
from rtlm.hw.formats import BLOCK
from rtlm.hw.hls.plan import clock_limit as limit_of_kernel
from rtlm.hw.hls.technology import ClockLimit, find
from rtlm.hw.kernels.attention import key_dots
from rtlm.hw.kernels.matmul import general_row_group, packed_pair_sums, row_group, row_pair_half_sums, row_pair_sums

GIB = 1 << 30

KERNELS = (
    kernels.argmax,
    kernels.attention_norm,
    kernels.dequantise_half,
    kernels.gated,
    kernels.head_output,
    key_dots(1, 64, 1),
    kernels.largest_score,
    kernels.norm_scalar,
    kernels.position_score,
    kernels.position_weight,
    kernels.probability_sum,
    kernels.quantise,
    kernels.quantise_head,
    kernels.residual_norm,
    kernels.rope,
    general_row_group(2, 1, 6, (0, 8, 32), True, True, True),
    row_group(2, 1),
    packed_pair_sums(32, 17, 16, 1, 4, 4),
    row_pair_half_sums(32, 17, 16, 1, 6),
    row_pair_sums(32, 16, 16, 1),
    kernels.scale,
    kernels.scaled_result,
    kernels.swiglu,
    kernels.value_exponent,
)
"""Kernels whose pipelines accelerators have, those of their arrays in a usual size."""

RULES = (
    "A word of the array, `max(4, matmul.lanes / 32) x 16` bytes, is a whole number of beats of "
    "`memory.ports x memory.port_bits / 8` bytes, at most as many as the longest burst of a port has "
    "(256, or 4 KiB on wide ports).",
    "`vector.lanes` is at most half the array's `max(4, matmul.lanes / 32)` nibble rows, and at most "
    "`attention.head_dim`.",
    "`attention.bytes_per_cycle` is at most a word, and has at least `vector.lanes` codes of `attention.kv_bits` bits.",
    "`attention.context_limit` and `matmul.columns` are together at most 65536: as many positions' scores and "
    "probabilities are added up.",
    "`limits.kv_heads` is at most `limits.heads`, which is at most `attention.group x limits.kv_heads`; "
    "`limits.heads x attention.head_dim` is a multiple of 32.",
    "`memory.prefetch_kib` holds at least two longest bursts of all ports.",
    "`clock_mhz / (1 - clock_margin)`, for which pipelines are scheduled, is at most what the slowest operator of the "
    "accelerator allows in `technology` (a unit that is generated alone has its own limit).",
    "`clock_gating` is `cells` only where `technology` is not that of an FPGA, which has one clock.",
    "The smallest image (output matrix, KV cache of one layer) fits the address space: `memory.address_bits`, and at "
    "most 2^32 beats.",
)
"""The rules in words, for the documentation."""


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold.

    Parameters
    ----------
    keys
        Paths of the values it is about.
    sentence
        What is wrong, why, and the nearest valid value.
    """

    keys: tuple[str, ...]
    sentence: str


def violations(config: Configuration, *, unit_only: bool = False) -> Iterator[Violation]:
    """Return every rule that a configuration breaks.

    Parameters
    ----------
    config
        A configuration whose values are valid each for itself.
    unit_only
        Whether to leave out the clock of the whole accelerator.
    """
    if not unit_only:
        yield from _clock_rules(config)
    yield from _clock_gate_rules(config)
    yield from _word_rules(config)
    yield from _unit_rules(config)
    yield from _memory_rules(config)


@cache
def clock_limit(technology: str) -> ClockLimit:
    """Return what bounds the clock of an accelerator: the slowest operator of its kernels."""

    def slowest() -> dict[str, Any]:
        limits = (limit_of_kernel(kernel, technology) for kernel in KERNELS)
        limit = min(limits, key=lambda limit: limit.clock_mhz)
        return {"kernel": limit.kernel, "operator": limit.operator, "delay_ns": limit.delay_ns}

    known = remembered("clock-limits", (hls, kernels), technology, compute=slowest)
    return ClockLimit(**known, technology=find(technology))


def fastest_clock(technology: str, margin: float = 0.0) -> float:
    """Return the highest `clock_mhz` of an accelerator, in steps of 0.1 MHz.

    Parameters
    ----------
    technology
        Whose delays.
    margin
        Part of the period that the scheduler leaves free.
    """
    return math.floor(clock_limit(technology).clock_mhz * (1 - margin) * 10) / 10


def _clock_rules(config: Configuration) -> Iterator[Violation]:
    limit = clock_limit(config.technology)
    if limit.delay_ns > limit.technology.budget(config.schedule_mhz):
        fastest, margin = fastest_clock(config.technology, config.clock_margin), ""
        if config.clock_margin:
            margin = f", and clock_margin = {config.clock_margin:g} leaves that part of the period free"
        yield Violation(
            ("clock_mhz", "clock_margin", "technology"),
            f"clock_mhz = {config.clock_mhz:g} is too fast for technology = {config.technology}: "
            f"{limit.reason}{margin}; the nearest valid value, and the highest clock, is {fastest:g}.",
        )


def _clock_gate_rules(config: Configuration) -> Iterator[Violation]:
    if config.clock_gating == ClockGating.CELLS and find(config.technology).fpga:
        yield Violation(
            ("clock_gating", "technology"),
            f"clock_gating = cells is for standard cells, but technology = {config.technology} is that of an FPGA, "
            "where every register is on one clock network; the nearest valid value is simulator.",
        )


def _word_rules(config: Configuration) -> Iterator[Violation]:
    memory, word, beat = config.memory, config.word_bytes, config.beat_bytes
    if word % beat:
        ports = f"memory.ports x memory.port_bits / 8 = {memory.ports} x {memory.port_bits} / 8 = {beat} bytes"
        fitting = word * 8 // memory.ports
        advice = f"memory.port_bits = {fitting}" if fitting >= 32 else f"matmul.lanes = {beat * 2}"
        yield Violation(
            ("memory.ports", "memory.port_bits", "matmul.lanes"),
            f"{ports} arrive in a cycle, but a word of the array has {word} bytes "
            f"(matmul.lanes = {config.matmul.lanes}) and has to be a whole number of beats; "
            f"the nearest valid value is {advice}.",
        )
    elif word // beat > config.burst_beats:
        nearest = word * 8 // (memory.ports * config.burst_beats)
        yield Violation(
            ("memory.ports", "memory.port_bits", "matmul.lanes"),
            f"a word of the array has {word} bytes (matmul.lanes = {config.matmul.lanes}), which is {word} / "
            f"({memory.ports} ports x {memory.port_bits // 8} bytes) = {word // beat} beats, but the longest burst has "
            f"{config.burst_beats}; the nearest valid value is memory.port_bits = {max(32, nearest)}.",
        )
    if config.vector.lanes > config.rows // 2:
        yield Violation(
            ("vector.lanes", "matmul.lanes"),
            f"vector.lanes = {config.vector.lanes} is more than half the {config.rows} nibble rows of the array "
            f"(max(4, matmul.lanes / 32)); the nearest valid value is {config.rows // 2}.",
        )
    if config.vector.lanes > config.attention.head_dim:
        yield Violation(
            ("vector.lanes", "attention.head_dim"),
            f"vector.lanes = {config.vector.lanes} is more than attention.head_dim = {config.attention.head_dim}, "
            f"the shortest packet; the nearest valid value is {config.attention.head_dim}.",
        )
    if config.attention.bytes_per_cycle > word:
        yield Violation(
            ("attention.bytes_per_cycle", "matmul.lanes"),
            f"attention.bytes_per_cycle = {config.attention.bytes_per_cycle} is more than a word of {word} bytes "
            f"(matmul.lanes = {config.matmul.lanes}); the nearest valid value is {word}.",
        )
    least = config.vector.lanes * config.attention.kv_bits // 8
    if config.attention.bytes_per_cycle < least:
        yield Violation(
            ("attention.bytes_per_cycle", "vector.lanes"),
            f"attention.bytes_per_cycle = {config.attention.bytes_per_cycle} is less than the {config.vector.lanes} "
            f"codes of {config.attention.kv_bits} bits that vector.lanes gives in a cycle; the nearest valid value is "
            f"{least}.",
        )


def _unit_rules(config: Configuration) -> Iterator[Violation]:
    limits, group = config.limits, config.attention.group
    context, columns = config.attention.context_limit, config.matmul.columns
    if context + columns > MOST_POSITIONS:
        yield Violation(
            ("attention.context_limit", "matmul.columns"),
            f"attention.context_limit + matmul.columns = {context} + {columns} = {context + columns} positions are "
            f"more than the {MOST_POSITIONS} that the score buffer and the 40-bit sum of probabilities (each up to "
            f"2^24) hold; the nearest valid value is {(MOST_POSITIONS - columns) // 16 * 16}.",
        )
    width = limits.heads * config.attention.head_dim
    if width % BLOCK:
        yield Violation(
            ("limits.heads", "attention.head_dim"),
            f"limits.heads x attention.head_dim = {limits.heads} x {config.attention.head_dim} = {width} is not a "
            f"multiple of {BLOCK}, the block of the quantiser; the nearest valid value is limits.heads = "
            f"{limits.heads + 1}.",
        )
    if limits.kv_heads > limits.heads:
        yield Violation(
            ("limits.kv_heads", "limits.heads"),
            f"limits.kv_heads = {limits.kv_heads} is more than limits.heads = {limits.heads}; "
            f"the nearest valid value is {limits.heads}.",
        )
    if limits.heads > group * limits.kv_heads:
        yield Violation(
            ("limits.heads", "limits.kv_heads", "attention.group"),
            f"limits.heads = {limits.heads} is more than attention.group x limits.kv_heads = {group} x "
            f"{limits.kv_heads} = {group * limits.kv_heads}; the nearest valid value is {group * limits.kv_heads}.",
        )


def _memory_rules(config: Configuration) -> Iterator[Violation]:
    memory, burst, prefetch = config.memory, config.stripe_bytes, config.memory.prefetch_kib * 1024
    if prefetch < 2 * burst:
        yield Violation(
            ("memory.prefetch_kib", "memory.ports", "memory.port_bits"),
            f"memory.prefetch_kib = {memory.prefetch_kib} is less than two bursts of all ports, "
            f"2 x {memory.ports} ports x {config.burst_beats} beats x {memory.port_bits // 8} bytes = "
            f"{2 * burst // 1024} KiB; the nearest valid value is {-(-2 * burst // 1024)}.",
        )
    # The smallest image the limits allow: the output matrix at 4.5 bits a weight, and one layer's KV cache.
    limits, attention = config.limits, config.attention
    kv = KvGeometry(
        head_dim=attention.head_dim,
        context_limit=attention.context_limit,
        word_bytes=config.word_bytes,
        kv_bits=attention.kv_bits,
    )
    matrix = limits.vocabulary * limits.dim * 9 // 16
    cache = limits.kv_heads * attention.context_limit * kv.position_bytes
    reach = min(memory.address_bits, BEAT_ADDRESS_BITS + (config.beat_bytes - 1).bit_length())
    space = 1 << reach
    if matrix + cache > space:
        yield Violation(
            ("memory.address_bits", "limits.vocabulary", "limits.dim", "limits.kv_heads", "attention.context_limit"),
            f"an output matrix of limits.vocabulary x limits.dim = {limits.vocabulary} x {limits.dim} weights of 4.5 "
            f"bits ({matrix / GIB:.3g} GiB) and the KV cache of one layer ({cache / GIB:.3g} GiB) do not fit the "
            f"{space / GIB:.3g} GiB that memory.address_bits = {memory.address_bits} reach"
            + (
                f"; the nearest valid value is {(matrix + cache - 1).bit_length()}."
                if reach == memory.address_bits
                else f" with 2^{BEAT_ADDRESS_BITS} beats of {config.beat_bytes} bytes; "
                f"the nearest valid value is limits.vocabulary = {max(2, (space - cache) * 16 // (9 * limits.dim))}."
            ),
        )
