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
    assert [command_energy(technology, GRADES[name]()) for name in ("ddr3-800", "ideal")] == [None, None]
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
