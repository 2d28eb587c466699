"""One run of `rtlm run`: model, gates, image, answer, report."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile

from rtlm.gen.common.cache import cache_folder
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import Progress
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.rtl.verilog import Rtl, build_rtl
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.layout import MemoryMap
from rtlm.host.compiler.plan import Plan, check_fit, make_plan
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.errors import ModelError
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.download import SMOLLM2, fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.host.reports.activity_sampler import ActivitySampler, activity_key, store_activity, stored_activity
from rtlm.host.reports.collect import MeasuredStepper, measure_memory, measure_steps
from rtlm.host.reports.measurements import ActivityMeasurement, GeneratedText, RunMeasurements, SimulatorMeasurement
from rtlm.host.reports.report import Report, make_report
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.runtime.batch import generate_batch
from rtlm.host.runtime.device import Stepper
from rtlm.host.runtime.engine import Engine
from rtlm.host.runtime.generation import LogitDigest, Step, generate
from rtlm.host.runtime.interruption import InterruptibleStepper
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.runtime.simulated_device import SimulatedDevice
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.host.runtime.speculation import NgramDraft
from rtlm.host.runtime.trace import Trace
from rtlm.host.session_options import RunOptions
from rtlm.hw.params import AcceleratorParams
from rtlm.sim import AcceleratorModel, build_model, find_verilator
from rtlm.sim.verilator.find import find_compiler


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


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is asked of which model on which accelerator."""

    options: RunOptions
    config: Configuration
    path: Path
    model: LlamaModel
    plan: Plan
    tokenizer: Tokenizer
    prompts: list[list[int]]
    sampling: SamplingParams


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
    config = load_config(options.config, options.overrides)
    sampling = SamplingParams(
        temperature=options.temperature, top_k=options.top_k, top_p=options.top_p, seed=options.seed
    )
    path = options.model or fetch(SMOLLM2, progress=progress.stage)
    model = LlamaModel.open(path)
    tokenizer = Tokenizer(model.file)
    texts = [_chat(tokenizer, text, options.system) for text in options.texts] if options.chat else options.texts
    prompts = [tokenizer.encode(text) for text in texts]
    params = config.to_params()
    check_fit(params, model)
    _check_columns(options, params)
    context = min(_context(options, config, model, len(prompt)) for prompt in prompts)
    request = _Request(
        options=options,
        config=config,
        path=path,
        model=model,
        plan=make_plan(params, ModelShape.of(model), context=context),
        tokenizer=tokenizer,
        prompts=prompts,
        sampling=sampling,
    )
    if options.backend == "golden":
        progress.stage("preparing the golden model")
        engine = GoldenEngine(GoldenModel(model), context=context, columns=params.columns)
        return _answer(request, engine, progress)
    return _simulated(request, context, progress)


def _chat(tokenizer: Tokenizer, text: str, system: str | None) -> str:
    """Return the prompt of a chat; a template that leaves out the system message is refused."""
    messages = [{"role": "user", "content": text}]
    if system is None:
        return tokenizer.chat(messages)
    prompt = tokenizer.chat([{"role": "system", "content": system}, *messages])
    if system.strip() not in prompt:
        raise ModelError("the model's chat template must use the system message that is given; this one leaves it out")
    return prompt


def _simulated(request: _Request, context: int, progress: Progress) -> Report:
    """Answer with the simulated accelerator, with a waveform or a count of toggles if they are wanted."""
    options, config, model = request.options, request.config, request.model
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
    with simulate(config, model, context=context, progress=progress, trace=trace) as simulation:
        if options.waves:
            simulation.device.trace = Trace(simulation.device.model, options.waves_file, [options.waves])
        if not sampled or key is None:
            return _answer(request, simulation.engine, progress, simulation, activity)
        sampler = ActivitySampler(
            simulation.engine,
            simulation.device,
            expected_cycles=_expected_cycles(config, simulation),
            skip=int(options.max_tokens > 1),
        )
        report = _answer(request, sampler, progress, simulation)
        if sampler.measurement:
            # A cache that cannot be written costs the next run some seconds; it is no reason to lose this report.
            with suppress(OSError):
                store_activity(key, sampler.measurement)
        return report


