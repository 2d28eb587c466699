"""The table of mutations: ways to break RTL, models and packer, and the check that must notice each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One change of the source, and the check that must notice it.

    Parameters
    ----------
    name
        What is broken.
    file
        Source file, from the top of the tree.
    old, new
        Text that is there once, and what takes its place.
    check
        Kind and argument, as in `command`.
    """

    name: str
    file: str
    old: str
    new: str
    check: str


BURSTS, ROUTER, FETCH = "hw/memory/bursts.py", "hw/control/router.py", "hw/control/program_fetch.py"
WRITER, REGISTERS = "hw/memory/writer.py", "hw/registers/axi_lite.py"
REGION, RATES, TIMING = "hw/hls/regions/emit.py", "hw/hls/regions/rate_gates.py", "hw/hls/regions/parts.py"
REGION_TESTS = "pytest tests/hw/hls/test_regions.py -k not(random)"
READER, PIPELINE, FUNCTIONS = "hw/memory/reader.py", "hw/hls/pipeline.py", "hw/hls/functions.py"
ARRAY, ROWS = "hw/matmul/array.py", "hw/kernels/matmul.py"
SCORES, PIPELINE = "hw/attention/scores.py", "hw/hls/pipeline.py"
WINDOW, KV_CODES = "hw/common/kv_window.py", "hw/common/kv_codes.py"
ONE_PORT = "memory/one_port_two_beats"
COUNTERS, LOOP_TESTS = "hw/hls/nests/counters.py", "pytest tests/hw/hls/test_loops.py -k test_gates[gemv"
FUNCTION_TESTS = "pytest tests/hw/hls/test_functions.py"
ARRAY_TESTS = "pytest tests/hw/matmul/test_matmul.py -k array_variants"
FORMAT_TESTS = "pytest tests/hw/formats/test_formats.py"
STEP_TESTS = "pytest tests/hw/control/test_step_check.py"
BOARD_TESTS = "pytest tests/hw/board/test_board.py"
BLOCK_MEMORY, PLAYER = "hw/memory/block_memory.py", "hw/board/player.py"

