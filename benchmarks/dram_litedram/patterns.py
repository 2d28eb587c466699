"""Access patterns: lists of single DRAM bursts, made once and replayed by both benches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ACCESS = np.dtype([("word", "u4"), ("port", "u2"), ("write", "u2")])
"""`Access` in accesses.h: address in DRAM bursts, native port, 1 for a write."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A channel in DRAM bursts: ``row_words`` to a row, rows of neighbouring addresses in neighbouring banks."""

    burst_bytes: int
    row_words: int
    banks: int
    rows: int

    @property
    def words(self) -> int:
        """Bursts in the memory."""
        return self.row_words * self.banks * self.rows


@dataclass(frozen=True)
class Pattern:
    """A list of accesses.

    Attributes
    ----------
    name : str
        What is accessed.
    ports : str
        Who does it: "one" port for everything, one for each "bank", or "two": one reads, the other writes.
    accesses : numpy.ndarray
        Of `ACCESS`.
    in_order : bool
        At most one access a cycle, in the order of the list, over all ports; otherwise each port goes by itself.
    """

    name: str
    ports: str
    accesses: np.ndarray
    in_order: bool


def _accesses(words: np.ndarray, write: np.ndarray | int, geometry: Geometry, ports: str) -> np.ndarray:
    accesses = np.zeros(len(words), ACCESS)
    accesses["word"] = words % geometry.words
    accesses["write"] = write
    if ports == "bank":
        accesses["port"] = words // geometry.row_words % geometry.banks
    elif ports == "two":
        accesses["port"] = write
    return accesses


def patterns(geometry: Geometry, count: int, seed: int) -> list[Pattern]:
    """Return all patterns of a comparison.

    Parameters
    ----------
    geometry : Geometry
        Of both memories.
    count : int
        Accesses of each.
    seed : int
        For random addresses and directions.
    """
    random = np.random.default_rng(seed)
    step = np.arange(count, dtype=np.int64)
    anywhere = random.integers(0, geometry.words, count)
    third = (random.random(count) < 1 / 3).astype(np.int64)
    strides = {
        "every 4 KiB": 4096 // geometry.burst_bytes,
        "every bank (one row's bytes)": geometry.row_words,
        "every row of one bank": geometry.row_words * geometry.banks,
    }
    single: dict[str, tuple[np.ndarray, np.ndarray | int]] = {
        "sequential read": (step, 0),
        "sequential write": (step, 1),
        "random read": (anywhere, 0),
        "random write": (anywhere, 1),
        **{f"read {name}": (step * stride, 0) for name, stride in strides.items()},
        "write every row of one bank": (step * strides["every row of one bank"], 1),
        "random, 1/3 writes": (anywhere, third),
    }
    found = []
    for name, (words, write) in single.items():
        for ports in ("one", "bank"):
            found.append(Pattern(name, ports, _accesses(words, write, geometry, ports), True))
    far = geometry.words // 2 + geometry.row_words * (geometry.banks // 2)
    copy = step // 2 + step % 2 * far
    found.append(
        Pattern("sequential read and write", "two", _accesses(copy, step % 2, geometry, "two"), False),
    )
    return found
