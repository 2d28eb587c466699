"""Contents of the matrix unit and of its activation banks."""

from rtlm.gen.area.counts import Counts, KernelUse, selection
from rtlm.gen.area.memories import memory
from rtlm.hw.formats import BLOCK
from rtlm.hw.kernels.scale import ACC_BITS
from rtlm.hw.matmul.activations import BANKS
from rtlm.hw.matmul.array import LEVELS_PER_STAGE, ROW_SUM_BITS, DotArray
from rtlm.hw.matmul.model import MAX_RIGHT_SHIFT
from rtlm.hw.matmul.params import ACTIVATION_LAYOUT, SUM_BITS, MatmulParams
from rtlm.hw.matmul.result_order import result_job_layout
from rtlm.hw.matmul.scale_accumulate import (
    BLOCK_SUM_BITS,
    HALF,
    SCALE_PRODUCT_BITS,
    SHIFT_BITS,
    TERM_BITS,
    TILE_CONTROL,
)

NIBBLE_BITS, ACTIVATION_BITS = 4, 8
EXPONENT_BITS = 7
"""Sum of an fp16 and a BF16 exponent that matters before it is limited."""
PRODUCT_BITS = NIBBLE_BITS + ACTIVATION_BITS


def matmul_counts(params: MatmulParams) -> Counts:
    """Return the contents of a matrix unit."""
    rows, columns, lanes = params.rows, params.columns, params.vector_lanes
    cells = rows * columns
    array_luts, array_ffs = _array(params)
    ring = memory(rows // 2 * ACC_BITS, params.ring_entries)
    word = params.word_bits
    waiting = DotArray.latency(params) - 1 + (params.word_cycles > 1)
    scales = 2 * HALF * rows
    blocks = columns * (HALF + SUM_BITS) + TILE_CONTROL.size
    job = result_job_layout(columns).size
    return Counts(
        luts={
            "array": array_luts,
            "accumulate": cells * _accumulate_tables(),
            "steps": selection(
                NIBBLE_BITS * params.lanes + ACTIVATION_BITS * params.positions * columns, params.word_cycles
            ),
            "scales": word + selection(HALF * rows, 5) + HALF * cells,
            "results": selection(cells * ACC_BITS, 2) + selection(lanes * ACC_BITS, cells / lanes) + 32 * columns,
            "control": 1,
        },
        ffs={
            "array": array_ffs,
            "accumulate": cells * _accumulate_bits(),
            "scales": 2 * word + waiting * (scales + blocks),
            "results": lanes * ACC_BITS + 4 * job + 2 * 32,
            "control": 1,
        },
        dsps=params.lanes * columns // params.rows_per_multiplier + 4 * cells + columns,
        kernels=(KernelUse(name="scaled_result", lanes=lanes, tag_bits=1),),
        memories=(ring,) * 2 * columns,
    )


def _array(params: MatmulParams) -> tuple[float, float]:
    """Return tables and registers of the dot products."""
    shared = params.rows_per_multiplier == 2
    products = params.lanes * params.columns // params.rows_per_multiplier
    width = PRODUCT_BITS + (params.field_bits if shared else 0)
    ffs = NIBBLE_BITS * params.lanes + ACTIVATION_BITS * params.positions * params.columns + products * width
    luts = 0
    before, after = params.tree_levels
    terms, grown = products, 0
    for levels in _stages(before):
        left, grown = terms >> levels, grown + levels
        luts, ffs, terms = luts + (terms - left) * (width + grown), ffs + left * (width + grown), left
    if shared:
        # Each packed sum becomes two; the high one takes the borrow of the low one.
        levels = min(after, 1)
        left, grown = 2 * terms >> levels, grown + levels
        bits = min(ROW_SUM_BITS, PRODUCT_BITS + grown)
        luts, ffs, terms, after = luts + (2 * terms - left + terms) * bits, ffs + left * bits, left, after - levels
    for levels in _stages(after):
        left, grown = terms >> levels, grown + levels
        bits = min(ROW_SUM_BITS, PRODUCT_BITS + grown)
        luts, ffs, terms = luts + (terms - left) * bits, ffs + left * bits, left
    if params.word_cycles > 1:
        luts, ffs = luts + terms * ROW_SUM_BITS, ffs + terms * ROW_SUM_BITS
    return float(luts), float(ffs)


def _stages(levels: int) -> list[int]:
    return [min(LEVELS_PER_STAGE, levels - done) for done in range(0, levels, LEVELS_PER_STAGE)]


def _accumulate_tables() -> int:
    """Return the tables of one row in one column behind its sum.

    Two terms are rounded and shifted both ways by up to 63 places, in three levels of four-to-one multiplexers and one
    that chooses the direction; exponents are added and limited; the terms are added to each other and up.
    """
    levels = SHIFT_BITS // 2
    shift = ACC_BITS * (2 * levels + 1) + ACC_BITS + MAX_RIGHT_SHIFT
    distance = 4 * (EXPONENT_BITS + SHIFT_BITS)
    return 2 * (shift + distance) + 2 * BLOCK_SUM_BITS + 2 * ACC_BITS


def _accumulate_bits() -> int:
    """Return the registers of one row in one column between its sum and its accumulator."""
    significand, exponent, shift = 12, EXPONENT_BITS, 1 + SHIFT_BITS
    product = SUM_BITS + 8 + significand
    return (
        (SCALE_PRODUCT_BITS + exponent + significand + exponent)
        + (BLOCK_SUM_BITS + SCALE_PRODUCT_BITS + shift + product + shift)
        + (TERM_BITS + shift + product + 1 + shift)
        + (TERM_BITS + 1 + shift + ACC_BITS)
        + 4 * ACC_BITS
    )


def banks_counts(columns: int, max_k_blocks: int) -> Counts:
    """Return the contents of the activation banks."""
    block_bits = max(1, (max_k_blocks - 1).bit_length())
    values, scales = BLOCK * ACTIVATION_BITS, ACTIVATION_LAYOUT.size - BLOCK * ACTIVATION_BITS
    count_bits = BANKS * max_k_blocks.bit_length()
    return Counts(
        luts={"columns": columns, "counts": count_bits},
        ffs={"columns": 32 * columns, "counts": count_bits + 1},
        memories=tuple(memory(width, BANKS << block_bits) for width in (values, scales)) * columns,
    )
