"""What computes the answers to a request: simulated accelerator, golden model or board, and what is measured of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from tempfile import TemporaryFile

from rtlm.gen.common.cache import cache_folder
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import Progress
from rtlm.gen.configuration.schema import config_hash
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.gen.synthesis.elements import synthesised_elements
from rtlm.host.boards.address import is_board
from rtlm.host.boards.connect import connect
from rtlm.host.estimation.context_curve import context_curve
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.power.accelerator_cells import accelerator_cells
from rtlm.host.power.shipped import shipped_for
from rtlm.host.reports.activity_sampler import activity_key, stored_activity
from rtlm.host.reports.collect import MeasuredStepper, measure_memory, measure_steps
from rtlm.host.reports.measurements import (
    ActivityMeasurement,
    GeneratedText,
    RunMeasurements,
    SimulatorMeasurement,
    TurnMeasurement,
)
from rtlm.host.reports.report import Report, make_report
from rtlm.host.request import Request
from rtlm.host.runtime.device import Stepper
from rtlm.host.runtime.engine import Engine
from rtlm.host.runtime.generation import Step
from rtlm.host.runtime.simulation import Simulation, simulate
from rtlm.host.session_options import SIMULATOR
from rtlm.hw.registers.accelerator import VERSION_VALUE
from rtlm.sim import find_verilator
from rtlm.sim.verilator.find import find_compiler


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What computes, with the model in its memory.

    Parameters
    ----------
    stepper
        Computes steps: the engine of simulated gates or of a board, or the golden model.
    simulation
        The gates; None with the golden model and on a board.
    """

    stepper: Stepper
    simulation: Simulation | None = None

    def measure(self, stepper: Stepper) -> MeasuredStepper | None:
        """Return a stepper that records what the memory counts in the steps of another; None where nothing counts."""
        return MeasuredStepper(stepper, self.simulation.device.model) if self.simulation else None

    def free(self) -> None:
        """Make ready for a step whatever a step that was broken off, or stopped with an error, has left."""
        if isinstance(self.stepper, Engine):
            self.stepper.free()


@contextmanager
def open_backend(request: Request, progress: Progress, *, trace: str | None = None) -> Iterator[Backend]:
    """Make what answers a request: for gates, generate RTL and build the simulator; then load the model.

    Parameters
    ----------
    request
        What is asked of which model on which accelerator.
    progress
        Told what happens.
    trace
        Kind of trace that the simulator can write; see `simulate`.

    Raises
    ------
    GenerateError, ToolError, SimulationError
        If RTL or simulator cannot be made.
    AcceleratorError, ImageError
        If a board cannot be used, or an image is not for it.
    """
    config, context = request.config, request.plan.context
    if request.options.backend == "golden":
        progress.stage("preparing the golden model")
        columns = request.plan.params.columns
        golden = GoldenModel(request.model, kv_bits=config.attention.kv_bits)
        yield Backend(stepper=GoldenEngine(golden, context=context, columns=columns))
        return
    if is_board(request.options.backend):
        with connect(request, progress) as engine:
            yield Backend(stepper=engine)
        return
    check_simulator()
    pgo = request.options.pgo
    with simulate(config, request.model, context=context, progress=progress, trace=trace, pgo=pgo) as simulation:
        yield Backend(stepper=simulation.engine, simulation=simulation)


def check_simulator() -> None:
    """Refuse at once what would only be missing after the RTL has been generated."""
    find_verilator()
    find_compiler()
    _check_cache()


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


def earlier_activity(request: Request, progress: Progress) -> tuple[str | None, ActivityMeasurement | None]:
    """Return the key of the toggles of the gates with the model, and the toggles if an earlier run has counted them."""
    if request.options.power == "assumed" or request.options.backend != SIMULATOR:
        return None, None
    rtl = build_rtl(request.config, progress.stage)
    key = activity_key(rtl.manifest["verilog_sha256"], request.path, request.sha256)
    return key, stored_activity(key)


def report_run(
    request: Request,
    backend: Backend,
    measured: MeasuredStepper | None,
    *,
    steps: Sequence[Step],
    sequences: Sequence[GeneratedText],
    wall_s: float,
    activity: ActivityMeasurement | None,
    logits_sha256: str | None = None,
    turns: Sequence[TurnMeasurement] = (),
    interrupted: bool = False,
) -> Report:
    """Make the report of what a backend has computed.

    Parameters
    ----------
    request
        What was asked.
    backend
        What computed it.
    measured
        What recorded the memory's counters; None where nothing counts.
    steps
        All that `measured` has recorded.
    sequences, activity, logits_sha256, turns, interrupted
        See `RunMeasurements`.
    wall_s
        Seconds that it took.
    """
    options, config, simulation = request.options, request.config, backend.simulation
    synthesised, synthesised_are = synthesised_elements(config) if simulation else (None, "")
    counted = simulation.rtl.manifest["elements"] if simulation else None
    curve = None
    if simulation and options.estimate_contexts and not simulation.device.model.dram.ideal:
        longest = min(request.model.context, config.attention.context_limit)
        curve = context_curve(config, request.plan.shape, longest=longest, batch=len(sequences))
    cells, cells_are = accelerator_cells(config) if simulation else ({}, "")
    return make_report(
        RunMeasurements(
            config=config.model_dump(mode="json"),
            config_hash=config_hash(config),
            model=os.fsencode(request.path.name).decode(errors="replace"),
            sequences=sequences,
            logits_sha256=logits_sha256,
            steps=measure_steps(steps, request.plan, measured),
            simulator=SimulatorMeasurement(
                backend=options.backend,
                version=_version(options.backend, simulation),
                wall_s=wall_s,
                simulated_cycles=simulation.device.model.cycles if simulation else None,
            ),
            memory=measure_memory(config, simulation.device, measured.counters) if simulation and measured else None,
            elements=synthesised or counted,
            elements_are=synthesised_are if synthesised else "elements counted in the netlist",
            cells=cells,
            cells_are=cells_are,
            activity=activity,
            shipped=shipped_for(config),
            speculation=options.speculate,
            turns=turns,
            interrupted=interrupted,
            context_curve=curve,
        )
    )


def _version(backend: str, simulation: Simulation | None) -> str:
    """Return the version of what computed; that of a board is its register map's, the one that was checked."""
    if simulation:
        return simulation.version
    return f"register map {VERSION_VALUE}" if is_board(backend) else f"numpy {metadata.version('numpy')}"
