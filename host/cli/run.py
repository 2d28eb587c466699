"""``rtlm run``."""

import sys
from pathlib import Path
from typing import Any

import click
from rtlm.gen.common.errors import INTERRUPTED, OK
from rtlm.host.boards.address import is_board
from rtlm.host.cli.answer_options import answer_options
from rtlm.host.cli.files import MAX_TEXT_BYTES, STANDARD_OUTPUT, check_text_file, console, decode_text, write_text
from rtlm.host.cli.models import accepted
from rtlm.host.cli.options import Whole, check_writable
from rtlm.host.cli.report import page_path, write_page
from rtlm.host.session_options import DEFAULT_TRACE_STEPS, DEFAULT_WAVES, POWER, SIMULATOR, RunOptions

NO_TEXT = "\0"
"""Value of a bare ``--chat``, whose text is then the prompt."""
STANDARD_INPUT = "-"
CYCLE_DIGITS = 18  # what 63 bits hold


class Window(click.ParamType):
    """Two clock cycles, ``FROM:TO``."""

    name = "from:to"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return both, or fail."""
        if isinstance(value, tuple):
            return value
        first, colon, last = value.partition(":")
        if not (colon and _is_cycle(first) and _is_cycle(last) and int(first) < int(last)):
            raise click.UsageError(
                f"--waves must be two clock cycles, the later one behind a colon, such as 0:5000, got {value}.", ctx
            )
        return int(first), int(last)


def _is_cycle(text: str) -> bool:
    return text.isdecimal() and len(text) <= CYCLE_DIGITS


@click.command(
    epilog="The report goes to the terminal, and with --json to a file (docs/report.md). "
    "With --quiet only the answer is printed."
)
@click.option(
    "--prompt",
    "-p",
    "prompts",
    multiple=True,
    metavar="TEXT",
    help="Text that the model continues; - reads it from standard input. Several decode together, each in a column of "
    "its own.",
)
@click.option(
    "--prompt-file",
    "-f",
    "prompt_files",
    multiple=True,
    metavar="FILE",
    help="The same from a file in UTF-8, without the line end at its end; - is standard input.",
)
@click.option(
    "--chat",
    is_flag=False,
    flag_value=NO_TEXT,
    metavar="TEXT",
    help="What you say to the model; goes through its chat template; - reads it from standard input. Without a text: "
    "the prompts go through the template.",
)
@answer_options
@click.option("--context", type=Whole(1), help="Positions of the KV cache; default: what is needed.")
@click.option(
    "--waves", type=Window(), metavar="FROM:TO", help="Write a waveform of these clock cycles of the simulation."
)
@click.option(
    "--waves-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the waveform goes, replacing what is there: *.fst or *.vcd. Default: "
    f"{DEFAULT_WAVES}.fst, or {DEFAULT_WAVES}.vcd where FST cannot be built, unless it exists.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a timeline for Perfetto (ui.perfetto.dev), replacing what is there: instructions, units, ports and "
    "memory, cycle by cycle. A simulator build of its own.",
)
@click.option(
    "--trace-steps",
    type=Whole(1),
    metavar="N",
    help="Steps of the timeline, from the one on that gives the first new token; default: "
    f"{DEFAULT_TRACE_STEPS}. A large model has millions of slices a step.",
)
@click.option(
    "--power",
    type=click.Choice(POWER),
    default=POWER[0],
    show_default=True,
    help="Toggles behind the power estimate: counted in this run (a simulator build of its own, 10 % slower; kept for "
    "later runs of the same hardware and model), assumed: the shipped rates, or auto: counted if an earlier run has.",
)
@click.option(
    "--pgo",
    is_flag=True,
    help="Optimise the simulator by a profile of one token: 1.1 to 1.2 times the speed, twice the time to build. "
    "Needs g++.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the report as JSON; - is standard output.")
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Write the report as one HTML file, replacing what is there: a file that ends in .html, or report.html in a "
    "folder (see rtlm report).",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the answer and nothing else.")
def run(
    prompts: tuple[str, ...],
    prompt_files: tuple[str, ...],
    chat: str | None,
    system: str | None,
    json_file: str | None,
    page: Path | None,
    quiet: bool,
    overrides: tuple[str, ...],
    waves_file: Path | None,
    **options: Any,
) -> int:
    """Run a language model on the simulated accelerator, or on a board.

    The first run obtains the model, generates RTL and builds the simulator; later runs reuse all of it. Ctrl-C ends the
    answer; the report, marked as interrupted, is then of what was done. A second Ctrl-C ends the command at once.

    \b
    Examples:
      rtlm run --chat "What is the capital of France?"
      rtlm run --prompt "The capital of France is" --max-tokens 8 --quiet
      rtlm run --prompt "Once upon a time" --temperature 0.8 --top-k 40 --seed 7
      rtlm run --chat "Hello" --backend golden
      rtlm run --chat "Hello" --config kv260 --backend uio:/dev/uio0,udmabuf=udmabuf0,base=0x40000000
      rtlm run --prompt "The capital of France is" --model gemma3-270m --max-tokens 8
      rtlm run --prompt "The capital of France is" --max-tokens 4 --json run.json --report out
      rtlm run --prompt "Hi" --max-tokens 1 --waves 0:20000 --waves-file hi.fst
      rtlm run --prompt "Hi" --max-tokens 1 --trace hi.pftrace
      rtlm run --chat "Hello" --max-tokens 4 --power measured
      rtlm run --chat "Hello" --system "You answer in rhymes."
      rtlm run --chat --prompt-file question.txt
      sort words.txt | rtlm run --prompt -
      rtlm run --chat -p "What is gravity?" -p "Why is the sky blue?" --set matmul.columns=2
      rtlm run --prompt "one two three one two three" --speculate --set matmul.columns=4
    """
    texts = _texts(prompts, prompt_files, chat)
    if system is not None:
        if chat is None:
            raise click.UsageError("--system needs --chat: a text that is only continued has no system message.")
        system = decode_text(system.encode(errors="surrogateescape"), "--system")
    check_text_file("--json", json_file)
    if page and is_board(options["backend"]):
        raise click.UsageError("--report draws runs of the simulator; --json writes what a board's run has measured.")
    page = page_path("--report", page) if page else None
    _check_simulated(**options)
    options["waves_file"] = _waves_file(waves_file, **options)
    options["trace_steps"] = _trace_steps(**options)
    options["licences"] = accepted(options["model"], options["licences"])

    from rtlm.gen.common.progress import SilentProgress, TerminalProgress

    to_stdout = json_file == STANDARD_OUTPUT
    progress = SilentProgress(None if to_stdout else sys.stdout) if quiet else None
    progress = progress or TerminalProgress(None if to_stdout else sys.stdout)
    from rtlm.host.session import run as run_session

    try:
        # Reading logits back takes simulated writes and the host's time; without --json nobody would see their digest.
        wanted = RunOptions(
            texts=texts,
            chat=chat is not None,
            system=system,
            overrides=overrides,
            read_logits=json_file is not None,
            estimate_contexts=json_file is not None or page is not None,
            **options,
        )
        report = run_session(wanted, progress)
    finally:
        progress.close()
    if not to_stdout:
        print(flush=True)
    if options["waves"] and report.run.memory:
        _tell_waves(options["waves"], options["waves_file"], report.run.simulator.simulated_cycles or 0)
    if not quiet and not to_stdout:
        from rtlm.host.reports.table import print_report

        print()
        print_report(report, console())
    if json_file is not None:
        write_text(report.dumps(), "--json", json_file)
    if page:
        from rtlm.host.report_page.run_file import parse_run

        write_page(parse_run(report.to_json(), "the run"), "--report", page)
        print(f"The report is in {page}.", file=sys.stderr)
    if report.run.interrupted:
        print("Interrupted; the report is of the steps that had ended.", file=sys.stderr)
        return INTERRUPTED
    return OK


def _texts(prompts: tuple[str, ...], files: tuple[str, ...], chat: str | None) -> tuple[str, ...]:
    """Return the texts that were asked for: those given, then those of files."""
    given = [("--prompt", text) for text in prompts]
    if chat is not None and chat != NO_TEXT:
        if prompts or files:
            raise click.UsageError("--chat and --prompt or --prompt-file both hold a text; give one of them.")
        given = [("--chat", chat)]
    sources = [*(text for _, text in given), *files]
    if sources.count(STANDARD_INPUT) > 1:
        raise click.UsageError("Standard input can be read once: give - for one prompt only.")
    texts = [
        _read(text, option) if text == STANDARD_INPUT else decode_text(text.encode(errors="surrogateescape"), option)
        for option, text in given
    ]
    texts += [_read(path, "--prompt-file") for path in files]
    if not texts or not all(texts):
        raise click.UsageError('Nothing to say. Try: rtlm run --chat "What is the capital of France?"')
    return tuple(texts)


def _read(path: str, option: str) -> str:
    """Read a prompt from a file or standard input, without the line end at its end."""
    name = "standard input" if path == STANDARD_INPUT else path
    if path == STANDARD_INPUT and sys.stdin is None:
        raise click.UsageError(f"{option} -: standard input is closed.")
    try:
        with click.open_file(path, "rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"{option} {name} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_TEXT_BYTES:
        raise click.UsageError(f"{option} {name} must have at most {MAX_TEXT_BYTES:,} bytes, got more.")
    return decode_text(content, f"{option} {name}").removesuffix("\n").removesuffix("\r")


def _check_simulated(
    *, backend: str, pgo: bool, waves: tuple[int, int] | None, trace: Path | None, power: str, **others: Any
) -> None:
    """Refuse what only the simulator can do where something else computes."""
    if backend == SIMULATOR:
        return
    what, signals, cycles = (
        ("a board", "signals to trace", "signals to trace")
        if is_board(backend)
        else ("the golden model", "signals", "cycles")
    )
    for option, asked, lacks in (
        ("--pgo", pgo, "simulator"),
        ("--waves", waves, signals),
        ("--trace", trace, cycles),
        ("--power measured", power == "measured", signals),
    ):
        if asked:
            raise click.UsageError(f"{option} needs --backend {SIMULATOR}: {what} has no {lacks}.")


def _waves_file(path: Path | None, *, waves: tuple[int, int] | None, power: str, **others: Any) -> Path:
    """Return the waveform's file, or refuse what cannot work."""
    if not waves:
        if path:
            raise click.UsageError(f"--waves-file {path} needs --waves FROM:TO, the clock cycles to write.")
        return Path(DEFAULT_WAVES)
    from rtlm.gen.common.errors import ToolError
    from rtlm.sim.verilator.build import WAVEFORMS
    from rtlm.sim.verilator.find import FST_SENTENCE, can_write_fst

    if power == "measured":
        raise click.UsageError("--waves and --power measured trace differently; ask for them in two runs.")
    fst = can_write_fst()
    if path is None:
        path = Path(f"{DEFAULT_WAVES}.{'fst' if fst else 'vcd'}")
        if path.exists():
            raise click.UsageError(f"{path} exists; remove it or name another file with --waves-file.")
        if not fst:
            print(f"The waveform is written as VCD, which is larger than FST. {FST_SENTENCE}", file=sys.stderr)
    if path.suffix[1:] not in WAVEFORMS:
        raise click.UsageError(f"--waves-file must end in .fst or .vcd, got {path}.")
    check_writable("--waves-file", path)
    if path.suffix == ".fst" and not fst:
        raise ToolError(FST_SENTENCE)
    return path


def _trace_steps(
    *,
    trace: Path | None,
    trace_steps: int | None,
    waves: tuple[int, int] | None,
    power: str,
    **others: Any,
) -> int:
    """Return the steps of the timeline, or refuse what cannot work."""
    if trace is None:
        if trace_steps:
            raise click.UsageError(f"--trace-steps {trace_steps} needs --trace FILE.")
        return DEFAULT_TRACE_STEPS
    for option, given in (("--waves", waves), ("--power measured", power == "measured")):
        if given:
            raise click.UsageError(f"--trace and {option} need different simulators; ask for them in two runs.")
    check_writable("--trace", trace)
    return trace_steps or DEFAULT_TRACE_STEPS


def _tell_waves(window: tuple[int, int], path: Path, cycles: int) -> None:
    """Report where the waveform is, or why there is none."""
    if cycles <= window[0]:
        print(f"No waveform was written: the simulation ended in cycle {cycles:,}.", file=sys.stderr)
    else:
        last = min(window[1], cycles)
        print(f"The waveform of the cycles {window[0]:,} to {last:,} is in {path}.", file=sys.stderr)
