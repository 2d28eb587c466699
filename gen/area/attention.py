"""Contents of the attention unit."""

from amaranth.utils import exact_log2
from rtlm.gen.area.counts import BYTE_BITS, FLOAT_BITS, Counts, KernelUse, selection, tree
from rtlm.gen.area.memories import memory
from rtlm.hw.attention.array import CHAINED_SUMS, PRODUCT_BITS
from rtlm.hw.attention.params import POSITION_BITS, WEIGHT_BITS, AttentionParams
from rtlm.hw.common.layouts import CODE_BITS, SCALE_BITS
from rtlm.hw.kernels.attention import DOT_BITS, PROBABILITY_BITS, QUERY_PRODUCT_BITS, SCORE_BITS


def attention_counts(params: AttentionParams) -> Counts:
    """Return the contents of an attention unit."""
    group, positions, taken = params.group, params.positions, params.codes_per_cycle
    # A byte of four bits: two tables for two outputs each.
    decoding = BYTE_BITS // 2 if params.kv_bits < BYTE_BITS else 0
    lanes, results = params.lanes, params.vector_lanes
    span = taken // positions
    # Sums of chains are in blocks.
    dot_adders = tree(QUERY_PRODUCT_BITS + exact_log2(params.chain), span // params.chain, limit=DOT_BITS)
    # Sums among which those that leave are selected: all, or those in a row of the memory.
    ends = group * (params.cascades if params.sum_blocks else params.part_codes)
    rows = params.cascade if params.sum_blocks else params.beat_cycles
    in_rows = params.sum_blocks or params.beat_cycles > 1
    # Registers of a code and a weight, on the average of the places of a chain.
    places = (params.chain - 1) / 2
    # A step adds to every sum, or to as many as it has products.
    added = group * params.part_codes
    over_positions = tree(PRODUCT_BITS, positions)
    key_columns = params.columns * params.kv_heads
    # Of a window: its position, the sums of `WindowRegisters`, and which positions of a beat it leaves out.
    window_tables = params.windows * (selection(POSITION_BITS, params.columns) + 5 * POSITION_BITS + 3 * positions)
    local_rows = params.columns * (params.heads + 2 * params.kv_heads)
    memories = (
        memory(params.chunk_bits, params.scale_rows, block=True),
        memory(SCORE_BITS * lanes, params.history_rows),
        memory(SCORE_BITS * group, max(2, params.columns)),
        *(memory(SCALE_BITS, key_columns),) * 2,
        memory(CODE_BITS * params.part_codes, local_rows * params.beat_cycles, block=True),
        *((memory(ends * params.acc_bits, rows, clocked=False),) if in_rows else ()),
        *((memory(CODE_BITS * added, rows, clocked=False),) if params.beat_cycles > 1 else ()),
        memory(SCALE_BITS, max(2, params.columns * params.heads)),
    )
    return Counts(
        luts={
            "products": 0 if params.product_blocks else group * taken * BYTE_BITS + lanes * WEIGHT_BITS,
            "operands": decoding * taken
            + selection(params.kv_bits * taken, 2)
            + selection(params.chunk_bits, params.chunks),
            "sums": 0 if params.sum_blocks else added * params.acc_bits + added * over_positions,
            "selection": selection(ends * params.acc_bits, 2),
            "dots": lanes * dot_adders,
            "scores": lanes * 2 * SCORE_BITS,
            "scale_words": selection(FLOAT_BITS * positions, params.chunk_bits / (FLOAT_BITS * positions)),
            "output": selection(FLOAT_BITS, group),
            "columns": selection(2 * POSITION_BITS, params.columns) + window_tables,
            "slice": lanes * (PROBABILITY_BITS + WEIGHT_BITS),
            "control": 1,
        },
        ffs={
            "products": 0 if params.product_blocks else group * taken * PRODUCT_BITS,
            "operands": places * BYTE_BITS * taken + 2 * places * lanes * WEIGHT_BITS
            if params.product_blocks
            else BYTE_BITS * taken + lanes * WEIGHT_BITS + CODE_BITS * added,
            "sums": (0 if params.sum_blocks else ends * params.acc_bits) + results * params.acc_bits,
            "dots": 0,
            "scores": positions * FLOAT_BITS + lanes * SCORE_BITS + params.windows * 5 * POSITION_BITS,
            "output": group * FLOAT_BITS + results * params.acc_bits + FLOAT_BITS,
            "slice": 2 * lanes * (PROBABILITY_BITS + WEIGHT_BITS),
            "control": 1,
        },
        dsps=group * taken,
        kernels=(
            KernelUse(name="scale", lanes=1),
            KernelUse(name="position_score", lanes=lanes, tag_bits=positions + 1),
            KernelUse(name="position_weight", lanes=lanes),
            KernelUse(
                name="key_dots",
                arguments=(group, span, params.beat_cycles, params.chain),
                chain=CHAINED_SUMS,
                copies=positions,
                term="dots",
            ),
            KernelUse(name="largest_score", lanes=positions, copies=group),
            KernelUse(name="value_exponent", lanes=positions),
            KernelUse(name="probability_sum", lanes=positions, copies=group),
            KernelUse(name="attention_norm", lanes=1),
            KernelUse(name="head_output", lanes=results),
        ),
        memories=memories,
    )
