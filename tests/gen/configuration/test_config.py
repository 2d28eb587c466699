"""Configuration: presets, validation as a whole, overrides, hash."""

import dataclasses
import json
import random

import pytest
import yaml
from amaranth.hdl import Fragment
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import Configuration, config_hash, load_config, preset_names, preset_text
from rtlm.gen.configuration.rules import KERNELS, fastest_clock
from rtlm.gen.configuration.schema import DRAM_GRADES, DRAM_PARAMETERS
from rtlm.hw.accelerator import Accelerator
from rtlm.hw.hls import Kernel
from rtlm.hw.hls.technology import TECHNOLOGIES, ClockError
from rtlm.hw.unit_params import unit_params
from rtlm.sim.memory import dram

FEATURES = ("biases", "head_norms", "post_norms", "gelu")
"""Of the vector engine, for some families."""


def problems(*overrides: str, source: str = "kv260") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(source, overrides)
    return list(caught.value.problems)


@pytest.mark.parametrize("name", preset_names())
def test_preset_is_valid_and_agrees_with_the_hardware(name):
    config = load_config(name)
    params = config.to_params()
    assert config.name == name
    assert (config.rows, config.word_bytes, config.beat_bytes) == (params.rows, params.word_bytes, params.beat_bytes)
    assert config.burst_beats == params.burst_beats
    assert params.config_hash == int(config_hash(config), 16)
    assert params.prefetch_words * params.word_bytes == config.memory.prefetch_kib * 1024


@pytest.mark.parametrize("name", preset_names())
def test_preset_gives_a_reason_for_its_numbers(name):
    assert sum(line.strip().startswith("#") for line in preset_text(name).splitlines()) >= 8


def test_kv260_is_what_the_board_has():
    config = load_config()
    assert config.port_bytes_per_s == pytest.approx(19.2e9)
    assert (config.rows, config.word_bytes, config.word_cycles, config.prefetch_words) == (4, 64, 1, 1024)


def test_overrides_apply_in_order_and_change_only_what_they_name():
    base = load_config("kv260")
    config = load_config("kv260", ["matmul.lanes=512", "matmul.lanes=256", "clock_mhz=250.5"])
    assert (config.matmul.lanes, config.clock_mhz) == (256, 250.5)
    assert config.attention == base.attention


def test_all_errors_are_reported_at_once():
    found = problems(
        "matmul.lanes=200",
        "matmul.colums=1",
        "memory.prefetch_kib=4",
        "technology=xilinx",
        "limits.heads=64",
        "vector=3",
    )
    text = "\n".join(found)
    assert len(found) == 6
    for part in (
        "matmul.lanes must be a power of two from 32 to 8192 (whole blocks of 32 weights), got 200; "
        "the nearest valid value is 256.",
        "matmul.colums is not a key: matmul has lanes, columns, rows_per_multiplier, formats; did you mean columns?",
        "2 x 4 ports x 256 beats x 16 bytes = 32 KiB; the nearest valid value is 32.",
        "the nearest valid value is xilinx-us+",
        "attention.group x limits.kv_heads = 3 x 3 = 9",
        "vector must be a mapping of lanes, interval, biases, head_norms, post_norms, gelu, got 3.",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("matmul.lanes=0", "nearest valid value is 32"),
        ("matmul.lanes=-.inf", "nearest valid value is 32"),
        ("matmul.lanes=.nan", "a power of two"),
        ("matmul.lanes=true", ", got True"),
        ("matmul.lanes=many", "got 'many'"),
        ("matmul.lanes=300", "nearest valid value is 256"),
        ("matmul.columns=9", "nearest valid value is 8"),
        ("matmul.rows_per_multiplier=3", "nearest valid value is 2"),
        ("matmul.formats=[]", "must be a list of q4_0, q4_1, q8_0, q5_0, q5_1, "),
        ("matmul.formats=q8_0", "each at most once, got 'q8_0'"),
        ("matmul.formats=[q8_0,q9_0]", "got ['q8_0', 'q9_0']"),
        ("matmul.formats=[q8_0,q8_0]", "got ['q8_0', 'q8_0']"),
        ("matmul.formats=[[q8_0]]", "got [['q8_0']]"),
        ("clock_mhz=.nan", "a number from 1 to 1000 MHz"),
        ("clock_mhz=5000", "nearest valid value is 1000"),
        ("limits.dim=570", "a multiple of 32"),
        ("limits.dim=570", "nearest valid value is 576"),
        ("memory.port_bits=256", "nearest valid value is memory.port_bits = 128"),
        ("vector.lanes=4", "more than half the 4 nibble rows"),
        ("attention.bytes_per_cycle=128", "more than a word of 64 bytes"),
        ("limits.kv_heads=16", "more than limits.heads = 9"),
        ("memory.address_bits=20", "nearest valid value is 24"),
        ("matmul.lanes=48", "whole blocks of 32 weights"),
        ("memory.prefetch_kib=96", "nearest valid value is 64"),
        ("memory.prefetch_kib=16", "2 x 4 ports x 256 beats x 16 bytes = 32 KiB; the nearest valid value is 32"),
        ("attention.context_limit=65536", "65536 + 1 = 65537 positions are more than the 65536"),
        ("attention.group=16", "nearest valid value is 15"),
        ("memory.dram=ddr4", "memory.dram.base must be one of "),
        (
            "memory.dram.change.cl=[1]",
            "or a delay such as {clocks: 4, ns: '7.5'}, got [1].",
        ),
        (
            "memory.dram.change.foo=1",
            "memory.dram.change.foo is not a key: memory.dram.change has mega_transfers, channels",
        ),
        ("memory.dram.change.rowz=1", "did you mean rows?"),
        ("clock_gating=perhaps", "clock_gating must be one of off, simulator, cells, got 'perhaps'."),
        ("clock_gating=on", "clock_gating must be one of off, simulator, cells, got True."),
        (
            "clock_gating=cells",
            "is for standard cells, but technology = xilinx-us+ is that of an FPGA, where every register is on one "
            "clock network; the nearest valid value is simulator.",
        ),
        (
            "clock_mhz=700",
            "700 is too fast for technology = xilinx-us+: the UInt(63) clamp of kernel residual_norm takes 2.16",
        ),
        ("clock_mhz=700", "the nearest valid value, and the highest clock, is 359.3."),
        ("technology=ecp5", "clock_mhz = 300 is too fast for technology = ecp5: "),
        ("clock_margin=0.5", "clock_margin = 0.5 leaves that part of the period free; the nearest valid value, and"),
        ("name=Big One", "lower-case letters"),
        ("lanes", "must be key=value"),
        ("matmul.lanes.x=1", "not a mapping"),
        ("clock_mhz=[[", "YAML is not valid"),
        ("attention=null", "must be a mapping of"),
    ],
)
def test_bad_value_is_refused_in_a_sentence(override, part):
    found = problems(override)
    assert len(found) == 1
    assert part in found[0]
    assert found[0].endswith((".", "?"))


