"""Balanced trees over a list of values: sum, selection."""

from amaranth.hdl import Mux, Value


def sum_tree(values: list[Value]) -> Value:
    """Return the sum of values, as wide as it needs."""
    while len(values) > 1:
        values = [sum(values[i + 1 : i + 2], values[i]) for i in range(0, len(values), 2)]
    return values[0]


def mux_tree(index: Value, values: list[Value]) -> Value:
    """Return the value at an index: one level of multiplexers for each bit of the index."""
    for bit in index:
        values = [
            Mux(bit, values[i + 1], values[i]) if i + 1 < len(values) else values[i] for i in range(0, len(values), 2)
        ]
    return values[0]
