"""Between the two uses of the array: scores of a query group, their softmax, and the weights of the values."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.attention.params import (
    POSITION_BITS,
    WEIGHT_BITS,
    AttentionParams,
)
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.layouts import COLUMN_BITS, HEAD_BITS, SCALE_BITS, LocalKind
from rtlm.hw.common.register_slice import RegisterSlice
from rtlm.hw.kernels import largest_score, position_score, position_weight, probability_sum, value_exponent
from rtlm.hw.kernels.attention import DOT_BITS, SCORE_BITS


class AttentionScores(wiring.Component):
    """Scores, maxima and weights for the query heads that share a KV head.

    Protocol: `start` begins a query group; then come the scales of the history (`scale_valid`) and, beat by beat,
    dot products (`dot_soon` two cycles before `dot_valid`), those of the history first, then one beat for each local
    position. When the last score is known the weights start by themselves, beat by beat in the same order, on
    `w_valid`/`w_ready`; `w_last` says that those taken are the group's last. `done` pulses when `l` is
    complete; it holds until the next group's is, `e` until the next group's last scores have come. Scales of this
    step's keys and values are written through `local_*` at any time before. Scores wait in two memories: those of the
    history, a beat in a row, and those of this step's positions, which would take a row for one score.

    Latency: `latency` cycles from the last dot products to the first weights.

    Throughput: a beat a cycle.

    Numerics: docs/numerics.md, attention.

    Parameters
    ----------
    params
        Sizes of the attention unit.

    Ports
    -----
    local_valid, local_kind, local_column, local_head, local_s
        A scale of this step.
    start, rows, history, masked, local_index
        Beats of the group, positions in memory, how many of them do not count, from the first on (only with windows),
        index (column x kv_heads + head) of the first local position.
    scale_valid, scale_word
        Scales of the history, in order, as many as the unit takes of a word in a cycle.
    sq_c0
        Scale of each query times c0, F32 bits, stable while dot products come.
    dot_soon, dot_valid, dot
        Dot products of group x positions.
    w_valid, w_ready, w_last, w
        Weights; those of positions that do not exist or do not count are 0.
    done, l, e
        For each query head the sum of its probabilities; the exponent.
    """

    def __init__(self, params: AttentionParams):
        self._params = params

        def each(shape: int) -> data.ArrayLayout:
            return data.ArrayLayout(data.ArrayLayout(shape, params.positions), params.group)

        super().__init__(
            {
                "local_valid": In(1),
                "local_kind": In(LocalKind),
                "local_column": In(COLUMN_BITS),
                "local_head": In(HEAD_BITS),
                "local_s": In(SCALE_BITS),
                "start": In(1),
                "rows": In(POSITION_BITS),
                "history": In(POSITION_BITS),
                **({"masked": In(range(params.kv.word_positions))} if params.windows else {}),
                "local_index": In(range(max(2, params.columns * params.kv_heads))),
                "scale_valid": In(1),
                "scale_word": In(params.chunk_bits),
                "sq_c0": In(data.ArrayLayout(32, params.group)),
                "dot_soon": In(1),
                "dot_valid": In(1),
                "dot": In(each(DOT_BITS)),
                "w_valid": Out(1),
                "w_ready": In(1),
                "w_last": In(1),
                "w": Out(each(WEIGHT_BITS)),
                "done": Out(1),
                "l": Out(data.ArrayLayout(params.probability_sum_bits, params.group)),
                "e": Out(8),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the last dot products to the first weights."""
        return self.latency_of(self._params)

    @staticmethod
    def latency_of(params: AttentionParams) -> int:
        """Return `latency` without making the component."""
        weights_begin, fetch, leave = 1, 2, 1
        score, weight = (k.schedule(**params.pipeline).latency for k in (position_score, position_weight))
        maximum = largest_score.schedule(lanes=params.positions, **params.pipeline).latency
        return score + maximum + weights_begin + fetch + weight + leave

    def elaborate(self, platform) -> Module:
        """Build the pipelines around the score buffer."""
        m = Module()
        params = self._params
        score_tag = data.StructLayout({"exists": params.positions, "local": 1})
        build = {"lanes": params.lanes, **params.pipeline}
        m.submodules.score = self._score = position_score.component(**build, tag=score_tag, framing=True)
        m.submodules.weight = self._weight = position_weight.component(**build)
        positions, group = range(params.positions), range(params.group)
        scales = m.submodules.scales = memory.Memory(
            shape=params.chunk_bits, depth=params.scale_rows, init=[], attrs={"ram_style": "block"}
        )
        scores = m.submodules.scores = memory.Memory(
            shape=SCORE_BITS * params.lanes, depth=params.history_rows, init=[]
        )
        local_scores = m.submodules.local_scores = memory.Memory(
            shape=SCORE_BITS * params.group, depth=max(2, params.columns), init=[]
        )
        local_port = self._local_scales(m)
        scale_write, scale_read = scales.write_port(), scales.read_port()
        score_write, score_read = scores.write_port(), scores.read_port()
        local_write, local_read = local_scores.write_port(), local_scores.read_port()
        result, result_is_local = self._score.o.payload.result, self._score.o.payload.tag.local
        m.d.comb += [
            scale_write.data.eq(self.scale_word),
            scale_write.en.eq(self.scale_valid),
            score_write.data.eq(Value.cast(result)),
            score_write.en.eq(self._score.o.valid & ~result_is_local),
            # A local position is the first of its beat.
            local_write.data.eq(Cat(result[g * params.positions] for g in group)),
            local_write.en.eq(self._score.o.valid & result_is_local),
        ]
        with m.If(self.scale_valid):
            m.d.sync += scale_write.addr.eq(scale_write.addr + 1)
        for port in (score_write, local_write):
            with m.If(port.en):
                m.d.sync += port.addr.eq(port.addr + 1)

        # Fetch: scales (and for the weights scores) of a beat. In the score phase it moves with the dot products, in
        # the weight phase when the weight pipeline takes.
        weights, left = Signal(), Signal(POSITION_BITS)
        row, history = Signal(range(params.history_rows + 1)), Signal(POSITION_BITS)
        local = Signal.like(self.local_index)
        exists = [history > p for p in positions]
        if params.windows:
            masked = Signal.like(self.masked)
            exists = [each & (masked <= p) for p, each in enumerate(exists)]
        fetched, ready2 = Signal(), Signal()
        advance, go, is_local = Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(~weights | ~ready2 | self._weight.i.ready),
            go.eq(Mux(weights, (left != 0) & advance, self.dot_soon)),
            is_local.eq(history == 0),
        ]
        # A row of scales may have those of several beats.
        part_bits = exact_log2(params.bytes_per_cycle // (SCALE_PAIR_BYTES * params.positions))
        part, from_local, last = Signal(part_bits), Signal(), Signal()
        mask = Signal(params.positions, reset_less=True)
        m.d.comb += [
            scale_read.addr.eq(row >> part_bits),
            scale_read.en.eq(go & ~is_local),
            score_read.addr.eq(row),
            score_read.en.eq(go & weights & ~is_local),
            local_read.en.eq(go & weights & is_local),
            local_port[0].eq(local),
            local_port[1].eq(go & is_local),
        ]
        with m.If(go):
            m.d.sync += [
                left.eq(left - 1),
                part.eq(row[:part_bits]),
                from_local.eq(is_local),
                last.eq(left == 1),
                mask.eq(Mux(is_local, 1, Cat(exists))),
            ]
            with m.If(is_local):
                m.d.sync += [local.eq(local + params.kv_heads), local_read.addr.eq(local_read.addr + 1)]
            with m.Else():
                m.d.sync += row.eq(row + 1)
                m.d.sync += history.eq(Mux(history > params.positions, history - params.positions, 0))
                if params.windows:
                    m.d.sync += masked.eq(Mux(masked > params.positions, masked - params.positions, 0))
        scale = [Signal(32, name=f"scale_{p}", reset_less=True) for p in positions]
        s = [Signal(SCORE_BITS, name=f"s_{i}", reset_less=True) for i in range(params.lanes)]
        mask2, local2, last2 = Signal.like(mask), Signal(), Signal()
        pairs = 32 * params.positions
        with m.If(advance):
            m.d.sync += [fetched.eq(go), ready2.eq(fetched)]
            with m.If(fetched):
                m.d.sync += [mask2.eq(mask), local2.eq(from_local), last2.eq(last)]
                with m.If(from_local):
                    m.d.sync += scale[0].eq(local_port[2])
                with m.Else():
                    m.d.sync += Cat(*scale).eq(scale_read.data.word_select(part, pairs))
                with m.If(weights & from_local):
                    m.d.sync += Cat(s[g * params.positions] for g in group).eq(local_read.data)
                with m.Elif(weights):
                    m.d.sync += Cat(*s).eq(score_read.data)

        self._exponent(m, scale, mask2, last2, ready2 & ~weights)
        last_score = self._scores(m, scale, mask2, local2, last2)
        with m.If(last_score):
            m.d.sync += weights.eq(1)
        with m.If(self.start):
            m.d.sync += [weights.eq(0), scale_write.addr.eq(0), score_write.addr.eq(0), local_write.addr.eq(0)]
        with m.If(self.start | last_score):
            m.d.sync += [
                row.eq(0),
                local_read.addr.eq(0),
                left.eq(self.rows),
                history.eq(self.history),
                local.eq(self.local_index),
            ]
            if params.windows:
                m.d.sync += masked.eq(self.masked)

        pipe = self._weight
        m.d.comb += [
            pipe.i.valid.eq(ready2 & weights),
            pipe.i.payload.e.eq(self.e),
            Value.cast(pipe.i.payload.s).eq(Cat(*s)),
        ]
        for g in group:
            for p in positions:
                lane = g * params.positions + p
                m.d.comb += [
                    pipe.i.payload.m[lane].eq(self._largest[g]),
                    pipe.i.payload.sv[lane].eq(scale[p][16:][:SCALE_BITS]),
                    pipe.i.payload.exists[lane].eq(mask2[p]),
                ]
        self._weights(m)
        return m

    def _local_scales(self, m: Module) -> tuple[Signal, Signal, Value]:
        """Scales of this step's keys and values: address, enable and data of the read side."""
        params = self._params
        address, enable = Signal.like(self.local_index), Signal()
        target = Signal.like(self.local_index)
        m.d.comb += target.eq(self.local_column * params.kv_heads + self.local_head)
        data_ = []
        for kind in (LocalKind.KEY, LocalKind.VALUE):
            store = memory.Memory(shape=SCALE_BITS, depth=params.columns * params.kv_heads, init=[])
            m.submodules[f"local_{kind.name.lower()}"] = store
            write, read = store.write_port(), store.read_port()
            m.d.comb += [
                write.addr.eq(target),
                write.data.eq(self.local_s),
                write.en.eq(self.local_valid & (self.local_kind == kind)),
                read.addr.eq(address),
                read.en.eq(enable),
            ]
            data_ += [read.data, Const(0, 1)]
        return address, enable, Cat(*data_)

    def _exponent(self, m: Module, scale: list[Signal], exists: Signal, last: Signal, valid: Value) -> None:
        """Largest exponent field of the value scales."""
        params = self._params
        pipe = m.submodules.exponent = value_exponent.component(lanes=params.positions, **params.pipeline)
        m.d.comb += [
            pipe.i.valid.eq(valid),
            pipe.i.payload.last.eq(last),
            pipe.o.ready.eq(1),
            self.e.eq(pipe.o.payload.result),
        ]
        for p, pair in enumerate(scale):
            m.d.comb += [pipe.i.payload.sv[p].eq(pair[16:]), pipe.i.payload.exists[p].eq(exists[p])]

    def _scores(self, m: Module, scale: list[Signal], exists: Signal, local: Signal, last: Signal) -> Value:
        """Scores and their maxima; gives a flag that rises when these are known.

        A maximum holds until the next packet's: what follows a reduction moves once a packet.
        """
        params = self._params
        pipe = self._score
        m.d.comb += [
            pipe.i.valid.eq(self.dot_valid),
            pipe.i.payload.last.eq(last),
            pipe.i.payload.tag.exists.eq(exists),
            pipe.i.payload.tag.local.eq(local),
            pipe.o.ready.eq(1),
        ]
        self._largest, known = [], []
        for g in range(params.group):
            largest = largest_score.component(lanes=params.positions, **params.pipeline)
            m.submodules[f"largest_{g}"] = largest
            m.d.comb += [
                largest.i.valid.eq(pipe.o.valid),
                largest.i.payload.last.eq(pipe.o.payload.last),
                largest.o.ready.eq(1),
            ]
            for p in range(params.positions):
                lane = g * params.positions + p
                m.d.comb += [
                    pipe.i.payload.dot[lane].eq(self.dot[g][p]),
                    pipe.i.payload.sq_c0[lane].eq(self.sq_c0[g]),
                    pipe.i.payload.sk[lane].eq(scale[p][:SCALE_BITS]),
                    largest.i.payload.s[p].eq(pipe.o.payload.result[lane]),
                    largest.i.payload.exists[p].eq(pipe.o.payload.tag.exists[p]),
                ]
            self._largest.append(largest.o.payload.result)
            known.append(largest.o.valid)
        return known[0]

    def _weights(self, m: Module) -> None:
        """Weights to the array, and the sums of the probabilities."""
        params = self._params
        pipe = self._weight
        m.submodules.leave = leave = RegisterSlice(pipe.o.payload.shape())
        wiring.connect(m, pipe.o, leave.i)
        m.d.comb += [self.w_valid.eq(leave.o.valid), leave.o.ready.eq(self.w_ready)]
        for g in range(params.group):
            sums = probability_sum.component(lanes=params.positions, **params.pipeline)
            m.submodules[f"sums_{g}"] = sums
            m.d.comb += [
                sums.i.valid.eq(leave.o.valid & self.w_ready),
                sums.i.payload.last.eq(self.w_last),
                sums.o.ready.eq(1),
                self.l[g].eq(sums.o.payload.result),
            ]
            if g == 0:
                m.d.comb += self.done.eq(sums.o.valid)
            for p in range(params.positions):
                weight = g * params.positions + p
                m.d.comb += [
                    self.w[g][p].eq(leave.o.payload.w[weight]),
                    sums.i.payload.p[p].eq(leave.o.payload.p[weight]),
                ]
