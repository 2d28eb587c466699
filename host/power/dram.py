"""Energy of a DRAM by command: the equations of Micron TN-40-07 and DRAMPower, with data-sheet currents.

An activation takes what its current (IDD0) exceeds open standby (IDD3N) until the row may close, a precharge what it
exceeds closed standby (IDD2N) after that; a read or write what IDD4 exceeds open standby while its data moves; a
refresh what IDD5B exceeds open standby for tRFC. Standby goes on all the time. LPDDR4 and LPDDR5 have two supplies of
the core, VDD1 and VDD2, each with currents of its own: the energies add up.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from rtlm.host.power.technology import Currents, DramTechnology, Rail
from rtlm.sim.memory.dram import Dram

CHANGED = " (changed)"
"""What follows the name of a simulated memory with a changed field."""


@dataclass(frozen=True, kw_only=True)
class DramCommands:
    """Commands in some time, of all channels.

    Parameters
    ----------
    activates, precharges, reads, writes
        How many.
    refreshes
        Of all banks of a channel, or of one bank where they are refreshed one at a time.
    seconds
        The time.
    open_share
        Share of it in which a channel has a row open.
    source
        Where they are from.
    """

    activates: float
    precharges: float
    reads: float
    writes: float
    refreshes: float
    seconds: float
    open_share: float
    source: str

    @property
    def per_second(self) -> Mapping[str, float]:
        """The commands of a second."""
        names = ("activates", "precharges", "reads", "writes", "refreshes")
        return {name: getattr(self, name) / self.seconds for name in names}


@dataclass(frozen=True, kw_only=True)
class CommandEnergy:
    """Energy of each command of a channel in nJ, and its standby in watt.

    Parameters
    ----------
    activate, precharge, read, write, refresh
        In nJ, beyond standby.
    open_w, closed_w
        Standby with a row open and with none.
    """

    activate: float
    precharge: float
    read: float
    write: float
    refresh: float
    open_w: float
    closed_w: float


@dataclass(frozen=True, kw_only=True)
class CommandTimes:
    """How long commands draw current, in ns.

    Parameters
    ----------
    row_ns, close_ns, data_ns, refresh_ns
        From activation to the earliest precharge, of a precharge, of a burst, and of a refresh.
    refreshed
        Part of the device that a refresh is of.
    """

    row_ns: float
    close_ns: float
    data_ns: float
    refresh_ns: float
    refreshed: float = 1.0


@dataclass(frozen=True, kw_only=True)
class DramPower:
    """Power of a DRAM's core in watt, by what takes it."""

    activate: float
    precharge: float
    read: float
    write: float
    refresh: float
    background: float

    @property
    def total(self) -> float:
        """The sum."""
        return sum(asdict(self).values())


def family_of(name: str) -> str:
    """Return the family of a memory's name, ``hbm2`` of ``hbm2-single-bank-32``."""
    return name.removesuffix(CHANGED).split("-")[0].split(" ")[0]


def command_energy(technology: DramTechnology, dram: Dram) -> CommandEnergy | None:
    """Return the energy of each command of a channel; None where there are no currents of the memory."""
    name = dram.name.removesuffix(CHANGED)
    known = [each for each in technology.memories if name == each or name.startswith(f"{each}-")]
    if not known or dram.ideal:
        return None
    devices = technology.memories[max(known, key=len)]
    return channel_energy(technology.devices[devices.device], devices.per_channel, dram)


def read_pj_per_bit(currents: Currents, width: int) -> float:
    """Return the energy of the core for a bit that is read without pause, beyond standby.

    Parameters
    ----------
    currents
        Of a device whose `Currents.mega_transfers` is known.
    width
        Its data lines.
    """
    assert currents.mega_transfers, "a device without a rate of its own has no energy of a bit"
    milliwatt = sum(rail.vdd * (rail.idd4r - rail.idd3n) for rail in currents.rails)
    return milliwatt * 1e3 / (currents.mega_transfers * width)


