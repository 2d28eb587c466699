"""One run of `rtlm run`: model, gates, image, answer, report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rtlm.gen.config import load_config
from rtlm.gen.rtl import Rtl, build_rtl
from rtlm.gen.schema import Configuration, config_hash
from rtlm.host.engine import Engine
from rtlm.host.errors import ModelError
from rtlm.host.fetch import fetch
from rtlm.host.generation import LogitDigest, Step, Stepper, generate
from rtlm.host.golden import GoldenModel
from rtlm.host.golden_engine import GoldenEngine
from rtlm.host.image import build_image
from rtlm.host.layout import MemoryMap, check_fit
from rtlm.host.measurements import (
    DECODE,
    PREFILL,
    MemoryMeasurement,
    RunMeasurements,
    SimulatorMeasurement,
    StepMeasurement,
)
from rtlm.host.model import LlamaModel
from rtlm.host.program import compile_model
from rtlm.host.progress import Progress
from rtlm.host.report import Report, make_report
from rtlm.host.sampling import SamplingParams
from rtlm.host.session_options import RunOptions
from rtlm.host.simulated_device import SimulatedDevice
from rtlm.host.simulated_memory import simulated_memory
from rtlm.host.tokenizer import Tokenizer
from rtlm.host.traffic import step_bytes, weight_bytes
from rtlm.sim import AcceleratorModel, build_model, find_verilator, stream_ceiling


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A simulated accelerator that holds a model.

    Parameters
    ----------
    engine
        Drives it.
    device
        Its registers and memory.
    memory
        Where things lie.
    rtl
        What was generated.
    version
        Version of the simulator.
    """

    engine: Engine
    device: SimulatedDevice
    memory: MemoryMap
    rtl: Rtl
    version: str


def run(options: RunOptions, progress: Progress) -> Report:
    """Answer a prompt and report.

    Parameters
    ----------
    options
        What to do.
    progress
        Told what happens, and given the answer piece by piece.

    Raises
    ------
    ConfigError, ModelError, AcceleratorError, GenerateError, ToolError, SimulationError
        If it is not possible; each text is a sentence.
    """
    config = load_config(options.config, options.overrides)
    sampling = SamplingParams(
        temperature=options.temperature, top_k=options.top_k, top_p=options.top_p, seed=options.seed
    )
    path = options.model or fetch(progress=progress.stage)
    model = LlamaModel.open(path)
    tokenizer = Tokenizer(model.file)
    text = tokenizer.chat([{"role": "user", "content": options.text}]) if options.chat else options.text
    prompt = tokenizer.encode(text)
    context = _context(options, config, model, len(prompt))
    if options.backend == "golden":
        check_fit(config.to_params(), model)
        progress.stage("preparing the golden model")
        engine = GoldenEngine(GoldenModel(model), context=context)
        return _answer(engine, config, model, tokenizer, prompt, options, sampling, progress, None)
    trace = "fst" if options.waves else None
    with simulate(config, model, context=context, progress=progress, trace=trace) as simulation:
        if options.waves:
            simulation.device.schedule_trace(Path("waves.fst"), *options.waves)
        return _answer(simulation.engine, config, model, tokenizer, prompt, options, sampling, progress, simulation)


@contextmanager
def simulate(
    config: Configuration,
    model: LlamaModel,
    *,
    context: int,
    progress: Progress,
    trace: str | None = None,
    stall_seed: int = 0,
    stall_percent: int = 0,
) -> Iterator[Simulation]:
    """Generate RTL, build the simulator, load the model.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    model
        The model.
    context
        Positions for which RoPE tables are stored.
    progress
        Told what happens.
    trace
        Kind of trace that the simulator can write: None, ``fst`` or ``saif``.
    stall_seed, stall_percent
        Random gaps on the buses, for tests.
    """
    params = config.to_params()
    memory, program = compile_model(params, model, context=context)
    rtl = build_rtl(config, lambda text: progress.stage(text))
    build = build_model(rtl.verilog.read_text(), trace=trace, progress=lambda text: progress.stage(text))
    progress.stage("packing the model")
    image = build_image(params, model, memory, program)
    with AcceleratorModel(
        build,
        dram=simulated_memory(config),
        clock_mhz=config.clock_mhz,
        memory_bytes=SimulatedDevice.memory_bytes(params, memory),
        stall_seed=stall_seed,
        stall_percent=stall_percent,
    ) as simulated:
        device = SimulatedDevice(simulated, params)
        device.load(image)
        del image
        device.count_purposes(memory)
        engine = Engine(device, params, memory, vocabulary=model.vocab, context=context)
        yield Simulation(engine=engine, device=device, memory=memory, rtl=rtl, version=find_verilator().version)