def _check_columns(options: RunOptions, params: AcceleratorParams) -> None:
    """Refuse what needs more columns than there are, before anything is built."""
    count = len(options.texts)
    if count > params.columns:
        raise ModelError(
            f"the prompts must be at most as many as the columns of configuration {params.name}, {params.columns}, got "
            f"{count}; add --set matmul.columns={count}"
        )
    if options.speculate and (params.columns == 1 or count > 1):
        raise ModelError(
            "speculation must have one prompt, and columns besides its own to verify guesses on, got "
            f"{count} prompts and {params.columns} columns; try --set matmul.columns=8"
        )


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
        Kind of trace that the simulator can write: one of `rtlm.sim.verilator.build.TRACES`.
    stall_seed, stall_percent
        Random gaps on the buses, for tests.
    """
    params = config.to_params()
    memory, program = compile_model(params, model, context=context)
    rtl = build_rtl(config, progress.stage)
    build = build_model(rtl.verilog.read_text(), trace=trace, progress=progress.stage)
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
        engine = Engine(
            device,
            params,
            memory,
            vocabulary=model.vocab,
            context=context,
            program_crc=program_crc(params, program),
        )
        yield Simulation(engine=engine, device=device, memory=memory, rtl=rtl, version=find_verilator().version)


def _context(options: RunOptions, config: Configuration, model: LlamaModel, prompt: int) -> int:
    """Return the positions that are provided for."""
    if not prompt:
        raise ModelError("the prompt must have at least one token, got none")
    limit = min(config.attention.context_limit, model.context)
    context = options.context or limit
    if context > limit:
        raise ModelError(
            f"the context must have at most {config.attention.context_limit} positions, the configuration's limit, and "
            f"at most {model.context}, the model's, got {context}"
        )
    if prompt + options.max_tokens > context:
        raise ModelError(
            f"prompt and answer must fit the context of {context} positions, got {prompt} prompt tokens and "
            f"{options.max_tokens} new ones"
        )
    return context


def _answer(
    request: _Request,
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
    answer = _run_batch if len(request.prompts) > 1 else _run_single
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


def _run_single(
    request: _Request, stepper: InterruptibleStepper, progress: Progress, digest: LogitDigest
) -> tuple[list[Step], list[GeneratedText]]:
    """Answer one prompt, piece by piece."""
    options, (prompt,) = request.options, request.prompts
    tokens: list[int] = []
    steps: list[Step] = []
    pieces: list[str] = []
    stream = request.tokenizer.stream(special=False)

    def show(piece: str) -> None:
        pieces.append(piece)
        progress.text(piece)

    with stepper.until_signal():
        for step in generate(
            stepper,
            prompt,
            max_tokens=options.max_tokens,
            stop=request.tokenizer.stop,
            sampling=request.sampling,
            read_logits=options.read_logits,
            on_logits=digest.add,
            draft=NgramDraft() if options.speculate else None,
        ):
            steps.append(step)
            if step.prefill:
                progress.stage("reading the prompt", step.inputs[-1].position + 1, len(prompt))
            for token in step.tokens:
                tokens.append(token)
                show(stream.push(token))
                progress.stage("answering", len(tokens), options.max_tokens)
    show(stream.finish())
    return steps, [GeneratedText(prompt_ids=prompt, token_ids=tokens, text="".join(pieces))]


def _run_batch(
    request: _Request, stepper: InterruptibleStepper, progress: Progress, digest: LogitDigest
) -> tuple[list[Step], list[GeneratedText]]:
    """Answer several prompts in a batch, and show the answers at the end."""
    options, prompts = request.options, request.prompts
    tokens: list[list[int]] = [[] for _ in prompts]
    steps: list[Step] = []
    with stepper.until_signal():
        for step in generate_batch(
            stepper,
            prompts,
            max_tokens=options.max_tokens,
            stop=request.tokenizer.stop,
            sampling=request.sampling,
            read_logits=options.read_logits,
            on_logits=digest.add,
        ):
            steps.append(step)
            for column, token in zip(step.inputs, step.tokens, strict=False):
                tokens[column.slot].append(token)
            if step.prefill:
                progress.stage(f"reading prompt {step.inputs[0].slot + 1} of {len(prompts)}")
            else:
                progress.stage("answering", max(len(ids) for ids in tokens), options.max_tokens)
    sequences = []
    for i, (prompt, ids) in enumerate(zip(prompts, tokens, strict=True)):
        stream = request.tokenizer.stream(special=False)
        text = "".join([*(stream.push(token) for token in ids), stream.finish()])
        sequences.append(GeneratedText(prompt_ids=prompt, token_ids=ids, text=text))
        progress.text(f"[{i + 1}] {text.strip()}" + "\n" * (i + 1 < len(prompts)))
    return steps, sequences
