"""What the memory gives: words a cycle, cycles to the first of them, and how far the reader runs ahead."""

from dataclasses import dataclass

from rtlm.gen.configuration.schema import Configuration
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.hw.params import AcceleratorParams
from rtlm.sim.memory.dram import Dram

ADDRESS_CYCLES = 5
"""From a segment to its address on the ports (`StreamReader`, a register slice)."""

WORD_CYCLES = 3
"""From the last beat of a word to the word at its unit (`StreamReader`, `WordRouter`)."""


@dataclass(frozen=True, kw_only=True)
class MemoryTimes:
    """The memory as the reader sees it.

    Parameters
    ----------
    name
        Of the memory.
    words_per_cycle
        Rate of a linear stream.
    ceiling
        The same as a share of the memory's peak.
    latency, jump
        Cycles from an address on the ports to its first beat, and how many more where the addresses before do not lead
        there; for so long the memory delivers nothing then.
    buffer_words, burst_words, outstanding
        Words of the prefetch buffer and of the longest burst; bursts that a port has under way.
    peak_bytes_per_s, capacity_bytes
        Of the memory.
    """

    name: str
    words_per_cycle: float
    ceiling: float
    latency: float
    jump: float
    buffer_words: int
    burst_words: int
    outstanding: int
    peak_bytes_per_s: float
    capacity_bytes: int


def memory_times(config: Configuration, params: AcceleratorParams) -> MemoryTimes:
    """Return the times of the memory behind a configuration."""
    dram = simulated_memory(config)
    clock = config.clock_mhz
    ceiling = stream_share(dram)
    peak_words = dram.peak_bytes_per_second / (params.word_bytes * clock * 1e6)
    ports = 1 / params.beats_per_word
    rate = ports if dram.ideal else min(ports, peak_words * ceiling)
    latency = float(dram.request_latency + dram.response_latency)
    jump = 0.0
    if not dram.ideal:
        cycles_per_clock = clock / float(dram.clock_mhz)
        latency += access_clocks(dram) * cycles_per_clock
        jump = row_clocks(dram) * cycles_per_clock
    return MemoryTimes(
        name=dram.name,
        words_per_cycle=rate,
        ceiling=ceiling,
        latency=latency,
        jump=jump,
        buffer_words=params.prefetch_words,
        burst_words=params.burst_beats // params.beats_per_word,
        outstanding=min(params.outstanding, dram.outstanding),
        peak_bytes_per_s=dram.peak_bytes_per_second,
        capacity_bytes=dram.capacity_bytes,
    )


def access_clocks(dram: Dram) -> float:
    """Return the memory clocks from a request to its data, in a row that is opened for it.

    A request that comes in a refresh waits for its end, on average for half of it.
    """
    clock = dram.clock_mhz
    waits = _refresh_clocks(dram) ** 2 / (2 * _interval(dram))
    return dram.rcd.at(clock) + dram.cl.at(clock) + dram.burst_length // 2 + waits


def row_clocks(dram: Dram) -> int:
    """Return the memory clocks that it takes to close a row and to open another in its bank."""
    return dram.rp.at(dram.clock_mhz) + dram.rcd.at(dram.clock_mhz)


def stream_share(dram: Dram) -> float:
    """Return what a linear stream reaches of the peak, from the refresh timings alone."""
    return 1.0 if dram.ideal else 1 - _refresh_clocks(dram) / _interval(dram)


def _interval(dram: Dram) -> int:
    return int(float(dram.refi_ns) * float(dram.clock_mhz) / 1000)


def _refresh_clocks(dram: Dram) -> int:
    """Return the clocks that a stream loses with each refresh.

    Where all banks refresh together, rows are closed before and opened after it. Banks that refresh one at a time cost
    a stream only the row that it has to open again.
    """
    clock = dram.clock_mhz
    if dram.rfc_bank.at(clock):
        return dram.rrefd.at(clock) + 1
    return dram.rtp.at(clock) + dram.rp.at(clock) + dram.rfc.at(clock) + dram.rcd.at(clock)
