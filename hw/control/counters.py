"""Performance counters: where the cycles of a step went."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.control.isa import Operator

COUNTER_BITS = 32

EVENTS = {
    "matmul_busy": "the matrix array took a word",
    "matmul_starved": "the matrix array waited for a word",
    "matmul_blocked_activation": "the matrix array had a word and waited for an activation block",
    "matmul_blocked_output": "the matrix array waited for its results to leave",
    "attention_busy": "the attention array worked",
    "attention_starved": "the attention array waited for a word",
    "vector_busy": "operators of the vector engine worked on a beat",
    "words": "a word left the prefetch buffer",
    "reader_no_room": "the reader waited for room in the prefetch buffer",
    "reader_no_request": "the reader had nothing left to request",
}
"""Events that are counted, one count for each cycle in which the event holds."""

COUNTERS = (
    "CYCLES",
    *(f"OPERATOR_{operator.name}" for operator in Operator),
    *(f"EVENT_{name.upper()}" for name in EVENTS),
)
"""Names of the counter registers, in their order."""


class Requests(enum.Enum, shape=unsigned(2)):
    """What the reader is doing about new requests."""

    MADE = 0
    """It makes them, as fast as the ports and the limit of outstanding ones allow."""
    NO_ROOM = 1
    """The prefetch buffer is full: the operator that takes words holds them up."""
    NOTHING = 2
    """No instruction asks for words."""
    ENDED = 3
    """The program's last words have been requested."""


ACTIVITY = data.StructLayout({"running": 1, "requests": Requests, "operator": Operator})
"""What the accelerator is doing in a cycle: a step is running; what becomes of requests; the operator that counts."""


class Counters(wiring.Component):
    """Count cycles by operator, and events.

    Protocol: `clear` sets all to zero; cycles count while `running`, each to exactly one operator, so that the
    operators' cycles add up to the cycles. Values stand until the next `clear`.
    """

    clear: In(1)
    running: In(1)
    operator: In(Operator)
    events: In(data.StructLayout({name: 1 for name in EVENTS}))
    values: Out(data.ArrayLayout(COUNTER_BITS, len(COUNTERS)))

    def elaborate(self, platform: object) -> Module:
        """Build the gates."""
        m = Module()
        value = {name: self.values[i] for i, name in enumerate(COUNTERS)}
        with m.If(self.running):
            m.d.sync += value["CYCLES"].eq(value["CYCLES"] + 1)
            with m.Switch(self.operator):
                for operator in Operator:
                    total = value[f"OPERATOR_{operator.name}"]
                    with m.Case(operator):
                        m.d.sync += total.eq(total + 1)
            for name in EVENTS:
                total = value[f"EVENT_{name.upper()}"]
                with m.If(self.events[name]):
                    m.d.sync += total.eq(total + 1)
        with m.If(self.clear):
            m.d.sync += self.values.eq(0)
        return m
