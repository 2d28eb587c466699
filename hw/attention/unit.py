"""The attention unit: all heads of all columns over a quantised KV cache and this step's own keys and values."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from rtlm.hw.attention.array import AttentionArray
from rtlm.hw.attention.output import AttentionOutput
from rtlm.hw.attention.params import POSITION_BITS, AttentionParams
from rtlm.hw.attention.scores import AttentionScores
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.kv_window import WINDOW_CYCLES, WindowRegisters
from rtlm.hw.common.layouts import CODE_BITS, COLUMN_BITS, SCALE_BITS, LocalKind
from rtlm.hw.common.stages import held_flag
from rtlm.hw.kernels import probability_sum, scale

__all__ = ["AttentionParams", "AttentionPhase", "AttentionUnit"]


class AttentionPhase(enum.Enum, shape=unsigned(3)):
    """What the unit is doing."""

    IDLE = 0
    KEYS = 1
    SOFTMAX = 2
    VALUES = 3
    OUTPUT = 4


class AttentionUnit(wiring.Component):
    """Attention over quantised keys and values.

    Protocol: the queries, keys and values of this step are written through `i_local`, which never stalls, in parts of
    as many codes as the array takes in a cycle; then one command runs all KV heads of all active columns. For each
    column (outer) and KV head (inner) the unit takes from `i_words` the scales of the history (sk, sv as BF16 for each
    position), its keys, then its values, each in whole words whose tail is ignored; the keys and values of columns
    ``local_first`` to the column itself follow from the local store. `history`, `local_first` and `position` hold
    during a command, `i_local` rests. `o` carries the results of column 0, head by head, then those of column 1, and
    may stall. Results of a KV head leave while the next one's keys come in; only its values wait for them.

    With `windows`, a command may say that a column attends to a window of positions, of which its own is the last one.
    Then the words are those of `rtlm.hw.common.kv_window.history_part`; the local store is attended to as always.

    Latency: between the last key and the first value of a query group ``dot_latency + scores.latency`` cycles in which
    no word is taken; between the last value and the next scales 2 cycles, and at least ``group + 3`` to the next
    keys, which also wait until the array's sums have left its multipliers (`AttentionArray.draining`). With `windows`,
    `WINDOW_CYCLES` more before the first scales of each column.

    Throughput: `bytes_per_cycle` of scales, keys and values; a local position takes as long as a beat.

    Numerics: docs/numerics.md; `rtlm.hw.attention.model.attention` is the same in NumPy.

    Parameters
    ----------
    params
        Sizes.

    Ports
    -----
    i_local
        Heads of this step, or parts of them: kind (query, key, value), column, head, values, scale.
    i_command
        `attention_command`.
    history, local_first, position
        For each column: positions in memory, first column of this step that it attends to, its own position (only with
        `windows`).
    i_words
        Scales, keys, values.
    o
        Results, F32.
    idle, busy, starved, phase
        Nothing is under way; a word or part of it was used; a word is needed and there is none; `AttentionPhase`.
    """

    def __init__(self, params: AttentionParams):
        self._params = params
        super().__init__(
            {
                "i_local": In(stream.Signature(params.local_write, always_ready=True)),
                "i_command": In(stream.Signature(params.command)),
                "history": In(POSITION_BITS).array(params.columns),
                "local_first": In(COLUMN_BITS).array(params.columns),
                **({"position": In(POSITION_BITS).array(params.columns)} if params.windows else {}),
                "i_words": In(stream.Signature(unsigned(params.word_bits))),
                "o": Out(stream.Signature(data.StructLayout({"y": data.ArrayLayout(32, params.vector_lanes)}))),
                "idle": Out(1),
                "busy": Out(1),
                "starved": Out(1),
                "phase": Out(AttentionPhase),
            }
        )

    @staticmethod
    def sum_wait(params: AttentionParams) -> int:
        """Return the cycles from a denominator until the output may begin, which takes the array's sums later.

        None but at low clocks, where pipelines have few stages.
        """
        denominator = probability_sum.schedule(lanes=params.positions, **params.pipeline).latency
        return max(0, AttentionArray.axpy_latency(params) - denominator - AttentionOutput.latency_of(params)[0])

    def elaborate(self, platform) -> Module:
        """Build the control around array, scores and output."""
        m = Module()
        params = self._params
        m.submodules.array = array = AttentionArray(params)
        m.submodules.scores = scores = AttentionScores(params)
        m.submodules.output = output = AttentionOutput(params)
        store = _LocalStore(m, params, self.i_local)
        command = Signal(params.command, reset_less=True)
        column, kv_head = Signal(COLUMN_BITS), Signal.like(command.kv_heads)
        active = Signal()  # between a command and its last value

        # What the current column and KV head ask for.
        history, beats, locals_ = Signal(POSITION_BITS), Signal(POSITION_BITS), Signal(COLUMN_BITS)
        scale_words = Signal(range(params.kv.scale_words + 1))
        last_head, last_column = Signal(), Signal()
        local_index, query = Signal(range(max(2, params.columns * params.kv_heads))), Signal(range(store.depth))
        column_query = Signal.like(query)
        past, first = Array(self.history)[column], Array(self.local_first)[column]
        begin_column = "read sizes"
        if params.windows:
            window = WindowRegisters(
                m,
                position=Array(self.position)[column],
                history=past,
                window=command.window,
                word_positions=params.kv.word_positions,
            )
            past = window.positions
            m.d.comb += scores.masked.eq(window.masked)
            begin_column = "find the window"

        # Steps of the array.
        step, chunk = Signal(range(max(2, params.beat_cycles))), Signal(range(max(2, params.chunks)))
        beats_left, locals_left = Signal.like(beats), Signal.like(locals_)
        in_history = Signal()
        keys, values, first_value, sums_free = Signal(), Signal(), Signal(), Signal()
        last_step, can_step, fire, group_end, word_end = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            last_step.eq(step == params.beat_cycles - 1),
            can_step.eq(keys | (values & sums_free & scores.w_valid)),
            fire.eq(can_step & (self.i_words.valid | ~in_history)),
            group_end.eq(fire & last_step & ~in_history & (locals_left == 1)),
            word_end.eq((chunk == params.chunks - 1) | (keys | values) & last_step & (beats_left == 1)),
        ]
        # Before the first value the earlier sums must have left; weights come long after the phase has begun.
        m.d.sync += sums_free.eq(values & ~(first_value & output.busy))
        loader = _QueryLoader(m, params, store, query, command)
        with m.If(fire):
            m.d.sync += step.eq(0 if params.beat_cycles == 1 else step + 1)
            with m.If(last_step):
                m.d.sync += first_value.eq(0)
                with m.If(in_history):
                    m.d.sync += [beats_left.eq(beats_left - 1), in_history.eq(beats_left != 1)]
                with m.Else():
                    m.d.sync += locals_left.eq(locals_left - 1)

        complete: Value = scores.done
        for _ in range(self.sum_wait(params)):
            complete = held_flag(m, complete, "complete")
        summing = Signal()  # the last weights have been taken, and the sums are not complete
        with m.If(values & group_end):
            m.d.sync += summing.eq(1)
        with m.Elif(complete):
            m.d.sync += summing.eq(0)
        scales_left = Signal.like(scale_words)
        takes_scale, take_scale, begin = Signal(), Signal(), Signal()
        m.d.comb += [take_scale.eq(takes_scale & self.i_words.valid), takes_scale.eq((scales_left != 0) & ~begin)]
        with m.If(take_scale & word_end):
            m.d.sync += scales_left.eq(scales_left - 1)
        with m.If(take_scale | fire & in_history):
            m.d.sync += chunk.eq(Mux(word_end, 0, chunk + 1))
        part = self.i_words.payload
        if params.chunks > 1:
            part = Signal(params.chunk_bits)
            m.d.comb += part.eq(self.i_words.payload.word_select(chunk, params.chunk_bits))
        reload = [beats_left.eq(beats), locals_left.eq(locals_), in_history.eq(beats != 0)]

        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.i_command.ready.eq(1)
                m.d.sync += [column.eq(0), kv_head.eq(0), query.eq(0), column_query.eq(0)]
                with m.If(self.i_command.valid):
                    m.d.sync += [command.eq(self.i_command.payload), active.eq(1)]
                    m.next = begin_column
            if params.windows:
                waited = Signal(range(WINDOW_CYCLES))
                with m.State("find the window"):
                    m.d.sync += waited.eq(waited + 1)
                    with m.If(waited == WINDOW_CYCLES - 1):
                        m.d.sync += waited.eq(0)
                        m.next = "read sizes"
            with m.State("read sizes"):
                m.d.sync += [
                    history.eq(past),
                    beats.eq((past + params.positions - 1) >> params.position_shift),
                    scales_left.eq((past * SCALE_PAIR_BYTES + params.word_bytes - 1) >> exact_log2(params.word_bytes)),
                    locals_.eq(column - first + 1),
                    local_index.eq(first * params.kv_heads + kv_head),
                    last_head.eq(kv_head + 1 == command.kv_heads),
                    last_column.eq(column + 1 == command.columns_active),
                    begin.eq(1),
                ]
                m.next = "prepare"
            with m.State("prepare"):
                m.d.sync += begin.eq(0)
                m.d.comb += loader.run.eq(~begin)
                with m.If(loader.done & (scales_left == 0) & ~begin & ~array.draining):
                    m.d.sync += [*reload, keys.eq(1), loader.clear]
                    m.next = "keys"
            with m.State("keys"):
                with m.If(group_end):
                    m.d.sync += [*reload, keys.eq(0), values.eq(1), first_value.eq(1)]
                    m.next = "values"
            with m.State("values"):
                with m.If(group_end):
                    m.d.sync += [values.eq(0), kv_head.eq(kv_head + 1), query.eq(query + command.group)]
                    m.next = "read sizes"
                    with m.If(last_head):
                        m.d.sync += [
                            kv_head.eq(0),
                            column.eq(column + 1),
                            query.eq(column_query + params.heads),
                            column_query.eq(column_query + params.heads),
                        ]
                        m.next = begin_column
                        with m.If(last_column):
                            m.d.sync += active.eq(0)
                            m.next = "idle"

        # Rows of the local store: the first key behind the queries, then the next whenever one is used up; the
        # first value when the keys end. Of each row one part after the other.
        row = Signal(range(store.depth))
        row_part = Signal.like(step)
        first_key, first_value_row = store.first_key + local_index, store.first_value + local_index
        key_end = keys & group_end
        m.d.comb += [
            store.row_enable.eq(loader.first_row | fire & ~in_history),
            store.row_address.eq(Mux(loader.first_row, first_key, Mux(key_end, first_value_row, row))),
            store.row_part.eq(Mux(loader.first_row | key_end, 0, row_part)),
        ]
        with m.If(store.row_enable):
            if params.beat_cycles == 1:
                m.d.sync += row.eq(store.row_address + params.kv_heads)
            else:
                over = store.row_part == params.beat_cycles - 1
                m.d.sync += [
                    row.eq(store.row_address + Mux(over, params.kv_heads, 0)),
                    row_part.eq(store.row_part + 1),
                ]
        m.d.comb += [
            array.q_valid.eq(loader.q_valid),
            array.q_head.eq(loader.q_head),
            array.valid.eq(fire),
            array.axpy.eq(values),
            array.first.eq(first_value),
            array.last.eq(Mux(values, group_end, last_step)),
            array.from_word.eq(in_history),
            array.step.eq(Mux(loader.q_valid, loader.q_part, step)),
            array.word.eq(part),
            array.row.eq(store.row),
            array.w.eq(scores.w),
            array.shift.eq(output.shift),
            self.i_words.ready.eq((takes_scale | can_step & in_history) & word_end),
            scores.local_valid.eq(self.i_local.valid),
            scores.local_kind.eq(self.i_local.p.kind),
            scores.local_column.eq(self.i_local.p.column),
            scores.local_head.eq(self.i_local.p.head),
            scores.local_s.eq(self.i_local.p.s),
            scores.start.eq(begin),
            scores.rows.eq(beats + locals_),
            scores.history.eq(history),
            scores.local_index.eq(local_index),
            scores.scale_valid.eq(take_scale),
            scores.scale_word.eq(part),
            scores.sq_c0.eq(Cat(*loader.sq_c0)),
            scores.dot_soon.eq(array.dot_soon),
            scores.dot_valid.eq(array.dot_valid),
            scores.dot.eq(array.dot),
            scores.w_ready.eq(values & fire & last_step),
            scores.w_last.eq(values & group_end),
            output.start.eq(complete),
            output.group.eq(command.group),
            output.l.eq(scores.l),
            output.e.eq(scores.e),
            output.acc.eq(array.acc),
            self.busy.eq(fire | take_scale),
            self.starved.eq((takes_scale | (can_step & in_history)) & ~self.i_words.valid),
            self.idle.eq(~active & ~summing & output.idle),
        ]
        wiring.connect(m, output.o, wiring.flipped(self.o))
        self._status(m, active, values, first_value & ~scores.w_valid, output.idle & ~summing)
        return m

    def _status(self, m: Module, active: Value, values: Value, waiting: Value, quiet: Value) -> None:
        """Tell the phase."""
        with m.If(active):
            with m.If(~values):
                m.d.comb += self.phase.eq(AttentionPhase.KEYS)
            with m.Elif(waiting):
                m.d.comb += self.phase.eq(AttentionPhase.SOFTMAX)
            with m.Else():
                m.d.comb += self.phase.eq(AttentionPhase.VALUES)
        with m.Elif(~quiet):
            m.d.comb += self.phase.eq(AttentionPhase.OUTPUT)


class _LocalStore:
    """This step's queries, keys and values: queries by column and head, then keys, then values; one row is one head.

    A row lies in as many parts as a beat has cycles.
    """

    def __init__(self, m: Module, params: AttentionParams, i_local):
        per_column = params.columns * params.kv_heads
        self.first_key = params.columns * params.heads
        self.first_value = self.first_key + per_column
        self.depth = self.first_value + per_column
        parts = params.beat_cycles
        rows = memory.Memory(
            shape=CODE_BITS * params.part_codes, depth=self.depth * parts, init=[], attrs={"ram_style": "block"}
        )
        scales = memory.Memory(shape=SCALE_BITS, depth=max(2, self.first_key), init=[])
        m.submodules.local_rows, m.submodules.local_query_scales = rows, scales
        write, scale_write = rows.write_port(), scales.write_port()
        read, scale_read = rows.read_port(), scales.read_port()
        head = i_local.p
        query, pair, row = (Signal(range(self.depth), name=name) for name in ("query", "pair", "row"))
        m.d.comb += [
            write.addr.eq(Cat(head.part, row) if parts > 1 else row),
            query.eq(head.column * params.heads + head.head),
            pair.eq(head.column * params.kv_heads + head.head),
            write.data.eq(head.data.as_value()),
            write.en.eq(i_local.valid),
            scale_write.addr.eq(query),
            scale_write.data.eq(head.s),
            scale_write.en.eq(i_local.valid & (head.kind == LocalKind.QUERY)),
        ]
        with m.Switch(head.kind):
            with m.Case(LocalKind.QUERY):
                m.d.comb += row.eq(query)
            with m.Case(LocalKind.KEY):
                m.d.comb += row.eq(self.first_key + pair)
            with m.Default():
                m.d.comb += row.eq(self.first_value + pair)
        self.row_address, self.row_part, self.row_enable = Signal(range(self.depth)), Signal(range(parts)), Signal()
        self.query_address, self.query_part, self.query_enable = Signal.like(row), Signal.like(self.row_part), Signal()
        m.d.comb += [
            read.addr.eq(
                Mux(self.query_enable, Cat(self.query_part, self.query_address), Cat(self.row_part, self.row_address))
            ),
            read.en.eq(self.query_enable | self.row_enable),
            scale_read.addr.eq(self.query_address),
            scale_read.en.eq(self.query_enable),
        ]
        self.row, self.query_scale = read.data, scale_read.data


class _QueryLoader:
    """Brings the queries of a query group into the array, and scales their scales by c0.

    While `run`, one part of a query a cycle; then the first local key row (`first_row`). `done` once all is there.
    """

    def __init__(self, m: Module, params: AttentionParams, store: _LocalStore, query: Signal, command):
        self.run, self.done, self.first_row = Signal(), Signal(), Signal()
        self.q_valid, self.q_head = Signal(), Signal(range(max(2, params.group)))
        self.q_part = Signal(range(params.beat_cycles))
        self.sq_c0 = [Signal(32, name=f"sq_c0_{g}", reset_less=True) for g in range(params.group)]
        pipe = scale.component(lanes=1, clock_mhz=params.clock_mhz, technology=params.technology)
        m.submodules.query_scale = pipe
        asked, known = Signal(range(params.group + 1)), Signal(range(params.group + 1))
        asked_part = Signal.like(self.q_part)
        last_part = asked_part == params.beat_cycles - 1
        placed = Signal()
        self.clear = [asked.eq(0), known.eq(0), placed.eq(0)]
        asking = self.run & (asked != command.group)
        m.d.comb += [
            store.query_address.eq(query + asked),
            store.query_part.eq(asked_part),
            store.query_enable.eq(asking),
            self.first_row.eq(self.run & ~asking & ~placed),
            self.done.eq(placed & (known == command.group)),
            pipe.i.valid.eq(self.q_valid & (self.q_part == 0)),
            pipe.i.payload.y[0].eq(Cat(Const(0, 16), store.query_scale)),
            pipe.i.payload.r.eq(command.c0),
            pipe.o.ready.eq(1),
        ]
        m.d.sync += self.q_valid.eq(asking)
        with m.If(asking):
            m.d.sync += [asked.eq(asked + last_part), asked_part.eq(asked_part + 1)]
            m.d.sync += [self.q_head.eq(asked), self.q_part.eq(asked_part)]
        with m.If(self.first_row):
            m.d.sync += placed.eq(1)
        with m.If(pipe.o.valid):
            m.d.sync += known.eq(known + 1)
            with m.Switch(known):
                for g, register in enumerate(self.sq_c0):
                    with m.Case(g):
                        m.d.sync += register.eq(pipe.o.payload.result[0])
