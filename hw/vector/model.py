"""What the vector engine computes, on NumPy arrays, bit for bit."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.kv_codes import pack_codes, short_codes
from rtlm.hw.common.layouts import LocalKind
from rtlm.hw.formats import BLOCK
from rtlm.hw.hls import BF16, F32, to_bits
from rtlm.hw.kernels import (
    argmax,
    dequantise_half,
    gated,
    quantise,
    quantise_head,
    residual_norm,
    rms_scale,
    rope,
    scale,
)
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.params import FLOAT_BYTES, VectorParams
from rtlm.hw.vector.routes import DESTINATIONS, TURNED

SUM_LIMIT = (1 << 64) - 1


def quantise_packets(x: NDArray[np.float32], size: int, *, wide: bool) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Quantise the last axis in packets of `size`: codes (..., packets, size), BF16 bits (..., packets)."""
    packets = x.reshape(*x.shape[:-1], -1, size)
    q, scale = quantise.model(packets, np.int64(wide))
    return q.astype(np.int16), (to_bits(scale[..., 0], BF16) & 0x7FFF).astype(np.uint16)


def rotate(y: NDArray[np.float32], table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotate heads (..., head_dim) by a table of cosines and sines (..., head_dim), alternating."""
    y0, y1 = rope.model(y[..., 0::2], y[..., 1::2], table[..., 0::2], table[..., 1::2])
    return np.stack([y0, y1], axis=-1).reshape(y.shape)


def prepare_heads(
    y: NDArray[np.float32], bias: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Add biases to heads and multiply them by a norm's weights; the squares are those of the sums."""
    bias, weight = np.broadcast_arrays(bias, weight, y)[:2]
    _, z, square = residual_norm.model(bias, y, weight)
    return z, square


def quantise_normed(
    x: NDArray[np.float32], square: NDArray[np.int64], eps: np.float32, *, wide: bool
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Quantise the last axis, normalised by its squares: codes, and a BF16 scale (...) for each."""
    inv_n = np.float32(1 / x.shape[-1])
    q, scale = quantise_head.model(x, square, inv_n, np.float32(eps), np.int64(1), np.int64(wide))
    return q.astype(np.int16), scale[..., 0]


def gate(y: NDArray[np.float32], *, gelu: bool) -> NDArray[np.float32]:
    """SwiGLU, or GeGLU, of alternating gates and ups (..., 2n): (..., n)."""
    return gated.model(y[..., 0::2], y[..., 1::2], np.int64(gelu))


def embed(codes: NDArray[np.int8], scales: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Dequantise embedding rows: int8 codes (..., n), fp16 bits (..., n / 32)."""
    return dequantise_half.model(codes.astype(np.int64), np.repeat(scales.astype(np.int64), BLOCK, axis=-1))


def column_scale(square: NDArray[np.int64], inv_n: np.float32, eps: np.float32) -> np.float32:
    """Return ``r`` of one column from its squares in fixed point."""
    total = min(sum(int(s) for s in square.ravel()), SUM_LIMIT)
    return rms_scale.model(np.array([total], dtype=np.uint64), np.float32(inv_n), np.float32(eps))[0]


@dataclass(kw_only=True)
class Effects:
    """What one command does, in the order in which it does it.

    Attributes
    ----------
    bank
        (bank, column, block, last_column, codes, scale bits, sum of the codes).
    scales
        (column, last_column, r as F32 bits).
    local
        (kind, column, head, codes, scale bits).
    memory
        Byte address in the beat space, by byte written, to its value.
    """

    bank: list[tuple] = field(default_factory=list)
    scales: list[tuple] = field(default_factory=list)
    local: list[tuple] = field(default_factory=list)
    memory: dict[int, int] = field(default_factory=dict)


class VectorModel:
    """The engine's state, and the effects of each command on it and on the outside.

    Parameters
    ----------
    params
        Sizes.
    """

    def __init__(self, params: VectorParams):
        self.params = params
        self.x = np.zeros((params.columns, params.max_dim), dtype=np.float32)
        self.norm = np.zeros(params.max_dim, dtype=np.float32)
        self.rotations = np.zeros((params.columns, params.head_dim), dtype=np.float32)
        self.biases = np.zeros((params.bias_heads, params.head_dim), dtype=np.float32)
        self.head_norms = np.ones((2, params.head_dim), dtype=np.float32)
        self.kept = np.zeros((0, 0), dtype=np.float32)
        self.kept_r = np.zeros(0, dtype=np.float32)
        self.best_index = np.zeros(params.columns, dtype=np.int64)
        self.best_value = np.zeros(params.columns, dtype=np.float32)

    def load(self, epilogue: Epilogue, values: NDArray[np.float32], column: int = 0) -> None:
        """LOAD_NORM, LOAD_ROPE, LOAD_BIAS and LOAD_HEAD_NORM."""
        targets = {
            Epilogue.LOAD_NORM: self.norm,
            Epilogue.LOAD_ROPE: self.rotations[column],
            Epilogue.LOAD_BIAS: self.biases.reshape(-1),
            Epilogue.LOAD_HEAD_NORM: self.head_norms.reshape(-1),
        }
        targets[epilogue][: len(values)] = values

    def embed(
        self, codes: NDArray[np.int8], scales: NDArray[np.uint16], column: int, columns_active: int, imm: tuple
    ) -> Effects:
        """EMBED: one row of int8 codes and fp16 bits; `imm` are 1/n and epsilon."""
        self.x[column] = 0
        return self._normalise(embed(codes, scales)[None], [column], columns_active, imm)

    def residual(self, y: NDArray[np.float32], imm: tuple) -> Effects:
        """RESIDUAL: results (columns_active, n); `imm` are 1/n and epsilon."""
        return self._normalise(y, list(range(len(y))), len(y), imm)

    def post_norm(self, y: NDArray[np.float32], imm: tuple) -> Effects:
        """POST_NORM: results (columns_active, n); `imm` are 1/n and epsilon."""
        _, self.kept, square = residual_norm.model(np.float32(0), y, self.norm[: y.shape[-1]])
        self.kept_r = np.array([column_scale(squares, *imm) for squares in square], np.float32)
        return Effects()

    def add(self, imm: tuple) -> Effects:
        """ADD: `imm` are 1/n and epsilon."""
        return self.residual(scale.model(self.kept, self.kept_r[:, None]), imm)

    def _normalise(self, y: NDArray[np.float32], columns: list[int], columns_active: int, imm: tuple) -> Effects:
        effects = Effects()
        n = y.shape[-1]
        total, z, square = residual_norm.model(self.x[columns, :n], y, self.norm[:n])
        self.x[columns, :n] = total
        effects.bank = self._blocks(Epilogue.RESIDUAL, z, columns, columns_active, by_packet=True)
        for c, squares in zip(columns, square, strict=True):
            r = to_bits(column_scale(squares, *imm), F32)
            effects.scales.append((c, int(c == columns_active - 1), int(r)))
        return effects

    def blocks(self, epilogue: Epilogue, y: NDArray[np.float32], *, gelu: bool = False) -> Effects:
        """SWIGLU, of which `gelu` is an option, and QUANTISE: (columns_active, values)."""
        x = gate(y, gelu=gelu) if epilogue is Epilogue.SWIGLU else y
        by_packet = epilogue is Epilogue.SWIGLU
        return Effects(bank=self._blocks(epilogue, x, list(range(len(y))), len(y), by_packet=by_packet))

    def _blocks(
        self, epilogue: Epilogue, x: NDArray, columns: list[int], columns_active: int, *, by_packet: bool
    ) -> list[tuple]:
        codes, scales = quantise_packets(x, BLOCK, wide=True)
        order = [(i, b) for i in range(len(columns)) for b in range(codes.shape[1])]
        if by_packet:
            order.sort(key=lambda item: item[1])
        bank = DESTINATIONS[epilogue].value
        return [
            (
                bank,
                columns[i],
                b,
                int(columns[i] == columns_active - 1),
                codes[i, b].tolist(),
                int(scales[i, b]),
                int(codes[i, b].sum()),
            )
            for i, b in order
        ]

    def heads(
        self,
        epilogue: Epilogue,
        y: NDArray[np.float32],
        address: int,
        position: NDArray[np.int64],
        kv_base: NDArray[np.int64],
        *,
        first_bias: int | None = None,
        eps: np.float32 | None = None,
    ) -> Effects:
        """ROPE_Q, ROPE_K and VALUE: (columns_active, heads * head_dim); from which head's biases, epsilon of a norm."""
        params = self.params
        heads = y.reshape(len(y), -1, params.head_dim)
        square = np.zeros(heads.shape, np.int64)
        if params.head_inputs:
            count = heads.shape[1]
            bias = np.zeros((1, 1), np.float32)
            if first_bias is not None:
                bias = self.biases[first_bias : first_bias + count]
            weight = self.head_norms[int(epilogue is Epilogue.ROPE_K)] if eps is not None else np.ones(1, np.float32)
            heads, square = prepare_heads(heads, bias, weight)
        if epilogue in TURNED:
            heads = rotate(heads, self.rotations[: len(y), None])
        wide = epilogue is Epilogue.ROPE_Q
        if eps is not None and epilogue in TURNED:
            codes, scale = quantise_normed(heads, square, eps, wide=wide)
            scales = (to_bits(scale, BF16) & 0x7FFF).astype(np.uint16)
        else:
            codes, scales = quantise_packets(heads, params.head_dim, wide=wide)
            codes, scales = codes[:, :, 0], scales[:, :, 0]
        kind = DESTINATIONS[epilogue].value & 3
        effects = Effects()
        for h in range(heads.shape[1]):
            for c in range(len(y)):
                local = codes[c, h] if wide else short_codes(codes[c, h], params.kv_bits)
                effects.local.append((kind, c, h, local.tolist(), int(scales[c, h])))
                if kind != LocalKind.QUERY.value:
                    base = (int(kv_base[c]) + address) * params.word_bytes // params.beats_per_word
                    base += h * params.kv.head_words * params.word_bytes
                    effects.memory |= self._row(kind, base, int(position[c]), codes[c, h], int(scales[c, h]))
        return effects

    def _row(self, kind: int, base: int, position: int, codes: NDArray[np.int16], scale: int) -> dict[int, int]:
        params = self.params
        region = params.kv.first_value if kind == LocalKind.VALUE.value else params.kv.first_key
        start = base + region * params.word_bytes + position * params.kv.row_bytes
        written = {start + i: int(byte) for i, byte in enumerate(pack_codes(codes, params.kv_bits))}
        start = base + SCALE_PAIR_BYTES * position + (2 if kind == LocalKind.VALUE.value else 0)
        return written | {start: scale & 255, start + 1: scale >> 8}

    def logits(self, y: NDArray[np.float32], *, store: bool, address: int) -> Effects:
        """LOGITS: (columns_active, rows)."""
        params = self.params
        value, index = argmax.model(y, np.arange(y.shape[1])[None])
        self.best_value[: len(y)], self.best_index[: len(y)] = value, index
        effects = Effects()
        if store:
            words = -(-FLOAT_BYTES * y.shape[1] // params.word_bytes)
            for c, column in enumerate(y):
                start = address * params.word_bytes // params.beats_per_word + c * words * params.word_bytes
                raw = to_bits(column, F32).astype("<u4").view(np.uint8)
                effects.memory |= {start + i: int(byte) for i, byte in enumerate(raw)}
        return effects
