"""The figures at the top of the page, each with what it is, and facts about the run."""

from collections.abc import Iterator

from rtlm.host.report_page.energy import SIZES, size_kind
from rtlm.host.report_page.parts import Cell, Headline, Kind, origin, rounded, share, significant, whole, words
from rtlm.host.report_page.run_file import RunFile


def headlines(run: RunFile) -> Iterator[Headline]:
    """Return those that the run has."""
    yield from _speed(run)
    yield from _bandwidth(run)
    yield from _power(run)
    yield from _size(run)


def _speed(run: RunFile) -> Iterator[Headline]:
    speed, clock = run.performance, run.config.clock_mhz
    batch = "one sequence" if speed.batch == 1 else f"{speed.batch} sequences together"
    if speed.tokens_per_s is not None:
        yield Headline(
            label="Decoding speed",
            figure=rounded(speed.tokens_per_s, "performance.tokens_per_s", digits=4),
            unit="tokens/s",
            extra=(words(f"{batch}, at {clock:g} MHz"),),
            kind=Kind.MEASURED,
            origin=origin(run, "performance.tokens_per_s"),
        )
    if speed.ttft_s is not None:
        yield Headline(
            label="Time to first token",
            figure=rounded(speed.ttft_s, "performance.ttft_s", scale=1e3),
            unit="ms",
            extra=(whole(run.prompt_tokens, "prompt_tokens"), words("tokens of the prompt")),
            kind=Kind.MEASURED,
            origin=origin(run, "performance.ttft_s"),
        )
    if speed.cycles_per_token is not None:
        yield Headline(
            label="Cycles a token",
            figure=whole(speed.cycles_per_token, "performance.cycles_per_token"),
            unit="cycles",
            extra=(words("context"), whole(speed.context, "performance.context")),
            kind=Kind.MEASURED,
            origin=origin(run, "performance.cycles_per_token"),
        )


def _bandwidth(run: RunFile) -> Iterator[Headline]:
    speed, memory = run.performance, run.memory
    if speed.bandwidth_utilisation is not None:
        extra: tuple[Cell, ...] = ()
        if speed.stream_ceiling is not None:
            extra = (
                words("a linear stream reaches"),
                share(speed.stream_ceiling, "performance.stream_ceiling"),
                words("(modelled)"),
            )
        yield Headline(
            label="Bandwidth utilisation",
            figure=Cell(
                text=f"{100 * speed.bandwidth_utilisation:.1f}",
                value=speed.bandwidth_utilisation,
                path="performance.bandwidth_utilisation",
            ),
            unit="%",
            extra=extra,
            kind=Kind.MEASURED,
            origin=origin(run, "performance.bandwidth_utilisation"),
        )
    if memory is not None and not memory.ideal:
        yield Headline(
            label="Memory's peak",
            figure=rounded(memory.peak_bytes_per_s, "memory.peak_bytes_per_s", scale=1e-9),
            unit="GB/s",
            extra=(words(memory.name),),
            kind=Kind.SOURCED,
            origin="Timings from the sources named at the end" if memory.source else "",
        )


def _power(run: RunFile) -> Iterator[Headline]:
    power = run.power
    if power is None:
        return
    yield Headline(
        label="Power, chip and memory",
        figure=rounded(power.total_w, "power.total_w"),
        unit="W",
        extra=(rounded(power.low_w, "power.low_w"), words("to"), rounded(power.high_w, "power.high_w"), words("W")),
        kind=Kind.MODELLED,
        origin="Each component has its range and its method below",
    )
    if power.tokens_per_j is not None:
        extra: tuple[Cell, ...] = ()
        if joule := power.j_per_token:
            path = "power.j_per_token"
            extra = (
                rounded(joule.nominal, f"{path}.nominal", scale=1e3),
                words("("),
                rounded(joule.low, f"{path}.low", scale=1e3),
                words("to"),
                rounded(joule.high, f"{path}.high", scale=1e3),
                words(") mJ/token"),
            )
        yield Headline(
            label="Energy efficiency",
            figure=rounded(power.tokens_per_j, "power.tokens_per_j"),
            unit="tokens/J",
            extra=extra,
            kind=Kind.MODELLED,
            origin="Measured speed / modelled power of chip and memory",
        )


def _size(run: RunFile) -> Iterator[Headline]:
    if not run.elements:
        return
    totals = {key: sum(counts.get(key, 0) for counts in run.elements.values()) for key in SIZES}
    rest = ", ".join(f"{totals[key]:,.0f} {SIZES[key]}" for key in SIZES if key != "luts" and totals[key])
    yield Headline(
        label="Size",
        figure=whole(totals["luts"]),
        unit=SIZES["luts"],
        extra=(words(rest),),
        kind=size_kind(run),
        origin="All units of the accelerator, without the board's processor",
    )


def facts(run: RunFile) -> Iterator[tuple[str, str]]:
    """Return what else there is to know of the run, each as a name and a value."""
    config, simulator = run.config, run.simulator
    yield "Configuration", f"{config.name}, {config.clock_mhz:g} MHz"
    if config.hash:
        yield "Its hash", config.hash
    for name, value in (("Board", config.board), ("Technology", config.technology)):
        if value:
            yield name, value
    yield "Model", run.model
    yield "Tokens", f"{run.prompt_tokens:,} of the prompt, {run.tokens:,} generated"
    if run.memory:
        yield "Memory", run.memory.name + (f" ({run.memory.source})" if run.memory.source else "")
    speed = f", {significant(simulator.cycles_per_s)} cycles/s" if simulator.cycles_per_s else ""
    took = f"{significant(simulator.wall_s)} s{speed} ({Kind.HOST})"
    yield "Simulator", f"{simulator.backend} {simulator.version}, {took}"
