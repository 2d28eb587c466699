"""Energy by command: a hand-made trace against the published equations, and estimated against counted commands."""

from dataclasses import replace

import pytest
from rtlm.host.power.dram import (
    DramCommands,
    channel_energy,
    command_energy,
    dram_power,
    estimated_commands,
    family_of,
    read_pj_per_bit,
)
from rtlm.host.power.technology import Currents, dram_technology
from rtlm.sim.memory.dram import GRADES, Timing, ddr4_2400, hbm2, named
from rtlm.sim.memory.stream import stream

# Micron's DDR4-2400 of 8 Gb x16, in mA, and its clock in ns.
IDD0, IDD2N, IDD3N, IDD4R, IDD4W, IDD5B, VDD = 80, 34, 47, 243, 228, 280, 1.2
TCK = 1e3 / 1200


def test_a_hand_made_trace_by_the_published_equations():
    """One device: 10 activations, 9 precharges, 1,000 reads, 100 writes, 13 refreshes in 100 us; TN-40-07."""
    currents = without_pump(dram_technology().devices["ddr4-8gb-x16"])
    dram = ddr4_2400()
    trace = DramCommands(
        activates=10, precharges=9, reads=1000, writes=100, refreshes=13, seconds=100e-6, open_share=0.75, source=""
    )
    ras, rp, rfc = 39 * TCK, 16 * TCK, 420 * TCK  # 32, 13.32 and 350 ns, in whole clocks
    nanojoule = {
        "activate": 10 * VDD * (IDD0 - IDD3N) * ras * 1e-3,
        "precharge": 9 * VDD * (IDD0 - IDD2N) * rp * 1e-3,
        "read": 1000 * VDD * (IDD4R - IDD3N) * 4 * TCK * 1e-3,
        "write": 100 * VDD * (IDD4W - IDD3N) * 4 * TCK * 1e-3,
        "refresh": 13 * VDD * (IDD5B - IDD3N) * rfc * 1e-3,
        "background": VDD * (0.75 * IDD3N + 0.25 * IDD2N) * 100,
    }
    found = dram_power(channel_energy(currents, 1, dram), trace, channels=1)
    for name, energy in nanojoule.items():
        assert getattr(found, name) * 100e-6 * 1e9 == pytest.approx(energy, rel=1e-9), name
    assert found.total * 100e-6 * 1e9 == pytest.approx(sum(nanojoule.values()))


def test_a_hand_made_trace_of_two_supplies():
    """LPDDR4-3200 in 50 us: 10 activations, 8 precharges, 500 reads, 50 writes, 6 refreshes, as DRAMPower adds."""
    tck, dram = 0.625, lpddr4_3200()
    trace = DramCommands(
        activates=10, precharges=8, reads=500, writes=50, refreshes=6, seconds=50e-6, open_share=0.8, source=""
    )
    # VDD2 1.1 V, then VDD1 1.8 V: IDD0, IDD2N, IDD3N, IDD4R, IDD4W, IDD5 in mA.
    supplies = [(1.1, 45, 27, 30, 275, 210, 90), (1.8, 3.5, 2.0, 2.25, 2.25, 2.25, 10)]
    nanojoule = {
        "activate": sum(10 * v * (i0 - i3n) * 68 * tck * 1e-3 for v, i0, _, i3n, *_ in supplies),
        "precharge": sum(8 * v * (i0 - i2n) * 29 * tck * 1e-3 for v, i0, i2n, *_ in supplies),
        "read": sum(500 * v * (i4r - i3n) * 8 * tck * 1e-3 for v, _, _, i3n, i4r, *_ in supplies),
        "write": sum(50 * v * (i4w - i3n) * 8 * tck * 1e-3 for v, _, _, i3n, _, i4w, _ in supplies),
        "refresh": sum(6 * v * (i5 - i3n) * 448 * tck * 1e-3 for v, _, _, i3n, _, _, i5 in supplies),
        "background": sum(v * (0.8 * i3n + 0.2 * i2n) * 50 for v, _, i2n, i3n, *_ in supplies),
    }
    found = dram_power(channel_energy(dram_technology().devices["lpddr4-6gb-x16"], 1, dram), trace, channels=1)
    for name, energy in nanojoule.items():
        assert getattr(found, name) * 50e-6 * 1e9 == pytest.approx(energy, rel=1e-9), name


def lpddr4_3200():
    """Times of DRAMSys' LPDDR4-3200 in place of DDR4's: what is not named plays no part in energies."""
    changes = {"bus_bytes": 2, "burst_length": 16, "ccd_s": Timing(8), "ras": Timing(68), "rp": Timing(29)}
    return ddr4_2400(name="lpddr4-3200", mega_transfers="3200", rfc=Timing(448), **changes)


