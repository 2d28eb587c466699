"""What happened when in a simulation: spans of cycles and samples, recorded by a build with ``trace="timeline"``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtlm.sim.accelerator import AcceleratorModel
from rtlm.sim.verilator.observed import LEVELS, TRACKS

SPAN = np.dtype([("start", "<i8"), ("end", "<i8"), ("track", "<i4"), ("value", "<i4")])

BUS_USES = {1: "data", 2: "refresh", 3: "rows", 4: "turnaround", 5: "timing"}
"""What a channel's data bus does, by the value of its spans."""

IDLE = 64
"""Value of a channel's span from which on nothing was requested; the rest is the design's activity code."""


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    Attributes
    ----------
    signals : dict
        Spans of each of `rtlm.sim.verilator.observed.TRACKS`, in cycles; a signal that is 0 has none.
    reads, writes : list
        For each port its bursts, from the first beat's cycle to the one after the last's; the value is the purpose of
        the first byte, by its number.
    channels : list
        For each channel of the memory what its data bus did, in memory clocks; `BUS_USES` and `IDLE` say the values.
    samples : dict
        Samples: ``cycle``; ``outstanding_reads``, bursts over all ports; ``read_bytes_P`` and ``write_bytes_P`` of
        port P, since the start of the simulation; levels, see `rtlm.sim.verilator.observed.LEVELS`.
    complete : bool
        Whether there was room for everything.
    """

    signals: dict[str, NDArray]
    reads: list[NDArray]
    writes: list[NDArray]
    channels: list[NDArray]
    samples: dict[str, NDArray[np.int64]]
    complete: bool


class Recorder:
    """Records what a simulation does between `start` and `stop`.

    Parameters
    ----------
    model : AcceleratorModel
        The simulation; its build must have been made with ``trace="timeline"``.
    """

    def __init__(self, model: AcceleratorModel):
        self._model = model

    def start(self) -> None:
        """Forget what was recorded and begin.

        Raises
        ------
        SimulationError
            If the build cannot record.
        """
        self._model._check("timeline_start")

    def stop(self) -> Recording:
        """End, and return what was recorded."""
        model = self._model
        model._call("timeline_stop")
        spans = model._list("timeline_spans", SPAN)
        ports, channels = model._library.rtlm_ports(), 0 if model.dram.ideal else model.dram.channels
        order = np.lexsort((spans["start"], spans["track"]))
        tracks = len(TRACKS) + 2 * ports + channels
        parts = np.split(spans[order], np.searchsorted(spans["track"][order], np.arange(1, tracks)))
        names = ["cycle", "outstanding_reads"]
        names += [f"{way}_bytes_{port}" for port in range(ports) for way in ("read", "write")] + list(LEVELS)
        samples = model._list("timeline_samples", np.dtype("<i8")).reshape(-1, len(names))
        first = len(TRACKS)
        bursts = parts[first : first + 2 * ports]
        return Recording(
            signals=dict(zip(TRACKS, parts[:first], strict=True)),
            reads=bursts[::2],
            writes=bursts[1::2],
            channels=parts[first + 2 * ports :],
            samples={name: samples[:, i] for i, name in enumerate(names)},
            complete=not model._call("timeline_full"),
        )
