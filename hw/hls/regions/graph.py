"""Networks of nodes: what tracing a region gives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rtlm.hw.hls.regions.streams import Column, Input, Node, Output


@dataclass(frozen=True, kw_only=True)
class RegionGraph:
    """A traced region.

    Parameters
    ----------
    nodes
        Inputs, components, those before the ones that read them, and outputs. What an output reads is one port.
    framed
        Whether beats belong to packets: the streams then have a field `last`.
    """

    nodes: tuple[Node, ...]
    framed: bool

    @property
    def inputs(self) -> list[Input]:
        """Its inputs."""
        return [node for node in self.nodes if isinstance(node, Input)]

    @property
    def outputs(self) -> list[Output]:
        """Its outputs."""
        return [node for node in self.nodes if isinstance(node, Output)]


def ordered(roots: Sequence[Node]) -> list[Node]:
    """Every node that the roots depend on, those before the ones that read them."""
    order: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node not in order:
            for columns in node.inputs:
                for column in columns:
                    if isinstance(column, Column):
                        visit(column.node)
            order[node] = None

    for root in roots:
        visit(root)
    return list(order)


def connected(nodes: Sequence[Node]) -> set[Node]:
    """Nodes that the first one is connected with, in whichever direction."""
    near: dict[Node, set[Node]] = {node: set() for node in nodes}
    for node in nodes:
        for column in (c for columns in node.inputs for c in columns if isinstance(c, Column)):
            near[node].add(column.node)
            near[column.node].add(node)
    found, new = set(), {nodes[0]}
    while new:
        found |= new
        new = {other for node in new for other in near[node]} - found
    return found


def distinct(names: Sequence[str]) -> list[str]:
    """Names with numbers where they repeat."""
    found: dict[str, None] = {}
    for name in names:
        candidates = itertools.chain([name], (f"{name}_{n}" for n in itertools.count(2)))
        found[next(c for c in candidates if c not in found)] = None
    return list(found)
