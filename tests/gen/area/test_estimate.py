"""The parametric area model: its numbers against synthesis, what it depends on, and its speed."""

import time

import pytest
from rtlm.gen.area.coefficients import coefficients
from rtlm.gen.area.estimate import error_bands, estimate_area, unit_counts
from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.gen.configuration.schema import BOARDS
from rtlm.gen.rtl.verilog import to_rtlil
from rtlm.gen.synthesis.synthesise import synthesise
from rtlm.gen.synthesis.targets import TARGETS
from rtlm.hw.matmul.activations import ActivationBanks


def test_every_unit_and_kernel_has_coefficients():
    counts = unit_counts(load_config("kv260").to_params())
    known = coefficients()
    assert set(known["units"]) == set(counts)
    features = ["vector.head_norms=true", "vector.gelu=true"]
    with_features = unit_counts(load_config("kv260", features).to_params())
    uses = [use for unit in (*counts.values(), with_features["vector"]) for use in unit.kernels]
    assert {use.name for use in uses if not use.arguments} == set(known["kernels"])
    assert set(error_bands()) <= {"luts", "ffs", "dsps", "brams"}


def test_multipliers_are_those_of_the_arrays_and_the_kernels():
    base = estimate_area(load_config("kv260"))
    twice = estimate_area(load_config("kv260", ["matmul.columns=2"]))
    single = estimate_area(load_config("kv260", ["matmul.rows_per_multiplier=1"]))
    # 128 lanes, two rows to a multiplier; four more multipliers for each of the 4 rows, and one for the column.
    assert twice.units["matmul"].dsps - base.units["matmul"].dsps == 64 + 4 * 4 + 1
    assert single.units["matmul"].dsps - base.units["matmul"].dsps == 64
    narrow = estimate_area(load_config("kv260", ["attention.bytes_per_cycle=32"]))
    # Below a head's width there is one position a beat either way: the kernels stay.
    assert base.units["attention"].dsps - narrow.units["attention"].dsps == 3 * 32


def test_shared_operators_take_less():
    """Of two lanes' 4 products in the residual, 4 in the rotation and 3 in the gate one is left, of 3 in the
    quantiser two, each of two multipliers; of two in the embedding's scaling, of one, one."""
    plain, shared = (estimate_area(load_config("kv260", [f"vector.interval={n}"])).units["vector"] for n in (1, 4))
    assert plain.dsps - shared.dsps == 2 * (3 + 3 + 2 + 1) + 1
    assert shared.luts < 0.85 * plain.luts
    assert shared.ffs < plain.ffs
    columns = (estimate_area(load_config("kv260", ["matmul.columns=4", f"vector.interval={n}"])) for n in (1, 4))
    assert len({area.units["vector"] for area in columns}) == 1


@pytest.mark.parametrize(
    "change",
    [
        "matmul.lanes=256",
        "matmul.columns=2",
        "attention.group=4",
        "attention.head_dim=128",
        "memory.outstanding=16",
        "vector.biases=true",
        "vector.head_norms=true",
        "vector.post_norms=true",
        "vector.gelu=true",
        "attention.windows=true",
        "attention.kv_bits=4",
    ],
)
def test_more_takes_more(change):
    before, after = (estimate_area(load_config("kv260", changes)) for changes in ([], [change]))
    assert after.luts > before.luts
    assert after.ffs > before.ffs


def test_a_faster_clock_takes_more_registers():
    """And about as many tables: deeper pipelines are no more logic."""
    before, after = (estimate_area(load_config("kv260", [f"clock_mhz={clock}"])) for clock in (300, 350))
    assert after.ffs > before.ffs
    assert after.luts == pytest.approx(before.luts, rel=0.01)


def test_a_deeper_buffer_takes_block_memories():
    before, after = (estimate_area(load_config("kv260", [f"memory.prefetch_kib={n}"])) for n in (64, 128))
    # 128 bits on each of four ports: 4 blocks of 36 x 1024, then 15 halves of 9 x 2048, which is cheaper than 8 blocks.
    assert (before.units["reader"].brams, after.units["reader"].brams) == (4 * 4, 4 * 7.5)


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_has_an_estimate(preset):
    area = estimate_area(load_config(preset))
    assert min(area.luts, area.ffs, area.dsps) > 0
    assert area.luts == pytest.approx(sum(unit.luts for unit in area.units.values()))


def test_shares_say_what_fits():
    area = estimate_area(load_config("kv260"))
    shares = area.shares(DEVICES["kv260"].available)
    assert max(shares.values()) < 0.6
    assert estimate_area(load_config("u280")).shares(DEVICES["kv260"].available)["dsp"] > 1
    assert area.shares({"lut": 100})["dsp"] == float("inf")


def test_devices_are_those_of_boards_and_targets():
    assert set(DEVICES) == set(BOARDS) - {"none", "asic"}
    for device in DEVICES.values():
        assert device.target in TARGETS
    assert TARGETS["xilinx-us+"].available is DEVICES["kv260"].available


def test_a_warm_estimate_takes_milliseconds():
    configs = [load_config("kv260", [f"attention.context_limit={n}"]) for n in (1024, 2048, 4096, 8192)]
    estimate_area(configs[0])
    start = time.process_time()
    for config in configs:
        estimate_area(config)
    assert (time.process_time() - start) / len(configs) < 0.01


@pytest.mark.synthesis
@pytest.mark.parametrize("changes", [["matmul.columns=2"], ["limits.hidden_dim=2048", "matmul.columns=3"]])
def test_banks_are_as_large_as_synthesis_says(changes):
    """The cheapest unit: its memories are block memories in one case and tables with registers in the other."""
    pytest.importorskip("pyosys")
    config = load_config("tiny", changes)
    params = config.to_params()
    banks = ActivationBanks(columns=params.columns, max_k_blocks=params.max_k_blocks)
    real = synthesise(to_rtlil(banks, "banks"), target="xilinx-us+", depth=0).total
    area = estimate_area(config).units["banks"]
    assert area.ffs == pytest.approx(real["ff"], rel=0.05)
    assert area.brams == real["bram"]
    assert area.luts == pytest.approx(real["lut"], rel=0.1, abs=20)
