"""Memories the bench can put behind the accelerator: geometry and timing by name, with the source of every number."""

from __future__ import annotations

import ctypes
import dataclasses
from dataclasses import dataclass
from fractions import Fraction

_LITEDRAM = "litedram 2024.12 litedram/modules.py"
_DRAMSIM = "DRAMsim3 configs/"
_HBM2 = (
    f"{_DRAMSIM}HBM2_8Gb_x128.ini (its 1 GHz clocks read as nanoseconds), used as 64-bit pseudo channels with burst "
    "length 4, for which tCCD_S is 2 and tCCD_L 4 clocks; "
)


@dataclass(frozen=True)
class Timing:
    """A minimum delay: the longer of some command clocks and some nanoseconds."""

    clocks: int = 0
    ns: str = "0"

    def at(self, clock_mhz: Fraction) -> int:
        """Return the delay in command clocks, rounded up."""
        return max(self.clocks, -int(-(Fraction(self.ns) * clock_mhz / 1000) // 1))


@dataclass(frozen=True, kw_only=True)
class Dram:
    """A memory behind the accelerator's AXI ports.

    Parameters
    ----------
    name, source : str
        What reports call it, and where the numbers come from.
    mega_transfers : str
        Data rate in MT/s; the command clock is half of it.
    channels : int
        Independent channels; neighbouring chunks of ``interleave_bytes`` lie in neighbouring channels.
    bus_bytes, burst_length : int
        Width of a channel and transfers per command; their product is the smallest access.
    bank_groups, banks_per_group, rows, row_bytes : int
        Geometry of a channel; ``row_bytes`` over all its devices.
    cl, cwl, rcd, ... : Timing
        JEDEC timings.
    rfc_bank, rrefd : Timing
        Not 0: banks are refreshed one at a time, each once in ``refi_ns``, when nobody needs them, if possible.
    window, write_high, write_low, patience : int
        The controller: requests it sees per direction, when writes drain, and how many command clocks the oldest
        request waits before others stop passing it.
    request_latency, response_latency : int
        Interconnect and controller pipeline, in fabric cycles each way.
    outstanding : int
        Bursts a port accepts, each direction.
    port_buffer_bytes : int
        Data a port buffers, each direction.
    ideal : bool
        Fixed latency and full bandwidth, for unit tests only.
    """

    name: str
    source: str
    mega_transfers: str
    channels: int = 1
    interleave_bytes: int = 4096
    bus_bytes: int
    burst_length: int = 8
    bank_groups: int
    banks_per_group: int
    rows: int
    row_bytes: int
    cl: Timing
    cwl: Timing
    rcd: Timing
    rp: Timing
    ras: Timing
    rrd_s: Timing
    rrd_l: Timing
    faw: Timing
    ccd_s: Timing
    ccd_l: Timing
    wr: Timing
    wtr_s: Timing
    wtr_l: Timing
    rtp: Timing
    rfc: Timing
    refi_ns: str
    rfc_bank: Timing = Timing()
    rrefd: Timing = Timing()
    window: int = 32
    write_high: int = 24
    write_low: int = 4
    patience: int = 1000
    request_latency: int = 20
    response_latency: int = 20
    outstanding: int = 16
    port_buffer_bytes: int = 4096
    ideal: bool = False

    def __post_init__(self):
        for field in ("channels", "interleave_bytes", "bus_bytes", "burst_length", "bank_groups", "row_bytes"):
            value = getattr(self, field)
            if value < 1 or value & (value - 1):
                raise ValueError(f"{field} of memory {self.name!r} is {value}; it must be a power of two.")
        if self.bank_groups > 8 or self.bank_groups * self.banks_per_group > 64:
            raise ValueError(f"Memory {self.name!r} has more than 8 bank groups or 64 banks; the model allows no more.")
        if not 1 <= self.window <= 64:
            raise ValueError(f"window of memory {self.name!r} is {self.window}; it must be between 1 and 64.")
        if not 0 <= self.write_low < self.write_high <= self.window:
            raise ValueError(f"Memory {self.name!r} needs 0 <= write_low < write_high <= window.")
        if self.interleave_bytes < self.burst_bytes or self.row_bytes < self.burst_bytes:
            raise ValueError(f"Rows and interleaving of memory {self.name!r} must hold at least one burst.")
        if not self.ideal and self.ccd_s.at(self.clock_mhz) < self.burst_length // 2:
            raise ValueError(f"ccd_s of memory {self.name!r} is shorter than a burst takes on the data bus.")

    @property
    def clock_mhz(self) -> Fraction:
        """Command clock."""
        return Fraction(self.mega_transfers) / 2

    @property
    def burst_bytes(self) -> int:
        """Bytes of one read or write command."""
        return self.bus_bytes * self.burst_length

    @property
    def peak_bytes_per_second(self) -> float:
        """Data-bus rate over all channels."""
        return float(Fraction(self.mega_transfers) * 1_000_000 * self.bus_bytes * self.channels)

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.channels * self.bank_groups * self.banks_per_group * self.rows * self.row_bytes

    def describe(self) -> dict:
        """Return everything as plain JSON data, for reports."""
        return dataclasses.asdict(self)

    def compile(self, clock_mhz: float) -> DramStruct:
        """Return the integers the C++ model takes, for a fabric clock.

        Parameters
        ----------
        clock_mhz : float
            Clock of the accelerator; it is used to the kilohertz.
        """
        fabric_khz = round(clock_mhz * 1000)
        if fabric_khz < 1:
            raise ValueError(f"The clock is {clock_mhz} MHz; it must be at least 0.001 MHz.")
        clock = self.clock_mhz
        cycles = {name: getattr(self, name).at(clock) for name in _TIMINGS}
        burst_clocks = self.burst_length // 2
        return DramStruct(
            ideal=int(self.ideal),
            memory_khz=round(clock * 1000),
            fabric_khz=fabric_khz,
            burst_bytes=self.burst_bytes,
            burst_clocks=burst_clocks,
            # JESD79-4: read command to write command, with a one clock write preamble and one clock to turn the bus.
            rtw=cycles["cl"] - cycles["cwl"] + burst_clocks + 2,
            refi=int(Fraction(self.refi_ns) * clock / 1000),
            **cycles,
            **{name: getattr(self, name) for name in _PLAIN},
        )


_TIMINGS = [
    "cl",
    "cwl",
    "rcd",
    "rp",
    "ras",
    "rrd_s",
    "rrd_l",
    "faw",
    "ccd_s",
    "ccd_l",
    "wr",
    "wtr_s",
    "wtr_l",
    "rtp",
    "rfc",
    "rfc_bank",
    "rrefd",
]
_PLAIN = [
    "channels",
    "interleave_bytes",
    "bank_groups",
    "banks_per_group",
    "row_bytes",
    "window",
    "write_high",
    "write_low",
    "patience",
    "request_latency",
    "response_latency",
    "outstanding",
    "port_buffer_bytes",
]
FIELDS = (
    "ideal memory_khz fabric_khz channels interleave_bytes burst_bytes burst_clocks bank_groups banks_per_group "
    "row_bytes cl cwl rcd rp ras rrd_s rrd_l faw ccd_s ccd_l wr wtr_s wtr_l rtp rtw rfc refi rfc_bank rrefd window "
    "write_high write_low patience request_latency response_latency outstanding port_buffer_bytes"
)  # the order of RTLM_DRAM_FIELDS in native/dram_config.h, compared when a library is loaded


class DramStruct(ctypes.Structure):
    """The C++ model's parameters as 64-bit integers."""

    _fields_ = [(name, ctypes.c_int64) for name in FIELDS.split()]


def ddr4_2400(**changes) -> Dram:
    """DDR4-2400, 64 bit: four MT40A512M16 (8 Gb, x16), 19.2 GB/s, as on small UltraScale+ boards."""
    base = Dram(
        name="ddr4-2400",
        source=f"{_LITEDRAM} class MT40A512M16 speed grade 2400 (geometry, tRP, tRCD, tRAS, tWR, tRFC, tREFI, tWTR), "
        f"class EDY4016A (tFAW of a 2 KiB page); JEDEC JESD79-4 for CL, CWL, tRRD_S, tRRD_L (2 KiB page), tCCD_L, "
        f"tWTR_S, tRTP, the same as {_DRAMSIM}DDR4_8Gb_x16_2400.ini",
        mega_transfers="2400",
        bus_bytes=8,
        bank_groups=2,
        banks_per_group=4,
        rows=65536,
        row_bytes=8192,
        cl=Timing(17),
        cwl=Timing(12),
        rcd=Timing(0, "13.32"),
        rp=Timing(0, "13.32"),
        ras=Timing(0, "32"),
        rrd_s=Timing(4, "5.3"),
        rrd_l=Timing(4, "6.4"),
        faw=Timing(28, "30"),
        ccd_s=Timing(4),
        ccd_l=Timing(5, "5"),
        wr=Timing(0, "15"),
        wtr_s=Timing(2, "2.5"),
        wtr_l=Timing(4, "7.5"),
        rtp=Timing(4, "7.5"),
        rfc=Timing(0, "350"),
        refi_ns="7812.5",
    )
    return dataclasses.replace(base, **changes)


def ddr3_800(**changes) -> Dram:
    """DDR3-800, 16 bit: one MT41K256M16 (4 Gb), 1.6 GB/s, as on ECP5 boards."""
    timing = Timing(4)
    base = Dram(
        name="ddr3-800",
        source=f"{_LITEDRAM} class MT41K256M16 speed grade 800 (geometry, tRP, tRCD, tRAS, tWR, tRFC, tREFI, tWTR, "
        f"tRRD, tFAW, tCCD); JEDEC JESD79-3 DDR3-800E for CL, CWL and tRTP",
        mega_transfers="800",
        bus_bytes=2,
        bank_groups=1,
        banks_per_group=8,
        rows=32768,
        row_bytes=2048,
        cl=Timing(6),
        cwl=Timing(5),
        rcd=Timing(0, "13.1"),
        rp=Timing(0, "13.1"),
        ras=Timing(0, "37.5"),
        rrd_s=Timing(4, "10"),
        rrd_l=Timing(4, "10"),
        faw=Timing(0, "50"),
        ccd_s=timing,
        ccd_l=timing,
        wr=Timing(0, "13.1"),
        wtr_s=Timing(4, "7.5"),
        wtr_l=Timing(4, "7.5"),
        rtp=Timing(4, "7.5"),
        rfc=Timing(139),
        refi_ns="7812.5",
    )
    return dataclasses.replace(base, **changes)


def hbm2(*, channels: int = 32, **changes) -> Dram:
    """HBM2 at 1800 MT/s: ``channels`` pseudo channels of 64 bit and 14.4 GB/s each; 32 are 460.8 GB/s."""
    base = Dram(
        name=f"hbm2-{channels}",
        source=f"{_HBM2}all-bank refresh",
        mega_transfers="1800",
        channels=channels,
        bus_bytes=8,
        burst_length=4,
        bank_groups=4,
        banks_per_group=4,
        rows=16384,
        row_bytes=1024,
        cl=Timing(0, "14"),
        cwl=Timing(0, "4"),
        rcd=Timing(0, "14"),
        rp=Timing(0, "14"),
        ras=Timing(0, "34"),
        rrd_s=Timing(0, "4"),
        rrd_l=Timing(0, "6"),
        faw=Timing(0, "30"),
        ccd_s=Timing(2),
        ccd_l=Timing(4),
        wr=Timing(0, "16"),
        wtr_s=Timing(0, "6"),
        wtr_l=Timing(0, "8"),
        rtp=Timing(0, "6"),
        rfc=Timing(0, "260"),
        refi_ns="3900",
        window=64,
        write_high=48,
    )
    return dataclasses.replace(base, **changes)


def hbm2_single_bank(*, channels: int = 32, **changes) -> Dram:
    """HBM2 as `hbm2`, its banks refreshed one at a time, as AMD's controller can be set to (PG276)."""
    base = hbm2(
        channels=channels,
        name=f"hbm2-single-bank-{channels}",
        source=f"{_HBM2}single-bank refresh with tRFCsb and tRREFD of Ramulator 2 src/dram/impl/HBM2.cpp (nRFCSB 160, "
        "nRREFD 8 at 1 GHz); DRAMSys configs/memspec/HBM2.json has 96 and 8, and a bank each tREFI / 16 too",
        rfc_bank=Timing(0, "160"),
        rrefd=Timing(0, "8"),
    )
    return dataclasses.replace(base, **changes)


def ideal(**changes) -> Dram:
    """Fixed latency, full bandwidth: for unit tests only, and named in every report."""
    base = dataclasses.replace(
        ddr4_2400(),
        name="ideal",
        source="none: fixed latency and full bandwidth, for unit tests only",
        ideal=True,
    )
    return dataclasses.replace(base, **changes)


GRADES = {
    "ddr4-2400": ddr4_2400,
    "ddr3-800": ddr3_800,
    "hbm2": hbm2,
    "hbm2-single-bank": hbm2_single_bank,
    "ideal": ideal,
}


def named(name: str, **changes) -> Dram:
    """Return a memory by name, with fields changed.

    Parameters
    ----------
    name : str
        A key of `GRADES`; ``hbm2-N`` and ``hbm2-single-bank-N`` are HBM2 with N pseudo channels.
    **changes
        Fields of `Dram` that replace the named memory's.
    """
    family, _, count = name.rpartition("-")
    if family in ("hbm2", "hbm2-single-bank") and count.isdigit():
        name, changes = family, {"channels": int(count)} | changes
    if name not in GRADES:
        raise ValueError(
            f"No memory is called {name!r}; there are {', '.join(GRADES)}; hbm2-N and hbm2-single-bank-N have N pseudo "
            "channels."
        )
    return GRADES[name](**changes)
