"""Samples the switching activity of a decoding step, and keeps what was counted for later runs."""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rtlm.gen.common.cache import cache_folder, write_whole
from rtlm.host.reports.activity import read_saif
from rtlm.host.reports.measurements import ActivityMeasurement
from rtlm.host.runtime.device import ColumnInput, StepResult
from rtlm.host.runtime.engine import Engine
from rtlm.host.runtime.simulated_device import SimulatedDevice
from rtlm.host.runtime.trace import Trace, sample_windows

FORMAT = 1
"""Changes when the counting does, so that older figures are counted anew."""


class ActivitySampler:
    """Steps an engine, and counts toggles in samples of one of the steps that give a token.

    Parameters
    ----------
    engine
        What computes.
    device
        Its simulation, from a build with ``trace="saif"``.
    expected_cycles
        Cycles of a decoding step, as far as they are known beforehand; decides how far apart the samples lie.
    skip
        Steps with logits that come before the one that is sampled.
    **windows
        Other samples than the default ones, see `sample_windows`.
    """

    def __init__(self, engine: Engine, device: SimulatedDevice, *, expected_cycles: int, skip: int = 0, **windows: int):
        self.engine, self.device = engine, device
        self.columns, self.context = engine.columns, engine.context
        self.measurement: ActivityMeasurement | None = None
        self._expected_cycles = expected_cycles
        self._skip = skip
        self._windows = windows

    def step(self, columns: Sequence[ColumnInput], *, want_logits: bool, read_logits: bool) -> StepResult:
        """Feed one token for each column; see `Engine.step`."""
        if want_logits and self.measurement is None and not self._skip:
            return self._sampled(columns, read_logits)
        self._skip -= want_logits and self._skip > 0
        return self.engine.step(columns, want_logits=want_logits, read_logits=read_logits)

    def _sampled(self, columns: Sequence[ColumnInput], read_logits: bool) -> StepResult:
        windows = sample_windows(self.device.model.cycles, self._expected_cycles, **self._windows)
        with tempfile.TemporaryDirectory(prefix="rtlm-activity-") as folder:
            path = Path(folder, "activity.saif")
            self.device.trace = trace = Trace(self.device.model, path, windows)
            try:
                result = self.engine.step(columns, read_logits=read_logits)
            finally:
                trace.close()
                self.device.trace = None
            if not trace.started:  # the step was over before the first sample
                return result
            activity = read_saif(path)
        self.measurement = ActivityMeasurement(
            toggles=activity.by_unit(),
            cycles=activity.cycles,
            samples=trace.windows,
            context=max(column.position for column in columns) + 1,
        )
        return result


def activity_key(verilog_sha256: str, model: Path, model_sha256: str | None = None) -> str:
    """Return the key of what was counted with some hardware and a model file.

    Parameters
    ----------
    verilog_sha256
        Hash of the RTL, from its manifest.
    model
        The model file.
    model_sha256
        Its hash where that is known; else the whole file is read.
    """
    if model_sha256 is None:
        with model.open("rb") as file:
            model_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{FORMAT} {verilog_sha256} {model_sha256}".encode()).hexdigest()[:32]


def stored_activity(key: str) -> ActivityMeasurement | None:
    """Return what an earlier run has counted, None where there is nothing that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        values = json.loads(_path(key).read_text(encoding="utf-8"))
        return ActivityMeasurement(**values | {"earlier": True})
    return None


def store_activity(key: str, measurement: ActivityMeasurement) -> None:
    """Keep what was counted; the file appears whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = _path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(replace(measurement, earlier=False))))


def _path(key: str) -> Path:
    return cache_folder("activity") / f"{key}.json"
