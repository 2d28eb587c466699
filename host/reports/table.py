"""The report as tables on a terminal."""

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rtlm.host.boards.address import is_board
from rtlm.host.power.table import COMPONENT_HEADER, OPERATOR_HEADER, component_rows, operator_rows, spread, summary_rows
from rtlm.host.reports.report import Report, measured

DASH = "-"


def print_report(report: Report, console: Console) -> None:
    """Print a report."""
    console.print(render(report))


def render(report: Report) -> RenderableType:
    """Return a report as something that `rich` prints."""
    parts: list[RenderableType] = [_summary(report)]
    kind = measured(report.run)
    if report.operators:
        rows = ((each.name, f"{each.cycles_per_token:,.0f}", f"{each.share:.1%}") for each in report.operators)
        parts.append(_table(f"cycles by operator, a token ({kind})", ("operator", "cycles", "share"), rows))
    if report.units:
        states = (
            (unit.name, ", ".join(f"{state} {share:.1%}" for state, share in unit.states.items()))
            for unit in report.units
        )
        header = ("unit", "share of the cycles")
        parts.append(_table(f"cycles by unit ({kind})", header, states, text_columns=2))
    if report.causes:
        causes = (
            (each.name, each.meaning, f"{each.cycles_per_token:,.0f}", f"{each.share:.2%}") for each in report.causes
        )
        title = "where the cycles went, a token (measured in RTL behind the DRAM model)"
        parts.append(_table(title, ("cause", "in these cycles", "cycles", "share"), causes, text_columns=2))
    if memory := report.run.memory:
        total = sum(memory.read_bytes.values()) + sum(memory.written_bytes.values()) or 1
        moved = [("read", memory.read_bytes), ("write", memory.written_bytes)]
        rows = (
            (f"{direction} {purpose}", f"{count / 1e6:,.3f}", f"{count / total:.1%}")
            for direction, purposes in moved
            for purpose, count in purposes.items()
            if count
        )
        parts.append(_table("bytes by purpose, whole run (measured in RTL)", ("purpose", "MB", "share"), rows))
    if power := report.power:
        toggles = "toggles counted in RTL" if report.run.activity else "shipped toggle rates"
        title = f"power while decoding (estimated, {toggles})"
        components = component_rows(power, report.run.config["clock_mhz"])
        parts.append(_table(title, COMPONENT_HEADER, components, text_columns=2))
        title = "energy by operator while decoding, chip and memory (estimated)"
        parts.append(_table(title, OPERATOR_HEADER, operator_rows(power)))
    notes = [*report.notes, *((*power.notes, power.included) if power else ())]
    parts += [Text(f"Note: {note}") for note in notes]
    return Group(*parts)


def _summary(report: Report) -> RenderableType:
    run, speed, power = report.run, report.performance, report.power
    bandwidth = DASH
    if speed.bandwidth_utilisation is not None and speed.stream_ceiling is not None and run.memory:
        bandwidth = (
            f"{speed.bandwidth_utilisation:.1%} of {run.memory.peak_bytes_per_s / 1e9:.1f} GB/s; "
            f"a linear stream reaches {speed.stream_ceiling:.1%} ({run.memory.name})"
        )
    rows = [
        ("configuration", f"{run.config['name']} ({run.config_hash}), {run.config['clock_mhz']:g} MHz"),
        ("model", run.model),
        ("tokens", _tokens(report)),
        ("time to first token", _number(speed.ttft_s, "{:.3g} s")),
        ("cycles a token", _number(speed.cycles_per_token, "{:,.0f}")),
        ("tokens/s", _number(speed.tokens_per_s, "{:.4g}") + f" (batch {speed.batch}, at the configured clock)"),
        ("bandwidth utilisation", bandwidth),
    ]
    if speed.speculation:
        rows.append(
            ("guessed tokens", "{drafted} guessed, {accepted} right, in {steps} steps".format(**speed.speculation))
        )
    if speed.bandwidth:
        shares = ", ".join(f"{name.replace('_', ' ')} {share:.1%}" for name, share in speed.bandwidth.items())
        rows.append(("where the peak went", shares))
    if power:
        rows += summary_rows(power)
    if prefill := report.prefill_power:
        rows.append(("J/token of the prompt", f"{spread(prefill.j_per_token)} (module)"))
    simulator = report.simulator
    rate = _number(simulator.tokens_per_s, "{:.3g} tokens/s")
    rate += _number(simulator.cycles_per_s, ", {:,.0f} cycles/s") if simulator.cycles_per_s else ""
    board = is_board(simulator.backend)
    rows.append(("wall time of the run on the board" if board else f"{simulator.backend} on this computer", rate))
    return _table(None, ("", ""), rows, text_columns=2)


def _tokens(report: Report) -> str:
    sequences = report.run.sequences
    fed, new = (sum(len(getattr(s, ids)) for s in sequences) for ids in ("prompt_ids", "token_ids"))
    prompts = "the prompt" if len(sequences) == 1 else f"{len(sequences)} prompts"
    return f"{fed} of {prompts}, {new} generated, context {report.performance.context}"


def _table(
    title: str | None, header: Iterable[str], rows: Iterable[Iterable[str]], *, text_columns: int = 1
) -> RenderableType:
    table = Table(show_header=title is not None, box=None)
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i < text_columns else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(Text(), Text(title, style="bold"), table) if title else table


def _number(value: float | None, form: str) -> str:
    return DASH if value is None else form.format(value)
