"""Between the two uses of the array: scores of a query group, their softmax, and the weights of the values."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.attention.params import (
    DOT_BITS,
    POSITION_BITS,
    WEIGHT_BITS,
    AttentionParams,
)
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.layouts import COLUMN_BITS, HEAD_BITS, SCALE_BITS, LocalKind
from rtlm.hw.common.order_keys import from_key, to_key
from rtlm.hw.common.trees import max_tree
from rtlm.hw.kernels import position_score, position_weight

PROBABILITY_BITS = 40
"""Sum of 2^16 probabilities in units of 2^-24."""

WEIGHT_SUM_BITS = 32


class AttentionScores(wiring.Component):
    """Scores, maxima and weights for the query heads that share a KV head.

    Protocol: `start` begins a query group; then come the scale words of the history (`scale_valid`) and, beat by beat,
    dot products (`dot_soon` two cycles before `dot_valid`), those of the history first, then one beat for each local
    position. When the last score is known the weights start by themselves, beat by beat in the same order, on
    `w_valid`/`w_ready`. `l`, `w_sum` and `e` belong to the group until the next group's first weights are taken (`e`:
    until `start`); `l` and `w_sum` are complete two cycles after the last weights have been taken. Scales of this
    step's keys and values are written through `local_*` at any time before. Scores wait in two memories: those of the
    history, a beat in a row, and those of this step's positions, which would take a row for one score.

    Latency: `latency` cycles from the last dot products to the first weights.

    Throughput: a beat a cycle.

    Numerics: docs/numerics.md, attention. The maximum compares F32 as integers: sign-magnitude turned to offset binary.

    Parameters
    ----------
    params
        Sizes of the attention unit.

    Ports
    -----
    local_valid, local_kind, local_column, local_head, local_s
        A scale of this step.
    start, rows, history, local_index
        Beats of the group, positions in memory, index (column x kv_heads + head) of the first local position.
    scale_valid, scale_word
        Scales of the history, in order.
    sq_c0
        Scale of each query times c0, F32 bits, stable while dot products come.
    dot_soon, dot_valid, dot
        Dot products of group x positions.
    w_valid, w_ready, w
        Weights; those of positions that do not exist are 0.
    l, w_sum, e
        For each query head the sums of probabilities and of weights; the exponent.
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
                "local_index": In(range(max(2, params.columns * params.kv_heads))),
                "scale_valid": In(1),
                "scale_word": In(params.word_bits),
                "sq_c0": In(data.ArrayLayout(32, params.group)),
                "dot_soon": In(1),
                "dot_valid": In(1),
                "dot": In(each(DOT_BITS)),
                "w_valid": Out(1),
                "w_ready": In(1),
                "w": Out(each(WEIGHT_BITS)),
                "l": Out(data.ArrayLayout(PROBABILITY_BITS, params.group)),
                "w_sum": Out(data.ArrayLayout(WEIGHT_SUM_BITS, params.group)),
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
        maximum = 1 + exact_log2(1 << (params.positions - 1).bit_length())
        fetch = 2
        score, weight = (k.schedule(**params.pipeline).latency for k in (position_score, position_weight))
        return score + maximum + fetch + weight

    @property
    def _pipeline(self) -> dict:
        return {"lanes": self._params.lanes, **self._params.pipeline}

    def elaborate(self, platform) -> Module:
        """Build the pipelines around the score buffer."""
        m = Module()
        params = self._params
        tag = unsigned(params.positions)
        score_tag = data.StructLayout({"exists": tag, "local": 1})
        m.submodules.score = self._score = position_score.component(**self._pipeline, tag=score_tag)
        m.submodules.weight = self._weight = position_weight.component(**self._pipeline, tag=tag)
        positions, group = range(params.positions), range(params.group)
        scales = m.submodules.scales = memory.Memory(shape=params.word_bits, depth=params.kv.scale_words, init=[])
        scores = m.submodules.scores = memory.Memory(shape=32 * params.lanes, depth=params.history_rows, init=[])
        local_scores = m.submodules.local_scores = memory.Memory(
            shape=32 * params.group, depth=max(2, params.columns), init=[]
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
        fetched, ready2 = Signal(), Signal()
        advance, go, is_local = Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(~weights | ~ready2 | self._weight.i.ready),
            go.eq(Mux(weights, (left != 0) & advance, self.dot_soon)),
            is_local.eq(history == 0),
        ]
        # A scale word holds the scales of several beats.
        part_bits = exact_log2(params.word_bytes // (SCALE_PAIR_BYTES * params.positions))
        part, from_local, mask = Signal(part_bits), Signal(), Signal(params.positions, reset_less=True)
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
                mask.eq(Mux(is_local, 1, Cat(history > p for p in positions))),
            ]
            with m.If(is_local):
                m.d.sync += [local.eq(local + params.kv_heads), local_read.addr.eq(local_read.addr + 1)]
            with m.Else():
                m.d.sync += row.eq(row + 1)
                m.d.sync += history.eq(Mux(history > params.positions, history - params.positions, 0))
        scale = [Signal(32, name=f"scale_{p}", reset_less=True) for p in positions]
        s = [Signal(32, name=f"s_{i}", reset_less=True) for i in range(params.lanes)]
        mask2, local2 = Signal.like(mask), Signal()
        pairs = 32 * params.positions
        with m.If(advance):
            m.d.sync += [fetched.eq(go), ready2.eq(fetched)]
            with m.If(fetched):
                m.d.sync += [mask2.eq(mask), local2.eq(from_local)]
                with m.If(from_local):
                    m.d.sync += scale[0].eq(local_port[2])
                with m.Else():
                    m.d.sync += Cat(*scale).eq(scale_read.data.word_select(part, pairs))
                with m.If(weights & from_local):
                    m.d.sync += Cat(s[g * params.positions] for g in group).eq(local_read.data)
                with m.Elif(weights):
                    m.d.sync += Cat(*s).eq(score_read.data)

        exponent = self._exponent(m, scale, mask2, ready2 & ~weights)
        last_score = self._scores(m, scale, mask2, local2)
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

        pipe = self._weight
        m.d.comb += [
            pipe.i.valid.eq(ready2 & weights),
            pipe.i.payload.e.eq(exponent),
            pipe.i.payload.tag.eq(mask2),
            Value.cast(pipe.i.payload.s).eq(Cat(*s)),
            self.e.eq(exponent),
        ]
        for g in group:
            for p in positions:
                lane = g * params.positions + p
                m.d.comb += [
                    pipe.i.payload.m[lane].eq(from_key(self._maximum[g])),
                    pipe.i.payload.sv[lane].eq(scale[p][16:]),
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

    def _exponent(self, m: Module, scale: list[Signal], mask: Signal, valid: Value) -> Signal:
        """Largest exponent field of the value scales."""
        held = Signal()
        m.d.sync += held.eq(valid)
        fields = [Mux(mask[p], pair[23:31], 0) for p, pair in enumerate(scale)]
        largest, exponent = Signal(8, reset_less=True), Signal(8, init=1)
        with m.If(valid):
            m.d.sync += largest.eq(max_tree(fields))
        with m.If(self.start):
            m.d.sync += exponent.eq(1)
        with m.Elif(held & (largest > exponent)):
            m.d.sync += exponent.eq(largest)
        return exponent

    def _scores(self, m: Module, scale: list[Signal], mask: Signal, local: Signal) -> Signal:
        """Score pipeline and running maxima; gives a flag that rises with the last score."""
        params = self._params
        pipe = self._score
        m.d.comb += [
            pipe.i.valid.eq(self.dot_valid),
            pipe.i.payload.tag.exists.eq(mask),
            pipe.i.payload.tag.local.eq(local),
            pipe.o.ready.eq(1),
        ]
        for g in range(params.group):
            for p in range(params.positions):
                lane = g * params.positions + p
                m.d.comb += [
                    pipe.i.payload.dot[lane].eq(self.dot[g][p]),
                    pipe.i.payload.sq_c0[lane].eq(self.sq_c0[g]),
                    pipe.i.payload.sk[lane].eq(scale[p][:16]),
                ]
        result, exists, valid = pipe.o.payload.result, pipe.o.payload.tag.exists, pipe.o.valid
        keys = [
            [
                to_key(result[g * params.positions + p])
                if params.positions == 1
                else Mux(exists[p], to_key(result[g * params.positions + p]), 0)
                for p in range(params.positions)
            ]
            for g in range(params.group)
        ]
        # One comparison a cycle.
        while len(keys[0]) > 1:
            level = len(keys[0])
            following = [
                [Signal(32, name=f"key_{level}_{g}_{i}", reset_less=True) for i in range(level // 2)]
                for g in range(params.group)
            ]
            with m.If(valid):
                for row, registers in zip(keys, following, strict=True):
                    m.d.sync += [r.eq(max_tree(row[2 * i : 2 * i + 2])) for i, r in enumerate(registers)]
            keys, held = following, Signal(name=f"key_{level}_valid")
            m.d.sync += held.eq(valid)
            valid = held
        self._maximum = [Signal(32, name=f"maximum_{g}") for g in range(params.group)]
        pending = Signal(POSITION_BITS)
        last = Signal()
        m.d.comb += last.eq(valid & (pending == 1))
        with m.If(self.start):
            m.d.sync += [*(register.eq(0) for register in self._maximum), pending.eq(self.rows)]
        with m.Elif(valid):
            m.d.sync += pending.eq(pending - 1)
            for register, (key,) in zip(self._maximum, keys, strict=True):
                with m.If(key > register):
                    m.d.sync += register.eq(key)
        return last

    def _weights(self, m: Module) -> None:
        """Weights to the array, and their sums."""
        params = self._params
        pipe = self._weight
        fire, held, first = Signal(), Signal(), Signal()
        m.d.comb += [
            self.w_valid.eq(pipe.o.valid),
            pipe.o.ready.eq(self.w_ready),
            fire.eq(pipe.o.valid & self.w_ready),
        ]
        m.d.sync += held.eq(fire)
        with m.If(self.start):
            m.d.sync += first.eq(1)
        with m.Elif(held):
            m.d.sync += first.eq(0)
        for g in range(params.group):
            weights, probabilities = [], []
            for p in range(params.positions):
                lane = g * params.positions + p
                exists = 1 if params.positions == 1 else pipe.o.payload.tag[p]
                weights.append(Mux(exists, pipe.o.payload.w[lane], 0))
                probabilities.append(Mux(exists, pipe.o.payload.p[lane], 0))
                m.d.comb += self.w[g][p].eq(weights[-1])
            sums = ((self.l[g], probabilities, PROBABILITY_BITS), (self.w_sum[g], weights, WEIGHT_SUM_BITS))
            for kind, (port, terms, bits) in enumerate(sums):
                total = sum(terms[1:], Value.cast(terms[0]))
                part = Signal(len(total), name=f"part_{kind}_{g}", reset_less=True)
                running = Signal(bits, name=f"running_{kind}_{g}", reset_less=True)
                with m.If(fire):
                    m.d.sync += part.eq(total)
                with m.If(held):
                    m.d.sync += running.eq(Mux(first, 0, running) + part)
                m.d.comb += port.eq(running)
