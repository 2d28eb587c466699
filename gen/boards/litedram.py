"""LiteDRAM's controller for a board's SDRAM as Verilog. Imported only where litedram, litex and migen are there."""

import math
from typing import Any

from litedram import modules
from litedram.common import PhySettings
from litedram.core.controller import ControllerSettings, LiteDRAMController
from litedram.core.crossbar import LiteDRAMCrossbar
from litedram.frontend.axi import LiteDRAMAXI2Native, LiteDRAMAXIPort
from litedram.phy import dfi
from litedram.phy.gensdrphy import HalfRateGENSDRPHY
from litex.build.io import InferedSDRIO, SDRInput
from litex.build.lattice.common import LatticeECP5SDRInputImpl, lattice_ecp5_special_overrides
from migen import FSM, ClockDomain, If, Module, NextState, NextValue, Record, Signal
from migen.fhdl import verilog
from rtlm.hw.board.sdram import MODULE, PORT_BITS, SdramParams

COMMANDS = {"precharge": "ras we", "refresh": "ras cas", "mode": "ras cas we"}
"""Pins that are low in a command, of the JEDEC truth table of SDR SDRAM."""
ALL_BANKS = 1 << 10
"""Address of a precharge of all banks."""


class LateInput(Module):
    """A data pin's register in its I/O cell and one behind it, in place of LiteX's, which has only the first.

    `HalfRateGENSDRPHY` takes data three of the memory's clocks behind a command of CAS latency 2. At 100 MHz, for which
    it was made, they arrive then; at 50 MHz they stand at the pins a clock earlier, which this register keeps.
    """

    def __init__(self, i: Signal, o: Signal, clk: Signal):
        sampled = Signal()
        self.submodules += LatticeECP5SDRInputImpl(i, sampled, clk), InferedSDRIO(sampled, o, clk)

    @classmethod
    def lower(cls, pin: SDRInput) -> "LateInput":
        """Return what stands for an input, as migen asks."""
        return cls(pin.i, pin.o, pin.clk)


class Initialisation(Module):
    """The sequence that an SDR SDRAM needs after power-up, in gates: it takes the place of LiteDRAM's software.

    Waits for the power-up time, precharges all banks, refreshes eight times (ISSI, Winbond; Micron and Alliance ask for
    two), and writes the mode register: sequential bursts of the controller's length, its CAS latency.

    Parameters
    ----------
    params
        The memory.
    settings
        Of the PHY.
    interface
        Signature of the DFI, by keyword.
    """

    def __init__(self, params: SdramParams, settings: PhySettings, **interface: int):
        self.dfi = dfi.Interface(**interface)
        self.done = Signal()
        wait = math.ceil(params.power_up_us * params.clock_hz / 1e6)
        gap = math.ceil(params.command_gap_ns * params.clock_hz / 1e9) + 1
        mode = int(math.log2(settings.nphases)) | settings.cl << 4
        steps = [("precharge", ALL_BANKS), *[("refresh", 0)] * params.power_up_refreshes, ("mode", mode)]
        left, step = Signal(max=wait + 1, reset=wait), Signal(max=len(steps) + 1)
        first = self.dfi.phases[0]
        for phase in self.dfi.phases:
            self.comb += [phase.cke.eq(1), phase.cs_n.eq(1), phase.ras_n.eq(1), phase.cas_n.eq(1), phase.we_n.eq(1)]
        self.submodules.fsm = fsm = FSM(reset_state="WAIT")
        fsm.act("WAIT", If(left == 0, NextState("STEP")).Else(NextValue(left, left - 1)))
        issue: Any = [self.done.eq(1)]
        for number, (command, address) in reversed(list(enumerate(steps))):
            pins = [getattr(first, f"{name}_n").eq(0) for name in ("cs", *COMMANDS[command].split())]
            issue = [If(step == number, first.address.eq(address), *pins).Else(*issue)]
        fsm.act(
            "STEP",
            *issue,
            If(~self.done, NextValue(step, step + 1), NextValue(left, gap), NextState("WAIT")),
        )


