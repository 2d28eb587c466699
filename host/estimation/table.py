"""An estimate as tables on a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rtlm.host.estimation.result import Estimate, StepEstimate
from rtlm.host.estimation.scale_out import ScaleOut
from rtlm.host.power.table import COMPONENT_HEADER, OPERATOR_HEADER, component_rows, operator_rows, spread, summary_rows


def render(estimate: Estimate) -> RenderableType:
    """Return an estimate as something that `rich` prints."""
    parts: list[RenderableType] = [
        _summary(estimate),
        _operators(estimate.decode, "a decoding step by operator (estimated)"),
        _bytes(estimate.decode),
    ]
    if power := estimate.power:
        rows = component_rows(power, estimate.config.clock_mhz)
        title = "power while decoding (estimated)"
        parts.append(_table(title, COMPONENT_HEADER, rows, text_columns=2))
        title = "energy by operator while decoding, chip and memory (estimated)"
        parts.append(_table(title, OPERATOR_HEADER, operator_rows(power)))
    notes = [*estimate.notes, *((*power.notes, power.included) if power else ())]
    return Group(*parts, *(Text(f"Note: {note}") for note in notes))


def render_scale_out(result: ScaleOut) -> RenderableType:
    """Return a step on several chips as something that `rich` prints."""
    link, processor = result.link, result.processor
    rows = [
        ("chips", f"{result.chips}, {result.chip_s * 1e3:.4g} ms a step"),
        (
            "link",
            f"{link.bytes_per_s / 1e9:g} GB/s, {link.latency_s * 1e6:g} us a hop: {result.link_s * 1e3:.4g} ms "
            f"({result.link_s / result.step_s:.1%})",
        ),
    ]
    if processor:
        rows.append(
            (
                "host",
                f"{processor.layers} layers at {processor.bytes_per_s / 1e9:g} GB/s: {result.processor_s * 1e3:.4g} ms "
                f"({result.processor_s / result.step_s:.1%})",
            )
        )
    rows += [("tokens/s", f"{result.tokens_per_s:.4g}"), ("bound by", result.bound)]
    return _table("several chips (on paper: no RTL divides a model yet)", ("", ""), rows, text_columns=2)


def _summary(estimate: Estimate) -> RenderableType:
    speed, band, config = estimate.performance, estimate.error_band, estimate.config
    fitted = f", with {' '.join(estimate.changes)}" if estimate.changes else ""
    used, has = estimate.image_bytes / 1e9, estimate.memory_bytes / 1e9
    rows = [
        ("configuration", f"{config.name}, {config.clock_mhz:g} MHz{fitted}"),
        ("model", f"{estimate.model.name}, {estimate.model.parameters / 1e6:,.0f} M parameters"),
        ("context, batch", f"{speed.context}, {speed.batch}"),
        ("cycles a token", f"{speed.cycles_per_token:,.0f}"),
        ("tokens/s", f"{speed.tokens_per_s:.4g} (at the configured clock)"),
        ("time to first token", f"{speed.ttft_s:.4g} s, {estimate.prefill.tokens} prompt tokens"),
        ("time between tokens", f"{1e3 * (speed.latency_p50_s or 0):.4g} ms"),
        (
            "bandwidth utilisation",
            f"{speed.bandwidth_utilisation:.1%}; a linear stream reaches {speed.stream_ceiling:.1%}",
        ),
        ("KV cache", f"{estimate.kv_cache_bytes / 1e6:,.1f} MB"),
        ("memory", f"{used:.3g} GB of {has:.3g} GB: {'fits' if estimate.fits else 'does not fit'}"),
    ]
    if estimate.area:
        area = estimate.area.total
        size = f"{area.luts:,.0f} LUT, {area.ffs:,.0f} FF, {area.dsps:,.0f} DSP, {area.brams:,.1f} BRAM36"
        rows.append(("size (area model)", size))
    if estimate.power:
        rows += summary_rows(estimate.power)
    if estimate.prefill_power:
        rows.append(("J/token of the prompt", f"{spread(estimate.prefill_power.j_per_token)} (module)"))
    rows.append(
        (
            "error of cycles",
            f"{band.mean:.2%} mean, {band.worst:.2%} worst, against RTL at {band.points} points "
            f"({band.held_out} of them held out; {band.source})",
        )
    )
    return _table("estimate", ("", ""), rows, text_columns=2)


def _operators(step: StepEstimate, title: str) -> RenderableType:
    rows = (
        (
            each.module.replace("_", " "),
            each.name,
            f"{each.count:,}",
            f"{each.cycles:,.0f}",
            f"{each.cycles / step.cycles:.1%}",
            f"{each.bytes / 1e6:,.3f}",
            each.bound,
        )
        for each in step.operators
    )
    header = ("module", "operator", "runs", "cycles", "share", "MB", "bound by")
    return _table(title, header, rows, text_columns=2)


def _bytes(step: StepEstimate) -> RenderableType:
    total = sum(step.read.values()) + sum(step.written.values()) or 1
    rows = (
        (f"{direction} {purpose}", f"{count / 1e6:,.3f}", f"{count / total:.1%}")
        for direction, purposes in (("read", step.read), ("write", step.written))
        for purpose, count in purposes.items()
        if count
    )
    return _table("bytes of a decoding step by purpose", ("purpose", "MB", "share"), rows)


def _table(
    title: str, header: Sequence[str], rows: Iterable[tuple[str, ...]], *, text_columns: int = 1
) -> RenderableType:
    table = Table(title=title, title_justify="left", show_header=any(header), box=None, pad_edge=False)
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number < text_columns else "right")
    for row in rows:
        table.add_row(*row)
    return Group(table, "")
