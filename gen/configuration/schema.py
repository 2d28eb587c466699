"""The configuration: its keys, what each allows, what it means, and what follows from it."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from rtlm.gen.configuration.fields import Choice, Choices, DramValue, Flag, Real, Whole
from rtlm.hw.common.clock_gate import ClockGating
from rtlm.hw.common.kv_codes import KV_BITS
from rtlm.hw.common.layouts import STORED_BITS
from rtlm.hw.formats import BLOCK, DEFAULT_FORMATS, BlockFormat, TileShape
from rtlm.hw.hls.technology import TECHNOLOGIES
from rtlm.hw.memory.axi import longest_burst
from rtlm.hw.params import MAX_HEAD_DIM, MAX_VECTOR_INTERVAL, MIN_HEAD_DIM, AcceleratorParams

HASH_VERSION = 2
"""Changes when the same values come to mean other hardware."""

BOARDS = {
    "none": "no board: memory and clock are free",
    "kv260": "AMD Kria KV260, XCK26, 4 GiB DDR4-2400 (constraints/kv260.xdc)",
    "zcu104": "AMD ZCU104, XCZU7EV, 2 GiB DDR4-2400 (constraints/zcu104.xdc)",
    "u250": "AMD Alveo U250, four DDR4-2400 channels (constraints/u250.xdc)",
    "u280": "AMD Alveo U280, HBM2 (constraints/u280.xdc)",
    "ulx3s": "ULX3S, Lattice LFE5U-85F (constraints/ulx3s.lpf)",
    "asic": "a standard-cell process (constraints/asic.sdc)",
}
"""Boards (or a process) whose memory and clock a preset describes, and for which there are constraints."""

DRAM_GRADES = ("ideal", "ddr3-800", "ddr4-2400", "hbm2", "hbm2-single-bank")
"""Named memories of the simulator's DRAM model, `rtlm.sim.memory.dram.GRADES`."""

DRAM_PARAMETERS = (
    *("mega_transfers", "channels", "interleave_bytes", "bus_bytes", "burst_length"),
    *("bank_groups", "banks_per_group", "rows", "row_bytes"),
    *("cl", "cwl", "rcd", "rp", "ras", "rrd_s", "rrd_l", "faw", "ccd_s", "ccd_l", "wr", "wtr_s", "wtr_l", "rtp"),
    *("rfc", "refi_ns", "rfc_bank", "rrefd"),
    *("window", "write_high", "write_low", "patience", "request_latency", "response_latency"),
    *("outstanding", "port_buffer_bytes"),
)
"""Parameters of a memory that can differ, fields of `rtlm.sim.memory.dram.Dram`."""


class Section(BaseModel):
    """A mapping of keys; unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class MatmulConfig(Section):
    """The matrix unit."""

    lanes: Annotated[int, Whole(low=32, high=8192, power_of_two=True, why="whole blocks of 32 weights")]
    """4-bit multiply-accumulates a cycle and column; 128 consume 64 bytes a cycle."""
    columns: Annotated[int, Whole(low=1, high=8)]
    """Activation vectors that pass with each weight: batch, prefill tokens or guessed tokens."""
    rows_per_multiplier: Annotated[int, Whole(low=1, high=2)] = 2
    """4-bit weights that share a multiplier: 2 halves the multipliers, 1 saves the adders that part two products."""
    formats: Annotated[tuple[str, ...], Choices(tuple(each.name.lower() for each in BlockFormat))] = tuple(
        each.name.lower() for each in DEFAULT_FORMATS
    )
    """Weight formats that the gates read; those that are left out cost none."""


class VectorConfig(Section):
    """The vector engine: residual, RMSNorm, RoPE, SwiGLU, quantisation."""

    lanes: Annotated[int, Whole(low=2, high=32, power_of_two=True)]
    """Results processed in a cycle; at most half the array's nibble rows."""
    interval: Annotated[int, Whole(low=1, high=MAX_VECTOR_INTERVAL, power_of_two=True)] = 1
    """Cycles for which a beat of a column may keep float operators, which are shared for it; columns divide them."""
    biases: Annotated[bool, Flag()] = False
    """Biases of query, key and value, as a qwen2 has them."""
    head_norms: Annotated[bool, Flag()] = False
    """RMSNorm of each head's query and key, as a qwen3 has it."""
    post_norms: Annotated[bool, Flag()] = False
    """RMSNorm of what attention and feed-forward network add, as a gemma3 has it."""
    gelu: Annotated[bool, Flag()] = False
    """GELU in the gate, as a gemma3 has it, beside SiLU."""


