"""One run of `rtlm run`: request, gates, golden model or board, answer, report."""

import time
from contextlib import suppress
from pathlib import Path

from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import Progress
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.answering import answer
from rtlm.host.backend import Backend, check_simulator, earlier_activity, open_backend, report_run
from rtlm.host.reports.activity_sampler import ActivitySampler, store_activity
from rtlm.host.reports.measurements import ActivityMeasurement
from rtlm.host.reports.perfetto_file import write_perfetto
from rtlm.host.reports.report import Report
from rtlm.host.reports.timeline_recorder import TimelineRecorder
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.request import Request, make_request
from rtlm.host.runtime.device import Stepper
from rtlm.host.runtime.generation import LogitDigest
from rtlm.host.runtime.interruption import InterruptibleStepper
from rtlm.host.runtime.simulation import Simulation
from rtlm.host.runtime.trace import Trace
from rtlm.host.runtime.wave_views import write_views
from rtlm.host.session_options import SIMULATOR, RunOptions
from rtlm.sim.verilator.build import TIMELINE


def run(options: RunOptions, progress: Progress) -> Report:
    """Answer a prompt and report.

    A first SIGINT or SIGTERM while the model answers ends the answer; the report is then of the steps that had ended.

    Parameters
    ----------
    options
        What to do.
    progress
        Told what happens, and given the answer piece by piece.

    Raises
    ------
    ConfigError, ModelError, AcceleratorError, GenerateError, ToolError, SimulationError
        If something given is not allowed, or a tool is missing; each text is a sentence.
    """
    request = make_request(options, progress)
    if options.backend != SIMULATOR:
        with open_backend(request, progress) as backend:
            return _report(request, backend, progress)
    return _simulated(request, progress)


def _simulated(request: Request, progress: Progress) -> Report:
    """Answer with the simulated accelerator, with a waveform, a timeline or a count of toggles if they are wanted."""
    options, config = request.options, request.config
    check_simulator()
    key, activity = earlier_activity(request, progress)
    sampled = options.power == "measured" and activity is None
    trace = options.waves_file.suffix[1:] if options.waves else "saif" if sampled else None
    with open_backend(request, progress, trace=TIMELINE if options.trace else trace) as backend:
        simulation = backend.simulation
        assert simulation is not None
        if options.waves:
            simulation.device.trace = waves = Trace(simulation.device.model, options.waves_file, [options.waves])
            report = _report(request, backend, progress, activity=activity)
            if waves.started:
                _write_views(simulation, options.waves_file, progress)
            return report
        if options.trace:
            recorder = TimelineRecorder(simulation.engine, simulation.device.model, steps=options.trace_steps)
            report = _report(request, backend, progress, activity=activity, stepper=recorder)
            _write_timeline(request, recorder, options.trace, progress)
            return report
        if not sampled or key is None:
            return _report(request, backend, progress, activity=activity)
        sampler = ActivitySampler(
            simulation.engine,
            simulation.device,
            expected_cycles=_expected_cycles(config, simulation),
            skip=int(options.max_tokens > 1),
        )
        report = _report(request, backend, progress, sampler=sampler)
        if sampler.measurement:
            # A cache that cannot be written costs the next run some seconds; it is no reason to lose this report.
            with suppress(OSError):
                store_activity(key, sampler.measurement)
        return report


def _write_views(simulation: Simulation, waveform: Path, progress: Progress) -> None:
    """Write what waveform viewers show first, and say so."""
    try:
        gtkwave, surfer = write_views(waveform, simulation.rtl.verilog.read_text("utf-8"), simulation.rtl.objects)
    except OSError as error:
        raise ToolError(f"The views of {waveform} cannot be written: {error.strerror}.") from error
    progress.note(f"{gtkwave} shows the waveform by unit in GTKWave, {surfer} in Surfer.")


def _write_timeline(request: Request, recorder: TimelineRecorder, path: Path, progress: Progress) -> None:
    """Write what was recorded, and say so."""
    config = request.config
    timeline = recorder.timeline(request.plan, config=config.name, clock_mhz=config.clock_mhz)
    if timeline is None:
        progress.note("No timeline was written: no step that gives a token has ended.")
        return
    progress.stage("writing the timeline")
    try:
        write_perfetto(timeline, path)
    except OSError as error:
        raise ToolError(f"The timeline {path} cannot be written: {error.strerror}.") from error
    steps = len(recorder.recorded)
    cut = "" if timeline.complete else "; its end is cut off, as it would be too large"
    progress.note(
        f"The timeline of {steps} step{'s' if steps > 1 else ''}, {timeline.cycles:,.0f} cycles, is in {path}{cut}."
    )


def _expected_cycles(config: Configuration, simulation: Simulation) -> int:
    """Return the cycles that the weights of a token take at the memory's peak."""
    peak = min(simulation.device.model.dram.peak_bytes_per_second, config.port_bytes_per_s)
    needed = needed_bytes(simulation.memory.plan, [], logits=True, stored_logits=False)
    return round((needed["weights"] + needed["norms"]) / peak * config.clock_mhz * 1e6)


def _report(
    request: Request,
    backend: Backend,
    progress: Progress,
    *,
    activity: ActivityMeasurement | None = None,
    sampler: ActivitySampler | None = None,
    stepper: Stepper | None = None,
) -> Report:
    """Generate, show the text as it comes, and collect what was measured."""
    digest = LogitDigest()
    progress.stage("reading the prompt")
    stepper = sampler or stepper or backend.stepper
    measured = backend.measure(stepper)
    interruptible = InterruptibleStepper(measured or stepper)
    started = time.perf_counter()
    steps, sequences = answer(request, interruptible, progress, digest)
    return report_run(
        request,
        backend,
        measured,
        steps=steps,
        sequences=sequences,
        wall_s=interruptible.ended_at - started,
        activity=sampler.measurement if sampler else activity,
        logits_sha256=digest.hex,
        interrupted=interruptible.interrupted,
    )
