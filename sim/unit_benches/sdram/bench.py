"""Bench of the SDRAM's controller: LiteDRAM as it goes to a board, before a memory that checks it."""

from amaranth.hdl import ClockDomain, IOPort, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.gen.boards.sdram import sdram_verilog
from rtlm.gen.rtl.verilog import emit
from rtlm.hw.board.sdram import FAST_DOMAIN, PORT_BITS, SdramController, SdramParams, sdram_pins
from rtlm.hw.memory.axi import AXI4
from rtlm.sim.memory.sdram import PREFIX, with_sdram
from rtlm.sim.unit_benches.bench import Bench, Prepared

TOP = "sdram_harness"


class Harness(wiring.Component):
    """A controller with its clocks as ports.

    Parameters
    ----------
    params
        The memory.

    Attributes
    ----------
    clk, rst, clk_fast, clk_memory : In(1)
        Clock of the port and its reset, twice the clock, the memory's clock.
    axi : In(AXI4)
        The port.
    ready : Out(1)
        The memory is initialised.
    sdram_clk ... : Out
        Pins of the memory.
    """

    def __init__(self, params: SdramParams):
        self.params = params
        self.pads = {f"{PREFIX}d": IOPort(params.data_bits, name=f"{PREFIX}d")}
        super().__init__(
            {
                **{name: In(1) for name in ("clk", "rst", "clk_fast", "clk_memory")},
                "axi": In(AXI4(address_bits=params.address_bits, data_bits=PORT_BITS)),
                "ready": Out(1),
                f"{PREFIX}clk": Out(1),
                **{f"{PREFIX}{name}": member for name, member in sdram_pins(params).items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the controller."""
        m = Module()
        m.domains.sync = slow = ClockDomain("sync", local=True)
        fast = ClockDomain(FAST_DOMAIN, local=True)
        m.domains += fast
        m.submodules.controller = controller = SdramController(self.params, self.pads[f"{PREFIX}d"])
        m.d.comb += [
            slow.clk.eq(self.clk),
            slow.rst.eq(self.rst),
            fast.clk.eq(self.clk_fast),
            fast.rst.eq(self.rst),
            getattr(self, f"{PREFIX}clk").eq(self.clk_memory),
            self.ready.eq(controller.ready),
            *(getattr(self, f"{PREFIX}{name}").eq(getattr(controller, name)) for name in sdram_pins(self.params)),
        ]
        wiring.connect(m, wiring.flipped(self.axi), controller.axi)
        return m


UNIT = "sdram"
MODULE = "rtlm.sim.unit_benches.sdram.cocotb_tests"
POWER_UP_US = 20
"""A tenth of what a chip asks for, of controller and memory, for the sake of time."""

PROBE_PARAMETERS = {"CLOCK_PS": 7500, "RC_PS": 75_000, "POWER_UP_PS": 1_000_000, "REFRESH_DEBT": 2}
"""At 133 MHz each delay is more than a clock, so that it can be missed; tRC is longer than tRAS and tRP together."""


def sdram_benches() -> list[Bench]:
    """Return the bench of the board's SDRAM."""
    return [Bench(unit=UNIT, name="ulx3s", module=MODULE, prepare=prepare)]


def prepare() -> Prepared:
    """Return the controller with its memory, and a second memory to be misused."""
    params = SdramParams(power_up_us=POWER_UP_US)
    parameters = {"POWER_UP_PS": POWER_UP_US * 1_000_000}
    emitted = emit(Harness(params), TOP)
    design = emitted.verilog + sdram_verilog(params)
    return Prepared(verilog=with_sdram(design, emitted.ports, TOP, parameters, probe=PROBE_PARAMETERS), top="bench")
