"""``rtlm test``."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rtlm.gen.common.errors import NEGATIVE, OK
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import make_folder, set_option
from rtlm.host.verification.seeds import DEFAULT_SEED, FRESH, parse_seed

if TYPE_CHECKING:
    from rtlm.sim.unit_benches.bench import Bench
    from rtlm.sim.verilator.cocotb_runner import CocotbRun

DEFAULT_FOLDER = Path("build/test")


class _Seed(click.ParamType):
    """A number, or a fresh one."""

    name = f"N|{FRESH}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_seed(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What all benches of a call share."""

    seed: int
    folder: Path
    waves: bool
    coverage: bool
    tests: str | None
    config: str | None
    overrides: tuple[str, ...]

    def command(self, bench: "Bench") -> str:
        """Return the command that repeats a bench, with a waveform."""
        words = ["rtlm", "test", bench.unit if self.config else bench.full_name]
        words += ["--config", self.config] if self.config else []
        for override in self.overrides:
            words += ["--set", override]
        words += ["--tests", self.tests] if self.tests else []
        return shlex.join([*words, "--seed", str(self.seed), "--waves"])


@click.command()
@click.argument("units", nargs=-1, metavar="[UNIT[/SET]]...", shell_complete=complete("benches"))
@click.option(
    "--config",
    "-c",
    metavar="NAME|FILE",
    shell_complete=complete("presets", files=True),
    help="Test units at the sizes they have in this configuration, instead of at the standard sets of parameters.",
)
@set_option
@click.option(
    "--seed",
    type=_Seed(),
    default=DEFAULT_SEED,
    show_default=True,
    help="Seed of everything random; random draws one and prints it.",
)
@click.option("--waves", is_flag=True, help="Write a waveform of every bench (VCD), not only of those that fail.")
@click.option("--coverage", is_flag=True, help="Count and print coverage, by unit; several times slower.")
@click.option(
    "--output",
    "-o",
    "folder",
    default=DEFAULT_FOLDER,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for results, logs and waveforms.",
)
@click.option("--tests", metavar="REGEX", help="Only the tests of a bench whose names match.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--list", "list_only", is_flag=True, help="List units and sets, and run nothing.")
def test(
    units: tuple[str, ...],
    config: str | None,
    overrides: tuple[str, ...],
    seed: int,
    waves: bool,
    coverage: bool,
    folder: Path,
    tests: str | None,
    as_json: bool,
    list_only: bool,
) -> int:
    """Generate units, and test their gates in Verilator under cocotb against their models.

    Without UNIT everything is tested. Each bench is built once and kept in the cache. It is given random data with
    extremes, random gaps and random back-pressure, and must give the model's bits. One that fails runs again with a
    waveform, and the command that repeats it is printed. The exit code is 1 if a bench failed.

    With --coverage: lines, branches and toggles of the RTL that were reached, and functional coverage, which is what a
    bench was given of what it can be given (formats, sizes, gaps, errors) and what it never was. Lines that were not
    reached are in missed.txt beside a bench's results. JSON has functional coverage always, as it costs nothing.

    \b
    Examples:
      rtlm test attention
      rtlm test qmatmul --config kv260 --set matmul.columns=2
      rtlm test attention/steps --seed 17 --waves
      rtlm test --list
    """
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.gen.configuration.load import load_config
    from rtlm.host.verification import coverage_table

    if overrides and config is None:
        raise click.UsageError("--set changes a configuration: give one with --config.")
    loaded = load_config(config, overrides) if config else None
    chosen = _choose(units, loaded)
    if list_only:
        for bench in chosen:
            print(bench.full_name)
        return OK
    request = _Request(
        seed=seed,
        folder=folder,
        waves=waves,
        coverage=coverage,
        tests=tests,
        config=config,
        overrides=overrides,
    )
    make_folder("--output", folder)
    progress = SilentProgress() if as_json else TerminalProgress()
    if not as_json:
        print(f"seed {seed}", flush=True)
    records = []
    for number, bench in enumerate(chosen):
        progress.stage(f"bench {bench.full_name}", number, len(chosen))
        records.append(_run(bench, request, progress))
        if not as_json:
            progress.close()
            _print(records[-1])
    failed = [record for record in records if not record["passed"]]
    sums = coverage_table.by_unit(records)
    if as_json:
        print(json.dumps({"seed": seed, "benches": records, "units": sums}, indent=2))
    else:
        if coverage:
            print("\n".join(coverage_table.lines(sums)))
        print(f"{len(records) - len(failed)} of {len(records)} benches passed; results in {folder}.")
    return NEGATIVE if failed else OK


