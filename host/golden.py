"""The golden model of the accelerator: what the gates compute, bit for bit, on NumPy arrays (docs/numerics.md).

Operators are the kernels' own models and weights are the blocks of the memory image, so each has one definition.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtlm.host.image import embedding_blocks, matrix_blocks
from rtlm.host.model import LAYER_MATRICES, LAYER_NORMS, LlamaModel
from rtlm.hw import kernels
from rtlm.hw.formats import BLOCK, Blocks
from rtlm.hw.formats.matmul import ACC_BITS, TERM_BIAS, accumulate, bf16_parts, fp16_parts
from rtlm.hw.hls import BF16, to_bits

CHUNK = 1 << 17
"""Block sums evaluated at once, so that the temporaries stay in the processor's cache."""

BATCH = 64
"""Tokens evaluated at once, which bounds the working memory; the result does not depend on it."""

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """Vectors as int8 blocks.

    Parameters
    ----------
    codes
        Integers in -127 ... 127, shape (..., blocks, values of a block).
    scale
        BF16 values held in float32, shape (..., blocks).
    """

    codes: NDArray[np.int8]
    scale: F32


class KVCache:
    """Keys and values of one sequence.

    Parameters
    ----------
    model
        Whose layers and heads.
    positions
        Longest sequence.

    Attributes
    ----------
    length : int
        Positions that are filled; set it lower to go back.
    k, v : ndarray of int8
        Shape (layers, KV heads, positions, head_dim).
    k_scale, v_scale : ndarray of float32
        BF16 values, shape (layers, KV heads, positions).
    """

    def __init__(self, model: LlamaModel, positions: int):
        shape = (model.layers, model.kv_heads, positions)
        self.positions = positions
        self.length = 0
        self.k = np.zeros((*shape, model.head_dim), np.int8)
        self.v = np.zeros_like(self.k)
        self.k_scale = np.zeros(shape, np.float32)
        self.v_scale = np.zeros_like(self.k_scale)


