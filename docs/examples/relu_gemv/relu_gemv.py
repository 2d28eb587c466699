"""A variant of a unit: rtlm's GEMV, of whose results those below zero become zero."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from rtlm.hw import Gemv, GemvParams


class ReluGemv(wiring.Component):
    """max(W x, 0): ports, parameters and latency of `rtlm.hw.Gemv`."""

    def __init__(self, params: GemvParams, *, clock_mhz: float):
        self.gemv = Gemv(params, clock_mhz=clock_mhz)
        super().__init__(self.gemv.signature)

    def elaborate(self, platform):
        """Put the maximum behind the unit, within the same cycle."""
        m = Module()
        m.submodules.gemv = gemv = self.gemv
        for name in ("i_command", "i_activations", "i_words"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(gemv, name))
        m.d.comb += [self.o.valid.eq(gemv.o.valid), gemv.o.ready.eq(self.o.ready), self.idle.eq(gemv.idle)]
        for lane in range(gemv.params.vector_lanes):
            bits = gemv.o.payload.y[lane]
            m.d.comb += self.o.payload.y[lane].eq(Mux(bits[-1], 0, bits))  # the sign of an F32
        return m
