"""The self-test on a ULX3S; names of ports are those of constraints/ulx3s.lpf."""

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.board.selftest import SelfTest, SelfTestParams

CLOCK_HZ = 25e6
"""Oscillator of the board."""


class Ulx3s(wiring.Component):
    """A self-test with the board's pins.

    LED 0: passed; LED 1: failed; LED 2: running; LED 7: on as soon as the device is configured. Held at the
    start, FIRE 1 (button 1) makes a weight wrong and FIRE 2 (button 2) the program. UP (button 3) runs the test again.
    The serial line is that of the USB connector US1.

    Parameters
    ----------
    params : SelfTestParams
        The self-test, for a clock of `CLOCK_HZ`.

    Attributes
    ----------
    clk_25mhz : In(1)
        Oscillator.
    btn : In(7)
        Buttons, PWR (0 when pressed), FIRE 1, FIRE 2, UP, DOWN, LEFT, RIGHT.
    led : Out(8)
        LEDs.
    ftdi_rxd : Out(1)
        To the receiver of the USB bridge.
    wifi_gpio0 : Out(1)
        High: the ESP32 of the board starts its own program and leaves the device alone.
    """

    clk_25mhz: In(1)
    btn: In(7)
    led: Out(8)
    ftdi_rxd: Out(1, init=1)
    wifi_gpio0: Out(1)

    def __init__(self, params: SelfTestParams):
        if params.clock_hz != CLOCK_HZ:
            raise ValueError(f"the clock of a ULX3S has {CLOCK_HZ:g} Hz, not {params.clock_hz:g}")
        self.params = params
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        """Connect the pins."""
        m = Module()
        m.submodules.selftest = test = SelfTest(self.params)
        m.d.comb += [
            test.clk.eq(self.clk_25mhz),
            test.corrupt.eq(self.btn[1:3]),
            test.again.eq(self.btn[3]),
            self.led.eq(Cat(test.passed, test.failed, test.running, Const(0, 4), Const(1, 1))),
            self.ftdi_rxd.eq(test.tx),
            self.wifi_gpio0.eq(1),
        ]
        return m
