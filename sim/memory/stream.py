"""The memory's own ceiling: the DRAM model under plain readers, without a design."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rtlm.hw.memory.axi import BURST_BOUNDARY_BYTES, longest_burst
from rtlm.sim.memory.dram import FIELDS, Dram
from rtlm.sim.verilator.build import memory_library

COMMANDS = ("activate", "precharge", "read", "write", "precharge_all", "refresh", "refresh_bank")
LOG_TYPE = np.dtype(
    [("clock", "i8"), ("command", "i4"), ("channel", "i4"), ("bank", "i4"), ("group", "i4"), ("row", "i8")]
)
_REQUEST = ("ports", "beat_bytes", "bytes", "burst_bytes", "span_bytes", "write_percent", "seed")
_RESULT = (
    "cycles",
    "bytes",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "data_clocks",
    "refresh_clocks",
    "row_clocks",
    "turnaround_clocks",
    "timing_clocks",
    "idle_clocks",
    "activates",
    "precharges",
    "reads",
    "writes",
    "refreshes",
    "clocks_open",
    "bus_overlaps",
    "host_ns",
    "log_entries",
)


class _Request(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in _REQUEST]


class _Result(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in _RESULT]


@dataclass(frozen=True)
class StreamResult:
    """What a stream through the DRAM model reached.

    Attributes
    ----------
    fraction : float
        Bytes moved over the bytes that the peak rate moves in the same time.
    counters : dict
        Cycles, row hits, misses, conflicts, where the data bus lost its clocks, commands and open clocks.
    log : numpy.ndarray
        DRAM commands (`LOG_TYPE`, numbered as in `COMMANDS`), if asked for; the first ones only.
    """

    fraction: float
    counters: dict[str, int]
    log: np.ndarray


def stream(
    dram: Dram,
    *,
    ports: int,
    port_bytes: int,
    clock_mhz: float,
    total_bytes: int = 1 << 24,
    burst_bytes: int = BURST_BOUNDARY_BYTES,
    span_bytes: int = 0,
    write_percent: int = 0,
    seed: int = 1,
    log_entries: int = 0,
    cache: Path | None = None,
) -> StreamResult:
    """Run a linear or random stream on every port through the DRAM model, without a design.

    Linear streams are striped as the accelerator's memory image is: burst ``n`` of port ``p`` is at
    ``(n * ports + p) * burst_bytes``.

    Parameters
    ----------
    dram : Dram
        The memory.
    ports, port_bytes : int
        AXI ports and their width.
    clock_mhz : float
        Clock of the ports.
    total_bytes, burst_bytes : int
        Bytes over all ports, and of one AXI burst.
    span_bytes : int
        Not 0: bursts at random places in so many bytes.
    write_percent : int
        Share of bursts that write.
    seed : int
        For the random places.
    log_entries : int
        DRAM commands to keep.
    cache : Path, optional
        Instead of the user's cache folder.
    """
    if port_bytes < 1:
        raise ValueError(f"port_bytes must be at least 1, got {port_bytes}")
    longest = longest_burst(port_bytes) * port_bytes
    if burst_bytes % port_bytes or not port_bytes <= burst_bytes <= longest:
        raise ValueError(
            f"burst_bytes must be a multiple of the port's {port_bytes} bytes, at most {longest}, got {burst_bytes}"
        )
    library = ctypes.CDLL(str(memory_library(cache=cache)))
    check_fields(library)
    result = _Result()
    request = _Request(ports, port_bytes, total_bytes, burst_bytes, span_bytes, write_percent, seed)
    log = np.zeros(log_entries, LOG_TYPE)
    library.rtlm_stream.restype = None
    library.rtlm_stream(
        ctypes.byref(dram.compile(clock_mhz)),
        ctypes.byref(request),
        ctypes.byref(result),
        log.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int64(log_entries),
    )
    counters = {name: getattr(result, name) for name in _RESULT}
    seconds = result.cycles / (clock_mhz * 1e6)
    return StreamResult(result.bytes / seconds / dram.peak_bytes_per_second, counters, log[: result.log_entries])


def stream_ceiling(dram: Dram, *, ports: int, port_bytes: int, clock_mhz: float, total_bytes: int = 1 << 24) -> float:
    """Return the fraction of peak that linear reading on all ports reaches: no accelerator can do better.

    Parameters
    ----------
    dram : Dram
        The memory.
    ports, port_bytes : int
        AXI ports and their width.
    clock_mhz : float
        Clock of the ports.
    total_bytes : int
        Length of the measurement.
    """
    burst = longest_burst(port_bytes) * port_bytes
    result = stream(
        dram, ports=ports, port_bytes=port_bytes, clock_mhz=clock_mhz, total_bytes=total_bytes, burst_bytes=burst
    )
    return result.fraction


def check_fields(library: ctypes.CDLL) -> None:
    """Make sure that a library takes its parameters in the order in which Python gives them.

    Parameters
    ----------
    library : ctypes.CDLL
        A library from `rtlm.sim.verilator.build`.
    """
    library.rtlm_dram_fields.restype = ctypes.c_char_p
    names = library.rtlm_dram_fields().decode().split()
    if names != FIELDS.split():
        raise RuntimeError(f"The simulation library takes the memory parameters {names}, not {FIELDS.split()}.")
