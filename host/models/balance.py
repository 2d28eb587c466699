"""Powers of two that pass between the norms of a head's query and key: scores stay, keys fit their 8 bits better."""

import numpy as np

SMALLEST_SHARE = 2.0**-7
"""Weights below this share of a norm's largest count as this: what they multiply is nothing beside the rest."""


def balance(norms: np.ndarray) -> np.ndarray:
    """Return the weights of a query's and a key's norm with both of a pair alike large in either.

    A head is quantised with one scale, so a component that is large in all keys costs the others their bits. Divided by
    a factor there and multiplied with it in the queries, it makes the same scores; both components of a pair take the
    same factor, which RoPE needs. Factors are powers of two: nothing is rounded. Norms of zeros, or with weights
    that are no numbers, stay as they are.

    Parameters
    ----------
    norms
        Shape (2, head_dim), the query's weights first, components of a pair next to each other.
    """
    largest = np.abs(norms).reshape(2, -1, 2).max(axis=-1).astype(np.float64)
    overall = largest.max(axis=-1, keepdims=True)
    if not (np.isfinite(overall) & (overall > 0)).all():
        return norms
    query, key = np.maximum(largest, SMALLEST_SHARE * overall) / overall
    exponent = np.rint(np.log2(key / query) / 2).astype(np.int32).repeat(2)
    return np.stack([np.ldexp(norms[0], exponent), np.ldexp(norms[1], -exponent)])
