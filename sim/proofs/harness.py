"""What all proofs share: free inputs, and the rules that are assumed of them."""

from amaranth.hdl import Assume, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring


class Harness(wiring.Component):
    """A unit whose inputs are free, and never in reset."""

    def base(self) -> Module:
        """Start a module."""
        m = Module()
        self.past = Signal()
        m.d.sync += self.past.eq(1)
        m.d.comb += Assume(~ResetSignal("sync"))
        return m

    def held(self, m: Module, valid: Value, ready: Value, payload: Value, check: type) -> None:
        """Assume or assert that an offer stands, unchanged, until it is taken."""
        waited, before = Signal(name="waited"), Signal.like(payload, name="before")
        m.d.sync += [waited.eq(valid & ~ready), before.eq(payload)]
        with m.If(self.past & waited):
            m.d.comb += check(valid & (payload == before))

    def constant(self, m: Module, value: Value) -> None:
        """Assume that an input never changes."""
        before = Signal.like(value, name="constant_before")
        m.d.sync += before.eq(value)
        with m.If(self.past):
            m.d.comb += Assume(value == before)
