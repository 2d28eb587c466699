"""One run of `rtlm run`: request, gates or golden model, answer, report."""

import os
import time
from contextlib import suppress
from importlib import metadata
from tempfile import TemporaryFile

from rtlm.gen.common.cache import cache_folder
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import Progress
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.host.answering import answer
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.download import SMOLLM2
from rtlm.host.reports.activity_sampler import ActivitySampler, activity_key, store_activity, stored_activity
from rtlm.host.reports.collect import MeasuredStepper, measure_memory, measure_steps
from rtlm.host.reports.measurements import ActivityMeasurement, RunMeasurements, SimulatorMeasurement
from rtlm.host.reports.report import Report, make_report
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.request import Request, make_request
from rtlm.host.runtime.device import Stepper
from rtlm.host.runtime.generation import LogitDigest
from rtlm.host.runtime.interruption import InterruptibleStepper
from rtlm.host.runtime.simulation import Simulation, simulate
from rtlm.host.runtime.trace import Trace
from rtlm.host.session_options import RunOptions
from rtlm.sim import find_verilator
from rtlm.sim.verilator.find import find_compiler


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
    if options.backend == "golden":
        progress.stage("preparing the golden model")
        plan = request.plan
        engine = GoldenEngine(GoldenModel(request.model), context=plan.context, columns=plan.params.columns)
        return _report(request, engine, progress)
    return _simulated(request, progress)


def _simulated(request: Request, progress: Progress) -> Report:
    """Answer with the simulated accelerator, with a waveform or a count of toggles if they are wanted."""
    options, config = request.options, request.config
    # What is missing is said at once, not after the RTL has been generated.
    find_verilator()
    find_compiler()
    _check_cache()
    activity = key = None
    if options.power != "assumed":
        rtl = build_rtl(config, progress.stage)
        # What is not given was fetched, which has compared its hash.
        known = None if options.model else SMOLLM2.sha256
        key = activity_key(rtl.manifest["verilog_sha256"], request.path, known)
        activity = stored_activity(key)
    sampled = options.power == "measured" and activity is None
    trace = options.waves_file.suffix[1:] if options.waves else "saif" if sampled else None
    with simulate(config, request.model, context=request.plan.context, progress=progress, trace=trace) as simulation:
        if options.waves:
            simulation.device.trace = Trace(simulation.device.model, options.waves_file, [options.waves])
        if not sampled or key is None:
            return _report(request, simulation.engine, progress, simulation, activity)
        sampler = ActivitySampler(
            simulation.engine,
            simulation.device,
            expected_cycles=_expected_cycles(config, simulation),
            skip=int(options.max_tokens > 1),
        )
        report = _report(request, sampler, progress, simulation)
        if sampler.measurement:
            # A cache that cannot be written costs the next run some seconds; it is no reason to lose this report.
            with suppress(OSError):
                store_activity(key, sampler.measurement)
        return report


def _check_cache() -> None:
    """Refuse a cache folder that cannot be written: of the tools that use it, not all say what is wrong."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise ToolError(
            f"The cache folder {folder} cannot be written: {error.strerror}; set XDG_CACHE_HOME to one that can be."
        ) from error


def _expected_cycles(config: Configuration, simulation: Simulation) -> int:
    """Return the cycles that the weights of a token take at the memory's peak."""
    peak = min(simulation.device.model.dram.peak_bytes_per_second, config.port_bytes_per_s)
    needed = needed_bytes(simulation.memory.plan, [], logits=True, stored_logits=False)
    return round((needed["weights"] + needed["norms"]) / peak * config.clock_mhz * 1e6)


def _report(
    request: Request,
    stepper: Stepper,
    progress: Progress,
    simulation: Simulation | None = None,
    activity: ActivityMeasurement | None = None,
) -> Report:
    """Generate, show the text as it comes, and collect what was measured."""
    options, config = request.options, request.config
    digest = LogitDigest()
    progress.stage("reading the prompt")
    measured = MeasuredStepper(stepper, simulation.device.model) if simulation else None
    interruptible = InterruptibleStepper(measured or stepper)
    started = time.perf_counter()
    steps, sequences = answer(request, interruptible, progress, digest)
    wall_s = interruptible.ended_at - started
    if isinstance(stepper, ActivitySampler):
        activity = stepper.measurement
    return make_report(
        RunMeasurements(
            config=config.model_dump(mode="json"),
            config_hash=config_hash(config),
            model=os.fsencode(request.path.name).decode(errors="replace"),
            sequences=sequences,
            logits_sha256=digest.hex,
            steps=measure_steps(steps, request.plan, measured),
            simulator=SimulatorMeasurement(
                backend=options.backend,
                version=simulation.version if simulation else f"numpy {metadata.version('numpy')}",
                wall_s=wall_s,
                simulated_cycles=simulation.device.model.cycles if simulation else None,
            ),
            memory=measure_memory(config, simulation.device, measured.counters) if simulation and measured else None,
            elements=simulation.rtl.manifest["elements"] if simulation else None,
            activity=activity,
            speculation=options.speculate,
            interrupted=interruptible.interrupted,
        )
    )