class AttentionConfig(Section):
    """The attention unit."""

    bytes_per_cycle: Annotated[int, Whole(low=4, high=4096, power_of_two=True)]
    """Bytes of keys or values consumed in a cycle; at most a word."""
    group: Annotated[int, Whole(low=1, high=15)]
    """Query heads that share a KV head, at most."""
    context_limit: Annotated[int, Whole(low=16, high=131072, multiple_of=16)]
    """Positions whose scores fit on chip."""
    head_dim: Annotated[int, Whole(low=MIN_HEAD_DIM, high=MAX_HEAD_DIM, power_of_two=True)]
    """Width of a head."""
    windows: Annotated[bool, Flag()] = False
    """Layers that attend to a window of the last positions only, as most of a gemma3's do."""
    kv_bits: Annotated[int, Whole(low=min(KV_BITS), high=max(KV_BITS), power_of_two=True)] = STORED_BITS
    """Bits of a key's or value's code in the KV cache: 4 halve its bytes and cost accuracy (docs/accuracy.md)."""


class DramConfig(Section):
    """What answers in simulation; it does not change the hardware."""

    base: Annotated[str, Choice(DRAM_GRADES)]
    """A named memory of the simulator."""
    change: dict[Annotated[str, Choice(DRAM_PARAMETERS)], Annotated[Any, DramValue()]] = Field(default_factory=dict)
    """Parameters of it that differ (their names: ``rtlm.sim.memory.dram.Dram``)."""


def _named(value: Any) -> Any:
    """Accept a name alone for the named memory."""
    return {"base": value} if isinstance(value, str) else value


class MemoryConfig(Section):
    """The path to memory."""

    ports: Annotated[int, Whole(low=1, high=32, power_of_two=True)]
    """AXI4 ports."""
    port_bits: Annotated[int, Whole(low=32, high=1024, power_of_two=True)]
    """Data bits of each port."""
    address_bits: Annotated[int, Whole(low=20, high=64)]
    """Byte address bits."""
    outstanding: Annotated[int, Whole(low=1, high=64)]
    """Read bursts in flight on each port."""
    prefetch_kib: Annotated[int, Whole(low=1, high=16384, power_of_two=True)]
    """Size of the buffer that lets the reader run ahead of the units."""
    dram: Annotated[DramConfig, BeforeValidator(_named, json_schema_input_type=str | DramConfig)]
    """What answers in simulation; it does not change the hardware."""


class LimitsConfig(Section):
    """The largest model that fits; buffers have these sizes."""

    dim: Annotated[int, Whole(low=BLOCK, high=16384, multiple_of=BLOCK)]
    """Width of the residual stream."""
    hidden_dim: Annotated[int, Whole(low=BLOCK, high=65536, multiple_of=BLOCK)]
    """Width of the feed-forward network."""
    heads: Annotated[int, Whole(low=1, high=128)]
    """Query heads."""
    kv_heads: Annotated[int, Whole(low=1, high=128)]
    """Key/value heads."""
    vocabulary: Annotated[int, Whole(low=2, high=(1 << 20) - BLOCK)]
    """Tokens."""


