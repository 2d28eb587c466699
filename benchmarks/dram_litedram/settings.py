"""Our model's parameters for the comparison: as shipped, with litedram's timings, and litedram's front end."""

from __future__ import annotations

import ctypes
import dataclasses
from dataclasses import dataclass

from rtlm.sim.memory.dram import Dram, DramStruct, Timing

from .patterns import Geometry

PHASES = 4
"""Command clocks of a controller cycle: litedram's DDR3 and DDR4 controllers run at a quarter of the command clock."""

PHASE = 1
"""Row commands go out one command clock before column commands of the same cycle (core/multiplexer.py, rdcmdphase)."""

FRONT_FIELDS = "enabled banks bank_depth read_time write_time write_to_read read_to_write write_to_precharge row_cycles"
REFRESH_OVERHEAD = 4
"""Cycles that litedram's refresh costs beyond tRP + tRFC, counted in core/refresher.py and core/multiplexer.py: bank
machines stop, the multiplexer notices, the executer starts, and the other way at the end."""

FAW_OVERHEAD = 2
"""tFAWController counts activates in a shift register and then in a flip-flop."""


class FrontStruct(ctypes.Structure):
    """`FrontEnd` in channel_bench.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in FRONT_FIELDS.split()]


@dataclass(frozen=True, kw_only=True)
class Litedram:
    """What litedram made of a module: see `rtl.Controller` for the meaning.

    Attributes
    ----------
    timing, phy, settings : dict
        As `rtl.Controller` has them.
    """

    timing: dict[str, int]
    phy: dict[str, int]
    settings: dict[str, int]

    @property
    def _write_latency(self) -> int:
        return -(-self.phy["cwl"] // PHASES)

    @property
    def _write_to_precharge(self) -> int:
        return self._write_latency + self.timing["tWR"] + self.timing["tCCD"]

    def front_end(self, banks: int) -> FrontStruct:
        """Return the front end that queues and turns round as litedram's does.

        Parameters
        ----------
        banks : int
            Bank machines.
        """
        return FrontStruct(
            enabled=1,
            banks=banks,
            bank_depth=self.settings["cmd_buffer_depth"] + 1,
            read_time=self.settings["read_time"],
            write_time=self.settings["write_time"],
            write_to_read=self.timing["tWTR"] + self._write_latency + self.timing["tCCD"] + 1,
            read_to_write=self.phy["read_latency"] + 1,
            write_to_precharge=self._write_to_precharge,
            row_cycles=self.timing["tRP"] + self.timing["tRCD"],
        )

    def slow(self, memory: Dram, *, queues: bool) -> DramStruct:
        """Return the model's parameters with litedram's timings: whole controller cycles, no bank groups.

        Parameters
        ----------
        memory : Dram
            The same module as shipped, for geometry and data rate.
        queues : bool
            Keep the shipped queues; otherwise take each write at once, for a front end that has queues of its own.
        """

        def clocks(name: str, extra: int = 0) -> int:
            return PHASES * (self.timing[name] + extra)

        cwl, burst = self.phy["cwl"], memory.burst_length // 2
        after_write = cwl + burst  # the model counts tWR and tWTR from the end of the data
        changes = {
            "bank_groups": 1,
            "banks_per_group": memory.bank_groups * memory.banks_per_group,
            "cl": Timing(self.phy["cl"]),
            "cwl": Timing(cwl),
            "rcd": Timing(clocks("tRCD") + PHASE),
            "rp": Timing(clocks("tRP")),
            "ras": Timing(clocks("tRAS")),
            "rrd_s": Timing(clocks("tRRD")),
            "rrd_l": Timing(clocks("tRRD")),
            "faw": Timing(clocks("tFAW", FAW_OVERHEAD)),
            "ccd_s": Timing(clocks("tCCD")),
            "ccd_l": Timing(clocks("tCCD")),
            "wr": Timing(PHASES * self._write_to_precharge - PHASE - after_write),
            "rtp": Timing(0),  # litedram has none: the precharge after a read comes a cycle later
            "rfc": Timing(clocks("tRFC", REFRESH_OVERHEAD)),
        }
        wait = PHASES * (self.timing["tWTR"] + self._write_latency + self.timing["tCCD"] + 1) - after_write
        changes |= {"wtr_s": Timing(wait), "wtr_l": Timing(wait)}
        if not queues:
            changes |= {"write_high": 1, "write_low": 0}
        struct = memory_struct(memory, **changes)
        struct.refi = clocks("tREFI")
        struct.rtw = PHASES * (self.phy["read_latency"] + 1)
        return struct


def no_front_end(banks: int) -> FrontStruct:
    """Return the front end that is none: accesses go straight into the channel's window.

    Parameters
    ----------
    banks : int
        Banks of the memory.
    """
    return FrontStruct(enabled=0, banks=banks)


def memory_struct(memory: Dram, **changes) -> DramStruct:
    """Return the model's parameters at a controller clock of a quarter of the command clock, without interconnect.

    Parameters
    ----------
    memory : Dram
        A memory.
    **changes
        Fields of it to replace.
    """
    changed = dataclasses.replace(memory, request_latency=0, response_latency=0, **changes)
    return changed.compile(float(memory.clock_mhz) / PHASES)


def geometry(memory: Dram, rows: int) -> Geometry:
    """Return a channel in bursts.

    Parameters
    ----------
    memory : Dram
        Returns everything but the rows.
    rows : int
        Rows of a bank that the patterns use.
    """
    return Geometry(
        burst_bytes=memory.burst_bytes,
        row_words=memory.row_bytes // memory.burst_bytes,
        banks=memory.bank_groups * memory.banks_per_group,
        rows=rows,
    )