def test_attention_takes_at_least_what_the_vector_engine_gives():
    overrides = ["matmul.lanes=512", "vector.lanes=8", "attention.bytes_per_cycle=4"]
    assert problems(*overrides) == [
        "attention.bytes_per_cycle = 4 is less than the 8 codes of 8 bits that vector.lanes gives in a cycle; "
        "the nearest valid value is 8."
    ]
    load_config("kv260", [*overrides, "attention.kv_bits=4"])


@pytest.mark.parametrize("technology", TECHNOLOGIES)
def test_the_highest_clock_is_that_of_the_slowest_operator(technology):
    """At the limit every kernel is scheduled, at two lanes too; just above it one is not."""

    def schedule(clock_mhz):
        for kernel in KERNELS:
            for lanes in (1, 2):
                kernel.plan(lanes=lanes, clock_mhz=clock_mhz, technology=technology)

    fastest = fastest_clock(technology)
    schedule(fastest)
    with pytest.raises(ClockError, match=f"which allows {fastest:g} MHz at most"):
        schedule(fastest + 0.11)


def test_the_clock_is_checked_for_the_kernels_of_an_accelerator(monkeypatch):
    planned, component = set(), Kernel.component

    def record(self, *directives, **sizes):
        planned.add(self.name)
        return component(self, *directives, **sizes)

    monkeypatch.setattr(Kernel, "component", record)
    features = [f"vector.{feature}=true" for feature in FEATURES] + ["matmul.formats=[q5_0, q6_k]"]
    for changes in ([], features, ["technology=xilinx-us+"]):
        Fragment.get(Accelerator(load_config("tiny", changes).to_params()), None)
    assert planned == {kernel.name for kernel in KERNELS}


def test_a_unit_alone_may_be_faster_than_the_accelerator():
    assert load_config("tiny", ["clock_mhz=700"], unit_only=True).clock_mhz == 700


@pytest.mark.parametrize(("text", "value"), [("off", "off"), ("no", "off"), ("'off'", "off"), ("cells", "cells")])
def test_names_that_yaml_reads_as_booleans(text, value, tmp_path):
    assert load_config("tiny", [f"clock_gating={text}"]).clock_gating == value
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: tiny\nclock_gating: {text}\n")
    assert load_config(path).clock_gating == value


def test_memories_are_those_of_the_simulator():
    fixed = {"name", "source", "ideal"}
    assert {field.name for field in dataclasses.fields(dram.Dram)} - fixed == set(DRAM_PARAMETERS)
    assert set(dram.GRADES) == set(DRAM_GRADES)


