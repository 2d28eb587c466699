"""Records the timeline of some steps while an engine computes."""

from collections.abc import Sequence

from rtlm.host.compiler.plan import Plan
from rtlm.host.reports.timeline import RecordedStep, Timeline, make_timeline
from rtlm.host.runtime.device import ColumnInput, StepResult
from rtlm.host.runtime.engine import Engine
from rtlm.sim import AcceleratorModel
from rtlm.sim.timeline import Recorder, Recording


class TimelineRecorder:
    """Steps an engine, and records from the step on that gives the first new token.

    Parameters
    ----------
    engine
        What computes.
    model
        Its simulation, from a build with ``trace="timeline"``.
    steps
        How many steps are recorded at most.
    """

    def __init__(self, engine: Engine, model: AcceleratorModel, *, steps: int):
        self.columns, self.context = engine.columns, engine.context
        self.recorded: list[RecordedStep] = []
        """The steps that were recorded and have ended."""
        self._engine, self._model, self._steps = engine, model, steps
        self._recorder = Recorder(model)
        self._recording: Recording | None = None

    def step(self, columns: Sequence[ColumnInput], *, want_logits: bool, read_logits: bool) -> StepResult:
        """Feed one token for each column; see `Engine.step`."""
        wanted = self._recording is None and bool(want_logits or self.recorded)
        if wanted and not self.recorded:
            self._recorder.start()
        result = self._engine.step(columns, want_logits=want_logits, read_logits=read_logits)
        if wanted:
            self.recorded.append(RecordedStep(columns=columns, logits=want_logits))
            if len(self.recorded) == self._steps:
                self._recording = self._recorder.stop()
        return result

    def timeline(self, plan: Plan, *, config: str, clock_mhz: float) -> Timeline | None:
        """Return the timeline of the steps that have ended; None where there is none.

        Parameters
        ----------
        plan
            What a step does.
        config, clock_mhz
            Name of the configuration, and its clock.
        """
        if not self.recorded:
            return None
        recording = self._recording or self._recorder.stop()
        return make_timeline(recording, self.recorded, plan, self._model.dram, config=config, clock_mhz=clock_mhz)
