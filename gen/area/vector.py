"""Contents of the vector engine."""

from rtlm.gen.area.counts import BYTE_BITS, FLOAT_BITS, Counts, KernelUse, selection
from rtlm.gen.area.memories import memory
from rtlm.hw.common.layouts import CODE_BITS, ROWS_BITS, SCALE_BITS
from rtlm.hw.formats import BLOCK
from rtlm.hw.hls import Kernel
from rtlm.hw.kernels import dequantise_half, residual_norm, rope, scale
from rtlm.hw.kernels.rmsnorm import SQUARE_BITS
from rtlm.hw.vector.params import FLOAT_BYTES, VectorParams
from rtlm.hw.vector.routes import EpilogueRoutes

SUM_BITS = 64 + FLOAT_BITS + ROWS_BITS
"""Sum of squares, and largest logit with its index."""


def vector_counts(params: VectorParams) -> Counts:
    """Return the contents of a vector engine."""
    lanes, columns = params.lanes, params.columns
    word = BYTE_BITS * params.word_bytes
    beat = FLOAT_BITS * lanes
    tag, packet = params.beat_tag.size, params.packet_tag.size
    packet_codes = CODE_BITS * max(BLOCK, params.head_dim)
    written = BYTE_BITS * params.write_bytes
    gathered = min(written, BYTE_BITS * FLOAT_BYTES * BLOCK)
    row = params.kv_bits * params.head_dim + SCALE_BITS
    address = params.address_bits
    strobes = params.write_bytes
    # Of the slices' second entries each bit has a multiplexer; the operands' first one is their last stage.
    entries, operands = params.slice_entries, (3 + params.head_norms) * beat + tag
    squares = SQUARE_BITS * lanes * params.head_norms
    slices = (3 + params.post_norms) * beat + packet + tag + squares + (1 + FLOAT_BITS) * params.head_norms
    slices += (2 * beat + tag + squares) * params.head_inputs
    head_places = (params.bias_head_bits + params.head_beat_shift) * params.biases
    head_places += (1 + params.head_beat_shift) * params.head_norms
    head_tables = [params.bias_rows] * params.biases + [params.head_norm_rows] * params.head_norms
    memories = (
        memory(beat, max(2, columns * params.x_stride)),
        memory(BYTE_BITS * params.row_bytes, max(2, params.table_rows), block=True),
        memory(SCALE_BITS, max(2, params.max_dim // BLOCK)),
        *(memory(BYTE_BITS * params.row_bytes, max(2, rows), block=True) for rows in head_tables),
        *(memory(params.kept_beat.size, columns * params.x_stride),) * params.post_norms,
    )
    return Counts(
        luts={
            "operands": (1 + len(head_tables)) * (selection(beat, params.row_beats) + beat),
            "routes": selection(beat + tag, 4) + selection(beat, 3) + 2 * selection(beat, 2) * params.head_inputs,
            "words": word + selection(word, 2) + gathered + selection(BYTE_BITS * lanes, params.word_bytes // lanes),
            "write": selection(written + strobes + address, 2) + written + 4 * strobes,
            "packets": CODE_BITS * lanes + 2 * lanes,
            "slices": (entries - 1) * (slices + operands),
            "sums": SUM_BITS * columns * (columns > 1),
            "columns": selection((3 + params.post_norms) * FLOAT_BITS, columns) + columns * 2 * address,
            "address": 6 * address + 4 * ROWS_BITS + 4 * tag,
            "control": 1,
        },
        ffs={
            "operands": 5 * beat + 3 * tag + beat // 2 + 3 * head_places,
            "words": gathered + BYTE_BITS * lanes,
            "write": written + strobes + address,
            "packets": packet_codes + row + 2 * packet,
            "slices": entries * slices + (entries - 1) * operands,
            "columns": columns * ((1 + params.post_norms) * FLOAT_BITS + ROWS_BITS + address),
            "address": 8 * address + 6 * ROWS_BITS + 2 * FLOAT_BITS + 2 * tag,
            "control": 1,
        },
        kernels=(
            _shared(residual_norm, params, tag_bits=tag + beat * params.head_inputs),
            _shared(rope, params, tag_bits=tag + squares),
            _shared(params.activation, params, tag_bits=tag),
            *(_shared(scale, params),) * params.post_norms,
            _shared(params.quantiser, params, tag_bits=packet, max_length=max(params.head_beats, params.block_beats)),
            KernelUse(name="norm_scalar", lanes=lanes, tag_bits=1, keys=columns),
            KernelUse(name="argmax", lanes=lanes, tag_bits=1, keys=columns),
            _shared(dequantise_half, params),
        ),
        memories=memories,
    )


def _shared(kernel: Kernel, params: VectorParams, *, tag_bits: int = 0, max_length: int = 0) -> KernelUse:
    """Return the use of a kernel as the engine's interval has it."""
    directives = EpilogueRoutes.directives(params, kernel)
    return KernelUse(
        name=kernel.name,
        lanes=directives.lanes,
        tag_bits=tag_bits,
        max_length=max_length,
        interval=directives.ii or 1,
    )