MUTATIONS = (
    Mutation(
        "short burst at a stripe's end",
        BURSTS,
        "params.burst_words - 1)\n",
        "params.burst_words - 2)\n",
        "prove splitter",
    ),
    Mutation("one word too many", BURSTS, "first + segment.words - 1", "first + segment.words", "prove splitter"),
    Mutation("skipped stripe", BURSTS, "address[offset_bits:] + 1)", "address[offset_bits:] + 2)", "prove splitter"),
    Mutation(
        "limit off by one",
        BURSTS,
        "final >= (self.limit >> beat_shift)",
        "final > (self.limit >> beat_shift)",
        "prove limit",
    ),
    Mutation("addresses wrap", BURSTS, " | final[params.word_address_bits :].any()", "", "prove fault"),
    Mutation("outstanding unbounded", BURSTS, " & (outstanding != params.outstanding)", "", "prove port"),
    Mutation(
        "address withdrawn",
        BURSTS,
        "with m.Elif(axi.arready):\n            m.d.sync += axi.arvalid.eq(0)",
        "with m.Else():\n            m.d.sync += axi.arvalid.eq(0)",
        "prove port-single",
    ),
    Mutation("run a word short", ROUTER, "(moved & (remaining == 1))", "(moved & (remaining == 2))", "prove router"),
    Mutation("run skips a word", ROUTER, "remaining.eq(remaining - 1)", "remaining.eq(remaining - 2)", "prove router"),
    Mutation(
        "words to two units",
        ROUTER,
        "words.o.valid & words.o.p.to[code.value]",
        "words.o.valid",
        "prove router",
    ),
    Mutation(
        "slice loses its second entry",
        "hw/common/register_slice.py",
        "o.valid.eq(i.valid | ~ready)",
        "o.valid.eq(i.valid)",
        "prove slice",
    ),
    Mutation(
        "command handed over twice",
        "hw/common/register_slice.py",
        "self.o.ready & ~goes",
        "self.o.ready",
        "prove handover",
    ),
    Mutation(
        "slice takes what is not offered",
        "hw/common/register_slice.py",
        "with m.If(ready & i.valid):",
        "with m.If(ready):",
        "prove slice-half",
    ),
    Mutation(
        "word replaced while it waits",
        READER,
        "advance.eq(all_of([~output.valid | output.ready for output in outputs]))",
        "advance.eq(1)",
        "prove read-width-1",
    ),
    Mutation(
        "beats to the wrong bank",
        BURSTS,
        "axi.rvalid & (place == beat)",
        "axi.rvalid & (place != beat)",
        "prove read-width-2",
    ),
    Mutation(
        "word counted a beat early",
        BURSTS,
        "place == params.beats_per_word - 1",
        "place == params.beats_per_word - 2",
        "prove read-width-4",
    ),
    Mutation(
        "only the first port awaited",
        READER,
        "port.arrived != next_word",
        "ports[0].arrived != next_word",
        "prove read-ports-2",
    ),
    Mutation(
        "beat taken before it is offered",
        WRITER,
        "(axi.wvalid & axi.wready)))",
        "axi.wready))",
        "prove write-width-1",
    ),
    Mutation(
        "half a beat as the next",
        WRITER,
        "held.data >> (8 * beat_bytes)",
        "held.data >> (4 * beat_bytes)",
        "prove write-width-2",
    ),
    Mutation(
        "word released a beat early",
        WRITER,
        "(~valid | (go & (left == 0)))",
        "(~valid | (go & (left <= 1)))",
        "prove write-width-4",
    ),
    Mutation(
        "strobes of the first port for all",
        WRITER,
        "held.strobe.word_select(index,",
        "held.strobe.word_select(0,",
        "prove write-ports-2",
    ),
    Mutation("prefetch beyond room", FETCH, "(room >= per_word)", "(room != 0)", "prove prefetch"),
    Mutation(
        "room not taken back", FETCH, "room - Mux(granted, per_word, 0) + taken", "room + taken", "prove prefetch"
    ),
    Mutation(
        "pipeline does not wait", PIPELINE, "enable.eq(~self.o_valid | self.o_ready)", "enable.eq(1)", "prove stage"
    ),
    Mutation(
        "fork offers a beat again", REGION, "offered.eq(out.valid & ~done)", "offered.eq(out.valid)", REGION_TESTS
    ),
    Mutation(
        "join takes what one stream has",
        REGION,
        "Cat(*(self._valid[e] for e in edges)).all()",
        "Cat(*(self._valid[e] for e in edges)).any()",
        REGION_TESTS,
    ),
    Mutation(
        "FIFO a word too shallow",
        REGION,
        "queue = m.submodules[name] = kind(width=edge.width, depth=depth)",
        "queue = m.submodules[name] = kind(width=edge.width, depth=max(1, depth - 1))",
        REGION_TESTS,
    ),
    Mutation(
        "each repetition is the last",
        RATES,
        "self.o.payload.last.eq(last & final)",
        "self.o.payload.last.eq(last)",
        REGION_TESTS,
    ),
    Mutation("branch changes within a packet", RATES, "with m.If(held.last):", "with m.If(1):", REGION_TESTS),
    Mutation("packet repeated once less", RATES, "passes == self.count - 1", "passes == self.count - 2", REGION_TESTS),
    Mutation(
        "value kept for one beat", RATES, "move & over.valid & over.payload.last", "move & over.valid", REGION_TESTS
    ),
    Mutation("FIFO timed without its register", TIMING, "depth - 1 if self.buffered else depth", "depth", REGION_TESTS),
    Mutation(
        "exponential without rounding",
        FUNCTIONS,
        "y = (y + (1 << (GUARD - 1))) >> GUARD",
        "y = y >> GUARD",
        FUNCTION_TESTS,
    ),
    Mutation(
        "reciprocal's table truncated",
        FUNCTIONS,
        "((1 << 32) // (128 + f) + 1) // 2",
        "((1 << 32) // (128 + f)) // 2",
        FUNCTION_TESTS,
    ),
    Mutation(
        "exact reciprocal of subnormals",
        FUNCTIONS,
        "(packed < 1 << 23) | (field == 0) |",
        "(packed < 1 << 23) |",
        "pytest tests/hw/hls/test_functions.py tests/hw/hls/test_float.py",
    ),
    Mutation(
        "square root of odd exponents", FUNCTIONS, "odd = (field - type_.bias) & 1", "odd = field & 1", FUNCTION_TESTS
    ),
    Mutation("loop that ends a beat early", COUNTERS, ".eq(left == 1)", ".eq(left == 2)", LOOP_TESTS),
    Mutation("lane behind the end of a loop", COUNTERS, "tail >= lane", "tail > lane", LOOP_TESTS),
    Mutation(
        "product of a count that goes on",
        COUNTERS,
        "for c in self._counts(n)\n            for lane",
        "for c in []\n            for lane",
        LOOP_TESTS,
    ),
    Mutation(
        "state read before it is written",
        "hw/hls/placement.py",
        "or net.state or",
        "or",
        "pytest tests/hw/hls/test_schedule.py -k written",
    ),
    Mutation(
        "swapped nibbles",
        ROWS,
        "pack(Vector([u0, space, u1]))",
        "pack(Vector([u1, space, u0]))",
        ARRAY_TESTS,
    ),
    Mutation(
        "borrow between fields ignored",
        ROWS,
        "(group >> field_bits) + bits(group, field_bits - 1, field_bits)",
        "(group >> field_bits)",
        ARRAY_TESTS,
    ),
    Mutation("partial sums kept", PIPELINE, "new = Mux(first, 0, kept) + x", "new = kept + x", ARRAY_TESTS),
    Mutation(
        "last step too early", ARRAY, "step == params.word_cycles - 1", "step == params.word_cycles - 2", ARRAY_TESTS
    ),
    Mutation(
        "padding of groups off",
        "hw/formats/tiles.py",
        "return -(-rows // group) * group",
        "return rows // group * group",
        FORMAT_TESTS,
    ),
    Mutation(
        "zero of a format off",
        "hw/formats/blocks.py",
        "self.u.astype(np.int16) - self.format.zero",
        "self.u.astype(np.int16) - self.format.zero + 1",
        FORMAT_TESTS,
    ),
    Mutation(
        "upper bits of two tiles exchanged",
        "hw/formats/tiles.py",
        "for bit in range(bits)], axis=1)",
        "for bit in range(bits)], axis=2)",
        FORMAT_TESTS,
    ),
    Mutation(
        "minimum of a super-block added",
        "hw/formats/q4_k.py",
        "-minima.astype(np.int8)",
        "minima.astype(np.int8)",
        FORMAT_TESTS,
    ),
    Mutation(
        "second half with the first one's factor",
        "hw/matmul/model.py",
        "weights.d, factors[n])",
        "weights.d, factors[0])",
        FORMAT_TESTS,
    ),
    Mutation(
        "factors of the tile behind",
        "hw/matmul/side_words.py",
        "part.eq(self.part)",
        "part.eq(self.part + 1)",
        "bench matmul/six-bit-scales",
    ),
    Mutation(
        "second tile of a word lost",
        "hw/matmul/side_words.py",
        "held.eq(self.paired & ~self.part[0])",
        "held.eq(0)",
        "bench matmul/all-formats",
    ),
    Mutation(
        "minima of halves exchanged",
        "hw/kernels/matmul.py",
        "halves[0] * bits(weights, 0, 4) + halves[1] * bits(weights, 4, 8)",
        "halves[1] * bits(weights, 0, 4) + halves[0] * bits(weights, 4, 8)",
        "bench matmul/all-formats",
    ),
    Mutation(
        "third bits of Q3_K at the fifth place",
        "hw/formats/tiles.py",
        "<< np.uint8(format.bits - bits + bit)",
        "<< np.uint8(NIBBLE_BITS + bit)",
        FORMAT_TESTS,
    ),
    Mutation(
        "write burst one beat long",
        WRITER,
        "length.eq(closed.more)",
        "length.eq(closed.more + 1)",
        f"bench {ONE_PORT}",
    ),
    Mutation(
        "last write beat too early",
        WRITER,
        "axi.wlast.eq(sent == lengths.r_data)",
        "axi.wlast.eq(sent + 1 == lengths.r_data)",
        f"bench {ONE_PORT}",
    ),
    Mutation(
        "write limit off by one",
        WRITER,
        "word.address >= self.limit",
        "word.address > self.limit",
        f"bench {ONE_PORT} faults",
    ),
    Mutation(
        "write error forgotten",
        WRITER,
        "axi.bvalid & (axi.bresp != 0)",
        "axi.bvalid & (axi.bresp == 1)",
        f"bench {ONE_PORT} faults",
    ),
    Mutation(
        "read error forgotten",
        BURSTS,
        "axi.rvalid & (axi.rresp != 0)",
        "axi.rvalid & (axi.rresp == 1)",
        f"bench {ONE_PORT} faults",
    ),
    Mutation("strobes ignored", REGISTERS, "signal) & ~mask", "signal) & 0", f"bench {ONE_PORT} registers"),
    Mutation(
        "read-only registers written",
        REGISTERS,
        "with m.Default():\n                    m.d.sync += bus.bresp.eq(RESPONSE_SLVERR)",
        "with m.Default():\n                    m.d.sync += bus.bresp.eq(RESPONSE_OKAY)",
        f"bench {ONE_PORT} registers",
    ),
    Mutation(
        "registers not locked",
        REGISTERS,
        "with m.If(self.locked):",
        "with m.If(0):",
        STEP_TESTS,
    ),
    Mutation(
        "columns that take no part are checked",
        "hw/control/legality.py",
        "(step.columns > c) & self.broken",
        "(step.columns >= c) & self.broken",
        STEP_TESTS,
    ),
    Mutation(
        "maximum over scores of no position",
        SCORES,
        "largest.i.payload.exists[p].eq(pipe.o.payload.tag.exists[p])",
        "largest.i.payload.exists[p].eq(1)",
        "bench attention/positions",
    ),
    Mutation(
        "positions before a window count",
        SCORES,
        "[each & (masked <= p) for p, each in enumerate(exists)]",
        "[each & (masked < p) for p, each in enumerate(exists)]",
        "bench attention/chunks",
    ),
    Mutation(
        "a window is a position too long",
        WINDOW,
        "position[:bits] - window + 1",
        "position[:bits] - window",
        "pytest tests/hw/common/test_kv_window.py",
    ),
    Mutation(
        "keys of a window from the first word on",
        "hw/control/attention_walk.py",
        "params.scale_words * beats + rows_out - scales_out",
        "params.scale_words * beats - scales_out",
        "bench sequencer/three-columns",
    ),
    Mutation(
        "unit does not wait for the window of a column",
        "hw/attention/unit.py",
        'begin_column = "find the window"',
        'begin_column = "read sizes"',
        "bench attention/chunks",
    ),
    Mutation(
        "codes of 4 bits have no sign",
        KV_CODES,
        "return Cat(index, negative)",
        "return Cat(index, Const(0, 1))",
        "pytest tests/hw/common/test_kv_codes.py",
    ),
    Mutation(
        "a threshold is a unit too high",
        KV_CODES,
        "(low + high + 1) // 2",
        "(low + high + 3) // 2",
        "pytest tests/hw/common/test_kv_codes.py",
    ),
    Mutation(
        "codes have no sign",
        "hw/attention/array.py",
        "return pieces[i].word_select(place, len(pieces[i]) // PIECE).as_signed()",
        "return pieces[i].word_select(place, len(pieces[i]) // PIECE)",
        "bench attention/position",
    ),
    Mutation(
        "multipliers of a chain have a step at once",
        "hw/attention/array.py",
        'step = step.moved(m, f"place_{place}")',
        "pass",
        "bench attention/blocks",
    ),
    Mutation(
        "multipliers of the matrix unit have a step at once",
        "hw/matmul/array.py",
        'valid = held_flag(m, valid, f"place_{place}")',
        "pass",
        "bench matmul/blocks",
    ),
    Mutation(
        "keys come while sums leave",
        "hw/attention/unit.py",
        " & ~array.draining):",
        "):",
        "bench attention/blocks",
    ),
    Mutation(
        "sums leave in the order of another head",
        "hw/attention/array.py",
        "Cat(index[:low], index[high:])",
        "index[:low]",
        "bench attention/steps",
    ),
    Mutation(
        "a sum is read where another is written",
        "hw/attention/array.py",
        "write.addr.eq(product_row)",
        "write.addr.eq(operand_row)",
        "bench attention/steps",
    ),
    Mutation(
        "a value begins with the last part of a key",
        "hw/attention/unit.py",
        "Mux(loader.first_row | key_end, 0, row_part)",
        "Mux(loader.first_row, 0, row_part + key_end)",
        "bench attention/steps",
    ),
    Mutation(
        "a word of scales counts as one part",
        "hw/attention/unit.py",
        "with m.If(take_scale & word_end):",
        "with m.If(take_scale):",
        "bench attention/steps",
    ),
    Mutation(
        "parts of a head count on from those of a block",
        "hw/vector/collect.py",
        "m.d.sync += part.eq(0)",
        "pass",
        "bench vector/head-norms",
    ),
    Mutation(
        "a load takes a word with its first row",
        "hw/vector/load.py",
        "self.i_words.ready.eq(self.busy & last_row)",
        "self.i_words.ready.eq(self.busy)",
        "bench vector/long-heads",
    ),
    Mutation(
        "a row in parts does not move on",
        "hw/vector/kv.py",
        "row.data.eq(row.data.as_value() >> 8 * write_bytes)",
        "row.data.eq(row.data)",
        "bench vector/long-heads",
    ),
    Mutation(
        "parts of logits are a word apart",
        "hw/vector/logits.py",
        "addresses[c] + params.write_beats",
        "addresses[c] + params.beats_per_word",
        "bench vector/long-heads",
    ),
    Mutation(
        "a slot may begin within a word",
        "hw/accelerator.py",
        "registers.kv_base[c][:within].any()",
        "registers.kv_base[c][:1].any()",
        "pytest tests/test_matrix.py -k smallest",
    ),
    Mutation(
        "sums do not wait for the accumulators' turn",
        "hw/matmul/unit.py",
        "with m.Elif(accumulate.i.ready):",
        "with m.Else():",
        "bench matmul/four-steps",
    ),
    Mutation(
        "heads for the matrix lose bits, too",
        "hw/vector/collect.py",
        "Mux(is_stored(to), encoded(each), each)",
        "encoded(each)",
        "bench vector/biases",
    ),
    Mutation(
        "windows skip keys of 8 bits",
        "hw/control/attention_walk.py",
        "beats * params.row_bytes // SCALE_PAIR_BYTES",
        "beats * params.head_dim // SCALE_PAIR_BYTES",
        "bench sequencer/three-columns",
    ),
    Mutation(
        "sums of weights end late",
        SCORES,
        "sums.i.payload.last.eq(self.w_last)",
        "sums.i.payload.last.eq(0)",
        "bench attention/steps",
    ),
    Mutation(
        "minimum added to formats without",
        "hw/matmul/scales.py",
        "Mux(self.minimum, half(2 * r + 1), 0)",
        "half(2 * r + 1)",
        "bench qmatmul/one-column",
    ),
    Mutation(
        "half unit not added",
        "hw/hls/gates.py",
        "(v + k[-1])[: width + 1]",
        "v[: width + 1]",
        "bench qmatmul/one-column",
    ),
    Mutation(
        "row group ends late",
        "hw/matmul/unit.py",
        "into.last.eq(summed.control.last)",
        "into.last.eq(summed.control.end)",
        "bench qmatmul/one-column",
    ),
    Mutation(
        "columns share the sum of squares",
        "hw/vector/unit.py",
        "scale.i.p.key.eq(routes.o_x.p.tag.column)",
        "scale.i.p.key.eq(0)",
        "bench vector/long-heads",
    ),
    Mutation(
        "what is kept leaves before its norm",
        "hw/vector/kept.py",
        "self.run & beats.r_rdy",
        "beats.r_rdy",
        "bench vector/post-norms",
    ),
    Mutation(
        "scalar of a norm behind given to the matrix unit",
        "hw/vector/unit.py",
        "scale.o.valid & ~scale.o.p.tag[1]",
        "scale.o.valid",
        "bench vector/post-norms",
    ),
    Mutation(
        "program unchecked",
        FETCH,
        "(check.crc != ports.program_crc)",
        "(check.crc == ~ports.program_crc)",
        "pytest tests/faults -k program_bit",
    ),
    Mutation(
        "ports not quiet in reset",
        "hw/accelerator.py",
        'with m.If(ResetSignal("sync")):',
        "with m.If(0):",
        "pytest tests/faults -k short_reset",
    ),
    Mutation(
        "program error not reported",
        "hw/accelerator.py",
        "(sequencer.fault == Fault.PROGRAM_CHECKSUM, Error.PROGRAM_CHECKSUM)",
        "(sequencer.fault == Fault.PROGRAM_CHECKSUM, Error.NONE)",
        "pytest tests/faults -k program_bit",
    ),
    Mutation(
        "strobes ignored by the block memory",
        BLOCK_MEMORY,
        "Mux(axi.wvalid & inside & ~failed, axi.wstrb, 0)",
        "Mux(axi.wvalid & inside & ~failed, 15, 0)",
        BOARD_TESTS,
    ),
    Mutation(
        "beat lost while the bus waits",
        BLOCK_MEMORY,
        "fetch.eq(active & (~axi.rvalid | axi.rready))",
        "fetch.eq(active)",
        BOARD_TESTS,
    ),
    Mutation(
        "write behind the block memory is okay",
        BLOCK_MEMORY,
        "failure = Mux(failed | ~inside,",
        "failure = Mux(failed & inside,",
        BOARD_TESTS,
    ),
    Mutation(
        "serial bits the wrong way round",
        "hw/board/uart.py",
        "frame.eq(self.i.payload)",
        "frame.eq(self.i.payload[::-1])",
        BOARD_TESTS,
    ),
    Mutation(
        "self-test looks at no value", PLAYER, "self.seen != self.expected", "self.seen != self.seen", BOARD_TESTS
    ),
    Mutation("self-test sees no error", PLAYER, "with m.If(self.seen != 0):", "with m.If(0):", BOARD_TESTS),
    Mutation(
        "digest counts what is no logit",
        "hw/board/selftest.py",
        "counts.eq(self.awaddr >= self._first)",
        "counts.eq(1)",
        "bench selftest",
    ),
    Mutation(
        "image file not striped over ports",
        "host/compiler/image_folder.py",
        "physical = striping.scatter(linear)",
        "physical = striping.gather(striping.scatter(linear))",
        "pytest tests/host/compiler/test_image_folder.py -k simulator_loads",
    ),
    Mutation(
        "damaged region of an image not noticed",
        "host/compiler/image_check.py",
        'if f"{check:08x}" != region.crc32:',
        "if region.crc32 is None:",
        "pytest tests/host/compiler/test_image_folder.py -k flipped",
    ),
    Mutation(
        "every piece of a matrix is the first",
        "host/compiler/image.py",
        "low = min(first // count, source_rows - 1)",
        "low = 0",
        "pytest tests/host/compiler/test_image_folder.py -k simulator_loads",
    ),
    Mutation(
        "interrupt of a step on a board stays high",
        "host/boards/device.py",
        "                    self.control.clear_done()\n                    return",
        "                    return",
        "pytest tests/host/boards/test_device.py -k earlier_steps",
    ),
    Mutation(
        "short DMA transfer taken for a whole one",
        "host/boards/xdma.py",
        "            done += count\n\n\n",
        "            done = len(view)\n\n\n",
        "pytest tests/host/boards/test_device.py -k bounded_transfers",
    ),
    Mutation(
        "bit of a serial line looked at where it begins",
        "hw/board/uart.py",
        "timer.start(m, Fraction(1, 2))",
        "timer.start(m, Fraction(1, 16))",
        "pytest tests/hw/board/test_uart.py -k two_percent",
    ),
    Mutation(
        "packet carried out whatever its CRC",
        "hw/board/link/link.py",
        "with m.If(~receiver.good):",
        "with m.If(0):",
        "pytest tests/hw/board/link/test_link.py -k every_byte",
    ),
    Mutation(
        "register written again when an answer was lost",
        "hw/board/link/link.py",
        "with m.Elif(repeated):",
        "with m.Elif(0):",
        "pytest tests/hw/board/link/test_link.py -k repeated",
    ),
    Mutation(
        "memory passes on before its new owner has asked",
        "hw/memory/arbiter.py",
        "~(wanted & served | full)",
        "~(wanted | full)",
        "pytest tests/hw/memory/test_arbiter.py -k never_rests",
    ),
    Mutation(
        "stall goes through a register slice",
        "hw/common/register_slice.py",
        "i.ready.eq(ready), Value",
        "i.ready.eq(ready & free), Value",
        "pytest tests/hw/test_unit_paths.py -k part_of",
    ),
    Mutation(
        "beat joins a burst that it does not follow",
        WRITER,
        "Mux(store, self.continues, self.coming == following)",
        "Mux(store, 1, self.coming == following)",
        "bench memory/one_port_two_beats",
    ),
    Mutation(
        "index without the upper bits of its beats",
        "hw/control/sequencer.py",
        "cross[0].eq(index_low * beats_high)",
        "cross[0].eq(0)",
        "bench sequencer/one-column",
    ),
)
"""All mutations; proofs and tests of models first, as they are the quickest."""
