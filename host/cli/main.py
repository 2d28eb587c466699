"""The command line.

Each command lives in a module that is loaded when the command runs, so that ``rtlm --help`` answers at once. Failures
that can be expected are an `RtlmError`, and end in one sentence on standard error and an exit code.
"""

import errno
import importlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem
from rtlm.gen.common.errors import INTERNAL_ERROR, INTERRUPTED, OK, USER_ERROR, RtlmError
from rtlm.gen.common.installation import package_version

PROGRAM = "rtlm"
COMMANDS = {
    "run": ("rtlm.host.cli.run:run", "Run a language model on the simulated accelerator."),
    "chat": ("rtlm.host.cli.chat:chat", "Talk with a language model on the simulated accelerator."),
    "serve": ("rtlm.host.cli.serve:serve", "Serve a language model to clients of OpenAI's API."),
    "report": ("rtlm.host.cli.report:report", "Make one HTML file of what a run has measured."),
    "estimate": ("rtlm.host.cli.estimate:estimate", "Estimate a model on an accelerator without simulating it."),
    "compare": ("rtlm.host.cli.compare:compare", "Compare with published CPUs, GPUs, FPGAs, ASICs and PIM."),
    "generate": ("rtlm.host.cli.generate:generate", "Write RTL to a folder."),
    "convert": ("rtlm.host.cli.convert:convert", "Make a GGUF file from a Hugging Face folder."),
    "image": ("rtlm.host.cli.image:image", "Write a model's memory image and program for a board."),
    "list": ("rtlm.host.cli.configuration:list_", "List units, presets, boards and parameters."),
    "show": ("rtlm.host.cli.configuration:show", "Print a configuration with everything that follows from it."),
    "schema": ("rtlm.host.cli.configuration:schema", "Print the JSON Schema of configuration files, for editors."),
    "dissect": ("rtlm.host.cli.dissect:dissect", "Take a run or an estimate apart, operator by operator."),
    "synth": ("rtlm.host.cli.synth:synth", "Measure size and clock with yosys and nextpnr."),
    "sweep": ("rtlm.host.cli.sweep:sweep", "Explore a space of designs."),
    "selftest": ("rtlm.host.cli.selftest:selftest", "Make a design that tests the accelerator on a board."),
    "bitstream": ("rtlm.host.cli.bitstream:bitstream", "Make a design that runs models on a board with its SDRAM."),
    "test": ("rtlm.host.cli.test:test", "Test units in Verilator under cocotb against their models."),
    "prove": ("rtlm.host.cli.prove:prove", "Prove properties of the RTL with an SMT solver."),
    "completion": ("rtlm.host.cli.completion:completion", "Print the script that makes a shell complete commands."),
    "doctor": ("rtlm.host.cli.doctor:doctor", "Check the surroundings and say what is missing."),
}
"""Name, place and one line of help for each command."""

EXPECTED_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a name without importing any command."""
        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return found or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def print_versions(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    """Print the versions of rtlm and its tools where they are asked for, and end."""
    if not wanted:
        return
    from rtlm.host.cli.versions import versions

    (name, version), *tools = versions().items()
    print(f"{name} {version}")
    for name, version in tools:
        print(f"  {name:21}{version}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 the result is negative, 2 something given is wrong (one sentence says what), "
    "3 a tool is missing, 70 a defect of rtlm, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_versions,
    help="Print the versions of rtlm and its tools, and exit.",
)
def cli() -> None:
    """LLM-decode accelerators generated from Python, running real models in simulation.

    \b
    Examples:
      rtlm run --chat "What is the capital of France?"
      rtlm chat --max-tokens 200
      rtlm run --prompt "Once upon a time" --max-tokens 20 --json report.json
      rtlm run --prompt "1 2 3" --set matmul.lanes=256 --set memory.port_bits=256
      rtlm generate accelerator --config kv260 -o build/kv260
      rtlm show u280
      rtlm doctor
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with one of the documented codes."""
    # Being told to end is an interruption too: tools that are running end, unfinished folders go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _prepare_streams()
    sys.exit(run_command(arguments))


def _prepare_streams() -> None:
    """Make terminals replace characters that they lack, and closed streams discard what is written."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        result = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        # Amaranth warns of each half-built component that goes away now; the sentence is all that counts.
        warnings.simplefilter("ignore")
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader of a pipe (head, less) has gone; click turns that into an exit, and no command of rtlm exits by
        # itself. A second failure while flushing at the end would only be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except Exception as error:
        code = exit_code(error)
        if code == INTERNAL_ERROR:
            traceback.print_exc()
            print(f"This is a defect of rtlm {package_version('rtlm')}.", file=sys.stderr)
        else:
            warnings.simplefilter("ignore")  # of components that a failed generation leaves half-built
            print(sentence(error), file=sys.stderr)
        return code


def exit_code(error: Exception) -> int:
    """Return the exit code of an exception."""
    if isinstance(error, RtlmError):
        return error.exit_code
    if isinstance(error, OSError) and error.errno in EXPECTED_ERRNO:
        return USER_ERROR
    return INTERNAL_ERROR


def sentence(error: Exception) -> str:
    """Return the message of an expected exception as a sentence."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}."
    text = str(error)
    return text if text.endswith((".", "!", "?", ")")) else f"{text}."
