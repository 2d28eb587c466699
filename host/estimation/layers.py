"""Layers of equal instructions: once two of them take equally long, the next ones need not be worked out."""

from collections.abc import Mapping, Sequence
from typing import Any

from rtlm.hw.control.isa import Instruction, Opcode

SAME = 5e-4
"""Relative difference below which two layers take equally long."""


class Layers:
    """Finds layers that repeat, by the attention that each has once.

    Parameters
    ----------
    instructions
        Those of a step.

    Attributes
    ----------
    length, period
        Instructions and cycles of the layer that repeats.
    tally
        What it adds to the counts.
    """

    def __init__(self, instructions: Sequence[Instruction]):
        self.length, self.period = 0, 0.0
        self.tally: dict[str, dict[Any, float]] = {}
        self._instructions = instructions
        self._timing = [_timing(each) for each in instructions]
        self._marks: list[tuple[int, float]] = []
        self._counts: list[dict[str, dict[Any, float]]] = []

    def repeated(self, index: int, time: float, counts: Mapping[str, Mapping[Any, float]]) -> int:
        """Return how many layers can be skipped from here.

        Parameters
        ----------
        index
            The next instruction.
        time
            Now.
        counts
            What has been counted so far.
        """
        if self._instructions[index].opcode is not Opcode.ATTENTION:
            return 0
        self._marks.append((index, time))
        self._counts.append({name: dict(values) for name, values in counts.items()})
        if len(self._marks) < 3:
            return 0
        (first, t0), (second, t1), (third, t2) = self._marks[-3:]
        self.length, self.period = third - second, t2 - t1
        settled = abs(self.period - (t1 - t0)) <= SAME * self.period
        if second - first != self.length or not settled:
            return 0
        layer, again = self._timing[second:third], 0
        while self._timing[third + again * self.length : third + (again + 1) * self.length] == layer:
            again += 1
        self.tally = {
            name: {key: value - self._counts[-2][name].get(key, 0) for key, value in values.items()}
            for name, values in self._counts[-1].items()
        }
        self._marks.clear()
        self._counts.clear()
        return again


def _timing(instruction: Instruction) -> tuple:
    """Return what the time of an instruction depends on."""
    i = instruction
    return (i.opcode, i.epilogue, i.operator, i.format, i.bank, i.packet_shift, i.words, i.rows, i.k_blocks, i.kv_heads)
