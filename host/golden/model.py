"""The golden model of the accelerator: what the gates compute, bit for bit, on NumPy arrays (docs/numerics.md).

Operators are the kernels' own models and weights are the blocks of the memory image, so each has one definition.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtlm.host.models.model import BIASED, LAYER_MATRICES, LAYER_NORMS, POST_NORMS, LlamaModel
from rtlm.host.models.rotary import unrotated
from rtlm.host.models.stored import embedding_blocks, matrix_blocks
from rtlm.hw import kernels
from rtlm.hw.attention.model import attention
from rtlm.hw.common.kv_codes import kv_codes
from rtlm.hw.common.kv_window import first_seen
from rtlm.hw.common.layouts import STORED_BITS
from rtlm.hw.formats import BLOCK, Blocks
from rtlm.hw.hls import BF16, to_bits
from rtlm.hw.kernels.matmul import TERM_BIAS, half_parts, scale_parts
from rtlm.hw.kernels.quantise import WIDE_LARGEST
from rtlm.hw.kernels.scale import ACC_BITS
from rtlm.hw.matmul.model import Term, accumulate, terms

CHUNK = 1 << 17
"""Block sums evaluated at once, so that the temporaries stay in the processor's cache."""

BATCH = 64
"""Tokens evaluated at once, which bounds the working memory; the result does not depend on it."""

WIDE = (True, False)
"""Whether the codes of queries and keys are wide: keys have the bits that memory holds."""

F32 = NDArray[np.float32]

Attend = Callable[[int, "Quantised", "Quantised", "Quantised"], F32]
"""From a layer and its queries, keys, values (heads, tokens, 1, head_dim) to results (KV heads, queries, head_dim)."""


@dataclass(frozen=True)
class Quantised:
    """Vectors as blocks of codes with a scale each.

    Parameters
    ----------
    codes
        Integers in -255 ... 255, or in -127 ... 127 for keys and values; shape (..., blocks, values of a block).
    scale
        BF16 values held in float32, shape (..., blocks).
    """

    codes: NDArray[np.int16]
    scale: F32


