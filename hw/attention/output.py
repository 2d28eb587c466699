"""From sums to floats: the end of an attention head."""

from amaranth.hdl import Array, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.attention.params import AttentionParams
from rtlm.hw.kernels import attention_norm, head_output


class AttentionOutput(wiring.Component):
    """Normalises the sums of a query group and sends them out.

    Protocol: `start` begins, with `l` and the array's sums complete; they must hold while `busy`. `shift`
    asks for the next `vector_lanes` sums. `o` may stall.

    Latency: `latency` cycles from `start` to the first result.

    Throughput: `vector_lanes` values a cycle.

    Numerics: docs/numerics.md, attention.

    Parameters
    ----------
    params
        Sizes of the attention unit.

    Ports
    -----
    start, group, l, e
        Query heads, and what the weights leave behind; `e` is read with `start` only.
    acc, shift
        The array's present sums, and the request for the next.
    o
        Results, head by head.
    busy, idle
        The sums are still needed; nothing is on its way.
    """

    def __init__(self, params: AttentionParams):
        self._params = params
        super().__init__(
            {
                "start": In(1),
                "group": In(4),
                "l": In(data.ArrayLayout(params.probability_sum_bits, params.group)),
                "e": In(8),
                "acc": In(data.ArrayLayout(signed(params.acc_bits), params.vector_lanes)),
                "shift": Out(1),
                "o": Out(stream.Signature(data.StructLayout({"y": data.ArrayLayout(32, params.vector_lanes)}))),
                "busy": Out(1),
                "idle": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from `start` to the first result."""
        return sum(self.latency_of(self._params))

    @staticmethod
    def latency_of(params: AttentionParams) -> tuple[int, int]:
        """Return the cycles from `start` until the first sums are taken, and from there to the first result."""
        norm, value = (k.schedule(**params.pipeline).latency for k in (attention_norm, head_output))
        return 1 + norm, 2 + value

    @property
    def _kernels(self) -> tuple:
        return (attention_norm, 1), (head_output, self._params.vector_lanes)

    def _pipeline(self, lanes: int) -> dict:
        return {"lanes": lanes, **self._params.pipeline}

    def elaborate(self, platform) -> Module:
        """Build both pipelines."""
        m = Module()
        params = self._params
        norm, scale = (k.component(**self._pipeline(n)) for k, n in self._kernels)
        m.submodules.norm, m.submodules.scale = norm, scale
        heads = range(params.group)
        asked, known, head = (Signal(range(params.group + 1), name=n) for n in ("asked", "known", "head"))
        count = Signal.like(asked)
        exponent = Signal(8)
        factor = [Signal(32, name=f"factor_{g}", reset_less=True) for g in heads]
        m.d.comb += [
            norm.i.valid.eq(asked != count),
            norm.i.payload.l[0].eq(Array(self.l[g] for g in heads)[asked]),
            norm.i.payload.e[0].eq(exponent),
            norm.o.ready.eq(1),
        ]
        with m.If(norm.i.valid & norm.i.ready):
            m.d.sync += asked.eq(asked + 1)
        with m.If(norm.o.valid):
            m.d.sync += known.eq(known + 1)
            with m.Switch(known):
                for g in heads:
                    with m.Case(g):
                        m.d.sync += factor[g].eq(norm.o.payload.result[0])

        # Sums leave in beats; the array selects the next beat with each `shift`.
        beats = params.head_dim // params.vector_lanes
        beat = Signal(range(max(2, beats)))
        full, step = Signal(), Signal()
        value = [
            Signal(signed(params.acc_bits), name=f"value_{i}", reset_less=True) for i in range(params.vector_lanes)
        ]
        k = Signal(32, reset_less=True)
        m.d.comb += [step.eq(self.busy & (known > head) & (~full | scale.i.ready)), self.shift.eq(step)]
        with m.If(step):
            m.d.sync += [
                *(value[i].eq(self.acc[i]) for i in range(params.vector_lanes)),
                k.eq(Array(factor)[head]),
                beat.eq(beat + 1),
                full.eq(1),
            ]
            with m.If(beat == beats - 1):
                m.d.sync += [beat.eq(0), head.eq(head + 1)]
                with m.If(head + 1 == count):
                    m.d.sync += self.busy.eq(0)
        with m.Elif(scale.i.ready):
            m.d.sync += full.eq(0)
        with m.If(self.start):
            m.d.sync += [
                self.busy.eq(1),
                count.eq(self.group),
                exponent.eq(self.e),
                asked.eq(0),
                known.eq(0),
                head.eq(0),
            ]
        m.d.comb += [
            scale.i.valid.eq(full),
            *(scale.i.payload.acc[i].eq(value[i]) for i in range(params.vector_lanes)),
            scale.i.payload.k.eq(k),
            self.o.valid.eq(scale.o.valid),
            self.o.payload.y.eq(scale.o.payload.result),
            scale.o.ready.eq(self.o.ready),
        ]
        in_flight = Signal(range(scale.latency + 3))
        sent = self.o.valid & self.o.ready
        with m.If(step & ~sent):
            m.d.sync += in_flight.eq(in_flight + 1)
        with m.Elif(sent & ~step):
            m.d.sync += in_flight.eq(in_flight - 1)
        m.d.comb += self.idle.eq(~self.busy & (in_flight == 0))
        return m