def test_a_burst_takes_the_same_energy_at_another_rate():
    """The currents of reading are of 1,600 MT/s, the simulated memory has 800."""
    energy = command_energy(dram_technology(), GRADES["ddr3-800"]())
    assert energy.read == pytest.approx(1.35 * (235 - 47) * 8 / 1.6 * 1e-3)
    assert energy.read / (8 * 16) * 1e3 == pytest.approx(
        read_pj_per_bit(dram_technology().devices["ddr3l-4gb-x16"], 16)
    )


def test_core_and_interface_agree_with_published_energies_of_a_bit():
    technology = dram_technology()
    known = {"ddr3": "ddr3l-4gb-x16", "lpddr4": "lpddr4-6gb-x16", "lpddr5": "lpddr5x-16gb-x16"}
    for family, device in known.items():
        whole = read_pj_per_bit(technology.devices[device], 16) + technology.interface_pj_per_bit[family].nominal
        published = technology.transfers_pj_per_bit[family]
        assert published.low <= whole <= published.high, (family, whole)
    # Two data sheets of LPDDR5, of 6,400 and 7,500 MT/s.
    two = [read_pj_per_bit(technology.devices[name], 16) for name in ("lpddr5-8gb-x16", "lpddr5x-16gb-x16")]
    assert two[0] == pytest.approx(two[1], rel=0.1)


def test_every_simulated_memory_has_its_familys_own_currents():
    """The ideal one, for tests, is the only one without: a family's device must not stand for another's."""
    technology = dram_technology()
    for name, grade in GRADES.items():
        found = command_energy(technology, grade())
        assert (found is None) == (name == "ideal"), name
        if found:
            family = family_of(name)
            device = next(each.device for key, each in technology.memories.items() if grade().name.startswith(key))
            assert device.startswith(family) and {family} <= set(technology.interface_pj_per_bit), name


def without_pump(currents: Currents) -> Currents:
    """Leave the pump supply out, which the equations above do not have."""
    return currents.model_copy(update={"vpp": 0.0})


def test_figures_of_the_literature_come_out():
    """Four devices reading at 93 % of 19.2 GB/s: 0.875 W of reading, 0.050 of refreshing, 0.226 of background."""
    dram = ddr4_2400()
    energy = command_energy(dram_technology(), dram)
    found = dram_power(energy, estimated_commands(dram, 0.93 * 19.2e9, 0, 1.0), channels=1)
    assert found.read == pytest.approx(0.875, rel=0.01)
    assert found.refresh == pytest.approx(0.050, rel=0.02)
    assert found.background == pytest.approx(0.226 + 4 * 2.5 * 0.003, rel=0.01)
    assert found.activate + found.precharge == pytest.approx(0.022, rel=0.2)


def test_rows_and_direction_change_the_energy():
    dram = ddr4_2400()
    energy = command_energy(dram_technology(), dram)
    linear = estimated_commands(dram, 1e9, 0, 1.0)
    jumping = replace(linear, activates=linear.reads, precharges=linear.reads)
    assert dram_power(energy, jumping, 1).activate > 40 * dram_power(energy, linear, 1).activate
    written = estimated_commands(dram, 0, 1e9, 1.0)
    assert dram_power(energy, written, 1).write < dram_power(energy, linear, 1).read
    nothing = dram_power(energy, estimated_commands(dram, 0, 0, 1.0), 1)
    assert nothing.activate == nothing.read == 0 and nothing.background == pytest.approx(energy.closed_w)


def test_memories_with_currents():
    technology = dram_technology()
    assert command_energy(technology, named("hbm2-16")) == command_energy(technology, hbm2())
    changed = replace(ddr4_2400(rfc=Timing(0, "550")), name="ddr4-2400 (changed)")
    assert command_energy(technology, changed).refresh > command_energy(technology, ddr4_2400()).refresh
    single, together = (command_energy(technology, named(f"{name}-8")) for name in ("hbm2-single-bank", "hbm2"))
    assert single.refresh < together.refresh / 10
    assert [family_of(name) for name in ("hbm2-single-bank-4", "ddr4-2400 (changed)")] == ["hbm2", "ddr4"]


@pytest.mark.parametrize(("name", "ports", "port_bytes"), [("ddr4-2400", 4, 16), ("hbm2-4", 4, 32)])
def test_estimated_commands_are_those_of_a_linear_stream(name, ports, port_bytes):
    dram = named(name)
    counted = stream(dram, ports=ports, port_bytes=port_bytes, clock_mhz=300, total_bytes=1 << 22).counters
    estimated = estimated_commands(dram, counted["bytes"], 0, counted["cycles"] / 300e6)
    assert counted["reads"] == estimated.reads
    assert counted["refreshes"] == pytest.approx(estimated.refreshes, rel=0.05)
    assert counted["activates"] == pytest.approx(estimated.activates, rel=0.1)
    assert counted["precharges"] == pytest.approx(estimated.precharges, rel=0.1)
