"""The time of one step: every instruction of the plan in turn, with what it waits for.

The machine has few places where one thing waits for another, and each is a line here: an instruction is handed out when
its units take it (`hw/control/sequencer.py`), a matrix's first row group waits for the last block of its activations,
its results for the norm's scalar and for the epilogue before it, attention for all units to rest, its values for the
softmax. Between them words are taken at the unit's rate or the memory's, whichever is less (`words.py`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from rtlm.host.compiler.layout import place_regions
from rtlm.host.compiler.plan import Plan, PlannedInstruction
from rtlm.host.estimation.layers import Layers
from rtlm.host.estimation.memory import MemoryTimes
from rtlm.host.estimation.units import UnitTimes
from rtlm.host.estimation.words import WordStream
from rtlm.host.runtime.device import ColumnInput
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.kv_window import WINDOW_CYCLES
from rtlm.hw.common.register_slice import SLICE_CYCLES
from rtlm.hw.control.isa import Index, Instruction, Opcode, Operator
from rtlm.hw.control.sequencer import INDEX_CYCLES, ISSUED_INSTRUCTIONS, SETTLE_CYCLES
from rtlm.hw.formats import BLOCK
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.routes import SUMS, WEIGHTED

DECODE_CYCLES = 4
"""From one instruction's segment to the next one's (`Sequencer`)."""

DISPATCH_CYCLES = 3
"""From an instruction's hand-over to the next one's (`Sequencer`)."""

COMMAND_CYCLES = 2
"""From a command's hand-over to the first word or value that its unit takes."""

REST_CYCLES = 2
"""From the cycle in which the last unit comes to rest to the hand-over of attention (`Sequencer`)."""

BANK_CYCLES = 3
"""From a block's write to the word that is multiplied with it."""

KV_ROW_CYCLES = 6
"""For which a key or value of one word is being written (`KvWriter`)."""

HEAD_CYCLES = 2
"""Between a query group's last value and the next one's scales (`AttentionUnit`)."""

QUERY_CYCLES = 3
"""Of a query group's start besides its queries and the calibration (`AttentionUnit`)."""


@dataclass(kw_only=True)
class Tally:
    """What is counted by operator.

    Parameters
    ----------
    cycles
        As the gates count them; they add up to those of the step.
    work
        Cycles for which a unit works on the words it takes.
    words
        Words taken.
    """

    cycles: dict[Operator, float] = field(default_factory=lambda: defaultdict(float))
    work: dict[Operator, float] = field(default_factory=lambda: defaultdict(float))
    words: dict[Operator, float] = field(default_factory=lambda: defaultdict(float))

    def copy(self) -> "Tally":
        """Return the counts as they are."""
        return Tally(**{one.name: defaultdict(float, getattr(self, one.name)) for one in fields(self)})

    def repeat(self, before: "Tally", again: int) -> None:
        """Add what has been counted since `before` so many times again."""
        for one in fields(self):
            counts, earlier = getattr(self, one.name), getattr(before, one.name)
            for operator, value in list(counts.items()):
                counts[operator] += again * (value - earlier[operator])


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """What a step takes.

    Parameters
    ----------
    cycles
        From start to done.
    tally
        The same and more by operator.
    """

    cycles: float
    tally: Tally


@dataclass(kw_only=True)
class _State:
    """When things happen; every field is a time in cycles from the step's start."""

    decoded: float = 0.0
    """The last instruction has been decoded, and its words requested."""
    dispatched: float = 0.0
    """The next instruction can be handed out."""
    current: float = 0.0
    """The matrix unit has begun the last command."""
    front_end: float = 0.0
    """The matrix unit has taken its last word."""
    complete: float = 0.0
    """The last matrix has seen all its blocks, and its scalars are there."""
    results_end: float = 0.0
    """The last result has left the matrix unit."""
    settled: float = 0.0
    """The last epilogue has ended."""
    stored: float = 0.0
    """The last packet has arrived where it belongs."""
    scalar: float = 0.0
    """The norm's scalar is there."""
    bank_0: float = 0.0
    bank_1: float = 0.0
    """The last block of a bank is there."""
    loaded: float = 0.0
    """The last table has been loaded."""
    attention_end: float = 0.0
    """The last result has left attention."""


def step_time(
    plan: Plan, units: UnitTimes, memory: MemoryTimes, columns: Sequence[ColumnInput], *, logits: bool
) -> StepTime:
    """Return what a step takes.

    Parameters
    ----------
    plan
        Its instructions.
    units, memory
        Times of the accelerator.
    columns
        What the columns compute.
    logits
        Whether the output projection runs.
    """
    return _Timer(plan, units, memory, columns, logits).run()


