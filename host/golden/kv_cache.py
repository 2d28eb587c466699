"""The KV cache as bytes: what a sequence's keys and values look like in the accelerator's memory."""

import numpy as np
from numpy.typing import NDArray
from rtlm.host.golden.model import KVCache
from rtlm.host.models.model import LlamaModel
from rtlm.hw.common.kv_codes import kv_codes, pack_codes
from rtlm.hw.common.layouts import STORED_BITS
from rtlm.hw.hls import BF16, to_bits
from rtlm.hw.params import AcceleratorParams

LARGEST_CODE = 127
TYPICAL_SCALES = (2.0**-7, 2.0**-5)
"""Range of the scales of a random cache: values of a few units, as a model's keys and values have."""


def random_cache(model: LlamaModel, positions: int, *, filled: int, seed: int, kv_bits: int = STORED_BITS) -> KVCache:
    """Make a cache as if `filled` tokens had been read: every code and scale is one that quantisation can give.

    Parameters
    ----------
    model
        Whose layers and heads.
    positions
        Longest sequence.
    filled
        Positions with content.
    seed
        Seed of the content.
    kv_bits
        Bits of a code in the KV cache, 8 or 4.
    """
    if not 0 <= filled <= positions:
        raise ValueError(f"{filled} positions do not fit a cache of {positions}")
    random = np.random.default_rng(seed)
    cache = KVCache(model, positions)
    for codes, scales in ((cache.k, cache.k_scale), (cache.v, cache.v_scale)):
        part = codes[:, :, :filled]
        drawn_codes = random.integers(-LARGEST_CODE, LARGEST_CODE, part.shape, np.int8, endpoint=True)
        part[...] = kv_codes(drawn_codes, kv_bits)
        drawn = random.uniform(*TYPICAL_SCALES, scales[:, :, :filled].shape).astype(np.float32)
        scales[:, :, :filled] = (drawn.view(np.uint32) & 0xFFFF0000).view(np.float32)
    cache.length = filled
    return cache


def cache_words(params: AcceleratorParams, cache: KVCache) -> NDArray[np.uint8]:
    """Return a KV slot with a cache's content: for each layer and KV head the regions of scales, keys and values.

    Parameters
    ----------
    params
        The accelerator, whose context limit is the length of the regions.
    cache
        What to lay out, up to its length.

    Returns
    -------
    NDArray[np.uint8]
        Shape (words, word_bytes), a whole slot.
    """
    layers, heads = cache.k.shape[:2]
    if cache.length > params.context_limit:
        raise ValueError(
            f"{cache.length} positions do not fit configuration {params.name}, whose limit is {params.context_limit}"
        )
    slot = np.zeros((layers, heads, params.kv.head_words * params.word_bytes), np.uint8)
    pairs = np.stack([to_bits(cache.k_scale, BF16), to_bits(cache.v_scale, BF16)], axis=-1).astype("<u2")
    keys = params.kv.first_key * params.word_bytes
    values = params.kv.first_value * params.word_bytes
    rows = (pack_codes(codes, params.kv_bits) for codes in (cache.k, cache.v))
    for start, content in zip((0, keys, values), (pairs, *rows), strict=True):
        raw = np.ascontiguousarray(content[:, :, : cache.length]).view(np.uint8).reshape(layers, heads, -1)
        slot[:, :, start : start + raw.shape[-1]] = raw
    return slot.reshape(-1, params.word_bytes)
