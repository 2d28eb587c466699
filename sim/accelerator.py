"""The accelerator in Verilator, its memory and its registers, behind a Python class."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rtlm.gen.common.errors import RtlmError
from rtlm.hw.memory.axi import RESPONSE_DECERR, RESPONSE_SLVERR
from rtlm.sim.memory.dram import Dram
from rtlm.sim.memory.stream import check_fields
from rtlm.sim.verilator.build import Build

_CHUNK = 100_000  # cycles between two chances for Ctrl-C
_PORT_COUNTERS = ("read_bytes", "write_bytes", "read_beats", "write_beats", "read_idle_cycles", "read_stalled_cycles")
_RUNNING = ("cycles", "clocks", "data", "refresh", "rows", "turnaround", "timing")
_OPERATOR_SPAN = np.dtype([("operator", "<i8"), ("cycles", "<i8")])

RESPONSES = {"SLVERR": RESPONSE_SLVERR, "DECERR": RESPONSE_DECERR}
"""Answers with which an access can fail."""

_HANDLE = ctypes.c_void_p
_I64, _U64, _U32, _INT = ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int
_TEXT, _ARRAY = ctypes.c_char_p, ctypes.c_void_p
_FUNCTIONS = {
    "rtlm_error": (_TEXT, []),
    "rtlm_counter_names": (_TEXT, []),
    "rtlm_ports": (_INT, []),
    "rtlm_create": (_HANDLE, [_ARRAY, _U64]),
    "rtlm_destroy": (None, [_HANDLE]),
    "rtlm_load": (_INT, [_HANDLE, _U64, _ARRAY, _U64]),
    "rtlm_read": (_INT, [_HANDLE, _U64, _ARRAY, _U64]),
    "rtlm_map": (_INT, [_HANDLE, _U64, _TEXT]),
    "rtlm_reset": (None, [_HANDLE, _I64]),
    "rtlm_step": (None, [_HANDLE, _I64]),
    "rtlm_run": (_I64, [_HANDLE, _I64]),
    "rtlm_irq": (_INT, [_HANDLE]),
    "rtlm_cycles": (_I64, [_HANDLE]),
    "rtlm_protocol_error": (_TEXT, [_HANDLE]),
    "rtlm_write_register": (_INT, [_HANDLE, _U64, _U32, _I64]),
    "rtlm_read_register": (_INT, [_HANDLE, _U64, _ARRAY, _I64]),
    "rtlm_serial_speed": (_INT, [_HANDLE, ctypes.c_double]),
    "rtlm_serial_send": (None, [_HANDLE, _ARRAY, _I64]),
    "rtlm_serial_unsent": (_I64, [_HANDLE]),
    "rtlm_serial_take": (_I64, [_HANDLE, _ARRAY, _I64]),
    "rtlm_stalls": (None, [_HANDLE, _U64, _INT]),
    "rtlm_faults": (None, [_HANDLE, _ARRAY, _ARRAY, _ARRAY, _I64]),
    "rtlm_purposes": (None, [_HANDLE, _ARRAY, _ARRAY, _ARRAY, _I64, _I64]),
    "rtlm_purpose_bytes": (None, [_HANDLE, _ARRAY, _ARRAY]),
    "rtlm_counters": (None, [_HANDLE, _ARRAY]),
    "rtlm_port_counters": (None, [_HANDLE, _ARRAY]),
    "rtlm_activity_codes": (_INT, []),
    "rtlm_activity": (None, [_HANDLE, _ARRAY]),
    "rtlm_operator_spans": (_I64, [_HANDLE, _ARRAY]),
    "rtlm_trace_start": (_INT, [_HANDLE, _TEXT]),
    "rtlm_trace_stop": (None, [_HANDLE]),
    "rtlm_trace_pause": (None, [_HANDLE, _INT]),
    "rtlm_timeline_start": (_INT, [_HANDLE]),
    "rtlm_timeline_stop": (None, [_HANDLE]),
    "rtlm_timeline_full": (_INT, [_HANDLE]),
    "rtlm_timeline_spans": (_I64, [_HANDLE, _ARRAY]),
    "rtlm_timeline_samples": (_I64, [_HANDLE, _ARRAY]),
}


class SimulationError(RtlmError):
    """The simulated design broke a rule or did not answer."""


TOTALS = {
    "cycles": "cycles of the accelerator's clock",
    "read_idle_cycles": "of these, cycles without an open read burst on any port: nobody had asked",
    "row_hits": "bursts whose row was open",
    "row_misses": "bursts whose bank had no open row",
    "row_conflicts": "bursts whose bank had another row open",
    "data_clocks": "memory clocks over all channels in which data moved",
    "refresh_clocks": "memory clocks without data: a refresh, with closing and reopening the rows",
    "row_clocks": "memory clocks without data: another row was opened",
    "turnaround_clocks": "memory clocks without data: between reads and writes",
    "timing_clocks": "memory clocks without data: other minimum distances",
    "idle_clocks": "memory clocks without data: no request was queued",
    "activates": "commands that open a row",
    "precharges": "commands that close a row, one for each row that is closed",
    "reads": "read commands",
    "writes": "write commands",
    "refreshes": "refresh commands",
    "clocks_open": "memory clocks over all channels in which a row was open",
    "bus_overlaps": "bursts that met on a channel's data bus: a fault of the model, always 0",
}
"""What the bench counts of the memory; the kinds of clocks with and without data add up to all clocks."""


@dataclass(frozen=True)
class Counters:
    """What the bench counted since it was created.

    Attributes
    ----------
    totals : dict
        Over the whole simulation, by the names of `TOTALS`.
    read_bytes, write_bytes : dict
        Bytes by purpose; ``"other"`` for what no purpose covers. Writes count enabled strobes.
    ports : list of dict
        Bytes and beats of each port, cycles without an open read, cycles in which read data was not taken.
    running : dict
        Only while the design said that a step was running, and only up to the last step's end: ``cycles``; ``clocks``
        over all channels; ``data``, ``refresh``, ``rows``, ``turnaround``, ``timing`` as in `totals`; ``idle_N``: idle
        clocks while the design's activity code was N. The clocks add up to ``clocks`` exactly.
    """

    totals: dict[str, int]
    read_bytes: dict[str, int]
    write_bytes: dict[str, int]
    ports: list[dict[str, int]]
    running: dict[str, int]

    def since(self, earlier: Counters) -> Counters:
        """Return the difference to earlier counters.

        Parameters
        ----------
        earlier : Counters
            From the same model.
        """

        def minus(now: dict[str, int], then: dict[str, int]) -> dict[str, int]:
            return {name: value - then.get(name, 0) for name, value in now.items()}

        return Counters(
            minus(self.totals, earlier.totals),
            minus(self.read_bytes, earlier.read_bytes),
            minus(self.write_bytes, earlier.write_bytes),
            [minus(now, then) for now, then in zip(self.ports, earlier.ports, strict=True)],
            minus(self.running, earlier.running),
        )


class AcceleratorModel:
    """A simulated accelerator with its memory. A context manager; cycles are never stepped from Python.

    Parameters
    ----------
    build : Build
        From `rtlm.sim.build_model`.
    dram : Dram
        The memory behind the ports.
    clock_mhz : float
        The accelerator's clock, for the ratio to the memory's.
    memory_bytes : int
        Size of the memory from address 0; an access beyond it is answered with DECERR.
    stall_seed, stall_percent : int
        Random gaps on every ready and valid that the bench drives, and random choice of when a read sees memory.
    """

    def __init__(
        self,
        build: Build,
        *,
        dram: Dram,
        clock_mhz: float,
        memory_bytes: int,
        stall_seed: int = 0,
        stall_percent: int = 0,
    ):
        if not 0 < memory_bytes <= dram.capacity_bytes:
            raise ValueError(
                f"The memory image needs {memory_bytes} bytes; memory {dram.name!r} has {dram.capacity_bytes}."
            )
        if not 0 <= stall_percent < 100:
            raise ValueError(f"stall_percent is {stall_percent}; it must be from 0 to 99.")
        self._library = ctypes.CDLL(str(build.library))
        check_fields(self._library)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._handle = self._library.rtlm_create(ctypes.byref(dram.compile(clock_mhz)), memory_bytes)
        if not self._handle:
            raise SimulationError(f"The simulation cannot start: {self._library.rtlm_error().decode()}.")
        self.build, self.dram, self.clock_mhz, self.memory_bytes = build, dram, clock_mhz, memory_bytes
        self._counter_names = self._library.rtlm_counter_names().decode().split()
        self._purposes: list[str] = []
        if stall_percent:
            self._call("stalls", stall_seed, stall_percent)
        self.reset()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Free the simulation and its memory."""
        handle, self._handle = self._handle, None
        if handle:
            self._library.rtlm_destroy(handle)

    def _call(self, name: str, *arguments):
        if not self._handle:
            raise SimulationError("This simulation has been closed.")
        return getattr(self._library, f"rtlm_{name}")(self._handle, *arguments)

    def _check(self, name: str, *arguments) -> None:
        if self._call(name, *arguments):
            text = self._library.rtlm_error().decode()
            raise SimulationError(text[0].upper() + text[1:] + ".")

    def _list(self, name: str, dtype: np.dtype) -> np.ndarray:
        """Return a copy of a list of the bench."""
        address = ctypes.c_void_p()
        count = self._call(name, ctypes.byref(address))
        if not count or address.value is None:
            return np.empty(0, dtype)
        return np.frombuffer(ctypes.string_at(address.value, count * dtype.itemsize), dtype)

    # --- memory ---

    def map_image(self, path: str | Path, address: int = 0) -> None:
        """Lay a file over the memory without copying it; the accelerator's writes do not reach the file.

        Parameters
        ----------
        path : str or Path
            The file.
        address : int
            Where it begins, a multiple of the page size.
        """
        self._check("map", address, str(path).encode())

    def write(self, address: int, data: bytes | np.ndarray) -> None:
        """Write memory from the host.

        Parameters
        ----------
        address : int
            Byte address.
        data : bytes or numpy.ndarray
            What to write.
        """
        flat = np.frombuffer(data, np.uint8) if isinstance(data, bytes | bytearray) else np.ascontiguousarray(data)
        self._check("load", address, flat.ctypes.data, flat.nbytes)

    def read(self, address: int, size: int) -> np.ndarray:
        """Return bytes of the memory.

        Parameters
        ----------
        address, size : int
            Byte address and number of bytes.
        """
        data = np.empty(size, np.uint8)
        self._check("read", address, data.ctypes.data, size)
        return data

    # --- registers and time ---

    def write_register(self, address: int, value: int) -> None:
        """Write a register over AXI4-Lite; takes simulated cycles.

        Parameters
        ----------
        address, value : int
            Byte address of the register, and 32 bits.
        """
        self._check("write_register", address, value & 0xFFFFFFFF, 10_000)
        self._check_protocol()

    def read_register(self, address: int) -> int:
        """Return a register read over AXI4-Lite; takes simulated cycles.

        Parameters
        ----------
        address : int
            Byte address of the register.
        """
        value = ctypes.c_uint32()
        self._check("read_register", address, ctypes.addressof(value), 10_000)
        self._check_protocol()
        return value.value

    def reset(self, cycles: int = 16) -> None:
        """Reset the accelerator and forget open bursts; memory contents and counters stay.

        Parameters
        ----------
        cycles : int
            Length of the reset.
        """
        self._call("reset", cycles)

    def step(self, cycles: int) -> None:
        """Run some cycles.

        Parameters
        ----------
        cycles : int
            How many.
        """
        while cycles > 0:
            self._call("step", min(cycles, _CHUNK))
            cycles -= _CHUNK
        self._check_protocol()

    def run(self, max_cycles: int = 1 << 40, on_slice: Callable[[], None] = lambda: None) -> int:
        """Run until ``irq`` is high and return the cycles it took.

        Parameters
        ----------
        max_cycles : int
            Raise `SimulationError` when ``irq`` is still low after so many.
        on_slice : callable
            See `advance`.
        """
        total = self.advance(max_cycles, on_slice)
        if not self.irq:
            raise SimulationError(f"The accelerator did not finish within {max_cycles} cycles.")
        return total

    def advance(self, cycles: int, on_slice: Callable[[], None] = lambda: None) -> int:
        """Run until ``irq`` is high or some cycles are over, and return the cycles it took.

        Parameters
        ----------
        cycles : int
            How many at most.
        on_slice : callable
            Called before each slice of cycles; what it raises breaks off here.
        """
        total = 0
        while total < cycles and not self.irq:
            on_slice()
            total += self._call("run", min(cycles - total, _CHUNK))
            self._check_protocol()
        return total

    @property
    def irq(self) -> bool:
        """Whether the interrupt output is high."""
        return bool(self._call("irq"))

    @property
    def cycles(self) -> int:
        """Cycles since the model was created."""
        return self._call("cycles")

    @property
    def protocol_error(self) -> str:
        """The first broken AXI rule since the last reset, or an empty text."""
        return self._call("protocol_error").decode()

    def _check_protocol(self) -> None:
        if self.protocol_error:
            raise SimulationError(f"The design broke the AXI protocol. {self.protocol_error}")

    # --- tests, counters, traces ---

    def inject_faults(self, faults: Iterable[tuple[int, int, str]]) -> None:
        """Answer accesses to address ranges with errors; replaces earlier faults.

        Parameters
        ----------
        faults : iterable of (int, int, str)
            First address, address after the last, "SLVERR" or "DECERR".
        """
        table = [(start, end, RESPONSES[kind]) for start, end, kind in faults]
        columns = [np.array([row[i] for row in table], np.int64) for i in range(3)]
        self._call("faults", *(column.ctypes.data for column in columns), len(table))

    def set_purposes(self, purposes: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        """Name address ranges for the byte counters, which start again at 0.

        Parameters
        ----------
        purposes : mapping
            From a purpose to its ranges (first address, address after the last). Ranges must not overlap.
        """
        table = sorted((start, end, i) for i, ranges in enumerate(purposes.values()) for start, end in ranges)
        for (_, end, _), (start, _, _) in itertools.pairwise(table):
            if start < end:
                raise ValueError(f"Two purposes claim address {start:#x}; ranges must not overlap.")
        columns = [np.array([row[i] for row in table], np.int64) for i in range(3)]
        self._purposes = list(purposes)
        self._call("purposes", *(column.ctypes.data for column in columns), len(table), len(self._purposes))

    def counters(self) -> Counters:
        """Return everything the bench has counted."""
        names = [*self._purposes, "other"]
        totals = np.zeros(len(self._counter_names), np.int64)
        self._call("counters", totals.ctypes.data)
        read, written = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
        self._call("purpose_bytes", read.ctypes.data, written.ctypes.data)
        ports = np.zeros((self._library.rtlm_ports(), len(_PORT_COUNTERS)), np.int64)
        self._call("port_counters", ports.ctypes.data)
        return Counters(
            dict(zip(self._counter_names, totals.tolist(), strict=True)),
            dict(zip(names, read.tolist(), strict=True)),
            dict(zip(names, written.tolist(), strict=True)),
            [dict(zip(_PORT_COUNTERS, row, strict=True)) for row in ports.tolist()],
            self._running(),
        )

    def _running(self) -> dict[str, int]:
        names = [*_RUNNING, *(f"idle_{code}" for code in range(self._library.rtlm_activity_codes()))]
        values = np.zeros(len(names), np.int64)
        self._call("activity", values.ctypes.data)
        return dict(zip(names, values.tolist(), strict=True))

    def operator_spans(self) -> list[tuple[int, int]]:
        """Return the last step as spans: a number of `rtlm.hw.control.isa.Operator` and the cycles that it counted.

        They come in the order of time, and add up to the step's cycles; of a step that is running, as far as it is.
        """
        return self._list("operator_spans", _OPERATOR_SPAN).tolist()

    def trace_start(self, path: str | Path) -> None:
        """Begin a trace; the build must have been made with ``trace``.

        Parameters
        ----------
        path : str or Path
            File to write, FST, VCD or SAIF as the build says; an existing one is replaced.

        Raises
        ------
        SimulationError
            If the build has no trace support, or the file cannot be written.
        """
        if self.build.trace is not None:
            # Verilator's writers do not say why a file cannot be made, and the one of SAIF does not notice.
            try:
                Path(path).open("wb").close()
            except OSError as problem:
                raise SimulationError(f"The trace {path} cannot be written: {problem.strerror}.") from problem
        self._check("trace_start", str(path).encode())

    def trace_pause(self, paused: bool) -> None:
        """Leave out cycles of a trace, or go on.

        What changed meanwhile is recorded as one change in the first cycle afterwards.

        Parameters
        ----------
        paused : bool
            Whether nothing is recorded from now on.
        """
        self._call("trace_pause", paused)

    def trace_stop(self) -> None:
        """End the trace and close its file."""
        self._call("trace_stop")