def _context(options: RunOptions, config: Configuration, model: LlamaModel, prompt: int) -> int:
    """Give the positions that are provided for."""
    limit = min(config.attention.context_limit, model.context)
    context = options.context or limit
    if context > limit:
        raise ModelError(
            f"a context of {context} positions is not possible: the configuration allows "
            f"{config.attention.context_limit}, the model {model.context}"
        )
    if prompt + options.max_tokens > context:
        raise ModelError(
            f"{prompt} prompt tokens and {options.max_tokens} new ones exceed the context of {context} positions"
        )
    return context


def _answer(
    stepper: Stepper,
    config: Configuration,
    model: LlamaModel,
    tokenizer: Tokenizer,
    prompt: list[int],
    options: RunOptions,
    sampling: SamplingParams,
    progress: Progress,
    simulation: Simulation | None,
) -> Report:
    """Generate, show the text as it comes, and collect what was measured."""
    digest = LogitDigest()
    tokens: list[int] = []
    steps: list[Step] = []
    pieces: list[str] = []
    stream = tokenizer.stream(special=False)

    def show(piece: str) -> None:
        pieces.append(piece)
        progress.text(piece)

    progress.stage("reading the prompt", 0, len(prompt))
    started = time.perf_counter()
    for step in generate(
        stepper,
        prompt,
        max_tokens=options.max_tokens,
        stop=tokenizer.stop,
        sampling=sampling,
        read_logits=options.read_logits,
        on_logits=digest.add,
    ):
        steps.append(step)
        if step.prefill:
            progress.stage("reading the prompt", steps[-1].inputs[-1].position + 1, len(prompt))
        if step.token is not None:
            tokens.append(step.token)
            show(stream.push(step.token))
            progress.stage("answering", len(tokens), options.max_tokens)
    show(stream.finish())
    wall_s = time.perf_counter() - started
    measured = [_measure(step, model) for step in steps]
    return make_report(
        RunMeasurements(
            config=config.model_dump(mode="json"),
            config_hash=config_hash(config),
            model=Path(options.model).name if options.model else "SmolLM2-135M-Instruct.Q4_1.gguf",
            prompt_ids=prompt,
            token_ids=tokens,
            text="".join(pieces),
            logits_sha256=digest.hex,
            steps=measured,
            simulator=SimulatorMeasurement(
                backend=options.backend,
                version=simulation.version if simulation else f"numpy {metadata.version('numpy')}",
                wall_s=wall_s,
            ),
            memory=_memory(config, simulation) if simulation else None,
            elements=simulation.rtl.manifest["elements"] if simulation else None,
        )
    )


def _measure(step: Step, model: LlamaModel) -> StepMeasurement:
    """Turn a step's counters into what the report wants."""
    return StepMeasurement.from_counters(
        step.result.counters,
        phase=PREFILL if step.prefill else DECODE,
        tokens=len(step.inputs),
        context=step.inputs[-1].position + 1,
        needed_bytes=step_bytes(
            model,
            step.inputs,
            weights=weight_bytes(model, logits=step.token is not None),
            stored_logits=step.result.logits is not None,
        ),
    )


def _memory(config: Configuration, simulation: Simulation) -> MemoryMeasurement:
    """Collect what the bench counted."""
    dram = simulation.device.model.dram
    counters = simulation.device.model.counters()
    params = simulation.device.params
    return MemoryMeasurement(
        name=dram.name,
        source=dram.source,
        peak_bytes_per_s=min(dram.peak_bytes_per_second, config.port_bytes_per_s),
        stream_ceiling=stream_ceiling(
            dram, ports=params.ports, port_bytes=params.port_bytes, clock_mhz=config.clock_mhz
        ),
        ideal=dram.ideal,
        read_bytes=counters.read_bytes,
        written_bytes=counters.write_bytes,
        counters=counters.totals,
    )