def _choose(units: tuple[str, ...], config: Any) -> list["Bench"]:
    from rtlm.host.verification import accelerator_bench, selftest_bench
    from rtlm.sim.unit_benches.catalog import FAMILIES, benches

    # Benches that need a compiled model. Most configurations have no self-test: it is for small boards.
    wholes = {
        accelerator_bench.UNIT: accelerator_bench.accelerator_benches,
        selftest_bench.UNIT: selftest_bench.selftest_benches,
    }
    everything = [name for name in (*FAMILIES, *wholes) if config is None or name != selftest_bench.UNIT]
    chosen = []
    for name in units or everything:
        unit, _, wanted = name.partition("/")
        try:
            found = wholes[unit](config) if unit in wholes else benches(unit, config)
        except KeyError as error:
            raise click.BadParameter(f"{error.args[0]}, {', '.join(wholes)}.") from None
        some = [bench for bench in found if wanted in ("", bench.name)]
        if not some:
            sets = ", ".join(bench.name for bench in found)
            raise click.BadParameter(f"{unit} has no set of parameters {wanted!r}; it has {sets}.")
        chosen += some
    return list({bench.full_name: bench for bench in chosen}.values())


def _run(bench: "Bench", request: _Request, progress: Any) -> dict[str, Any]:
    """Run a bench, and again with a waveform if it failed."""
    folder = request.folder / bench.full_name
    settings = {"seed": request.seed, "tests": request.tests, "progress": progress.stage}
    run = bench.run(folder, waves=request.waves, coverage=request.coverage, **settings)
    record = _record(bench, request, run)
    if not run.passed and not request.waves:
        again = bench.run(folder, waves=True, **settings)
        record["waveform"] = str(again.waveform)
    return record


def _record(bench: "Bench", request: _Request, run: "CocotbRun") -> dict[str, Any]:
    from rtlm.host.verification.coverage_table import of_bench
    from rtlm.sim.unit_benches.bench import DESIGN_FILE
    from rtlm.sim.unit_benches.points import POINTS_FILE

    record: dict[str, Any] = {
        "bench": bench.full_name,
        "passed": run.passed,
        "tests": [
            {"name": each.name, "passed": not each.failure, "cycles": each.cycles, "seconds": each.seconds}
            for each in run.outcomes
        ],
        "cycles": sum(each.cycles for each in run.outcomes),
        "seconds": round(sum(each.seconds for each in run.outcomes), 3),
        "results": str(run.results),
        "command": request.command(bench),
    }
    if run.waveform:
        record["waveform"] = str(run.waveform)
    if not run.passed:
        record["complaint"] = run.complaint
    folder = request.folder / bench.full_name
    record["coverage"] = of_bench(run.coverage, folder / POINTS_FILE, folder / DESIGN_FILE)
    return record


def _print(record: dict[str, Any]) -> None:
    """Print a bench's line, and what is needed to look into a failure."""
    state = "ok" if record["passed"] else "FAILED"
    count = len(record["tests"])
    print(
        f"{state:7}{record['bench']:32}{count} test{'s' if count != 1 else ''}, {record['cycles']} cycles, "
        f"{record['seconds']:.1f} s",
        flush=True,
    )
    if not record["passed"]:
        print("\n".join(f"       {line}" for line in record["complaint"].splitlines()[:8]))
        print(f"       waveform: {record['waveform']}\n       again: {record['command']}", flush=True)