class PreparedMatrix:
    """A blocked matrix made ready for many products; equal to ``accumulate``, only faster.

    Block sums are exact in float32. A term ``floor(sum * D * S + 1/2)``, with the integer significands and the powers
    of two of the two scales in ``D`` and ``S``, has fewer than 53 significant bits, and so has a row's sum of terms
    as long as the accumulator cannot overflow: everything is exact in float64. Where it could overflow,
    ``accumulate`` itself is called.

    Parameters
    ----------
    blocks
        The matrix; it takes four bytes a weight once prepared.
    """

    def __init__(self, blocks: Blocks):
        def scale(bits: NDArray[np.uint16]) -> NDArray[np.float64]:
            significand, exponent = fp16_parts(bits.T)
            return np.ldexp(significand.astype(np.float64), exponent)

        self.rows = blocks.rows
        self._blocks = blocks
        self._codes = np.ascontiguousarray(blocks.u.transpose(1, 0, 2), dtype=np.float32)
        self._codes -= np.float32(blocks.format.zero)
        self._d = scale(blocks.d)
        self._m = None if blocks.m is None else scale(blocks.m)
        largest = BLOCK * 127 * max(blocks.format.zero, (1 << blocks.format.bits) - 1 - blocks.format.zero)
        self._bound = np.abs(self._d).max(axis=1) * largest
        if self._m is not None:
            self._bound += np.abs(self._m).max(axis=1) * (BLOCK * 127)

    def accumulate(self, a: NDArray[np.int8], scale: NDArray[np.uint16]) -> NDArray[np.int64]:
        """Multiply with activations (vectors, blocks, 32) and their BF16 scales; gives (vectors, rows)."""
        significand, exponent = bf16_parts(scale.T)
        s = np.ldexp(significand.astype(np.float64), exponent - TERM_BIAS)
        if self._bound @ s.max(axis=1) >= 2.0 ** (ACC_BITS - 1) - len(s):
            return accumulate(self._blocks, a, scale)
        vectors = np.ascontiguousarray(a.transpose(1, 2, 0), dtype=np.float32)
        total = a.sum(axis=-1, dtype=np.int64).T * s
        k_blocks, count = s.shape
        rows = max(1, min(self.rows, CHUNK // count))
        group = max(1, min(k_blocks, CHUNK // (rows * count)))
        out = np.zeros((self.rows, count))
        for row in range(0, self.rows, rows):
            part = slice(row, row + rows)
            for block in range(0, k_blocks, group):
                run = slice(block, block + group)
                term = np.matmul(self._codes[run, part], vectors[run]) * self._d[run, part, None]
                term *= s[run, None, :]
                term += 0.5
                np.floor(term, out=term)
                out[part] += term.sum(axis=0) if group > 1 else term[0]
                if self._m is not None:
                    np.multiply(self._m[run, part, None], total[run, None, :], out=term)
                    term += 0.5
                    np.floor(term, out=term)
                    out[part] += term.sum(axis=0) if group > 1 else term[0]
        return out.T.astype(np.int64)


class GoldenModel:
    """A model evaluated exactly as the accelerator does.

    Parameters
    ----------
    model
        The model; prepared, its weights take a little over four bytes each.
    """

    def __init__(self, model: LlamaModel):
        self.model = model
        self._embedding = embedding_blocks(model)
        self._layers = [
            {name: PreparedMatrix(matrix_blocks(model, name, layer)) for name in LAYER_MATRICES}
            for layer in range(model.layers)
        ]
        self._norms = [{name: model.norm(name, layer) for name in LAYER_NORMS} for layer in range(model.layers)]
        self._output = PreparedMatrix(matrix_blocks(model, "output"))
        self._output_norm = model.norm("output_norm")
        self._score_factor = np.float32(math.log2(math.e) / math.sqrt(model.head_dim))

    def cache(self, positions: int) -> KVCache:
        """Return an empty cache for a sequence of at most ``positions`` tokens."""
        return KVCache(self.model, positions)

    def evaluate(self, tokens: Sequence[int] | NDArray[np.integer], cache: KVCache, *, last_only: bool = False) -> F32:
        """Append tokens to a sequence and return the logits after each of them.

        One at a time or all at once gives the same bits.

        Parameters
        ----------
        tokens
            Token ids, at least one.
        cache
            The sequence so far; it grows by the tokens.
        last_only
            Whether to compute the logits of the last token only.

        Returns
        -------
        ndarray of float32
            Shape (tokens, vocab), or (1, vocab) if ``last_only``.

        Raises
        ------
        ValueError
            If a token is outside the vocabulary or the cache is full.
        """
        ids = np.asarray(tokens, dtype=np.int64)
        if ids.ndim != 1 or not len(ids):
            raise ValueError(f"tokens of shape {ids.shape} are given; a sequence of at least one is needed")
        if ids.min() < 0 or ids.max() >= self.model.vocab:
            raise ValueError(f"tokens from {ids.min()} to {ids.max()} are outside the vocabulary of {self.model.vocab}")
        if cache.length + len(ids) > cache.positions:
            raise ValueError(f"{cache.length} + {len(ids)} tokens do not fit a cache of {cache.positions} positions")
        logits = []
        for start in range(0, len(ids), BATCH):
            x = self._forward(ids[start : start + BATCH], cache)
            if not last_only:
                logits.append(self._logits(x))
        return self._logits(x[-1:]) if last_only else np.concatenate(logits)

    def _forward(self, ids: NDArray[np.int64], cache: KVCache) -> F32:
        table = self.model.rope_table(cache.length, len(ids))
        x = self._embed(ids)
        for index, (layer, norms) in enumerate(zip(self._layers, self._norms, strict=True)):
            normalised, r = self._normalise(x, norms["attn_norm"])
            q, k, v = (self._heads(product(layer[name], normalised, r)) for name in ("attn_q", "attn_k", "attn_v"))
            o = self._attend(index, _rotate(q, table), _rotate(k, table), v, cache)
            x = kernels.residual.model(x, product(layer["attn_output"], quantise(o, BLOCK)))
            normalised, r = self._normalise(x, norms["ffn_norm"])
            gate, up = (product(layer[name], normalised, r) for name in ("ffn_gate", "ffn_up"))
            hidden = quantise(kernels.swiglu.model(gate, up), BLOCK)
            x = kernels.residual.model(x, product(layer["ffn_down"], hidden))
        cache.length += len(ids)
        return x

    def _logits(self, x: F32) -> F32:
        return product(self._output, *self._normalise(x, self._output_norm))

    def _embed(self, ids: NDArray[np.int64]) -> F32:
        rows = self._embedding.select(ids)
        codes = rows.u.astype(np.int64) - rows.format.zero
        return kernels.dequantise_half.model(codes, rows.d[..., None].astype(np.int64)).reshape(len(ids), -1)

    def _normalise(self, x: F32, weight: F32) -> tuple[Quantised, F32]:
        z, square = kernels.norm_input.model(x, weight)
        r = kernels.rms_scale.model(
            _saturating_sum(square), np.float32(1 / x.shape[-1]), np.float32(self.model.rms_eps)
        )
        return quantise(z, BLOCK), r

    def _heads(self, y: F32) -> F32:
        return y.reshape(len(y), -1, self.model.head_dim).transpose(1, 0, 2)

    def _attend(self, layer: int, q: F32, k: F32, v: F32, cache: KVCache) -> F32:
        """Attention of queries (heads, tokens, head_dim) to the cache and to the tokens up to their own."""
        model, count = self.model, q.shape[1]
        start, end = cache.length, cache.length + count
        for codes, scale, x in ((cache.k, cache.k_scale, k), (cache.v, cache.v_scale, v)):
            vectors = quantise(x, model.head_dim)
            codes[layer, :, start:end], scale[layer, :, start:end] = vectors.codes[..., 0, :], vectors.scale[..., 0]
        shared = (model.kv_heads, -1, model.head_dim)  # the queries of a KV head, head by head
        shape = (model.kv_heads, model.heads // model.kv_heads, count, end)
        query = quantise(q, model.head_dim)
        keys = cache.k[layer, :, :end].astype(np.float32)  # products of int8 vectors are exact in float32
        dot = (query.codes.reshape(shared).astype(np.float32) @ keys.transpose(0, 2, 1)).astype(np.int64)
        factor = kernels.scale.model(query.scale, self._score_factor).reshape(*shape[:3], 1)
        factor = kernels.score_scale.model(factor, cache.k_scale[layer, :, None, None, :end])
        future = np.arange(end) > np.arange(start, end)[:, None]
        s = np.where(future, np.float32(-np.inf), kernels.score.model(dot.reshape(shape), factor))
        sv = cache.v_scale[layer, :, None, None, :end]
        exponent = np.where(future, 1, np.maximum(to_bits(sv, BF16) >> 7, 1)).max(axis=-1, keepdims=True)
        p, w = kernels.softmax_weight.model(s, s.max(axis=-1, keepdims=True), sv, exponent)
        factor = kernels.attention_norm.model(p.sum(axis=-1, keepdims=True), exponent)
        values = cache.v[layer, :, :end].astype(np.float64)  # weighted sums are below 2^53
        acc = (w.reshape(model.kv_heads, -1, end).astype(np.float64) @ values).astype(np.int64)
        o = kernels.attention_output.model(acc.reshape(*shape[:3], -1), factor)
        return o.reshape(model.heads, count, -1).transpose(1, 0, 2).reshape(count, -1)


def quantise(x: F32, block: int) -> Quantised:
    """Cut vectors into blocks of int8 with a scale each."""
    codes, scale = kernels.quantise.model(x.reshape(*x.shape[:-1], -1, block))
    return Quantised(codes.astype(np.int8), scale[..., 0])


def product(matrix: PreparedMatrix, vectors: Quantised, r: F32 | None = None) -> F32:
    """Multiply a matrix with vectors, and the results with the vectors' scalars if there are any."""
    acc = matrix.accumulate(vectors.codes, to_bits(vectors.scale, BF16).astype(np.uint16))
    y = kernels.accumulator_to_float.model(acc)
    return y if r is None else kernels.scale.model(y, r[:, None])


def _rotate(x: F32, table: tuple[F32, F32]) -> F32:
    return np.stack(kernels.rope.model(x[..., ::2], x[..., 1::2], *table), axis=-1).reshape(x.shape)


def _saturating_sum(squares: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Sum the last axis in 64 bits, saturating."""
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    wide = squares.astype(np.uint64)
    low = (wide & mask).sum(axis=-1)
    high = (wide >> half).sum(axis=-1) + (low >> half)
    return np.where(high > mask, ~np.uint64(0), (high << half) | (low & mask))