class Configuration(Section):
    """Everything a configuration file holds, and the sizes that follow from it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    """Lower-case name; files are called after it."""
    board: Annotated[str, Choice(tuple(BOARDS))]
    """Board that the numbers were chosen for."""
    technology: Annotated[str, Choice(tuple(TECHNOLOGIES))]
    """Operator delays that pipelines are scheduled with."""
    clock_mhz: Annotated[float, Real(low=1, high=1000, unit="MHz")]
    """Clock that figures are stated at, and with `clock_margin` the one that pipelines are scheduled for."""
    clock_margin: Annotated[float, Real(low=0, high=0.9, unit="of the period")] = 0.0
    """Part of the period that the scheduler leaves free, for the longer wires of a device that is rather full."""
    clock_gating: Annotated[str, Choice(tuple(ClockGating))] = "simulator"
    """What stops clocks of units that rest: only rtlm's simulator (other tools see one clock), or a library's cells."""
    matmul: MatmulConfig
    vector: VectorConfig
    attention: AttentionConfig
    memory: MemoryConfig
    limits: LimitsConfig

    @property
    def schedule_mhz(self) -> float:
        """Clock that pipelines are scheduled for: its period is that of the clock without the margin."""
        return self.clock_mhz / (1 - self.clock_margin)

    @property
    def formats(self) -> tuple[BlockFormat, ...]:
        """Block formats of the matrices."""
        return tuple(BlockFormat[name.upper()] for name in self.matmul.formats)

    @property
    def rows(self) -> int:
        """Nibble rows of the array."""
        return TileShape.of_lanes(self.matmul.lanes).rows

    @property
    def word_bytes(self) -> int:
        """Bytes that the array consumes as one."""
        return TileShape.of_lanes(self.matmul.lanes).word_bytes

    @property
    def word_cycles(self) -> int:
        """Cycles that the array takes for a word."""
        return self.rows * BLOCK // self.matmul.lanes

    @property
    def vector_interval(self) -> int:
        """Cycles between beats of the vector engine: those of a column, a power of two."""
        return 1 << max(1, self.vector.interval // self.matmul.columns).bit_length() - 1

    @property
    def beat_bytes(self) -> int:
        """Bytes that all ports deliver together."""
        return self.memory.ports * self.memory.port_bits // 8

    @property
    def burst_beats(self) -> int:
        """Beats of the longest burst of a port."""
        return longest_burst(self.memory.port_bits // 8)

    @property
    def stripe_bytes(self) -> int:
        """Bytes of one longest burst on every port."""
        return self.burst_beats * self.beat_bytes

    @property
    def prefetch_words(self) -> int:
        """Words that the prefetch buffer holds."""
        return self.memory.prefetch_kib * 1024 // self.word_bytes

    @property
    def port_bytes_per_s(self) -> float:
        """Bytes a second that the ports can take at the configured clock."""
        return self.beat_bytes * self.clock_mhz * 1e6

    def to_params(self) -> AcceleratorParams:
        """Return the parameters of the hardware."""
        return AcceleratorParams(
            name=self.name,
            clock_mhz=self.schedule_mhz,
            technology=self.technology,
            lanes=self.matmul.lanes,
            columns=self.matmul.columns,
            rows_per_multiplier=self.matmul.rows_per_multiplier,
            formats=self.formats,
            vector_lanes=self.vector.lanes,
            vector_interval=self.vector_interval,
            biases=self.vector.biases,
            head_norms=self.vector.head_norms,
            post_norms=self.vector.post_norms,
            gelu=self.vector.gelu,
            head_dim=self.attention.head_dim,
            group=self.attention.group,
            heads=self.limits.heads,
            kv_heads=self.limits.kv_heads,
            attention_bytes=self.attention.bytes_per_cycle,
            windows=self.attention.windows,
            kv_bits=self.attention.kv_bits,
            dim=self.limits.dim,
            hidden_dim=self.limits.hidden_dim,
            vocabulary=self.limits.vocabulary,
            context_limit=self.attention.context_limit,
            ports=self.memory.ports,
            port_bits=self.memory.port_bits,
            address_bits=self.memory.address_bits,
            outstanding=self.memory.outstanding,
            prefetch_words=self.prefetch_words,
            clock_gating=ClockGating(self.clock_gating),
            config_hash=int(config_hash(self), 16),
        )

    def derived(self) -> dict[str, int | float]:
        """Return the derived sizes, for `rtlm show` and the manifest."""
        return {
            "rows": self.rows,
            "word_bytes": self.word_bytes,
            "word_cycles": self.word_cycles,
            "beat_bytes": self.beat_bytes,
            "burst_beats": self.burst_beats,
            "stripe_bytes": self.stripe_bytes,
            "prefetch_words": self.prefetch_words,
            "max_k_blocks": self.to_params().max_k_blocks,
            "port_gb_per_s": round(self.port_bytes_per_s / 1e9, 3),
        }


def config_hash(config: Configuration) -> str:
    """Return 64 bits, as 16 hexadecimal digits, of all that determines the hardware.

    The name, the board and what answers in simulation do not.
    """
    values = config.model_dump(mode="json", exclude={"name": True, "board": True, "memory": {"dram"}})
    # As in the time before there were these.
    if not config.clock_margin:
        del values["clock_margin"]
    if config.vector.interval == 1:
        del values["vector"]["interval"]
    if config.formats == DEFAULT_FORMATS:
        del values["matmul"]["formats"]
    for section in ("vector", "attention"):
        values[section] = {key: value for key, value in values[section].items() if value is not False}
    if config.attention.kv_bits == STORED_BITS:
        del values["attention"]["kv_bits"]
    text = json.dumps([HASH_VERSION, values], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def json_schema(model: type[BaseModel]) -> str:
    """Return the JSON Schema of a kind of file, as a file for editors."""
    return (
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(), indent=2)
        + "\n"
    )
