"""Made-up measurements with round numbers, whose figures can be worked out by hand."""

from rtlm.host.reports.measurements import (
    DECODE,
    PREFILL,
    ActivityMeasurement,
    ContextCurve,
    GeneratedText,
    MemoryMeasurement,
    RunMeasurements,
    SimulatorMeasurement,
    StepMeasurement,
    Work,
)

COUNTERS = {
    "CYCLES": 1000,
    "OPERATOR_QKV": 600,
    "OPERATOR_QK": 400,
    "EVENT_MATMUL_BUSY": 700,
    "EVENT_MATMUL_STARVED": 100,
    "EVENT_READER_NO_ROOM": 50,
    "EVENT_WORDS": 800,
}

CAUSES = {"control": 100, "needed": 800, "refresh": 40, "dependency_qk": 60, "rows": 0}

LAYERS = {
    "embedding": {"qk^t": 20},
    "layer 0": {"qkv": 350, "qk^t": 150},
    "layer 1": {"qkv": 200, "qk^t": 200},
    "head": {"qkv": 50, "qk^t": 30},
}

WORK = {
    "qkv": Work(count=6, bytes=60_000, macs=120_000),
    "qk^t": Work(count=4, bytes=20_000, macs=8_000),
    "control": Work(count=1, bytes=64),
}


def sample(**changes) -> RunMeasurements:
    """100 MHz, 10 GB/s: 100 bytes a cycle; each of 3 decoding steps takes 1000 cycles and needs 80,000 bytes."""
    prefill = StepMeasurement.from_counters(
        {**COUNTERS, "CYCLES": 2000}, phase=PREFILL, tokens=4, context=4, needed_bytes=80_000, work=WORK
    )
    steps = [prefill] + [
        StepMeasurement.from_counters(
            COUNTERS,
            phase=DECODE,
            tokens=1,
            context=5 + i,
            needed_bytes=80_000,
            causes=CAUSES,
            work=WORK,
            layers=LAYERS,
        )
        for i in range(3)
    ]
    values = {
        "config": {"name": "sample", "clock_mhz": 100.0},
        "config_hash": "0123456789abcdef",
        "model": "made-up",
        "sequences": [
            GeneratedText(prompt_ids=[1, 2, 3, 4], token_ids=[5, 6, 7, 8], text="Grüße [bold]", prompt="Hallo")
        ],
        "logits_sha256": "00" * 32,
        "steps": steps,
        "simulator": SimulatorMeasurement(backend="verilator", version="5", wall_s=2.0, simulated_cycles=5_000),
        "memory": MemoryMeasurement(
            name="ddr4-2400",
            source="a data sheet",
            peak_bytes_per_s=10e9,
            stream_ceiling=0.95,
            ideal=False,
            read_bytes={"weights": 300_000, "kv": 30_000},
            written_bytes={"kv": 6_000},
            counters={"row_misses": 12, "cycles": 5_000},
        ),
        "elements": {"matmul": {"luts": 1000, "ffs": 2000, "dsps": 64, "brams": 0}},
        "context_curve": ContextCurve(
            tokens_per_s={1: 100_000.0, 2: 99_000.0, 8: 90_000.0},
            batch=1,
            error={"mean": 0.01, "worst": 0.02, "points": 44, "source": "docs/estimates.md"},
        ),
        "activity": ActivityMeasurement(toggles={"matmul": 0.125}, cycles=2048, samples=2, context=6),
    }
    return RunMeasurements(**{**values, **changes})
