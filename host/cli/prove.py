"""``rtlm prove``."""

import json
from pathlib import Path

import click
from rtlm.gen.common.errors import NEGATIVE, OK
from rtlm.gen.common.installation import install_command
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import make_folder


@click.command(
    epilog=f"Needs the extra formal: {install_command('formal')}. The exit code is 1 if a property is broken."
)
@click.argument("names", nargs=-1, metavar="[PROPERTY]...", shell_complete=complete("properties"))
@click.option(
    "--output",
    "-o",
    "folder",
    default=Path("build/prove"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for formulas, logs and counterexamples.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--list", "list_only", is_flag=True, help="List the properties, and prove nothing.")
def prove(names: tuple[str, ...], folder: Path, as_json: bool, list_only: bool) -> int:
    """Prove properties of queues, converters, pipelines, bursts and prefetching with an SMT solver.

    Without PROPERTY all are proved. Where an induction closes, a property holds for runs of any length; otherwise for
    all runs up to the length that is printed. For a property that is broken, a waveform shows how.

    \b
    Examples:
      rtlm prove
      rtlm prove splitter port
      rtlm prove --list
    """
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.sim.proofs.properties import PROPERTIES
    from rtlm.sim.proofs.prover import prove as prove_property

    known = {each.name: each for each in PROPERTIES}
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"there is no property {unknown[0]!r}; there are {', '.join(known)}.")
    chosen = [known[name] for name in names or known]
    if list_only:
        for each in chosen:
            print(f"{each.name:16}{each.claim}")
        return OK
    make_folder("--output", folder)
    progress = SilentProgress() if as_json else TerminalProgress()
    records = []
    for number, each in enumerate(chosen):
        progress.stage(f"proving {each.name}", number, len(chosen))
        verdict = prove_property(each, folder / each.name)
        records.append(
            {
                "property": each.name,
                "claim": each.claim,
                "holds": verdict.holds,
                "unbounded": verdict.unbounded,
                "verdict": verdict.text,
                "seconds": round(verdict.seconds, 2),
                "counterexample": str(verdict.counterexample) if verdict.counterexample else None,
            }
        )
        if not as_json:
            progress.close()
            state = "BROKEN" if not verdict.holds else "proved" if verdict.unbounded else "bounded"
            print(f"{state:9}{each.name:16}{verdict.text}, {verdict.seconds:.0f} s", flush=True)
            if verdict.counterexample:
                print(f"         waveform: {verdict.counterexample}")
    if as_json:
        print(json.dumps(records, indent=2))
    return OK if all(record["holds"] for record in records) else NEGATIVE
