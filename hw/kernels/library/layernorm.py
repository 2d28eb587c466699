"""LayerNorm over a packet in two passes, mean and then variance (Ba, Kiros, Hinton, arXiv:1607.06450)."""

from rtlm.hw.hls import F32, Shared, SInt, UInt, Vec, kernel, rsqrt, stream_sum, to_float, to_int

FRACTION = 16  # sums count in units of 2**-16
COLUMNS = 4


@kernel
def layernorm(x: F32, inv_n: Shared[F32], eps: Shared[F32]) -> F32:
    """``(x - mean) / sqrt(variance + eps)``, with ``inv_n = 1 / n`` for packets of ``n``."""
    centred = x - to_float(stream_sum(to_int(x, SInt(40), FRACTION), SInt(52)), F32, FRACTION) * inv_n
    squares = stream_sum(to_int(centred * centred, UInt(40), FRACTION), UInt(52))
    return centred * rsqrt(to_float(squares, F32, FRACTION) * inv_n + eps)


@kernel
def layernorm_columns(x: Vec[F32, COLUMNS], inv_n: Shared[F32], eps: Shared[F32]) -> Vec[F32, COLUMNS]:
    """LayerNorm of each column of a packet."""
    return x.map(lambda column: layernorm(column, inv_n, eps))
