"""``rtlm chat``."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rtlm.gen.common.errors import INTERRUPTED, OK, USER_ERROR, RtlmError
from rtlm.host.boards.address import is_board
from rtlm.host.cli.answer_options import answer_options
from rtlm.host.cli.files import MAX_TEXT_BYTES, check_text_file, console, decode_text, write_text
from rtlm.host.cli.models import accepted
from rtlm.host.cli.options import Whole
from rtlm.host.session_options import RunOptions

if TYPE_CHECKING:
    from rtlm.gen.common.progress import Progress
    from rtlm.host.conversation import Conversation, Turn
    from rtlm.host.runtime.speedometer import Speed

COMMANDS = {
    "/report": "where the cycles, bytes and watts of the conversation so far went",
    "/save FILE": "write that report as JSON, with everything that was said; - is standard output",
    "/config": "accelerator, model and sampling, and how full the context is",
    "/clear": "begin anew with an empty context",
    "/help": "this list; a text that begins with / is said with // before it",
    "/quit": "end, as Ctrl-D does; Ctrl-C ends an answer only",
}
"""What one can type besides what is said."""

ENDINGS = {
    "max_tokens": "cut by --max-tokens",
    "context": "cut: the context is full; /clear begins anew",
    "interrupted": "interrupted",
}
"""What is said of an answer that the model has not ended."""

HISTORY_LINES = 1000


def _help() -> str:
    """Return what one can type, a line each."""
    return "\n".join(f"  {name:12}{meaning}" for name, meaning in COMMANDS.items())


@click.command(
    epilog=f"\b\nWithin the conversation:\n{_help()}\n\nAnswers go to standard output, speeds to standard error. Input "
    "that is no terminal is read line by line, each line a turn; if one is refused, the exit code says so."
)
@answer_options
@click.option("--context", type=Whole(1), help="Positions of the KV cache; default: as many as model and chip allow.")
@click.option("--quiet", "-q", is_flag=True, help="Print the answers and nothing else.")
def chat(quiet: bool, system: str | None, overrides: tuple[str, ...], **options: Any) -> int:
    """Talk with a language model on the simulated accelerator.

    What you type is answered token by token, with the speed of the chip (its cycles at the configured clock) and of the
    simulator. The KV cache is kept between turns: only what is new is fed. Ctrl-C ends an answer, Ctrl-D the
    conversation. The first conversation generates RTL and builds the simulator; later ones reuse both.

    \b
    Examples:
      rtlm chat
      rtlm chat --backend golden --max-tokens 200
      rtlm chat --system "You answer in one sentence." --temperature 0.8 --seed 7
      rtlm chat --config u280 --model mine.gguf --context 512
      rtlm chat --set matmul.columns=8 --speculate
      printf '%s\\n' "What is gravity?" "And on the moon?" "/save chat.json" | rtlm chat --quiet
    """
    if sys.stdin is None:
        raise click.UsageError("rtlm chat reads what you say from standard input, which is closed.")
    if system is not None:
        system = decode_text(system.encode(errors="surrogateescape"), "--system")
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.host.conversation import open_conversation

    options["licences"] = accepted(options["model"], options["licences"])
    progress = SilentProgress() if quiet else TerminalProgress()
    wanted = RunOptions(texts=(), system=system, overrides=overrides, **options)
    with ExitStack() as stack:
        try:
            conversation = stack.enter_context(open_conversation(wanted, progress))
        finally:
            progress.close()
        return _Chat(conversation, quiet=quiet).run()


class _Chat:
    """The conversation on a terminal, or with a pipe.

    Parameters
    ----------
    conversation
        What is led.
    quiet
        Whether only answers are shown.
    """

    def __init__(self, conversation: "Conversation", *, quiet: bool):
        self._conversation = conversation
        self._interactive = sys.stdin.isatty()
        self._quiet = quiet
        self._code = OK
        self._live = not quiet and sys.stdout.isatty() and sys.stderr.isatty()
        self._progress = self._make_progress()

    def run(self) -> int:
        """Answer line after line, and return the exit code."""
        with _ended_by_sigterm():
            if not self._interactive:
                return self._answer(_piped_lines())
            self._tell("Say something; /help lists what else you can type. Ctrl-C ends an answer, Ctrl-D the program.")
            with _history():
                return self._answer(_typed_lines())

    def _make_progress(self) -> "Progress":
        if not self._live:
            from rtlm.gen.common.progress import SilentProgress

            return SilentProgress(sys.stdout)
        from rich.console import Console
        from rtlm.host.cli.live_answer import LiveAnswer

        return LiveAnswer(Console(), lambda: speeds(self._conversation, self._conversation.speedometer.speed))

    def _answer(self, lines: Iterator[str]) -> int:
        for line in lines:
            try:
                text = line.strip()
                if text.startswith("/") and not text.startswith("//"):
                    if self._command(text):
                        break
                elif text and self._say(text.removeprefix("/")):
                    return INTERRUPTED
            except KeyboardInterrupt:
                # A second one, or one within a report.
                if not self._interactive:
                    raise
                self._tell("Interrupted.")
            except (RtlmError, click.ClickException) as error:
                self._fail(error)
        return self._code

    def _say(self, text: str) -> bool:
        """Let the model answer; return whether the program was told to end."""
        try:
            turn = self._conversation.say(text, self._progress)
        finally:
            self._progress.close()
        if not self._live:
            print(flush=True)
        self._tell(f"[{summary(self._conversation, turn)}]")
        return turn.interrupted_by == signal.SIGTERM

    def _command(self, text: str) -> bool:
        """Do what a line that begins with a slash asks for; return whether it ends the conversation."""
        name, _, argument = text.partition(" ")
        argument = argument.strip()
        commands: dict[str, Callable[[], None]] = {
            "/report": self._report,
            "/save": lambda: self._save(argument),
            "/config": lambda: print(config(self._conversation), flush=True),
            "/clear": self._conversation.clear,
            "/help": lambda: print(_help(), flush=True),
        }
        if name == "/quit" and not argument:
            return True
        if name not in commands or (argument and name != "/save"):
            raise click.UsageError(f"There is no command {text}; /help lists them, and //... says a text with a slash.")
        commands[name]()
        return False

    def _report(self) -> None:
        from rtlm.host.reports.table import print_report

        self._check_turns()
        print_report(self._conversation.report(), console())

    def _save(self, name: str) -> None:
        if not name:
            raise click.UsageError("/save needs the name of a file, such as /save chat.json.")
        self._check_turns()
        path = os.path.expanduser(name)
        check_text_file("/save", path)
        write_text(self._conversation.report().dumps(), "/save", path)
        self._tell(f"The report is in {path}.")

    def _check_turns(self) -> None:
        if not self._conversation.turns:
            raise click.UsageError("Nothing has been said yet, so that there is nothing to report.")

    def _tell(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def _fail(self, error: Exception) -> None:
        """Say what is wrong, and go on."""
        from rtlm.host.cli.main import exit_code, sentence
        from rtlm.host.errors import ContextError

        text = error.message if isinstance(error, click.ClickException) else sentence(error)
        if isinstance(error, ContextError):
            text += " It is taken back; say less, or begin anew with /clear."
        print(text, file=sys.stderr, flush=True)
        if not self._interactive:
            self._code = self._code or (USER_ERROR if isinstance(error, click.ClickException) else exit_code(error))


def speeds(conversation: "Conversation", speed: "Speed") -> str:
    """Return the speed of chip and simulator in words, nothing where there is none yet."""
    config, parts = conversation.request.config, []
    if speed.tokens_per_s:
        parts.append(f"chip {speed.tokens_per_s:.4g} tokens/s at {config.clock_mhz:g} MHz")
    if speed.simulated_tokens_per_s:
        backend = conversation.request.options.backend
        name = "board by the clock on the wall" if is_board(backend) else "simulator"
        name = "golden model, without cycles," if backend == "golden" else name
        parts.append(f"{name} {speed.simulated_tokens_per_s:.3g} tokens/s")
    return "; ".join(parts)


def summary(conversation: "Conversation", turn: "Turn") -> str:
    """Return what is said of a turn behind its answer."""
    measured = turn.measurement
    parts = [f"{measured.tokens} token{'s' * (measured.tokens != 1)}"]
    if measured.ending in ENDINGS:
        parts[0] += f", {ENDINGS[measured.ending]}"
    if not measured.tokens:
        parts.append("what was said is taken back")
    if text := speeds(conversation, conversation.speedometer.speed):
        parts.append(text)
    kept = f", of them {measured.kept_tokens} in the KV cache before" if measured.kept_tokens else ""
    parts.append(f"prompt {measured.prompt_tokens} tokens{kept}")
    parts.append(f"context {conversation.tokens:,} of {conversation.context:,}")
    return "; ".join(parts)


def config(conversation: "Conversation") -> str:
    """Return what answers, how tokens are chosen, and how full the context is."""
    from rtlm.gen.configuration.schema import config_hash

    request, options = conversation.request, conversation.request.options
    accelerator, sampling = request.config, request.sampling
    chosen = "the likeliest token"
    if not sampling.greedy:
        chosen = f"temperature {sampling.temperature:g}, top-k {sampling.top_k}, top-p {sampling.top_p:g}"
        chosen += f", seed {sampling.seed} in each answer"
    rows = {
        "configuration": f"{accelerator.name} ({config_hash(accelerator)}), {accelerator.clock_mhz:g} MHz",
        "changes": ", ".join(options.overrides) or "none",
        "backend": options.backend,
        "model": str(request.path),
        "context": f"{conversation.tokens:,} of {conversation.context:,} positions",
        "tokens": f"{chosen}; {options.max_tokens} an answer at most" + ", guessed and verified" * options.speculate,
        "system message": options.system or "the template's own",
    }
    return "\n".join(f"{name:16}{value}" for name, value in rows.items())


def _piped_lines() -> Iterator[str]:
    """Return the lines of standard input, which must be UTF-8."""
    number = 0
    while content := sys.stdin.buffer.readline(MAX_TEXT_BYTES + 1):
        number += 1
        if len(content) > MAX_TEXT_BYTES:
            raise click.UsageError(f"Line {number} must have at most {MAX_TEXT_BYTES:,} bytes, got more.")
        yield decode_text(content, f"Line {number} of standard input")


def _typed_lines() -> Iterator[str]:
    """Return the lines that are typed, until Ctrl-D; Ctrl-C begins a line anew."""
    prompt = "> " if sys.stdout.isatty() else ""
    while True:
        try:
            yield decode_text(input(prompt).encode(errors="surrogateescape"), "What is said")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
        except (UnicodeDecodeError, click.UsageError):
            print("What is said must be text in UTF-8.", file=sys.stderr)


@contextmanager
def _history() -> Iterator[None]:
    """Keep what is typed for the next conversation, and let arrow keys find it, where Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    from rtlm.gen.common.cache import cache_folder

    path = cache_folder("chat", "history")
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LINES)
    try:
        yield
    finally:
        # A history that cannot be kept is no reason to end with an error.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the program where Ctrl-C only ends a line or an answer."""

    def end(number: int, frame: object) -> NoReturn:
        raise click.Abort

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
