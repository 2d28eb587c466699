"""An accelerator on a ULX3S with the board's SDRAM, that a host reaches over USB; names of ports as in ulx3s.lpf."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, DomainRenamer, IOPort, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.board.clock import DOMAIN, add_board_clock
from rtlm.hw.board.linked import LinkedAccelerator, LinkedParams
from rtlm.hw.board.sdram import FAST_DOMAIN, SdramController, SdramParams, sdram_pins
from rtlm.hw.board.sdram_clocks import SdramClocks
from rtlm.hw.board.ulx3s import CLOCK_HZ
from rtlm.hw.memory import forward

DATA = "sdram_d"
"""Name of the memory's data pins."""


class Ulx3sSdram(wiring.Component):
    """An accelerator with the board's SDRAM as its memory, with the board's pins.

    LED 0: the accelerator's interrupt; LED 1: a host has opened the link; LED 2: the memory is ready; LED 7: on as soon
    as the device is configured. UP (button 3) resets all, and keeps what the memory holds. The serial line is that of
    the USB connector US1.

    Parameters
    ----------
    params : LinkedParams
        Accelerator and link, for a clock of `CLOCK_HZ`.

    Attributes
    ----------
    clk_25mhz : In(1)
        Oscillator.
    btn : In(7)
        Buttons, as of `rtlm.hw.board.ulx3s.Ulx3s`.
    led : Out(8)
        LEDs.
    ftdi_txd : In(1)
        From the transmitter of the USB bridge.
    ftdi_rxd : Out(1)
        To the receiver of the USB bridge.
    wifi_gpio0 : Out(1)
        High: the ESP32 of the board starts its own program and leaves the device alone.
    sdram_clk, sdram_cke, sdram_csn ... : Out
        Pins of the memory; its data pins are pads.
    """

    def __init__(self, params: LinkedParams):
        if params.clock_hz != CLOCK_HZ:
            raise ValueError(f"clock_hz must be that of a ULX3S, {CLOCK_HZ:g}, got {params.clock_hz:g}")
        self.params = params
        self.memory = SdramParams(clock_hz=CLOCK_HZ, address_bits=params.accelerator.address_bits)
        self.pads = {DATA: IOPort(self.memory.data_bits, name=DATA)}
        super().__init__(
            {
                "clk_25mhz": In(1),
                "btn": In(7),
                "led": Out(8),
                "ftdi_txd": In(1, init=1),
                "ftdi_rxd": Out(1, init=1),
                "wifi_gpio0": Out(1),
                "sdram_clk": Out(1),
                **{f"sdram_{name}": member for name, member in sdram_pins(self.memory).items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect pins, clocks, accelerator and memory."""
        m = Module()
        m.submodules.clocks = clocks = SdramClocks()
        add_board_clock(m, clocks.slow, self.btn[3] | ~clocks.locked)
        fast = ClockDomain(FAST_DOMAIN, local=True)
        m.domains += fast
        m.submodules.linked = linked = LinkedAccelerator(self.params)
        controller = SdramController(self.memory, self.pads[DATA])
        m.submodules.controller = DomainRenamer(DOMAIN)(controller)
        forward(m, linked.m0_axi, controller.axi)
        m.d.comb += [
            clocks.clk.eq(self.clk_25mhz),
            fast.clk.eq(clocks.fast),
            fast.rst.eq(ResetSignal(DOMAIN)),
            linked.clk.eq(ClockSignal(DOMAIN)),
            linked.rst.eq(ResetSignal(DOMAIN)),
            linked.rx.eq(self.ftdi_txd),
            self.ftdi_rxd.eq(linked.tx),
            self.led.eq(Cat(linked.irq, linked.opened, controller.ready, Const(0, 4), Const(1, 1))),
            self.wifi_gpio0.eq(1),
            self.sdram_clk.eq(clocks.memory),
            *(getattr(self, f"sdram_{name}").eq(getattr(controller, name)) for name in sdram_pins(self.memory)),
        ]
        return m
