"""An accelerator on a ULX3S that a host reaches over USB; names of ports are those of constraints/ulx3s.lpf."""

from amaranth.hdl import Cat, ClockSignal, Const, DomainRenamer, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.board.clock import DOMAIN, add_board_clock
from rtlm.hw.board.linked import LinkedAccelerator, LinkedParams
from rtlm.hw.board.ulx3s import CLOCK_HZ
from rtlm.hw.memory import forward
from rtlm.hw.memory.block_memory import BlockMemory


class Ulx3sUart(wiring.Component):
    """An accelerator with block RAM as its memory, with the board's pins.

    LED 0: the accelerator's interrupt; LED 1: a host has opened the link; LED 7: on as soon as the device is
    configured. UP (button 3) resets accelerator and link, and keeps the memory. The serial line is that of the USB
    connector US1.

    Parameters
    ----------
    params : LinkedParams
        Accelerator and link, for a clock of `CLOCK_HZ`.

    Attributes
    ----------
    clk_25mhz : In(1)
        Oscillator.
    btn : In(7)
        Buttons, as of `Ulx3s`.
    led : Out(8)
        LEDs.
    ftdi_txd : In(1)
        From the transmitter of the USB bridge.
    ftdi_rxd : Out(1)
        To the receiver of the USB bridge.
    wifi_gpio0 : Out(1)
        High: the ESP32 of the board starts its own program and leaves the device alone.
    """

    clk_25mhz: In(1)
    btn: In(7)
    led: Out(8)
    ftdi_txd: In(1, init=1)
    ftdi_rxd: Out(1, init=1)
    wifi_gpio0: Out(1)

    def __init__(self, params: LinkedParams):
        if params.clock_hz != CLOCK_HZ:
            raise ValueError(f"clock_hz must be that of a ULX3S, {CLOCK_HZ:g}, got {params.clock_hz:g}")
        self.params = params
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        """Connect pins, accelerator and memory."""
        m = Module()
        add_board_clock(m, self.clk_25mhz, self.btn[3])
        m.submodules.linked = linked = LinkedAccelerator(self.params)
        sizes = self.params.accelerator
        memory = BlockMemory(
            address_bits=sizes.address_bits,
            data_bits=sizes.port_bits,
            depth=self.params.memory_bytes // sizes.port_bytes,
        )
        m.submodules.memory = DomainRenamer(DOMAIN)(memory)
        forward(m, linked.m0_axi, memory.axi)
        m.d.comb += [
            linked.clk.eq(ClockSignal(DOMAIN)),
            linked.rst.eq(ResetSignal(DOMAIN)),
            linked.rx.eq(self.ftdi_txd),
            self.ftdi_rxd.eq(linked.tx),
            self.led.eq(Cat(linked.irq, linked.opened, Const(0, 5), Const(1, 1))),
            self.wifi_gpio0.eq(1),
        ]
        return m