def channel_energy(currents: Currents, devices: float, dram: Dram) -> CommandEnergy:
    """Return the energy of each command of a channel.

    Parameters
    ----------
    currents
        Of a device.
    devices
        How many of them work together.
    dram
        Its times.
    """
    clock = dram.clock_mhz
    clock_ns = 1e3 / float(clock)
    data_ns = dram.burst_length * 1e3 / (currents.mega_transfers or float(2 * clock))
    bank_refresh = dram.rfc_bank.at(clock)
    times = CommandTimes(
        row_ns=dram.ras.at(clock) * clock_ns,
        close_ns=dram.rp.at(clock) * clock_ns,
        data_ns=data_ns,
        # The refresh of one bank is taken to need its part of the current of all.
        refresh_ns=(bank_refresh or dram.rfc.at(clock)) * clock_ns,
        refreshed=1 / (dram.bank_groups * dram.banks_per_group) if bank_refresh else 1.0,
    )
    energies = [rail_energy(rail, times) for rail in currents.rails]
    each = {
        field.name: devices * sum(getattr(energy, field.name) for energy in energies) for field in fields(energies[0])
    }
    standby = devices * currents.vpp * currents.ipp3n * 1e-3
    each |= {name: each[name] + standby for name in ("open_w", "closed_w")}
    return CommandEnergy(**each)


def rail_energy(rail: Rail, times: CommandTimes) -> CommandEnergy:
    """Return the energy that each command takes of one supply of a device.

    Parameters
    ----------
    rail
        Its currents.
    times
        How long each command takes it.
    """
    # mA x V x ns = pJ
    nanojoule = rail.vdd * 1e-3
    return CommandEnergy(
        activate=nanojoule * (rail.idd0 - rail.idd3n) * times.row_ns,
        precharge=nanojoule * (rail.idd0 - rail.idd2n) * times.close_ns,
        read=nanojoule * (rail.idd4r - rail.idd3n) * times.data_ns,
        write=nanojoule * (rail.idd4w - rail.idd3n) * times.data_ns,
        refresh=nanojoule * (rail.idd5b - rail.idd3n) * times.refresh_ns * times.refreshed,
        open_w=rail.vdd * rail.idd3n * 1e-3,
        closed_w=rail.vdd * rail.idd2n * 1e-3,
    )


def dram_power(energy: CommandEnergy, commands: DramCommands, channels: int) -> DramPower:
    """Return the power of a memory's core.

    Parameters
    ----------
    energy
        Of a channel's commands.
    commands
        Of all channels.
    channels
        How many.
    """
    rate = commands.per_second
    share = commands.open_share
    return DramPower(
        activate=rate["activates"] * energy.activate * 1e-9,
        precharge=rate["precharges"] * energy.precharge * 1e-9,
        read=rate["reads"] * energy.read * 1e-9,
        write=rate["writes"] * energy.write * 1e-9,
        refresh=rate["refreshes"] * energy.refresh * 1e-9,
        background=channels * (share * energy.open_w + (1 - share) * energy.closed_w),
    )


def estimated_commands(dram: Dram, read_bytes: float, written_bytes: float, seconds: float) -> DramCommands:
    """Return the commands that so many bytes take as long linear bursts, with the refreshes of that time.

    A row is opened once for its bytes, and the open ones, one a bank group, again after a refresh of all banks.

    Parameters
    ----------
    dram
        The memory.
    read_bytes, written_bytes
        Bytes of all channels.
    seconds
        The time.
    """
    interval = float(dram.refi_ns) * 1e-9
    bank_refresh = dram.rfc_bank.at(dram.clock_mhz)
    banks = dram.bank_groups * dram.banks_per_group
    refreshes = dram.channels * seconds / interval * (banks if bank_refresh else 1)
    reopened = 0.0 if bank_refresh else refreshes * dram.bank_groups
    rows = (read_bytes + written_bytes) / dram.row_bytes + (reopened if read_bytes + written_bytes else 0.0)
    return DramCommands(
        activates=rows,
        precharges=rows,
        reads=read_bytes / dram.burst_bytes,
        writes=written_bytes / dram.burst_bytes,
        refreshes=refreshes,
        seconds=seconds,
        open_share=1.0 if rows else 0.0,
        source="estimated from bytes, rows and the refresh interval",
    )
