"""The bench around a small AXI master: data, faults, protocol errors, counters, time."""

import numpy as np
import pytest
from rtlm.sim import AcceleratorModel, SimulationError
from rtlm.sim.memory import dram

pytestmark = pytest.mark.slow

START, SOURCE, TARGET, BURSTS, COPY, ERRORS, MUTATION = range(0, 28, 4)
BURST_BYTES, PORTS = 256, 2
MEMORY = 1 << 20


def make_model(build, *, grade="ideal", **options):
    return AcceleratorModel(build, dram=dram.named(grade), clock_mhz=300, memory_bytes=MEMORY, **options)


def start(model, *, source=0, target=MEMORY // 2, bursts=16, copy=1, mutation=0):
    for register, value in ((SOURCE, source), (TARGET, target), (BURSTS, bursts), (COPY, copy), (MUTATION, mutation)):
        model.write_register(register, value)
    model.write_register(START, 1)
    return bursts * PORTS * BURST_BYTES


def expected(data):
    """Return every 16-byte beat with one added."""
    low = data.view("<u8").reshape(-1, 2).copy()
    low[:, 0] += 1
    low[:, 1] += low[:, 0] == 0
    return low.reshape(-1).view(np.uint8)


@pytest.mark.parametrize("stall_percent", [0, 10, 60])
@pytest.mark.parametrize("grade", ["ideal", "ddr4-2400", "ddr3-800"])
def test_reads_return_what_was_written(copier, grade, stall_percent, seed):
    with make_model(copier, grade=grade, stall_seed=seed, stall_percent=stall_percent) as model:
        data = np.random.default_rng(seed).integers(0, 256, MEMORY // 2, np.uint8)
        model.write(0, data)
        size = start(model, bursts=64)
        model.run(1_000_000)
        copied = model.read(MEMORY // 2, size)
        assert np.array_equal(copied, expected(data[:size]))
        assert not model.read(MEMORY // 2 + size, 4096).any()
        first = model.cycles
        start(model, source=MEMORY // 2, target=3 * MEMORY // 4, bursts=64)
        model.run(1_000_000)
        assert np.array_equal(model.read(3 * MEMORY // 4, size), expected(copied))
        assert model.cycles > first
        assert model.counters().totals["bus_overlaps"] == 0


def test_the_same_seed_gives_the_same_cycles(copier):
    cycles = []
    for seed in (1, 1, 2):
        with make_model(copier, grade="ddr4-2400", stall_seed=seed, stall_percent=30) as model:
            start(model, bursts=32)
            cycles.append(model.run(100_000))
    assert cycles[0] == cycles[1] != cycles[2]


def test_a_write_is_not_seen_before_its_response(copier):
    # Reads ask for addresses that the same run writes: they are accepted first, so they must see the old data.
    with make_model(copier, grade="ddr4-2400") as model:
        size = start(model, source=0, target=PORTS * BURST_BYTES, bursts=2)
        model.run(100_000)
        assert np.array_equal(model.read(PORTS * BURST_BYTES, size), expected(np.zeros(size, np.uint8)))


@pytest.mark.parametrize(("kind", "bursts"), [("SLVERR", 1), ("DECERR", 4)])
def test_injected_faults_reach_the_design(copier, kind, bursts):
    with make_model(copier) as model:
        model.inject_faults([(0, bursts * PORTS * BURST_BYTES, kind)])
        start(model, bursts=8, copy=0)
        model.run(100_000)
        assert model.read_register(ERRORS) > 0
        model.inject_faults([])
        start(model, bursts=8, copy=0)
        model.run(100_000)
        assert model.read_register(ERRORS) == 0


def test_addresses_outside_the_memory_are_answered_with_an_error(copier):
    with make_model(copier) as model:
        start(model, source=MEMORY - PORTS * BURST_BYTES, bursts=2, copy=0)
        model.run(100_000)
        assert model.read_register(ERRORS) > 0


def test_an_unaligned_burst_is_a_protocol_error(copier):
    with make_model(copier) as model:
        start(model, mutation=1)
        with pytest.raises(SimulationError, match="not aligned"):
            model.run(100_000)
        model.reset()
        assert model.protocol_error == ""


def test_a_burst_across_4_kib_is_a_protocol_error(copier):
    with make_model(copier) as model:
        start(model, source=4096 - 16, copy=0)
        with pytest.raises(SimulationError, match="crosses 4 KiB"):
            model.run(100_000)


def test_an_address_that_changes_while_it_waits_is_a_protocol_error(copier):
    with make_model(copier, stall_seed=3, stall_percent=50) as model:
        start(model, copy=0, mutation=2)
        with pytest.raises(SimulationError, match="changed while it waited"):
            model.run(100_000)


def test_bytes_are_counted_by_purpose_and_port(copier):
    with make_model(copier) as model:
        size = 16 * PORTS * BURST_BYTES
        model.set_purposes({"weights": [(0, 1000), (2000, 3000)], "kv": [(MEMORY // 2, MEMORY)]})
        before = model.counters()
        start(model, bursts=16)
        model.run(100_000)
        counters = model.counters().since(before)
        assert counters.read_bytes == {"weights": 2000, "kv": 0, "other": size - 2000}
        assert counters.write_bytes == {"weights": 0, "kv": size, "other": 0}
        assert [port["read_bytes"] for port in counters.ports] == [size // PORTS] * PORTS
        assert [port["write_beats"] for port in counters.ports] == [size // PORTS // 16] * PORTS


def test_overlapping_purposes_are_refused(copier):
    with make_model(copier) as model, pytest.raises(ValueError, match="0x80"):
        model.set_purposes({"a": [(0, 256)], "b": [(128, 300)]})


def test_an_image_is_mapped_copy_on_write(copier, tmp_path):
    image = tmp_path / "image"
    data = np.arange(MEMORY, dtype=np.uint32).view(np.uint8)[:MEMORY]
    data.tofile(image)
    with make_model(copier) as model:
        model.map_image(image)
        size = start(model, source=4096, target=8192, bursts=4)
        model.run(100_000)
        assert np.array_equal(model.read(8192, size), expected(data[4096 : 4096 + size]))
    assert np.array_equal(np.fromfile(image, np.uint8), data)


@pytest.mark.parametrize("address", [4096, 100])
def test_an_image_that_does_not_fit_is_refused(copier, tmp_path, address):
    (tmp_path / "image").write_bytes(bytes(MEMORY))
    with make_model(copier) as model, pytest.raises(SimulationError, match="does not fit"):
        model.map_image(tmp_path / "image", address)


def test_host_accesses_outside_the_memory_are_refused(copier):
    with make_model(copier) as model:
        with pytest.raises(SimulationError, match="outside"):
            model.read(MEMORY - 1, 2)
        with pytest.raises(SimulationError, match="outside"):
            model.write(MEMORY, b"x")


def test_a_design_that_does_not_finish_is_reported(copier):
    with make_model(copier) as model, pytest.raises(SimulationError, match="within 1000 cycles"):
        model.run(1000)


def test_reset_forgets_open_bursts(copier):
    with make_model(copier, grade="ddr4-2400") as model:
        start(model, bursts=1000, copy=0)
        model.step(200)
        model.reset()
        start(model, bursts=8, copy=0)
        before = model.counters()
        model.run(100_000)
        assert model.counters().since(before).ports[0]["read_beats"] == 8 * 16


def test_a_closed_model_says_so(copier):
    model = make_model(copier)
    model.close()
    with pytest.raises(SimulationError, match="closed"):
        model.step(1)


def test_a_build_without_trace_says_so(copier, tmp_path):
    with make_model(copier) as model, pytest.raises(SimulationError, match="no trace support"):
        model.trace_start(tmp_path / "trace")