@dataclass(frozen=True, kw_only=True)
class ColumnView:
    """What one of several tokens that are evaluated together attends to and writes.

    Parameters
    ----------
    cache
        Keys and values of its sequence.
    position
        Where it stands in its sequence.
    history
        Positions of the cache that it attends to.
    local_first
        The first of the tokens evaluated together that it attends to; the last is itself.
    """

    cache: "KVCache"
    position: int
    history: int
    local_first: int


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

    def write(self, layer: int, position: int, k: "Quantised", v: "Quantised") -> None:
        """Store keys and values (KV heads, tokens, 1, head_dim) of a layer from a position on."""
        for codes, scale, vectors in ((self.k, self.k_scale, k), (self.v, self.v_scale, v)):
            part = slice(position, position + vectors.codes.shape[1])
            codes[layer, :, part], scale[layer, :, part] = vectors.codes[..., 0, :], vectors.scale[..., 0]


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
        def scale(term: Term) -> NDArray[np.float64]:
            significand, exponent = half_parts.model(term.scales.T.astype(np.int64))
            if term.factors is not None:
                significand = significand * term.factors.T
            return np.ldexp(significand.astype(np.float64), exponent)

        self.rows = blocks.rows
        self._blocks = blocks

        def by_block(integers: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
            return None if integers is None else np.ascontiguousarray(integers.transpose(1, 0, 2))

        self._terms = [(term.weights, by_block(term.integers), scale(term)) for term in terms(blocks)]
        self._bound = np.zeros(blocks.k_blocks)
        for _, integers, scales in self._terms:
            largest = 1 if integers is None else np.abs(integers).max()
            self._bound += np.abs(scales).max(axis=1) * (BLOCK * WIDE_LARGEST * largest)

    def accumulate(self, a: NDArray[np.int16], scale: NDArray[np.uint16]) -> NDArray[np.int64]:
        """Multiply with activations (vectors, blocks, 32) and their BF16 scales; gives (vectors, rows)."""
        significand, exponent = scale_parts.model(scale.T.astype(np.int64))
        s = np.ldexp(significand.astype(np.float64), exponent - TERM_BIAS)
        if self._bound @ s.max(axis=1) >= 2.0 ** (ACC_BITS - 1) - len(s):
            return accumulate(self._blocks, a, scale)
        vectors = np.ascontiguousarray(a.transpose(1, 2, 0), dtype=np.float32)
        total = vectors.sum(axis=1, dtype=np.float64) * s
        k_blocks, count = s.shape
        rows = max(1, min(self.rows, CHUNK // count))
        group = max(1, min(k_blocks, CHUNK // (rows * count)))
        out = np.zeros((self.rows, count))
        for row in range(0, self.rows, rows):
            part = slice(row, row + rows)
            for block in range(0, k_blocks, group):
                run = slice(block, block + group)
                for weights, integers, scales in self._terms:
                    if integers is None:
                        added = scales[run, part, None] * total[run, None, :]
                    else:
                        added = np.matmul(integers[run, part], vectors[run, weights]) * scales[run, part, None]
                        added *= s[run, None, :]
                    added += 0.5
                    np.floor(added, out=added)
                    out[part] += added.sum(axis=0) if group > 1 else added[0]
        return out.T.astype(np.int64)


class GoldenModel:
    """A model evaluated exactly as the accelerator does.

    Parameters
    ----------
    model
        The model; prepared, its weights take a little over four bytes each.
    kv_bits
        Bits of a code in the KV cache, 8 or 4.
    """

    def __init__(self, model: LlamaModel, *, kv_bits: int = STORED_BITS):
        self.model = model
        self.kv_bits = kv_bits
        self._embedding = embedding_blocks(model)
        self._layers = [
            {name: PreparedMatrix(matrix_blocks(model, name, layer)) for name in LAYER_MATRICES}
            for layer in range(model.layers)
        ]
        norms = (*LAYER_NORMS, *POST_NORMS * model.post_normed)
        self._norms = [{name: model.norm(name, layer) for name in norms} for layer in range(model.layers)]
        self._biases = [model.biases(layer) if model.biased else None for layer in range(model.layers)]
        self._head_norms = [model.head_norms(layer) if model.head_normed else None for layer in range(model.layers)]
        self._output = PreparedMatrix(matrix_blocks(model, "output"))
        self._output_norm = model.norm("output_norm")
        self._score_factor = np.float32(model.scalars.score_factor(model.head_dim))
        self._unrotated = unrotated(model.head_dim)

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
        ids = self._ids(tokens)
        if cache.length + len(ids) > cache.positions:
            raise ValueError(f"{cache.length} + {len(ids)} tokens do not fit a cache of {cache.positions} positions")
        logits = []
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            first, end = cache.length, cache.length + len(part)
            x = self._forward(part, range(first, end), self._attend_in_order(cache, first, end))
            cache.length = end
            if not last_only:
                logits.append(self._logits(x))
        return self._logits(x[-1:]) if last_only else np.concatenate(logits)

    def evaluate_columns(
        self, tokens: Sequence[int] | NDArray[np.integer], columns: Sequence[ColumnView], *, logits: bool = True
    ) -> F32 | None:
        """Evaluate one token in each column, as one step of the accelerator does.

        A column attends to the history that its view names, in the cache, and to the columns from ``local_first`` to
        itself; its key and value are written to its cache. The caches' lengths are neither used nor changed.

        Parameters
        ----------
        tokens
            Token ids, one for each column.
        columns
            What each column sees.
        logits
            Whether to compute the logits.

        Returns
        -------
        ndarray of float32 or None
            Logits, shape (columns, vocab).

        Raises
        ------
        ValueError
            If a token is outside the vocabulary.
        """
        ids = self._ids(tokens)
        x = self._forward(ids, [column.position for column in columns], self._attend_in_columns(columns))
        return self._logits(x) if logits else None

    def _ids(self, tokens: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
        ids = np.asarray(tokens, dtype=np.int64)
        if ids.ndim != 1 or not len(ids):
            raise ValueError(f"tokens must be a sequence of at least one, got the shape {ids.shape}")
        if ids.min() < 0 or ids.max() >= self.model.vocab:
            raise ValueError(f"tokens must be from 0 to {self.model.vocab - 1}, got {ids.min()} to {ids.max()}")
        return ids

    def _forward(self, ids: NDArray[np.int64], positions: Sequence[int], attend: Attend) -> F32:
        model = self.model
        table = model.rope_table(positions)
        window_table = model.rope_table(positions, windowed=True) if model.windowed else table
        x = self._embed(ids)
        for index, (layer, norms) in enumerate(zip(self._layers, self._norms, strict=True)):
            normalised, r = self._normalise(x, norms["attn_norm"])
            products = [product(layer[name], normalised, r) for name in BIASED]
            turn = window_table if index in model.windowed else table
            turn = self._unrotated if index in model.rotation_free else turn
            heads = self._quantised_heads(index, products, turn)
            # Queries of a KV head come head by head, and in a head token by token.
            o = attend(index, *heads).reshape(model.heads, len(ids), -1).transpose(1, 0, 2).reshape(len(ids), -1)
            x = self._add(
                x, product(layer["attn_output"], quantise(o, BLOCK, wide=True)), norms.get("post_attention_norm")
            )
            normalised, r = self._normalise(x, norms["ffn_norm"])
            gate, up = (product(layer[name], normalised, r) for name in ("ffn_gate", "ffn_up"))
            hidden = quantise(kernels.gated.model(gate, up, np.int64(model.gelu)), BLOCK, wide=True)
            x = self._add(x, product(layer["ffn_down"], hidden), norms.get("post_ffw_norm"))
        return x

    def _add(self, x: F32, y: F32, weight: F32 | None) -> F32:
        """Add a layer's output, normalised if there is a weight, to the residual stream."""
        if weight is not None:
            _, z, square = kernels.residual_norm.model(np.float32(0), y, weight)
            y = kernels.scale.model(z, self._rms(square, self.model.rms_eps)[:, None])
        return kernels.residual.model(x, y)

    def _logits(self, x: F32) -> F32:
        return product(self._output, *self._normalise(x, self._output_norm))

    def _embed(self, ids: NDArray[np.int64]) -> F32:
        rows = self._embedding.select(ids)
        codes = rows.u.astype(np.int64) - rows.format.zero
        return kernels.dequantise_half.model(codes, rows.d[..., None].astype(np.int64)).reshape(len(ids), -1)

    def _normalise(self, x: F32, weight: F32) -> tuple[Quantised, F32]:
        z, square = kernels.norm_input.model(x, weight)
        return quantise(z, BLOCK, wide=True), self._rms(square, self.model.stream_eps)

    def _rms(self, square: NDArray[np.int64], eps: float) -> F32:
        """Return the scalar of the norm of vectors from their squares."""
        return kernels.rms_scale.model(_saturating_sum(square), np.float32(1 / square.shape[-1]), np.float32(eps))

    def _quantised_heads(self, layer: int, products: list[F32], turn: tuple[F32, F32]) -> list[Quantised]:
        """Return a layer's queries, keys and values (heads, tokens, 1, head_dim) from their products."""
        model, biases, norms = self.model, self._biases[layer], self._head_norms[layer]
        if biases is not None:
            parts = np.split(biases, np.cumsum([y.shape[1] for y in products])[:-1])
            products = [kernels.residual.model(bias, y) for bias, y in zip(parts, products, strict=True)]
        *turned, v = (self._heads(y) for y in products)
        if norms is None:
            q, k = (quantise(_rotate(y, turn), model.head_dim, wide=wide) for y, wide in zip(turned, WIDE, strict=True))
        else:
            q, k = (
                self._normalise_heads(y, weight, turn, wide=wide)
                for y, weight, wide in zip(turned, norms, WIDE, strict=True)
            )
        return [q, *(self._stored(each) for each in (k, quantise(v, model.head_dim, wide=False)))]

    def _stored(self, vectors: Quantised) -> Quantised:
        """Return keys or values as memory holds them."""
        return Quantised(kv_codes(vectors.codes, self.kv_bits).astype(np.int16), vectors.scale)

    def _normalise_heads(self, y: F32, weight: F32, turn: tuple[F32, F32], *, wide: bool) -> Quantised:
        z, square = kernels.norm_input.model(y, weight)
        eps = np.float32(self.model.rms_eps)
        n = np.float32(1 / self.model.head_dim)
        codes, scale = kernels.quantise_head.model(_rotate(z, turn), square, n, eps, np.int64(1), np.int64(wide))
        return Quantised(codes.astype(np.int16)[..., None, :], scale[..., :1])

    def _heads(self, y: F32) -> F32:
        return y.reshape(len(y), -1, self.model.head_dim).transpose(1, 0, 2)

    def _shared(self, q: Quantised) -> tuple[NDArray[np.int16], F32]:
        """Group queries (heads, tokens, 1, head_dim) by the KV head that they share."""
        kv_heads = self.model.kv_heads
        return q.codes.reshape(kv_heads, -1, self.model.head_dim), q.scale.reshape(kv_heads, -1)

    def _attend_in_order(self, cache: KVCache, start: int, end: int) -> Attend:
        """Return the attention of the tokens `start` to `end` of one sequence to all up to themselves."""
        model = self.model
        position, other = np.arange(start, end)[:, None], np.arange(end)

        def last(window: int) -> NDArray[np.bool_]:
            """Return which positions are among the last `window` up to a query's own, shape (queries, positions)."""
            seen = (other <= position) & (other > position - window)
            return np.tile(seen, (model.heads // model.kv_heads, 1))

        everything = last(end)
        in_window = last(model.window) if model.windowed else everything

        def attend(layer: int, q: Quantised, k: Quantised, v: Quantised) -> F32:
            cache.write(layer, start, k, v)
            seen = in_window if layer in model.windowed else everything
            keys, values = cache.k[layer, :, :end], cache.v[layer, :, :end]
            scales = cache.k_scale[layer, :, :end], cache.v_scale[layer, :, :end]
            return attention(*self._shared(q), keys, scales[0], values, scales[1], self._score_factor, seen)

        return attend

    def _attend_in_columns(self, columns: Sequence[ColumnView]) -> Attend:
        """Return the attention of columns, each to its own history and to the columns that it sees."""

        def attend(layer: int, q: Quantised, k: Quantised, v: Quantised) -> F32:
            results = []
            for c, column in enumerate(columns):
                here = slice(column.local_first, c + 1)
                window = self.model.window if layer in self.model.windowed else 0
                first = first_seen(column.position, column.history, window)
                past = (layer, slice(None), slice(first, column.history))
                cache = column.cache
                codes, scales = self._shared(Quantised(q.codes[:, c], q.scale[:, c]))
                keys = np.concatenate([cache.k[past], k.codes[:, here, 0]], axis=1)
                sk = np.concatenate([cache.k_scale[past], k.scale[:, here, 0]], axis=1)
                values = np.concatenate([cache.v[past], v.codes[:, here, 0]], axis=1)
                sv = np.concatenate([cache.v_scale[past], v.scale[:, here, 0]], axis=1)
                results.append(attention(codes, scales, keys, sk, values, sv, self._score_factor))
            for c, column in enumerate(columns):
                own = slice(c, c + 1)
                new = (Quantised(x.codes[:, own], x.scale[:, own]) for x in (k, v))
                column.cache.write(layer, column.position, *new)
            return np.stack(results, axis=2)

        return attend


def quantise(x: F32, block: int, *, wide: bool) -> Quantised:
    """Cut vectors into blocks of int8, or wide codes, with a scale each."""
    codes, scale = kernels.quantise.model(x.reshape(*x.shape[:-1], -1, block), np.int64(wide))
    return Quantised(codes.astype(np.int16), scale[..., 0])


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
