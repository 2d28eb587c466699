"""How long each bit of a pipeline has to be held: what synthesis leaves of the registers between stages."""

from collections import Counter
from collections.abc import Iterator

from amaranth.hdl import Const, Signal, Value
from rtlm.gen.area.demand import demand, origins
from rtlm.hw.hls.builder import Net
from rtlm.hw.hls.phase import Phase

Bit = tuple[int, int]
"""A net, by its ``id``, and a bit of it."""


class Reads:
    """The stages in which each bit of a phase is read.

    Bits that are selected or renamed are those of the net that computed them; nets that compute the same from the same
    (lanes that share an argument all take it apart) are one.

    Parameters
    ----------
    phase
        A scheduled pipeline.
    """

    def __init__(self, phase: Phase):
        self._stage = {id(net): net.stage for net in phase.builder.nets}
        # What comes once in an interval is held in one register for as long.
        self._held = {id(net): 1 if net.flows else phase.interval for net in phase.builder.nets}
        self._same: dict[int, int] = {}
        self._roots: dict[Bit, Bit | None] = {}
        self._values: dict[int, tuple[Value, dict[int, Net]]] = {}
        first: dict[tuple[object, ...], int] = {}
        for net in phase.builder.nets:
            self._name(net, first)
        self._read: dict[Bit, set[int]] = {}
        reduced = {id(net) for _, net in phase.reductions}
        for net in phase.outputs:
            if not net.is_const:
                self._use(net, (1 << net.width) - 1, phase.depth if id(net) in reduced else phase.stages)
        for net in reversed(phase.builder.nets):
            if self._same[id(net)] == id(net):
                self._propagate(net)

    def delays(self) -> Iterator[tuple[int, list[int]]]:
        """Yield numbers of bits, and behind how many registers these bits are read."""
        groups: Counter[tuple[int, ...]] = Counter()
        for (net, _), stages in self._read.items():
            start, held = self._stage[net], self._held[net]
            groups[tuple(sorted({-(-(stage - start) // held) for stage in stages}))] += 1
        for taps, bits in groups.items():
            yield bits, list(taps)

    def _name(self, net: Net, first: dict[tuple[object, ...], int]) -> None:
        """Find the net that computes the same, and what bits are only passed on."""
        key: tuple[object, ...] = (id(net),)
        roots: list[Bit | None] = [(id(net), bit) for bit in range(net.width)]
        if net.function is not None:
            signals = {id(a): Signal(a.shape) for a in net.args if not a.is_const}
            value = Value.cast(net.function(*(a.source if a.is_const else signals[id(a)] for a in net.args)))
            sources = {id(signals[id(a)]): a for a in net.args if not a.is_const}
            self._values[id(net)] = value, sources
            closure = tuple(repr(cell.cell_contents) for cell in net.function.__closure__ or ())
            arguments = tuple(repr(a.source) if a.is_const else self._same[id(a)] for a in net.args)
            key = (net.function.__code__, closure, repr(net.function.__defaults__), net.stage, arguments)
            for bit, origin in enumerate(origins(value)):
                if origin is not None and isinstance(origin[0], Const):
                    roots[bit] = None
                elif origin is not None:
                    roots[bit] = self._roots[self._same[id(sources[id(origin[0])])], origin[1]]
        self._same[id(net)] = first.setdefault(key, id(net))
        if self._same[id(net)] == id(net):
            self._roots.update({(id(net), bit): root for bit, root in enumerate(roots)})

    def _use(self, net: Net, mask: int, stage: int) -> None:
        for bit in range(net.width):
            if mask >> bit & 1:
                root = self._roots[self._same[id(net)], bit]
                if root is not None:
                    self._read.setdefault(root, set()).add(stage)

    def _propagate(self, net: Net) -> None:
        """Read what the bits that this net computes depend on, if anything reads them."""
        mask = sum(1 << bit for bit in range(net.width) if (id(net), bit) in self._read)
        if not mask:
            return
        if id(net) not in self._values:
            for argument in net.args:  # the index of a table, or operands of a shared unit
                if not argument.is_const:
                    self._use(argument, (1 << argument.width) - 1, net.reads_at)
            if net.taker:
                self._use(net.taker.out, (1 << net.width) - 1, net.taker.out.stage)
            return
        value, sources = self._values[id(net)]
        found: dict[int, int] = {}
        demand(value, mask, found)
        for signal, bits in found.items():
            self._use(sources[signal], bits, net.stage)
