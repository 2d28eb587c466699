"""The macro view as one table, methods down and models across, and as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rtlm.gen.configuration.schema import config_hash
from rtlm.host.dissection.macro import FAMILY, FIXED, Case, Effect, MacroView
from rtlm.host.dissection.micro import error_sentence
from rtlm.host.dissection.micro_table import DASH, SCHEMA, SCHEMA_VERSION
from rtlm.host.estimation.errors import stated_band


def render(view: MacroView) -> RenderableType:
    """Return the table as something that `rich` prints."""
    config = view.config
    places = list(dict.fromkeys((case.model, case.context) for case in view.cases))
    what = "tokens/s of all sequences and what each brings, estimated"
    title = f"{FAMILY.rstrip('-')} on {config.name} at {config.clock_mhz:g} MHz: {what}"
    table = Table(box=None, pad_edge=False)
    table.add_column("model\ncontext", no_wrap=True)
    last = ""
    for model, context in places:
        table.add_column(
            f"{model.removeprefix(FAMILY) if model != last else ''}\n{context:,}", justify="right", no_wrap=True
        )
        last = model
    for batch in dict.fromkeys(case.batch for case in view.cases):
        cases = [_find(view.cases, model, batch, context) for model, context in places]
        _add_batch(table, view, batch, cases)
    meanings = Table(box=None, pad_edge=False, show_header=True)
    for name in ("optimisation", "without", "with"):
        meanings.add_column(name)
    for each in view.optimisations:
        meanings.add_row(each.name, each.off, each.on)
    fixed = [Text(f"Cannot be switched off: {name}. {text[0].upper()}{text[1:]}.") for name, text in FIXED.items()]
    notes = [Text(f"Note: {note}") for note in _notes(view)]
    return Group(Text(title, style="bold"), Text(), table, Text(), meanings, Text(), *fixed, *notes)


def _add_batch(table: Table, view: MacroView, batch: int, cases: Sequence[Case]) -> None:
    every = [each for each in view.optimisations if batch in each.batches]

    def add(title: str, cell: Callable[[Case], str], style: str | None = None) -> None:
        table.add_row(title, *(cell(case) for case in cases), style=style)

    def add_factors(title: str, factor: Callable[[Effect], float | None]) -> None:
        for each in every:
            table.add_row(f"  {title} {each.name}", *(_factor(factor(case.effects[each.name])) for case in cases))

    add(f"batch {batch}: none", lambda case: _speed(case.without), "bold")
    add_factors("+", lambda effect: effect.alone)
    add("  GB in memory", lambda case: _memory(case.bytes_without, case.fits_without))
    add(f"batch {batch}: all", lambda case: _speed(case.with_all), "bold")
    add("  over none", lambda case: _factor(case.with_all / case.without))
    add_factors("over all but", lambda effect: effect.among_all)
    add("  GB in memory", lambda case: _memory(case.bytes_with_all, case.fits_with_all))
    table.add_section()


def _find(cases: Sequence[Case], model: str, batch: int, context: int) -> Case:
    return next(case for case in cases if (case.model, case.batch, case.context) == (model, batch, context))


def _speed(tokens_per_s: float) -> str:
    return f"{tokens_per_s:#.3g}" if tokens_per_s < 100 else f"{tokens_per_s:,.0f}"


def _factor(factor: float | None) -> str:
    if factor is None:
        return DASH
    return f"\N{MULTIPLICATION SIGN}{factor:.{2 if factor < 10 else 1}f}"


def _memory(size: int, fits: bool) -> str:
    return f"{size / 1e9:,.1f}{'' if fits else '*'}"


def _notes(view: MacroView) -> list[str]:
    notes = [
        error_sentence(stated_band()),
        f"Of {view.guesses} guesses in a step {view.accepted:.2f} are right: given, not estimated. The host guesses "
        "for one sequence only.",
        "At batch 1 columns bring guesses and shorten the prompt; a token alone takes as long.",
    ]
    if not all(case.fits_without and case.fits_with_all for case in view.cases):
        notes.append("* does not fit the memory: the speed is that of as fast a memory that is larger.")
    return [*notes, *view.notes]


def to_json(view: MacroView) -> dict[str, Any]:
    """Return plain values (docs/dissection.md)."""
    return {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "view": "macro",
        "config": {"name": view.config.name, "hash": config_hash(view.config)},
        "clock_mhz": view.config.clock_mhz,
        "kind": "estimated",
        "guesses_per_step": view.guesses,
        "accepted_per_step": view.accepted,
        "error_band": asdict(stated_band()),
        "optimisations": [asdict(each) for each in view.optimisations],
        "fixed": FIXED,
        "cases": [
            {
                "model": case.model,
                "batch": case.batch,
                "context": case.context,
                **{
                    name: {"tokens_per_s": speed, "bytes_in_memory": size, "fits": fits}
                    for name, speed, size, fits in (
                        ("none", case.without, case.bytes_without, case.fits_without),
                        ("all", case.with_all, case.bytes_with_all, case.fits_with_all),
                    )
                },
                "factors": {
                    name: {"alone": effect.alone, "among_all": effect.among_all}
                    for name, effect in case.effects.items()
                },
            }
            for case in view.cases
        ],
        "notes": _notes(view),
    }
