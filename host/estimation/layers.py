"""Layers of equal instructions: once two of them take equally long, the next ones need not be worked out."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rtlm.hw.control.isa import Instruction, Opcode

SAME = 5e-4
"""Relative difference below which two layers take equally long; where bursts begin differs a little."""

Counts = TypeVar("Counts")


class Layers(Generic[Counts]):
    """Finds layers that repeat, by the attention that each has once.

    Parameters
    ----------
    instructions
        Those of a step.

    Attributes
    ----------
    length, period
        Instructions and cycles of the layer that repeats.
    before
        What had been counted before that layer.
    """

    before: Counts

    def __init__(self, instructions: Sequence[Instruction]):
        self.length, self.period = 0, 0.0
        self._instructions = instructions
        self._timing = [_timing(each) for each in instructions]
        self._marks: list[tuple[int, float, Counts]] = []

    def repeated(self, index: int, time: float, counts: Callable[[], Counts]) -> int:
        """Return how many layers can be skipped from here.

        Parameters
        ----------
        index
            The next instruction.
        time
            Now.
        counts
            Returns a copy of what has been counted so far.
        """
        if self._instructions[index].opcode is not Opcode.ATTENTION:
            return 0
        self._marks.append((index, time, counts()))
        if len(self._marks) < 3:
            return 0
        (first, t0, _), (second, t1, self.before), (third, t2, _) = self._marks[-3:]
        self.length, self.period = third - second, t2 - t1
        if second - first != self.length or abs(self.period - (t1 - t0)) > SAME * self.period:
            return 0
        layer, again = self._timing[second:third], 0
        while self._timing[third + again * self.length : third + (again + 1) * self.length] == layer:
            again += 1
        self._marks.clear()
        return again


def _timing(instruction: Instruction) -> tuple:
    """Return what the time of an instruction depends on."""
    i = instruction
    sizes = i.words, i.rows, i.k_blocks, i.kv_heads
    window = i.imm1 if i.opcode is Opcode.ATTENTION else 0
    return (i.opcode, i.epilogue, i.operator, i.format, i.bank, i.packet_shift, *sizes, window)
