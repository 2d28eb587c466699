"""Clocks of a ULX3S with its SDRAM, from the PLL of an ECP5."""

from amaranth.hdl import Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.checks import check_range

OSCILLATOR_MHZ = 25
"""Of the board."""

FAST_DIVIDER = 12
"""Of the PLL's oscillator, 600 MHz (400 to 800 are permitted), to the memory's clock of 50 MHz."""

STEPS = 8
"""Steps of phase in a period of the PLL's oscillator."""


class SdramClocks(wiring.Component):
    """The accelerator's clock, a clock of twice its frequency that rises with it, and the memory's own.

    `memory` has the frequency of `fast` and comes a quarter of its period, 5 ns, later: what registers drive at an
    edge of `fast` is stable for 5 ns before and 15 ns behind the memory's edge, and read data, which come up to 6 ns
    behind an edge of the memory's clock and stay until the next one, are sampled 15 ns behind. The ways of the clock to
    its pin and of the data back may take what is left, 9 ns.

    Attributes
    ----------
    clk : In(1)
        The board's oscillator.
    slow, fast, memory : Out(1)
        Clocks of 25, 50 and 50 MHz.
    locked : Out(1)
        They are stable.
    """

    clk: In(1)
    slow: Out(1)
    fast: Out(1)
    memory: Out(1)
    locked: Out(1)

    def elaborate(self, platform: object) -> Module:
        """Describe the PLL; attributes and phases as LiteX sets them (litex/soc/cores/clock/lattice_ecp5.py)."""
        m = Module()
        check_range("FAST_DIVIDER", FAST_DIVIDER, 8, 16)
        quarter = FAST_DIVIDER * STEPS // 4
        slow = FAST_DIVIDER * 2
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{OSCILLATOR_MHZ}",
            a_FREQUENCY_PIN_CLKOP=f"{2 * OSCILLATOR_MHZ}",
            a_FREQUENCY_PIN_CLKOS=f"{2 * OSCILLATOR_MHZ}",
            a_FREQUENCY_PIN_CLKOS2=f"{OSCILLATOR_MHZ}",
            a_ICP_CURRENT="6",
            a_LPF_RESISTOR="16",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_FEEDBK_PATH="INT_OP",
            p_CLKI_DIV=1,
            p_CLKFB_DIV=2,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=FAST_DIVIDER,
            p_CLKOP_CPHASE=FAST_DIVIDER - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=FAST_DIVIDER,
            p_CLKOS_CPHASE=FAST_DIVIDER - 1 + quarter // STEPS,
            p_CLKOS_FPHASE=quarter % STEPS,
            p_CLKOS2_ENABLE="ENABLED",
            p_CLKOS2_DIV=slow,
            p_CLKOS2_CPHASE=slow - 1,
            p_CLKOS2_FPHASE=0,
            i_CLKI=self.clk,
            i_RST=0,
            i_STDBY=0,
            o_CLKOP=self.fast,
            o_CLKOS=self.memory,
            o_CLKOS2=self.slow,
            o_LOCK=self.locked,
        )
        return m
