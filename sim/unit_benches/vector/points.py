"""Functional coverage of the vector engine's bench."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.params import VectorParams
from rtlm.hw.vector.routes import ADDED
from rtlm.sim.unit_benches.points import Points

LOADS = (Epilogue.LOAD_NORM, Epilogue.LOAD_ROPE, Epilogue.LOAD_BIAS, Epilogue.LOAD_HEAD_NORM)

SOURCES = {
    Epilogue.QUANTISE: "i_attention",
    Epilogue.ADD: "i_command",
    **dict.fromkeys((*LOADS, Epilogue.EMBED), "i_words"),
}
"""Where an epilogue's values come from, or what makes it begin; all others take the matrix unit's results."""
PACKETED = [e for e in Epilogue if e not in (*LOADS, Epilogue.EMBED)]
"""Epilogues whose values come in packets of one column after the other."""


class VectorPoints:
    """Which epilogues ran, at which sizes, with which gaps and after which other.

    Parameters
    ----------
    folder
        The bench's.
    params
        Sizes of the engine.
    gaps, sink_gaps
        Chances that a source offers and that a write is taken.
    """

    def __init__(self, folder: Path, params: VectorParams, gaps: Iterable[float], sink_gaps: Iterable[float]):
        self._params = params
        self._points = points = Points(folder)
        absent = {
            Epilogue.LOAD_BIAS: not params.biases,
            Epilogue.LOAD_HEAD_NORM: not params.head_norms,
            **dict.fromkeys(ADDED, not params.post_norms),
        }
        names = [epilogue.name for epilogue in Epilogue if not absent.get(epilogue)]
        packeted = [epilogue.name for epilogue in PACKETED if not absent.get(epilogue)]
        columns = range(1, params.columns + 1)
        points.cross("epilogue x lanes x active columns", names, [params.lanes], columns)
        points.cross("epilogue x head size x packets", packeted, [params.head_dim], ("one", "several"))
        points.cross("epilogue x chance of input x of a write taken", names, gaps, sink_gaps)
        points.cross("epilogue after epilogue", names, names)

    def record(
        self, commands: list[tuple[Epilogue, int]], active: int, chances: Mapping[str, float], taken: float
    ) -> None:
        """Note a program that has been checked.

        Parameters
        ----------
        commands
            Epilogue and rows of each command.
        active
            Columns.
        chances
            Of each source, that it offers.
        taken
            Chance that a write is taken.
        """
        params, points = self._params, self._points
        heads = dict.fromkeys((Epilogue.ROPE_Q, Epilogue.ROPE_K, Epilogue.VALUE), params.head_dim)
        packets = {**heads, Epilogue.SWIGLU: 64}
        before = None
        for epilogue, rows in commands:
            name, chance = epilogue.name, chances[SOURCES.get(epilogue, "i_results")]
            points.hit("epilogue x lanes x active columns", name, params.lanes, active)
            points.hit("epilogue x chance of input x of a write taken", name, chance, taken)
            if epilogue in PACKETED:
                amount = "one" if rows <= packets.get(epilogue, 32) else "several"
                points.hit("epilogue x head size x packets", name, params.head_dim, amount)
            if before is not None:
                points.hit("epilogue after epilogue", name, before.name)
            before = epilogue