def test_longest_word_fits_a_burst():
    overrides = ("matmul.lanes=8192", "memory.ports=1", "memory.port_bits=32", "memory.prefetch_kib=1024")
    (found,) = problems(*overrides)
    assert "4096 / (1 ports x 4 bytes) = 1024 beats, but the longest burst has 256" in found
    assert found.endswith("the nearest valid value is memory.port_bits = 128.")
    load_config("kv260", [*overrides, "memory.port_bits=128"])


def test_heads_fill_blocks():
    (found,) = problems("limits.heads=1", "limits.kv_heads=1", "attention.head_dim=16")
    assert "limits.heads x attention.head_dim = 1 x 16 = 16 is not a multiple of 32" in found


def test_image_fits_the_address_space():
    (found,) = problems("memory.address_bits=24", "limits.vocabulary=1000000")
    assert "1000000 x 576 weights of 4.5 bits" in found and "0.0156 GiB" in found
    wide = ("memory.ports=1", "memory.port_bits=32", "memory.address_bits=64", "matmul.lanes=32")
    huge = ("limits.vocabulary=1048544", "limits.dim=16384", "limits.kv_heads=128", "limits.heads=128")
    load_config("kv260", [*wide, *huge])
    (found,) = problems(*wide, *huge, "memory.address_bits=33")
    assert "the nearest valid value is 34" in found


@pytest.mark.slow
def test_whatever_is_valid_can_be_built(seed):
    """Random configurations: either refused in sentences, or every unit accepts the sizes that follow."""
    rng = random.Random(seed)
    choices = {
        "matmul.lanes": [32, 64, 128, 256, 1024, 8192],
        "matmul.columns": [1, 2, 3, 8],
        "vector.lanes": [2, 4, 8, 32],
        "attention.bytes_per_cycle": [4, 8, 16, 64, 256, 4096],
        "attention.group": [1, 3, 15],
        "attention.context_limit": [16, 2048, 65520, 131072],
        "attention.head_dim": [8, 16, 32, 64, 128, 256],
        "attention.kv_bits": [4, 8],
        "memory.ports": [1, 2, 4, 16, 32],
        "memory.port_bits": [32, 64, 128, 512, 1024],
        "memory.address_bits": [20, 32, 40, 64],
        "memory.prefetch_kib": [1, 8, 64, 1024, 16384],
        "limits.dim": [32, 576, 16384],
        "limits.heads": [1, 9, 128],
        "limits.kv_heads": [1, 3, 128],
    }
    valid = 0
    for _ in range(600):
        keys = rng.sample(sorted(choices), rng.randrange(1, 7))
        overrides = [f"{key}={rng.choice(choices[key])}" for key in keys]
        try:
            config = load_config("kv260", overrides)
        except ConfigError as error:
            assert all(problem.endswith((".", "?")) for problem in error.problems)
            continue
        valid += 1
        try:
            unit_params(config.to_params())
        except ValueError as error:
            pytest.fail(f"{overrides}: {error}")
    assert valid > 20


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("matmul: {lanes: 256}\nmatmul: {lanes: 128}\n", "'matmul' occurs twice"),
        ("[" * 50000, "nested too deeply"),
        ("- 1\n", "not a mapping"),
        ("", "not a mapping"),
        ("a: !!python/object/apply:os.system [x]\n", "ply:os.system' are not supported"),
        ("clock_mhz: !!bool x\n", "tags such as 'tag:yaml.org,2002:bool' are not supported"),
        ('"\\ud800": 1\n', r"'\ud800' holds half a character"),
        ("extends: kv261\n", "is not a preset"),
        ("a: &a [*a]\nmatmul: *a\n", "aliases (*name) are not supported"),
        ("clock_mhz: 0x" + "f" * 6000, "clock_mhz must be a number from 1 to 1000 MHz, got an integer of 24000 bits"),
        ('"a\\nb": 1\n', r"'a\nb' is not a key"),
        ('board: "\\e[2J"\n', r"got '\x1b[2J'"),
        ("\0", "YAML is not valid"),
        ("x: 2001-13-45\n", "YAML is not valid"),
    ],
)
def test_bad_file_is_refused_in_a_sentence(tmp_path, text, part):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert part in "\n".join(problems(source=str(path)))


def test_missing_huge_and_unreadable_files(tmp_path):
    assert "did you mean kv260?" in problems(source="kv26")[0]
    assert "cannot be read" in problems(source=str(tmp_path))[0]
    big = tmp_path / "big.yaml"
    big.write_text("#" * 100_000)
    assert "more than 65536 bytes" in problems(source=str(big))[0]
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\xd8")
    assert "UTF-8" in problems(source=str(binary))[0]