class _Timer:
    """Walks over the instructions of a step."""

    def __init__(self, plan: Plan, units: UnitTimes, memory: MemoryTimes, columns: Sequence[ColumnInput], logits: bool):
        self.plan, self.units, self.memory = plan, units, memory
        self.columns, self.logits = columns, logits
        self.starts = {name: region.start for name, region in place_regions(plan).items()}
        self.state = _State()
        self.words = WordStream(memory)
        self.tally = Tally()
        self.epilogue = Epilogue.LOAD_NORM  # of the last command that is no load
        sequencer = units.params.sequencer
        self.queue_room = sequencer.queue_depth
        self.operator = Operator.CONTROL  # of the last instruction, to which its results count
        self.program_left = -(-len(plan.instructions) // sequencer.instructions_per_word)

    def run(self) -> StepTime:
        """Walk."""
        instructions = [each.instruction for each in self.plan.instructions]
        layers: Layers[Tally] = Layers(instructions)
        handed_out: list[float] = []
        self._fetch(2.0)
        program: list[float] = []
        while self.words.waiting:
            program.append(self.words.next_program())
        index = 0
        while index < len(instructions):
            if again := layers.repeated(index, self.words.time, self.tally.copy):
                cycles = again * layers.period
                self._shift(cycles)
                self.tally.repeat(layers.before, again)
                index += again * layers.length
                handed_out = [time + cycles for time in handed_out]
            # Later words of the program are there long before their instructions are wanted.
            if (word := index // self.units.params.sequencer.instructions_per_word) < len(program):
                self.state.decoded = max(self.state.decoded, program[word] + 1)
            self._pop()
            if self.plan.instructions[index].is_skipped(len(self.columns), logits=self.logits):
                self.state.decoded += 1
            else:
                if len(handed_out) >= ISSUED_INSTRUCTIONS:
                    self.state.decoded = max(self.state.decoded, handed_out[-ISSUED_INSTRUCTIONS])
                self.state.decoded += DECODE_CYCLES
                if instructions[index].index is not Index.NONE:
                    self.state.decoded += INDEX_CYCLES
                if not handed_out:
                    self._wait(Operator.CONTROL, self.state.decoded)
                self._request(self.plan.instructions[index])
                self._execute(instructions[index])
                handed_out.append(self.state.dispatched)
            index += 1
        return StepTime(cycles=self.words.time, tally=self.tally)

    def _fetch(self, time: float) -> None:
        """Ask for as many words of the program as the queue of instructions has room for."""
        while self.program_left and self.queue_room >= self.units.params.sequencer.instructions_per_word:
            self.words.request_program(decoded=time)
            self.queue_room -= self.units.params.sequencer.instructions_per_word
            self.program_left -= 1

    def _pop(self) -> None:
        """Take an instruction from the queue."""
        self.queue_room += 1
        self._fetch(self.state.decoded)

    def _shift(self, cycles: float) -> None:
        """Move everything to a later time."""
        self.words.shift(cycles)
        for one in fields(self.state):
            setattr(self.state, one.name, getattr(self.state, one.name) + cycles)

    def _request(self, planned: PlannedInstruction) -> None:
        """Ask for an instruction's words; attention does it head by head."""
        instruction = planned.instruction
        if planned.reads:
            start = self.starts[planned.reads.name]
            if instruction.index is Index.POSITION:
                start += planned.reads.entry_words * self.columns[instruction.column].position
            self.words.request(start, instruction.words, decoded=self.state.decoded)

    def _execute(self, instruction: Instruction) -> None:
        match instruction.opcode:
            case Opcode.MATMUL:
                self._matmul(instruction)
            case Opcode.ATTENTION:
                self._attention(instruction)
            case Opcode.EMBED:
                self._embed(instruction)
            case Opcode.LOAD:
                self._load(instruction)
            case Opcode.ADD:
                self._add(instruction)
            case Opcode.END:
                self._end()
        self.operator = instruction.operator

    def _take(self, operator: Operator, words: float, *, cycles: float) -> None:
        """Take words, each for so many cycles, and count the time to an operator."""
        time = self.words.time
        self.words.take(words, cycles=cycles)
        self.tally.cycles[operator] += self.words.time - time
        self.tally.work[operator] += words * cycles
        self.tally.words[operator] += words

    def _wait(self, operator: Operator, until: float) -> None:
        """Take no word until then, and count the time to an operator."""
        self.tally.cycles[operator] += max(0.0, until - self.words.time)
        self.words.wait(until)

    def _load(self, instruction: Instruction) -> None:
        state = self.state
        begin = max(state.dispatched, state.loaded)
        if instruction.epilogue is Epilogue.LOAD_NORM and self.epilogue in WEIGHTED:
            begin = max(begin, state.settled)  # which still reads the table
        state.dispatched = begin + DISPATCH_CYCLES
        self._wait(instruction.operator, begin + 1)
        self._take(instruction.operator, instruction.words, cycles=self.units.params.vector.word_rows)
        state.loaded = self.words.time

    def _embed(self, instruction: Instruction) -> None:
        """One column's row: its codes come out at the vector engine's rate."""
        state, vector = self.state, self.units.params.vector
        begin = max(state.dispatched, state.settled, state.loaded, state.scalar)
        state.dispatched = begin + DISPATCH_CYCLES
        self._wait(instruction.operator, begin + COMMAND_CYCLES)
        code_words = -(-instruction.rows // vector.word_bytes)
        scale_words = instruction.words - code_words
        self._take(instruction.operator, scale_words, cycles=instruction.rows / BLOCK / scale_words + 1)
        # A word is taken when its codes have come out.
        beats = instruction.rows / code_words / vector.lanes
        interval = self.units.interval[instruction.epilogue]
        self._take(instruction.operator, code_words, cycles=max(beats + 1, interval * beats))
        self._epilogue(instruction.epilogue, self.words.time)

    def _add(self, instruction: Instruction) -> None:
        """What has been kept of all columns comes back."""
        state, times, vector = self.state, self.units, self.units.params.vector
        begin = max(state.dispatched, state.settled + 1, state.loaded, state.scalar)
        state.dispatched = begin + DISPATCH_CYCLES
        beats = instruction.rows * len(self.columns) / vector.lanes
        interval = times.interval[instruction.epilogue]
        self._epilogue(instruction.epilogue, begin + 1 + times.kept + interval * (beats - 1))

    def _epilogue(self, epilogue: Epilogue, last: float) -> None:
        """Take the end of an epilogue from the time of its last value."""
        state, times, vector = self.state, self.units, self.units.params.vector
        self.epilogue = epilogue
        if epilogue is Epilogue.LOGITS:
            state.settled = state.stored = last + times.best
            return
        state.settled = last + times.entry[epilogue]
        if epilogue in WEIGHTED:
            state.scalar = state.settled + times.norm_scale + 1
        if epilogue is Epilogue.POST_NORM:
            return
        arrived = last + times.block[epilogue] + 1
        state.stored = max(state.stored, arrived)
        if epilogue in SUMS:
            state.bank_0 = arrived
        elif epilogue in (Epilogue.SWIGLU, Epilogue.QUANTISE):
            state.bank_1 = arrived
        elif epilogue in (Epilogue.ROPE_K, Epilogue.VALUE):
            # A write every second cycle passes the register slice before the writer.
            row_writes = max(1, vector.kv.row_bytes // vector.write_bytes)
            state.stored = arrived + KV_ROW_CYCLES + 2 * row_writes - 1

    def _matmul(self, instruction: Instruction) -> None:
        state, times, operator = self.state, self.units, instruction.operator
        matmul, active = times.params.matmul, len(self.columns)
        # Hand-over: to the matrix unit and to the vector engine.
        accepted = max(state.dispatched, state.current, state.complete)
        begin = max(state.dispatched, state.settled + 1, state.loaded)
        if instruction.epilogue in WEIGHTED:
            begin = max(begin, state.scalar)
        state.dispatched = max(accepted, begin) + DISPATCH_CYCLES
        front = max(accepted + COMMAND_CYCLES, state.front_end)
        state.current = front
        # Cycles of a word. Where the array takes several for a tile, as many but one of the other words in front of it
        # are taken meanwhile; where nibbles have bits of two tiles, fewer words come.
        group_rows = matmul.tile.group_rows(instruction.format)
        groups = -(-instruction.rows // group_rows)
        tiles = groups * instruction.k_blocks
        runs = sorted(matmul.tile.runs(instruction.format, instruction.group_shift))[matmul.word_cycles - 1 :]
        cycles = (matmul.word_cycles * tiles + sum(-(-tiles // run) for run in runs)) / instruction.words
        # The first row group waits for the last block.
        blocks, scalar = (state.bank_1, 0.0) if instruction.bank else (state.bank_0, state.scalar)
        first_words = instruction.words / groups
        self._wait(operator, front)
        self._take(operator, first_words * (1 - 1 / instruction.k_blocks), cycles=cycles)
        if not instruction.bank:
            # While the next word is not there either, the time counts to the matrix.
            self._wait(operator, min(self.words.arrival(), blocks + BANK_CYCLES))
        self._wait(operator if instruction.bank else Operator.RMS, blocks + BANK_CYCLES)
        self._take(operator, first_words / instruction.k_blocks, cycles=cycles)
        state.complete = max(accepted, blocks, scalar) + 1
        # Results: behind the first row group, the description of the matrix, the results and the epilogue before it.
        first = max(
            self.words.time + times.matmul + SLICE_CYCLES,
            state.complete + 2 + times.result_order + SLICE_CYCLES,
            state.results_end,
            begin + COMMAND_CYCLES,
        )
        lanes, packet = matmul.vector_lanes, min(instruction.rows, 1 << instruction.packet_shift)
        beats, interval = instruction.rows * active / lanes, times.interval[instruction.epilogue]
        results = max(beats + -(-instruction.rows // packet), interval * beats)
        # So many wait at the output; then the array waits too.
        kept = interval * min(instruction.rows, matmul.ring_entries * matmul.rows) * active / lanes
        self._take(operator, instruction.words - first_words, cycles=cycles)
        self._wait(operator, first + results - kept - times.matmul)
        state.front_end = self.words.time
        tail = (min(group_rows, instruction.rows) + (active - 1) * packet) / lanes
        last_results = 1 + interval * (tail - 1)
        state.results_end = max(first + results, state.front_end + times.matmul + SLICE_CYCLES + last_results)
        self._epilogue(instruction.epilogue, state.results_end)

    def _attention(self, instruction: Instruction) -> None:
        state, times = self.state, self.units
        attention = times.params.attention
        rest = max(state.dispatched, state.results_end, state.settled, state.stored, state.attention_end, state.loaded)
        self._wait(Operator.ROPE, rest + REST_CYCLES)
        state.dispatched = rest + REST_CYCLES + DISPATCH_CYCLES
        group = instruction.group
        # A query comes in parts, and its scale goes on with the first of them.
        last_query = (group - 1) * attention.beat_cycles
        prepare = max(last_query + attention.beat_cycles + QUERY_CYCLES, last_query + 3 + times.query_scale)
        sums_free = output = self.words.time
        for number, column in enumerate(self.columns):
            own = number - column.local_first + 1  # positions of this step that the column attends to
            part = attention.kv.part(column.position, column.history, instruction.imm1)
            scale_words, row_words = attention.kv.words_of(part.positions)
            rows_out = part.words * attention.kv.row_bytes // SCALE_PAIR_BYTES
            beats = -(-part.positions // attention.positions)
            word_cycles = beats * attention.beat_cycles / row_words if row_words else 0.0
            slot = self.starts[f"kv{column.slot}"] + instruction.address // self.plan.params.beats_per_word
            for head in range(instruction.kv_heads):
                place = slot + head * attention.kv.head_words
                for first, words in (
                    (part.words, scale_words),
                    (attention.kv.first_key + rows_out, row_words),
                    (attention.kv.first_value + rows_out, row_words),
                ):
                    if words:
                        self.words.request(place + first, words, decoded=state.decoded)
                start = self.words.time + HEAD_CYCLES
                if attention.windows and not head:
                    start += WINDOW_CYCLES
                self._wait(Operator.QK, start)
                self._take(Operator.QK, scale_words, cycles=attention.chunks)
                self._wait(Operator.QK, start + prepare)
                self._take(Operator.QK, row_words, cycles=word_cycles)
                self._wait(Operator.QK, self.words.time + own * attention.beat_cycles)
                self._wait(Operator.SOFTMAX, max(self.words.time + times.scores, sums_free))
                self._take(Operator.PV, row_words, cycles=word_cycles)
                self._wait(Operator.PV, self.words.time + own * attention.beat_cycles)
                output = max(self.words.time + times.probability_sum, sums_free) + times.output_start
                interval = times.interval[instruction.epilogue]
                output += interval * group * attention.head_dim / attention.vector_lanes
                sums_free = output
        state.attention_end = output + times.output + SLICE_CYCLES
        self._epilogue(instruction.epilogue, state.attention_end)
        # Until the last result the cycles count to the product with the values.
        self._wait(Operator.PV, state.attention_end)

    def _end(self) -> None:
        state = self.state
        last = max(state.dispatched, state.results_end, state.settled, state.stored)
        self._wait(self.operator, last + SETTLE_CYCLES + REST_CYCLES)
