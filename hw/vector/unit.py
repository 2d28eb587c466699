"""The vector engine: everything between the matrix unit's results and the next matrix product."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.clock_gate import add_pipeline, add_unit
from rtlm.hw.common.layouts import COLUMN_BITS, ROWS_BITS
from rtlm.hw.common.register_slice import RegisterSlice
from rtlm.hw.kernels import dequantise_half, norm_scalar
from rtlm.hw.matmul.activations import block_write_layout, vector_scale_layout
from rtlm.hw.vector.collect import PacketCollector
from rtlm.hw.vector.embed import EmbedUnpacker
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.kept import KeptSums
from rtlm.hw.vector.kv import KvWriter
from rtlm.hw.vector.load import TableLoader
from rtlm.hw.vector.logits import ArgMax, LogitWriter
from rtlm.hw.vector.operands import OperandFetch
from rtlm.hw.vector.params import VectorParams
from rtlm.hw.vector.routes import HEADS, SUMS, TURNED, WEIGHTED, EpilogueRoutes, available
from rtlm.hw.vector.tags import BeatTagger

IN_FLIGHT_BITS = 8
"""Width of counters of packets in flight: more packets than fit the quantiser."""

FETCH_CYCLES = 3
"""Latency of `OperandFetch`."""


class VectorEngine(wiring.Component):
    """Residuals, norms, rotation, SwiGLU, quantisation, embedding, arg-max: one epilogue after another.

    Commands are taken in program order; each takes exactly its own data.

    ============== ============= ============================================================================
    epilogue       takes         does
    ============== ============= ============================================================================
    RESIDUAL       results       x += y; x * w quantised into bank 0; r = 1/sqrt(sum(x^2) * imm0 + imm1)
    POST_NORM      results       keeps y * w, and for each column r = 1/sqrt(sum(y^2) * imm0 + imm1)
    ADD            what is kept  y = r times this; then as RESIDUAL
    ROPE_Q         results       rotates, quantises each head, to attention
    ROPE_K         results       the same, and to the KV cache at `address` (from the slot's start)
    VALUE          results       quantises each head, to attention and the KV cache at `address`
    SWIGLU         results       rows alternate gate and up; quantised into bank 1
    QUANTISE       attention     quantised into bank 1
    LOGITS         results       arg-max of each column; with `store` the logits to memory at `address`
    EMBED          words         one embedding row (fp16 scales, int8 codes) becomes x of `column`; then as RESIDUAL
    LOAD_NORM      words         `rows` F32 become the normalisation weight w
    LOAD_ROPE      words         `rows` F32 (cos, sin, cos, sin ...) become the rotations of `column`
    LOAD_BIAS      words         `rows` F32 become the biases of heads: of queries, then of keys, then of values
    LOAD_HEAD_NORM words         `rows` F32 become the norm of a query's head and, behind it, that of a key's
    ============== ============= ============================================================================

    With `biases`, ROPE_Q, ROPE_K and VALUE first add the biases of the heads from number `imm0` on. With `head_norms`,
    ROPE_Q and ROPE_K then multiply a head by its norm and, when it is quantised, by 1/sqrt(mean(x^2) + imm1), `x` being
    what came out of the sum. With `gelu`, SWIGLU's activation is GELU. Engines have these two loads, POST_NORM and ADD,
    and the flags as their parameters say. An ADD takes exactly what the last POST_NORM has kept.

    `rows` counts the values that arrive for each column. Results come in packets of 32 rows (RESIDUAL, LOGITS),
    head_dim rows (ROPE, VALUE) or 64 rows (SWIGLU), each packet in turn for each of the `columns_active` columns;
    attention gives whole columns after each other.

    Protocol: a command begins when the pipelines before the quantiser are empty and nothing is in flight that it would
    overtake; a load also begins beside a command that does not use what it loads. `columns_active`, `position` and
    `kv_base` hold still while `idle` is low. Only `o_writes` can stall the engine.
    Latency: from a packet's last beat to its write into a bank: 3 cycles for the operands, the epilogue's kernels, a
    register slice, the quantiser, and the quantised packet's beats as its kernel gives them (`latency`); of beats that
    come faster than one in `params.interval` cycles, the last one waits for those before it.

    Handshakes: `ready` comes from registers between embedding and operands, operands and kernels, kernels and
    quantiser, quantiser and collector, so that no stall runs through more than one of them in a cycle.
    Throughput: one beat in at most `params.interval` cycles, by epilogue as of `intervals_of`; one word of a load a
    cycle; about a dozen cycles between commands.
    Numerics: docs/numerics.md; the kernels define every rounding. `hw/vector/model.py` is the model.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    i_command
        `VectorParams.command`.
    i_results, i_attention, i_words
        F32 results of the matrix unit, of attention, words from memory.
    columns_active, position, kv_base
        Columns in use; each column's position, and the beat address of its slot in the KV cache.
    o_bank, o_scale
        Blocks for the activation banks, and each column's r.
    o_local
        Quantised heads for attention.
    o_writes
        Words, or parts of them, with strobes, for memory.
    best_index, best_value
        Arg-max of each column, from the end of LOGITS to the next.
    idle
        No command waits and nothing is in flight.
    busy
        Operators work: a beat comes out of the operand fetch, or its kernel still takes turns with it.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        floats = stream.Signature(params.result)
        super().__init__(
            {
                "i_command": In(stream.Signature(params.command)),
                "i_results": In(floats),
                "i_attention": In(floats),
                "i_words": In(stream.Signature(unsigned(8 * params.word_bytes))),
                "columns_active": In(COLUMN_BITS),
                "position": In(data.ArrayLayout(32, params.columns)),
                "kv_base": In(data.ArrayLayout(32, params.columns)),
                "o_bank": Out(
                    stream.Signature(block_write_layout(params.columns, params.max_blocks), always_ready=True)
                ),
                "o_scale": Out(stream.Signature(vector_scale_layout(params.columns), always_ready=True)),
                "o_local": Out(stream.Signature(params.local_write, always_ready=True)),
                "o_writes": Out(stream.Signature(params.word_write)),
                "best_index": Out(data.ArrayLayout(ROWS_BITS, params.columns)),
                "best_value": Out(data.ArrayLayout(32, params.columns)),
                "idle": Out(1),
                "busy": Out(1),
            }
        )
        self._routes = EpilogueRoutes(params)
        self._dequantise = dequantise_half.component(params.directives(dequantise_half), busy=params.gated)
        # It takes squares as they come.
        self._scale = norm_scalar.component(
            lanes=params.lanes,
            **params.pipeline,
            busy=params.gated,
            keys=params.columns,
            tag=unsigned(1 + params.post_norms),
        )

    @property
    def latency(self) -> dict[Epilogue, int]:
        """Cycles from a packet's last beat in to the packet's write, by epilogue."""
        return self.latency_of(self.params)

    @staticmethod
    def latency_of(params: VectorParams) -> dict[Epilogue, int]:
        """Return `latency` of an engine without making it."""
        interval = EpilogueRoutes.schedule(params, params.quantiser).initiation_interval
        return {
            epilogue: FETCH_CYCLES
            + cycles
            + 1
            + ((params.head_beats if epilogue in HEADS else params.block_beats) - 1) * interval
            for epilogue, cycles in EpilogueRoutes.latency(params).items()
        }

    @staticmethod
    def intervals_of(params: VectorParams) -> dict[Epilogue, int]:
        """Return the cycles between beats in, by epilogue that takes values."""
        intervals = EpilogueRoutes.intervals(params)
        dequantised = dequantise_half.schedule(params.directives(dequantise_half)).initiation_interval
        further = {Epilogue.EMBED: max(intervals[Epilogue.EMBED], dequantised), Epilogue.LOGITS: params.slice_interval}
        if params.post_norms:
            scaled = KeptSums.schedule(params).initiation_interval
            further[Epilogue.ADD] = max(intervals[Epilogue.ADD], scaled)
        return intervals | further

    def elaborate(self, platform: object) -> Module:
        """Build the gates."""
        m = Module()
        params = self.params
        m.submodules.tagger = tagger = BeatTagger(params)
        m.submodules.operands = operands = OperandFetch(params)
        m.submodules.routes = routes = self._routes
        m.submodules.collector = collector = PacketCollector(params)
        scale = add_pipeline(m, "scale", self._scale, params.clock_gating)
        kv, logits, unpacker = KvWriter(params), LogitWriter(params), EmbedUnpacker(params)
        m.submodules.stored = stored = RegisterSlice(logits.i.payload.shape(), entries=params.slice_entries)
        wiring.connect(m, stored.o, logits.i)
        storing = stored.o.valid | logits.busy
        # Units that rest most of the time, each with what wakes it.
        rests: dict[str, tuple[Any, Value]] = {
            "kv": (kv, kv.i.valid),
            "logits": (logits, logits.start | stored.o.valid),
            "unpacker": (unpacker, unpacker.start),
        }
        for name, (unit, wake) in rests.items():
            add_unit(m, name, unit, params.clock_gating, wake=wake, active=unit.busy)
        m.submodules.best = best = ArgMax(params)
        m.submodules.loader = loader = TableLoader(params)
        dequantise = add_pipeline(m, "dequantise", self._dequantise, params.clock_gating)
        m.submodules.embedded = embedded = RegisterSlice(params.floats, entries=params.slice_entries)

        command = self.i_command.p
        active, settled = Signal(), Signal()
        kind = Signal(Epilogue)
        store = Signal()
        inv_n, eps = Signal(32, reset_less=True), Signal(32, reset_less=True)
        key_address, value_address = (
            Signal(params.address_bits, name=f"{n}_address", reset_less=True) for n in ("key", "value")
        )

        self._scalars_awaited = Signal(range(params.columns + 1))
        own_loads = {Epilogue.LOAD_BIAS: params.biases, Epilogue.LOAD_HEAD_NORM: params.head_norms}
        self._own_loads = [epilogue for epilogue, has in own_loads.items() if has]
        self._own_table = Signal()
        self._weighted, self._sums = available(params, WEIGHTED), available(params, SUMS)
        begin = self._accept(m, active, kind, loader=loader, kv=kv, collector=collector, storing=storing, routes=routes)
        with m.If(begin):
            m.d.sync += [active.eq(1), kind.eq(command.epilogue), store.eq(command.store)]
            with m.Switch(command.epilogue):
                with m.Case(*self._weighted):
                    m.d.sync += [inv_n.eq(command.imm0), eps.eq(command.imm1)]
                with m.Case(Epilogue.ROPE_K):
                    m.d.sync += key_address.eq(command.address)
                with m.Case(Epilogue.VALUE):
                    m.d.sync += value_address.eq(command.address)
        with m.Elif(active & settled):
            m.d.sync += active.eq(0)

        def is_kind(*kinds: Epilogue) -> Signal:
            """Return a register that says whether the command in progress is one of these."""
            flag = Signal(name="is_" + "_or_".join(each.name.lower() for each in kinds))
            with m.If(begin):
                m.d.sync += flag.eq(Cat(command.epilogue == each for each in kinds).any())
            return flag

        for unit in (tagger, unpacker, logits):
            m.d.comb += unit.rows.eq(command.rows)
        m.d.comb += [
            tagger.start.eq(begin),
            tagger.epilogue.eq(command.epilogue),
            tagger.column.eq(command.column),
            tagger.columns_active.eq(self.columns_active),
            unpacker.start.eq(begin & (command.epilogue == Epilogue.EMBED)),
            logits.start.eq(begin & (command.epilogue == Epilogue.LOGITS) & command.store),
            logits.address.eq(command.address),
            logits.columns_active.eq(self.columns_active),
        ]

        # Words: to the loader, or while an embedding is read to the unpacker.
        embed, attend = is_kind(Epilogue.EMBED), is_kind(Epilogue.QUANTISE)
        m.d.comb += [
            loader.i_words.payload.eq(self.i_words.payload),
            loader.i_words.valid.eq(self.i_words.valid),
            unpacker.i_words.payload.eq(self.i_words.payload),
            unpacker.i_words.valid.eq(self.i_words.valid),
            # Each is ready only between its own command's start and last word, and these never overlap.
            self.i_words.ready.eq(loader.i_words.ready | unpacker.i_words.ready),
            operands.table_write.valid.eq(loader.o.valid & ~self._own_table if self._own_loads else loader.o.valid),
            operands.table_write.payload.eq(loader.o.payload),
            dequantise.i.valid.eq(unpacker.o.valid),
            unpacker.o.ready.eq(dequantise.i.ready),
            Value.cast(dequantise.i.p).eq(unpacker.o.payload),
            embedded.i.valid.eq(dequantise.o.valid),
            dequantise.o.ready.eq(embedded.i.ready),
            embedded.i.payload.eq(dequantise.o.p.result),
        ]

        # The present command's source.
        results = ~embed & ~attend
        value = operands.i
        other = Mux(attend, self.i_attention.p.y, self.i_results.p.y)
        more: list[Value] = []
        if params.post_norms:
            m.submodules.kept = kept = KeptSums(params)
            adds = is_kind(Epilogue.ADD)
            results &= ~adds
            more.append(adds & kept.o.valid)
            other = Mux(adds, kept.o.payload, other)
            m.d.comb += [kept.run.eq(active & adds), kept.o.ready.eq(kept.run & value.ready)]
            wiring.connect(m, routes.o_kept, kept.i)
        sources = (results & self.i_results.valid, attend & self.i_attention.valid, embed & embedded.o.valid, *more)
        m.d.comb += [
            value.valid.eq(reduce(or_, sources)),
            value.payload.eq(Mux(embed, embedded.o.payload, other)),
            self.i_results.ready.eq(active & results & value.ready),
            self.i_attention.ready.eq(active & attend & value.ready),
            embedded.o.ready.eq(active & embed & value.ready),
            operands.uses_x.eq(is_kind(*(each for each in self._sums if each is not Epilogue.EMBED))),
            operands.uses_table.eq(is_kind(*self._weighted, *TURNED)),
        ]
        wiring.connect(m, tagger.o, operands.i_tags)
        self._add_head_inputs(m, begin, loader=loader, tagger=tagger, operands=operands, routes=routes)

        # Logits go to the arg-max and, if they are stored, in step to the packer; everything else to the kernels.
        is_logits = is_kind(Epilogue.LOGITS)
        beat = operands.o
        packer_ready = ~store | stored.i.ready
        m.d.comb += [
            routes.kind.eq(kind),
            routes.i.payload.eq(beat.payload),
            routes.i.valid.eq(beat.valid & ~is_logits),
            beat.ready.eq(Mux(is_logits, best.i.ready & packer_ready, routes.i.ready)),
            best.i.valid.eq(beat.valid & is_logits & packer_ready),
            stored.i.valid.eq(beat.valid & is_logits & store & best.i.ready),
            settled.eq(Mux(is_logits, best.done, routes.final)),
        ]
        for each in (best.i, stored.i):
            m.d.comb += [each.p.y.eq(beat.p.y), each.p.tag.eq(beat.p.tag)]
        m.d.comb += [self.best_index.eq(best.best_index), self.best_value.eq(best.best_value)]
        self._count_turns(m, kind, beat.valid & beat.ready)

        # New residual values and their squares; squares alone of what is kept.
        squares = routes.o_x.valid
        scalar_tag = [routes.o_x.p.tag.last_column]
        if params.post_norms:
            keeps = routes.o_kept.valid & routes.o_kept.ready
            squares |= keeps
            scalar_tag.append(keeps)
        m.d.comb += [
            operands.x_write.valid.eq(routes.o_x.valid),
            operands.x_write.p.address.eq(routes.o_x.p.tag.x_address),
            operands.x_write.p.data.eq(routes.o_x.p.x),
            scale.i.valid.eq(squares),
            scale.i.p.square.eq(routes.o_x.p.square),
            scale.i.p.inv_n.eq(inv_n),
            scale.i.p.eps.eq(eps),
            scale.i.p.tag.eq(Cat(scalar_tag)),
            scale.i.p.last.eq(routes.o_x.p.tag.column_last),
            scale.o.ready.eq(1),
        ]
        written, for_banks, domain = scale.o.valid, scale.o.valid, m.d.comb
        if params.post_norms:
            # It is told here whose r this is: no path goes from that to the logic of the banks.
            written, domain = Signal(), m.d.sync
            for_banks = scale.o.valid & ~scale.o.p.tag[1]
            m.d.sync += written.eq(scale.o.valid)
            m.d.comb += [kept.r_write.valid.eq(scale.o.valid & scale.o.p.tag[1]), kept.r_write.p.r.eq(scale.o.p.result)]
            if params.columns > 1:
                m.d.comb += kept.r_write.p.column.eq(scale.o.p.key)
        domain += [
            self.o_scale.valid.eq(for_banks),
            self.o_scale.p.last_column.eq(scale.o.p.tag),
            self.o_scale.p.r.eq(scale.o.p.result),
        ]
        if params.columns > 1:
            m.d.comb += scale.i.p.key.eq(routes.o_x.p.tag.column)
            domain += self.o_scale.p.column.eq(scale.o.p.key)
        _count(m, self._scalars_awaited, scale.i.valid & scale.i.p.last, written)

        # Quantised packets.
        wiring.connect(m, routes.o, collector.i)
        wiring.connect(m, collector.o_bank, wiring.flipped(self.o_bank))
        wiring.connect(m, collector.o_local, wiring.flipped(self.o_local))
        wiring.connect(m, collector.o_row, kv.i)
        m.d.comb += [
            kv.key_address.eq(key_address),
            kv.value_address.eq(value_address),
            kv.position.eq(self.position),
            kv.kv_base.eq(self.kv_base),
        ]
        self._write(m, kv, logits)
        waiting = self.i_command.valid | active | loader.busy | kv.busy | storing | self.o_writes.valid
        m.d.comb += self.idle.eq(~waiting & ~self._packets_pending & (self._scalars_awaited == 0))
        return m

    def _accept(self, m, active, kind, *, loader, kv, collector, storing, routes) -> Signal:
        """Take commands; give the pulse that begins one that is no load."""
        command = self.i_command.p
        packets = Signal(IN_FLIGHT_BITS)
        keys, values = Signal(IN_FLIGHT_BITS), Signal(IN_FLIGHT_BITS)
        _count(m, packets, routes.packet, collector.done)
        for epilogue, counter in ((Epilogue.ROPE_K, keys), (Epilogue.VALUE, values)):
            ended = kv.done & (kv.done_value == (epilogue is Epilogue.VALUE))
            _count(m, counter, routes.packet & (kind == epilogue), ended)
        self._packets_pending = Signal()
        m.d.comb += self._packets_pending.eq(packets != 0)

        load, clash = Signal(), Signal()
        free = Signal()
        of_head = Cat(kind == each for each in HEADS).any()
        with m.Switch(command.epilogue):
            with m.Case(Epilogue.LOAD_NORM):
                # A load overwrites what the command in progress may still read.
                m.d.comb += [load.eq(1), clash.eq(reduce(or_, (kind == each for each in self._weighted)))]
            with m.Case(Epilogue.LOAD_ROPE):
                m.d.comb += [
                    load.eq(1),
                    clash.eq((kind == Epilogue.ROPE_Q) | (kind == Epilogue.ROPE_K) | (kind == Epilogue.EMBED)),
                ]
            if self._own_loads:
                with m.Case(*self._own_loads):
                    m.d.comb += [load.eq(1), clash.eq(of_head | (kind == Epilogue.EMBED))]
            with m.Case(*self._weighted):
                m.d.comb += free.eq(~loader.busy & (self._scalars_awaited == 0))
            with m.Case(Epilogue.ROPE_Q):
                m.d.comb += free.eq(~loader.busy)
            with m.Case(Epilogue.ROPE_K):
                # The layer's address serves all keys in flight.
                m.d.comb += free.eq(~loader.busy & (keys == 0) & ~storing)
            with m.Case(Epilogue.VALUE):
                has_room = (values == 0) & ~storing
                m.d.comb += free.eq(~loader.busy & has_room if self._own_loads else has_room)
            with m.Case(Epilogue.LOGITS):
                m.d.comb += free.eq(~storing & (keys == 0) & (values == 0))
            with m.Default():
                m.d.comb += free.eq(1)
        load_ready, main_ready = Signal(), Signal()
        begin = Signal()
        m.d.comb += [
            load_ready.eq(load & ~loader.busy & ~(active & clash)),
            main_ready.eq(~load & ~active & free),
            self.i_command.ready.eq(load_ready | main_ready),
            begin.eq(self.i_command.valid & main_ready),
            loader.start.eq(self.i_command.valid & load_ready),
            loader.rotation.eq(command.epilogue == Epilogue.LOAD_ROPE),
            loader.rows.eq(command.rows),
            loader.column.eq(command.column),
        ]
        return begin

    def _add_head_inputs(
        self,
        m: Module,
        begin: Value,
        *,
        loader: TableLoader,
        tagger: BeatTagger,
        operands: OperandFetch,
        routes: EpilogueRoutes,
    ) -> None:
        """Lead loads to the tables of biases and head norms, and say what of a family the command in progress uses."""
        params, command = self.params, self.i_command.p
        writes = {}
        if params.biases:
            writes[Epilogue.LOAD_BIAS] = operands.bias_write
        if params.head_norms:
            writes[Epilogue.LOAD_HEAD_NORM] = operands.head_norm_write
        for epilogue, write in writes.items():
            own = Signal(name=epilogue.name.lower())
            with m.If(loader.start):
                m.d.sync += own.eq(command.epilogue == epilogue)
            m.d.comb += [write.valid.eq(loader.o.valid & own), write.payload.eq(loader.o.payload)]
            with m.If(own):
                m.d.comb += self._own_table.eq(1)
        if params.biases:
            m.d.comb += tagger.first_head.eq(command.imm0)
            uses_bias = Signal()
            with m.If(begin):
                m.d.sync += uses_bias.eq(command.biases & Cat(command.epilogue == each for each in HEADS).any())
            m.d.comb += operands.uses_bias.eq(uses_bias)
        if params.head_norms:
            normed, eps = Signal(), Signal(32, reset_less=True, name="head_eps")
            with m.If(begin):
                m.d.sync += [
                    normed.eq(command.head_norms & Cat(command.epilogue == each for each in TURNED).any()),
                    eps.eq(command.imm1),
                ]
            m.d.comb += [operands.uses_head_norm.eq(normed), routes.normed.eq(normed), routes.eps.eq(eps)]
        if params.gelu:
            gelu = Signal()
            with m.If(begin):
                m.d.sync += gelu.eq(command.gelu)
            m.d.comb += routes.gelu.eq(gelu)

    def _count_turns(self, m: Module, kind: Signal, takes: Value) -> None:
        """Say in which cycles operators work on what was taken."""
        intervals = self.intervals_of(self.params)
        left = Signal(range(max(intervals.values())))
        m.d.comb += self.busy.eq(takes | (left != 0))
        with m.If(takes):
            with m.Switch(kind):
                for epilogue, cycles in intervals.items():
                    with m.Case(epilogue):
                        m.d.sync += left.eq(cycles - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

    def _write(self, m, kv: KvWriter, logits: LogitWriter) -> None:
        """Merge both writers, of which one rests while the other works (`_accept`), into a register."""
        room = ~self.o_writes.valid | self.o_writes.ready
        word = Signal(self.params.word_write, reset_less=True)
        m.d.comb += [self.o_writes.payload.eq(word), kv.o.ready.eq(room), logits.o.ready.eq(room)]
        with m.If(room):
            m.d.sync += self.o_writes.valid.eq(kv.o.valid | logits.o.valid)
        with m.If(room & kv.o.valid):
            m.d.sync += word.eq(kv.o.payload)
        with m.Elif(room & logits.o.valid):
            m.d.sync += word.eq(logits.o.payload)


def _count(m: Module, counter: Signal, up: Value, down: Value) -> None:
    with m.If(up & ~down):
        m.d.sync += counter.eq(counter + 1)
    with m.If(down & ~up):
        m.d.sync += counter.eq(counter - 1)