class Controller(Module):
    """LiteDRAM's PHY, controller, crossbar and AXI front end, with an initialisation in gates.

    Attributes
    ----------
    ios
        Signals that are ports of the module, see `rtlm.hw.board.sdram.SdramController`.
    """

    def __init__(self, params: SdramParams):
        self.clock_domains.cd_sys = ClockDomain()
        self.clock_domains.cd_sys2x = ClockDomain()
        chip = getattr(modules, params.module)(params.clock_hz, "1:2")
        geometry, timing = chip.geom_settings, chip.timing_settings
        # LiteDRAM rounds all times up, this one, too, which is a maximum.
        timing.tREFI = math.floor(chip.technology_timings.tREFI * params.clock_hz / 1e9)
        pins = Record(
            [
                *((name, 1) for name in ("cs_n", "ras_n", "cas_n", "we_n", "cke")),
                ("a", geometry.addressbits),
                ("ba", geometry.bankbits),
                ("dm", params.data_bits // 8),
                ("dq", params.data_bits),
            ],
            name="sdram",
        )
        self.submodules.phy = phy = HalfRateGENSDRPHY(pins, params.clock_hz)
        self.submodules.controller = controller = LiteDRAMController(
            phy.settings, geometry, timing, params.clock_hz, controller_settings=ControllerSettings()
        )
        self.submodules.crossbar = crossbar = LiteDRAMCrossbar(controller.interface)
        self.submodules.initialisation = start = Initialisation(
            params,
            phy.settings,
            addressbits=geometry.addressbits,
            bankbits=geometry.bankbits,
            nranks=phy.settings.nranks,
            databits=phy.settings.dfi_databits,
            nphases=phy.settings.nphases,
        )
        self.comb += If(start.done, controller.dfi.connect(phy.dfi)).Else(start.dfi.connect(phy.dfi))
        ready = Signal(name="ready")
        self.comb += ready.eq(start.done)
        axi = LiteDRAMAXIPort(data_width=PORT_BITS, address_width=params.address_bits, id_width=1)
        self.submodules += LiteDRAMAXI2Native(axi, crossbar.get_port())
        self.ios = {self.cd_sys.clk, self.cd_sys.rst, self.cd_sys2x.clk, self.cd_sys2x.rst, ready, *pins.flatten()}
        self._ports(axi, ready)

    def _ports(self, axi: LiteDRAMAXIPort, ready: Signal) -> None:
        """Make the ports of the AXI channels; no request and no data pass before the memory is ready."""
        for channel, fields in CHANNELS.items():
            stream = getattr(axi, channel)
            for name in fields:
                inner = getattr(stream, name)
                port = Signal(len(inner), name=f"axi_{channel}{name}")
                self.ios.add(port)
                inward = (channel in ("b", "r")) == (name == "ready")
                gated = name in ("valid", "ready") and channel not in ("b", "r")
                source, sink = (port, inner) if inward else (inner, port)
                self.comb += sink.eq(source & ready if gated else source)


ADDRESS = ("addr", "len", "size", "burst", "id", "valid", "ready")
CHANNELS = {
    "ar": ADDRESS,
    "aw": ADDRESS,
    "w": ("data", "strb", "last", "valid", "ready"),
    "r": ("data", "resp", "last", "id", "valid", "ready"),
    "b": ("resp", "id", "valid", "ready"),
}
"""Signals of the AXI channels that are ports."""


def controller_verilog(params: SdramParams) -> str:
    """Return the controller as Verilog for an ECP5, with its I/O cells in it.

    Parameters
    ----------
    params
        The memory.
    """
    controller = Controller(params)
    text = verilog.convert(
        controller,
        ios=controller.ios,
        name=MODULE,
        special_overrides=lattice_ecp5_special_overrides | {SDRInput: LateInput},
    ).main_source
    return str(text)
