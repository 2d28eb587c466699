"""The DRAM model against its own timing table: an independent check of every command it issues."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from rtlm.sim.memory import dram
from rtlm.sim.memory.stream import COMMANDS, stream, stream_ceiling

GRADES = {
    "ddr4-2400": dict(ports=4, port_bytes=16, clock_mhz=300),
    "ddr3-800": dict(ports=1, port_bytes=16, clock_mhz=100),
    "hbm2-4": dict(ports=4, port_bytes=32, clock_mhz=450),
    "hbm2-single-bank-4": dict(ports=4, port_bytes=32, clock_mhz=450),
}


def check_commands(memory, clock_mhz, log):
    """Replay a command log of one channel and check every minimum distance and every row."""
    t = memory.compile(clock_mhz)
    rows, activated, precharged, last_read, last_write = {}, {}, {}, {}, {}
    activations, columns, bus_free, refreshed = [], [], 0, -t.rfc
    bank_refreshed, last_bank_refresh = {}, -t.rrefd
    clocks = log["clock"].tolist()
    assert all(a < b for a, b in itertools.pairwise(clocks)), "two commands in one clock"
    for now, command, _, bank, group, row in log.tolist():
        name = COMMANDS[command]
        assert now >= refreshed + t.rfc
        if name == "activate":
            assert bank not in rows
            assert now >= precharged.get(bank, -t.rp) + t.rp
            assert now >= bank_refreshed.get(bank, -t.rfc_bank) + t.rfc_bank
            assert now >= last_bank_refresh + t.rrefd
            for then, other in activations:
                assert now >= then + (t.rrd_l if other == group else t.rrd_s)
            if len(activations) >= 4:
                assert now >= activations[-4][0] + t.faw
            activations.append((now, group))
            activations = activations[-8:]
            rows[bank], activated[bank] = row, now
        elif name in ("precharge", "precharge_all"):
            for each in [bank] if name == "precharge" else list(rows):
                assert now >= activated[each] + t.ras
                assert now >= last_read.get(each, -t.rtp) + t.rtp
                assert now >= last_write.get(each, -(10**9)) + t.cwl + t.burst_clocks + t.wr
                del rows[each]
                precharged[each] = now
        elif name == "refresh_bank":
            assert bank not in rows
            assert now >= precharged.get(bank, -t.rp) + t.rp
            assert now >= bank_refreshed.get(bank, -t.rfc_bank) + t.rfc_bank
            assert now >= last_bank_refresh + t.rrefd
            for then, other in activations:
                assert now >= then + (t.rrd_l if other == group else t.rrd_s)
            bank_refreshed[bank] = last_bank_refresh = now
        elif name == "refresh":
            assert not rows
            assert all(now >= then + t.rp for then in precharged.values())
            refreshed = now
        else:
            assert rows[bank] == row, "a column command to a row that is not open"
            assert now >= activated[bank] + t.rcd
            write = name == "write"
            for then, other, was_write in columns:
                same = other == group
                if write == was_write:
                    assert now >= then + (t.ccd_l if same else t.ccd_s)
                elif write:
                    assert now >= then + t.rtw
                else:
                    assert now >= then + t.cwl + t.burst_clocks + (t.wtr_l if same else t.wtr_s)
            columns = [*columns[-8:], (now, group, write)]
            start = now + (t.cwl if write else t.cl)
            assert start >= bus_free, "two data bursts overlap"
            bus_free = start + t.burst_clocks
            (last_write if write else last_read)[bank] = now


@pytest.mark.parametrize("pattern", ["linear", "random", "mixed"])
@pytest.mark.parametrize("name", GRADES)
def test_every_command_obeys_the_timing_table(name, pattern):
    memory, port = dram.named(name), GRADES[name]
    burst = {"linear": 4096, "random": memory.burst_bytes, "mixed": 1024}[pattern]
    burst = max(burst, port["port_bytes"])
    result = stream(
        memory,
        **port,
        total_bytes=1 << 19,
        burst_bytes=burst,
        span_bytes=0 if pattern == "linear" else 1 << 26,
        write_percent=30 if pattern == "mixed" else 0,
        seed=7,
        log_entries=1 << 17,
    )
    assert len(result.log) < 1 << 17
    kinds = set(np.unique(result.log["command"]).tolist())
    refresh = COMMANDS.index("refresh_bank" if "single-bank" in name else "refresh")
    assert {COMMANDS.index("activate"), COMMANDS.index("read"), refresh} <= kinds
    assert (COMMANDS.index("write") in kinds) == (pattern == "mixed")
    for channel in range(memory.channels):
        check_commands(memory, port["clock_mhz"], result.log[result.log["channel"] == channel])
    data = np.isin(result.log["command"], [COMMANDS.index("read"), COMMANDS.index("write")]).sum()
    posted = memory.channels * memory.window  # writes that are answered and still wait in the controller
    assert data + posted >= result.counters["bytes"] // memory.burst_bytes


@pytest.mark.parametrize("pattern", ["linear", "random", "mixed"])
@pytest.mark.parametrize("name", GRADES)
def test_every_clock_is_counted_once(name, pattern):
    memory, port = dram.named(name), GRADES[name]
    counters = stream(
        memory,
        **port,
        total_bytes=1 << 19,
        burst_bytes=4096 if pattern == "linear" else 1024,
        span_bytes=0 if pattern == "linear" else 1 << 26,
        write_percent=30 if pattern == "mixed" else 0,
        seed=7,
    ).counters
    clocks = {key: value for key, value in counters.items() if key.endswith("_clocks")}
    cycles = Fraction(memory.clock_mhz) / Fraction(port["clock_mhz"]) * counters["cycles"]
    assert sum(clocks.values()) == -(-cycles // 1) * memory.channels
    assert all(value >= 0 for value in clocks.values())
    assert clocks["data_clocks"] <= counters["bytes"] // memory.burst_bytes * memory.burst_length // 2
    # Refreshes of single banks hide behind a linear stream completely.
    assert clocks["refresh_clocks"] > 0 or (pattern == "linear" and "single-bank" in name)
    assert (clocks["turnaround_clocks"] > 0) == (pattern == "mixed")
    assert pattern == "linear" or clocks["row_clocks"] > 0


@pytest.mark.parametrize("pattern", ["linear", "random"])
def test_banks_are_refreshed_one_by_one_and_each_in_time(pattern):
    memory = dram.named("hbm2-single-bank-4")
    assert (memory.rfc_bank, memory.rrefd) == (dram.Timing(0, "160"), dram.Timing(0, "8"))
    span = 0 if pattern == "linear" else 1 << 24
    port = GRADES[memory.name]
    result = stream(memory, **port, total_bytes=1 << 21, burst_bytes=1024, span_bytes=span, seed=3, log_entries=1 << 18)
    banks = memory.bank_groups * memory.banks_per_group
    elapsed = result.counters["cycles"] * 1000 / port["clock_mhz"]
    rounds = elapsed / float(memory.refi_ns)
    assert rounds > 5
    for channel in range(memory.channels):
        log = result.log[result.log["channel"] == channel]
        check_commands(memory, port["clock_mhz"], log)
        assert not (log["command"] == COMMANDS.index("refresh")).any()
        refreshed = log["bank"][log["command"] == COMMANDS.index("refresh_bank")]
        assert abs(len(refreshed) - rounds * banks) <= 9
        for first in range(0, len(refreshed) - banks, banks):
            assert len(set(refreshed[first : first + banks])) == banks


def test_refresh_of_single_banks_hides_behind_a_linear_stream():
    together = stream_ceiling(dram.named("hbm2-4"), **GRADES["hbm2-4"])
    alone = dram.named("hbm2-single-bank-4")
    assert stream_ceiling(alone, **GRADES[alone.name]) > together + 0.05


def test_a_bank_that_is_refreshed_cannot_be_used():
    # All accesses go to one bank: nothing hides its refresh, and each costs tRFCsb once in tREFI, no less.
    memory = dram.named("hbm2-single-bank", channels=1, bank_groups=1, banks_per_group=1)
    port = dict(ports=1, port_bytes=32, clock_mhz=450)
    result = stream(memory, **port, total_bytes=1 << 21, burst_bytes=1024, log_entries=1 << 18)
    check_commands(memory, port["clock_mhz"], result.log)
    refreshes = (result.log["command"] == COMMANDS.index("refresh_bank")).sum()
    due = result.counters["cycles"] * 1000 / port["clock_mhz"] / float(memory.refi_ns)
    assert due - 9 <= refreshes <= due + 1
    assert refreshes > 20
    assert result.counters["refresh_clocks"] >= (refreshes - 1) * memory.compile(port["clock_mhz"]).rfc_bank


@pytest.mark.parametrize("name", ["ddr4-2400", "hbm2-single-bank-4"])
def test_commands_and_clocks_open_are_counted(name):
    memory = dram.named(name)
    mixed = {"total_bytes": 1 << 21, "write_percent": 20, "span_bytes": 1 << 24, "burst_bytes": 1024}
    result = stream(memory, **GRADES[name], **mixed, log_entries=1 << 18)
    log, counted = result.log, result.counters
    for command in ("activate", "read", "write"):
        assert counted[f"{command}s"] == (log["command"] == COMMANDS.index(command)).sum() > 0
    assert (
        counted["refreshes"]
        == np.isin(log["command"], [COMMANDS.index("refresh"), COMMANDS.index("refresh_bank")]).sum()
    )
    closed, clocks = 0, 0
    for channel in range(memory.channels):
        rows, since = set(), 0
        for entry in log[log["channel"] == channel]:
            before = bool(rows)
            if entry["command"] == COMMANDS.index("activate"):
                rows.add(entry["bank"])
            elif entry["command"] == COMMANDS.index("precharge"):
                closed += entry["bank"] in rows
                rows.discard(entry["bank"])
            elif entry["command"] == COMMANDS.index("precharge_all"):
                closed += len(rows)
                rows.clear()
            if before and not rows:
                clocks += entry["clock"] - since
            elif rows and not before:
                since = entry["clock"]
        if rows:
            clocks += int(counted["cycles"] * float(memory.clock_mhz) / GRADES[name]["clock_mhz"]) - since
    assert counted["precharges"] == closed > 0
    assert abs(counted["clocks_open"] - clocks) <= 2 * memory.channels


def test_the_command_check_sees_a_broken_distance():
    memory = dram.named("ddr4-2400")
    log = stream(memory, **GRADES["ddr4-2400"], total_bytes=1 << 16, log_entries=1 << 12).log
    reads = np.flatnonzero(log["command"] == COMMANDS.index("read"))
    log["clock"][reads[10]] -= 1
    with pytest.raises(AssertionError):
        check_commands(memory, 300, log)


def test_linear_ddr4_reaches_what_refresh_leaves():
    fraction = stream_ceiling(dram.named("ddr4-2400"), **GRADES["ddr4-2400"])
    assert 0.94 < fraction < 0.965


def test_hbm_reaches_what_an_alveo_u280_measures():
    # Wang et al., "Benchmarking High Bandwidth Memory on FPGAs" (arXiv 2005.04324): 425 of 460.8 GB/s.
    fraction = stream_ceiling(dram.named("hbm2-4"), **GRADES["hbm2-4"])
    assert abs(fraction - 425 / 460.8) < 0.01


def test_random_access_is_far_slower():
    port = GRADES["ddr4-2400"]
    result = stream(dram.named("ddr4-2400"), **port, total_bytes=1 << 20, burst_bytes=64, span_bytes=1 << 30)
    assert result.fraction < 0.5
    assert result.counters["row_conflicts"] > 0.9 * (1 << 20) / 64


def test_a_second_stream_never_beats_the_bus():
    port = GRADES["ddr4-2400"] | dict(clock_mhz=1200)
    assert stream_ceiling(dram.named("ddr4-2400"), **port) < 0.956  # 1 - tRFC / tREFI


def test_slow_ports_are_the_limit_of_a_fast_memory():
    fraction = stream_ceiling(dram.named("ddr4-2400"), ports=2, port_bytes=16, clock_mhz=300)
    assert 0.49 < fraction <= 0.5


def test_timings_round_up_to_clocks():
    assert dram.Timing(0, "13.32").at(Fraction(1200)) == 16
    assert dram.Timing(4, "7.5").at(Fraction(1200)) == 9
    assert dram.Timing(4, "1").at(Fraction(1200)) == 4


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"window": 65}, "window"), ({"row_bytes": 1000}, "row_bytes"), ({"write_low": 30}, "write_low")],
)
def test_bad_memories_are_refused_in_a_sentence(changes, word):
    with pytest.raises(ValueError, match=word):
        dram.named("ddr4-2400", **changes)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"ddr5.*ddr4-2400"):
        dram.named("ddr5")