def test_file_may_extend_a_preset_or_hold_everything(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: kv260\nname: mine\nmatmul: {columns: 4}\n")
    config = load_config(path)
    assert (config.name, config.matmul.columns, config.matmul.lanes) == ("mine", 4, 128)
    whole = tmp_path / "whole.yaml"
    whole.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(whole) == config


def test_rows_that_share_a_multiplier_reach_the_array():
    assert load_config("kv260").matmul.rows_per_multiplier == 2
    for rows in (1, 2):
        config = load_config("kv260", [f"matmul.rows_per_multiplier={rows}"])
        assert unit_params(config.to_params()).matmul.rows_per_multiplier == rows


def test_columns_divide_the_interval():
    """It is that of a column's beats: with more columns there are as many more."""
    for columns, interval, each in ((1, 4, 4), (2, 4, 2), (3, 4, 1), (3, 8, 2), (8, 4, 1)):
        config = load_config("kv260", [f"matmul.columns={columns}", f"vector.interval={interval}"])
        assert unit_params(config.to_params()).vector.interval == each
    assert config_hash(load_config("tiny", ["vector.interval=1"])) == config_hash(load_config("tiny"))
    assert "a power of two from 1 to 64, got 3" in problems("vector.interval=3", source="tiny")[0]


def test_what_only_some_families_need_is_off_and_then_no_part_of_the_hash():
    tiny = load_config("tiny")
    features = [*(("vector", feature) for feature in FEATURES), ("attention", "windows")]
    assert not any(getattr(getattr(tiny, section), feature) for section, feature in features)
    hashes = {config_hash(load_config("tiny", changes)) for changes in ([], ["vector.biases=false"])}
    assert hashes == {config_hash(tiny)}
    for section, key in features:
        changed = load_config("tiny", [f"{section}.{key}=on"])
        unit = getattr(unit_params(changed.to_params()), section)
        assert getattr(unit, key) and config_hash(changed) != config_hash(tiny)
        assert "true or false" in problems(f"{section}.{key}=1", source="tiny")[0]


def test_codes_of_8_bits_are_no_part_of_the_hash():
    tiny, short = load_config("tiny"), load_config("tiny", ["attention.kv_bits=4"])
    assert config_hash(load_config("tiny", ["attention.kv_bits=8"])) == config_hash(tiny) != config_hash(short)
    params, units = short.to_params(), unit_params(short.to_params())
    assert {params.kv, units.attention.kv, units.vector.kv} == {params.kv}
    assert (units.sequencer.row_bytes, units.sequencer.row_words) == (params.kv.row_bytes, params.kv.row_words)
    assert "a power of two from 4 to 8, got 5" in problems("attention.kv_bits=5")[0]


def test_the_margin_makes_pipelines_for_a_faster_clock():
    """Figures are stated at the clock; a schedule with a margin is that of the shorter period, and another design."""
    plain, cautious = load_config("tiny"), load_config("tiny", ["clock_margin=0.5"])
    assert (plain.schedule_mhz, plain.to_params().clock_mhz) == (plain.clock_mhz, plain.clock_mhz)
    assert (cautious.clock_mhz, cautious.schedule_mhz) == (plain.clock_mhz, 2 * plain.clock_mhz)
    assert (
        cautious.to_params().clock_mhz
        == load_config("tiny", [f"clock_mhz={2 * plain.clock_mhz}"]).to_params().clock_mhz
    )
    assert cautious.port_bytes_per_s == plain.port_bytes_per_s
    assert config_hash(cautious) != config_hash(plain)
    assert config_hash(load_config("tiny", ["clock_margin=0"])) == config_hash(plain)
    assert "0.9 of the period" in problems("clock_margin=1", source="tiny")[0]


def test_hash_covers_the_hardware_and_nothing_else():
    reference = config_hash(load_config("kv260"))
    assert len(reference) == 16
    formats = "matmul.formats=[q8_0,q4_1,q4_0]"
    for same in ("name=other", "board=none", "memory.dram=ideal", "memory.dram.change.outstanding=4", formats):
        assert config_hash(load_config("kv260", [same])) == reference, same
    changes = (
        "matmul.columns=2",
        "matmul.rows_per_multiplier=1",
        "matmul.formats=[q4_0]",
        "matmul.formats=[q4_0,q4_1,q8_0,q4_k]",
        "vector.interval=2",
        "clock_mhz=299",
        "technology=generic",
        "memory.outstanding=5",
        "limits.vocabulary=49151",
    )
    assert len({config_hash(load_config("kv260", [change])) for change in changes} | {reference}) == len(changes) + 1


def test_configuration_is_frozen_and_has_a_json_schema():
    config = load_config("tiny")
    with pytest.raises(ValueError, match="frozen"):
        config.matmul.lanes = 64
    schema = json.loads(json.dumps(Configuration.model_json_schema()))
    assert schema["$defs"]["MatmulConfig"]["properties"]["lanes"]["enum"][0] == 32
