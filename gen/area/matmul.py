"""Contents of the matrix unit and of its activation banks."""

from dataclasses import replace

from rtlm.gen.area.counts import Counts, KernelUse, selection
from rtlm.gen.area.memories import memory
from rtlm.gen.area.sharing import sharing
from rtlm.hw.common.layouts import CODE_BITS
from rtlm.hw.formats import BLOCK
from rtlm.hw.formats.description import HALF_BITS, SUPER_SHIFT
from rtlm.hw.formats.tiles import LANE_BITS
from rtlm.hw.kernels.matmul import BLOCK_SUM_BITS, row_sum_bits
from rtlm.hw.kernels.scale import ACC_BITS
from rtlm.hw.matmul.activations import BANKS
from rtlm.hw.matmul.array import row_pair
from rtlm.hw.matmul.params import ACTIVATION_LAYOUT, MatmulParams
from rtlm.hw.matmul.result_order import result_job_layout
from rtlm.hw.matmul.unit import general_row_group_arguments, row_group_directives, tile_layout

SHIFT_LEVELS = 3
"""Four-to-one multiplexers behind each other in a shift by up to 63 places."""


def matmul_counts(params: MatmulParams) -> Counts:
    """Return the contents of a matrix unit."""
    rows, columns, lanes = params.rows, params.columns, params.vector_lanes
    cells, pairs = rows * columns, rows * columns // 2
    ring = memory(rows // 2 * ACC_BITS, params.ring_entries)
    tile = tile_layout(params).size
    job = result_job_layout(columns).size
    operands = params.element_bits * params.lanes + CODE_BITS * params.positions * columns
    make_pair, arguments = row_pair(params)
    pair = KernelUse(name=make_pair.__name__, arguments=arguments, term="array")
    # Registers of an operand: outside of blocks one, on the average of the places of a chain of blocks.
    operand_registers = (params.chain - 1) / 2 if params.product_blocks else 1
    # Pairs of rows each have their operators; where words are cycles apart, all rows share them.
    interval = row_group_directives(params).ii or 1
    size, copies = ((2, 1), pairs) if interval == 1 else ((rows, columns), 1)
    group = KernelUse(name="row_group", arguments=size, copies=copies, interval=interval, term="accumulate")
    if params.general:
        group = replace(group, name="general_row_group", arguments=general_row_group_arguments(params, *size))
    saved = sharing(group, params.clock_mhz, params.technology)
    side_luts, side_ffs = _side_words(params)
    return Counts(
        luts={
            # The tag waits for the sums of blocks.
            "array": _adders(params) + params.product_blocks * tile,
            "accumulate": saved.logic * cells * _accumulate_tables() + saved.select_luts,
            "steps": selection(operands, params.word_cycles),
            "scales": params.word_bits + selection(HALF_BITS * rows, 5) + HALF_BITS * rows + side_luts,
            "results": selection(cells * ACC_BITS, 2) + selection(lanes * ACC_BITS, cells / lanes) + 32 * columns,
            "control": 1,
        },
        ffs={
            "array": operand_registers * operands,
            "accumulate": cells * row_sum_bits(params.element_bits) + tile if params.word_cycles > 1 else 0,
            "scales": 2 * params.word_bits + tile + side_ffs,
            "results": lanes * ACC_BITS + 4 * job + 2 * 32,
            "control": 1,
        },
        dsps=params.lanes * columns // params.rows_per_multiplier + 4 * cells + columns - saved.saved_dsps,
        kernels=(
            replace(pair, tag_bits=tile),
            replace(pair, copies=pairs - 1),
            group,
            KernelUse(name="scaled_result", lanes=lanes, tag_bits=1),
        ),
        memories=(ring,) * 2 * columns,
    )


def _adders(params: MatmulParams) -> float:
    """Return the tables of the trees of dot products, whose first levels may be in blocks."""
    shared = params.rows_per_multiplier == 2
    terms = params.lanes * params.columns // params.rows_per_multiplier
    product_bits, most = params.element_bits + CODE_BITS, row_sum_bits(params.element_bits)
    width = product_bits + (params.field_distance if shared else 0)
    luts = 0
    before, after = params.tree_levels
    for level in range(before):
        width, terms = width + 1, terms // 2
        luts += terms * width if 2 << level > params.chain else 0
    if shared:
        # Each packed sum becomes two; the high one takes the borrow of the low one.
        width = min(most, product_bits + before)
        luts, terms = luts + terms * width, 2 * terms
    for _ in range(after):
        width, terms = min(most, width + 1), terms // 2
        luts += terms * width
    return float(luts + (params.word_cycles > 1) * terms * most)


def _side_words(params: MatmulParams) -> tuple[float, int]:
    """Return tables and registers for factor words, plane words and tables of codes."""
    luts, ffs = 0.0, 0
    if params.factored:
        luts += selection(LANE_BITS * params.rows, 1 << SUPER_SHIFT)
        ffs += params.word_bits
    if params.upper_bits:
        luts += selection(params.rows * BLOCK, 5) + (params.upper_bits - 1) * params.rows * BLOCK
        ffs += params.word_bits + params.upper_bits * params.rows * BLOCK
    if params.paired:
        luts += 3 * params.rows * BLOCK
    return luts + len(params.tables) * params.element_bits * params.rows * BLOCK, ffs


def _accumulate_tables() -> int:
    """Return the tables of one row in one column behind its sum.

    Two terms enter a shifter, are rounded and leave it in one of two directions; the terms are added to each other and
    up.
    """
    shift = ACC_BITS * (SHIFT_LEVELS + 3)
    return 2 * shift + 2 * BLOCK_SUM_BITS + 2 * ACC_BITS


def banks_counts(columns: int, max_k_blocks: int) -> Counts:
    """Return the contents of the activation banks."""
    block_bits = max(1, (max_k_blocks - 1).bit_length())
    values, scales = BLOCK * CODE_BITS, ACTIVATION_LAYOUT.size - BLOCK * CODE_BITS
    count_bits = BANKS * max_k_blocks.bit_length()
    return Counts(
        luts={"columns": columns, "counts": count_bits},
        ffs={"columns": 32 * columns, "counts": count_bits + 1},
        memories=tuple(memory(width, BANKS << block_bits) for width in (values, scales)) * columns,
    )
