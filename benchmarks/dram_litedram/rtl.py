"""litedram's controller, crossbar and PHY model as Verilog with flat ports. Needs litedram, litex and migen."""

from __future__ import annotations

from dataclasses import dataclass

from litedram import modules
from litedram.core.controller import ControllerSettings, LiteDRAMController
from litedram.core.crossbar import LiteDRAMCrossbar
from litedram.phy.model import SDRAMPHYModel
from migen import Cat, Module, Signal
from migen.fhdl import verilog


@dataclass(frozen=True)
class Controller:
    """A generated controller and the settings that litedram gave it.

    Attributes
    ----------
    verilog : str
        Text of module ``controller``: vectors with one element for each port, and one ``read_data`` for all.
    data_bits : int
        Width of a native port, which is one DRAM burst.
    timing : dict
        litedram's timings in controller cycles (tRP, tRCD, ...).
    phy : dict
        cl, cwl (DRAM clocks), read_latency, write_latency (controller cycles), nphases.
    settings : dict
        cmd_buffer_depth, read_time, write_time.
    """

    verilog: str
    data_bits: int
    timing: dict[str, int]
    phy: dict[str, int]
    settings: dict[str, int]


class _Top(Module):
    def __init__(self, module, ports: int, data_bits: int, clock_hz: float, settings: ControllerSettings):
        phy = SDRAMPHYModel(module, data_width=data_bits, clk_freq=clock_hz)
        controller = LiteDRAMController(
            phy.settings, module.geom_settings, module.timing_settings, clock_hz, controller_settings=settings
        )
        crossbar = LiteDRAMCrossbar(controller.interface)
        self.submodules += phy, controller, crossbar
        self.comb += controller.dfi.connect(phy.dfi)
        self.phy = phy
        self.width = controller.interface.data_width
        names = ("valid", "write", "ready", "write_ready", "read_valid")
        for name in names:
            setattr(self, name, Signal(ports, name=name))
        self.address = Signal(32 * ports, name="address")
        self.write_data = Signal(self.width * ports, name="write_data")
        self.read_data = Signal(self.width, name="read_data")
        self.ios = {getattr(self, name) for name in (*names, "address", "write_data", "read_data")}
        for i in range(ports):
            port = crossbar.get_port()
            self.comb += [
                port.cmd.valid.eq(self.valid[i]),
                port.cmd.we.eq(self.write[i]),
                port.cmd.addr.eq(self.address[32 * i : 32 * i + len(port.cmd.addr)]),
                self.ready[i].eq(port.cmd.ready),
                port.wdata.valid.eq(1),
                port.wdata.we.eq(2 ** (self.width // 8) - 1),
                port.wdata.data.eq(self.write_data[self.width * i : self.width * (i + 1)]),
                self.write_ready[i].eq(port.wdata.ready),
                self.read_valid[i].eq(port.rdata.valid),
            ]
            if i == 0:
                self.comb += self.read_data.eq(Cat(port.rdata.data))  # the crossbar gives all ports the same word


def controller(module: str, *, rows: int, ports: int, data_bits: int, clock_mhz: float, speed_grade: str) -> Controller:
    """Generate litedram's controller for a DRAM module at a quarter of its command clock.

    Parameters
    ----------
    module : str
        A class of ``litedram.modules``.
    rows : int
        Rows of a bank in the PHY model, at least 2048 (address bit 10 has a meaning of its own).
    ports : int
        Native ports.
    data_bits : int
        Width of the DRAM data bus.
    clock_mhz : float
        Controller clock, a quarter of the command clock.
    speed_grade : str
        A key of the module's timings.
    """
    shrunk = type(module, (getattr(modules, module),), {"nrows": rows})
    chip = shrunk(clock_mhz * 1e6, "1:4", speedgrade=speed_grade)
    settings = ControllerSettings()
    top = _Top(chip, ports, data_bits, clock_mhz * 1e6, settings)
    names = ("tRP", "tRCD", "tWR", "tWTR", "tREFI", "tRFC", "tFAW", "tCCD", "tRRD", "tRAS")
    phy_names = ("cl", "cwl", "read_latency", "write_latency", "nphases")
    return Controller(
        verilog=verilog.convert(top, ios=top.ios, name="controller").main_source,
        data_bits=top.width,
        timing={name: getattr(chip.timing_settings, name) for name in names},
        phy={name: getattr(top.phy.settings, name) for name in phy_names},
        settings={name: getattr(settings, name) for name in ("cmd_buffer_depth", "read_time", "write_time")},
    )
