"""The vector engine's gates against its model: every epilogue, random programs, gaps and back-pressure."""

import json
import os
import pathlib
import random

import pytest
from amaranth.back import verilog
from amaranth.hdl import Signal, Value
from cocotb_tools.runner import get_runner
from rtlm.hw import clock_gate
from rtlm.hw.units.vector import VectorEngine
from rtlm.hw.units.vector_params import VectorParams
from rtlm.sim.verilator import find_verilator

HERE = pathlib.Path(__file__).parent
SMALL = {"max_dim": 96, "max_hidden": 128, "heads": 4, "kv_heads": 2, "context_limit": 40}
CONFIGURATIONS = {
    "narrow": {"lanes": 2, "columns": 1, "head_dim": 32, "word_bytes": 64, **SMALL},
    "short-heads": {
        "lanes": 4,
        "columns": 2,
        "head_dim": 16,
        "word_bytes": 128,
        "beats_per_word": 2,
        "clock_gating": True,
        **SMALL,
    },
    "long-heads": {"lanes": 2, "columns": 3, "head_dim": 128, "word_bytes": 64, "beats_per_word": 4, **SMALL},
    "wide-words": {"lanes": 4, "columns": 3, "head_dim": 64, "word_bytes": 256, **SMALL},
}
STEPS = 12


def ports(component):
    """Signals of a component's signature; constants such as an always-ready `ready` are none."""
    values = (Value.cast(value) for _, _, value in component.signature.flatten(component))
    return [value for value in values if isinstance(value, Signal)]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_programs(name, tmp_path, monkeypatch):
    configuration = CONFIGURATIONS[name]
    engine = VectorEngine(VectorParams(**configuration))
    source = tmp_path / "vector_engine.v"
    text = verilog.convert(engine, name="vector_engine", ports=ports(engine), emit_src=False, strip_internal_attrs=True)
    source.write_text(text + (clock_gate.VERILOG if configuration.get("clock_gating") else ""))
    seed = int(os.environ.get("VECTOR_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: set VECTOR_SEED to repeat")
    tool = find_verilator()
    for key, value in tool.environment:
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("PATH", f"{pathlib.Path(tool.command[-1]).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.syspath_prepend(str(HERE))
    runner = get_runner("verilator")
    runner.build(
        sources=[source],
        hdl_toplevel="vector_engine",
        build_dir=tmp_path / "build",
        build_args=["-Wno-fatal", "-Wno-lint", "--no-public-flat-rw", "--public-depth", "1", "-O3", "-CFLAGS", "-O1"],
    )
    results = runner.test(
        hdl_toplevel="vector_engine",
        test_module="test_vector_cocotb",
        build_dir=tmp_path / "build",
        test_dir=tmp_path,
        extra_env={
            "VECTOR_PARAMS": json.dumps(configuration),
            "VECTOR_SEED": str(seed),
            "VECTOR_STEPS": str(STEPS),
            "VECTOR_LATENCY": json.dumps({epilogue.name: cycles for epilogue, cycles in engine.latency.items()}),
            "PYTHONPATH": str(HERE),
        },
    )
    assert "<failure" not in pathlib.Path(results).read_text()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"lanes": 3}, "3 vector lanes are not possible: a power of two from 2 to 16 is"),
        ({"lanes": 32}, "32 vector lanes are not possible"),
        ({"lanes": 2, "columns": 9}, "9 columns are not possible"),
        ({"lanes": 2, "word_bytes": 96}, "a word of 96 bytes is not possible"),
        ({"lanes": 2, "max_dim": 100}, "max_dim = 100 is not possible"),
        ({"lanes": 2, "head_dim": 48}, "a head of 48 values is not possible"),
        ({"lanes": 2, "head_dim": 16, "heads": 3}, "3 heads of 16 values are no whole number of blocks"),
        ({"lanes": 2, "kv_heads": 0}, "kv_heads = 0 is not possible"),
        ({"lanes": 2, "beats_per_word": 3}, "3 beats in a word are not possible"),
        ({"lanes": 2, "address_bits": 40}, "beat addresses of 40 bits are not possible"),
    ],
)
def test_parameters_are_checked(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        VectorParams(**values)
