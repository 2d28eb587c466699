"""What every part of rtlm raises where the user can put it right: one sentence, with the exit code of the command."""

from typing import ClassVar

OK = 0
NEGATIVE = 1
USER_ERROR = 2
ENVIRONMENT_ERROR = 3
INTERNAL_ERROR = 70
INTERRUPTED = 130
"""Exit codes of the command line: done, the result is negative, something given is wrong, a tool is missing or failed,
a defect of rtlm, interrupted.
"""


class RtlmError(Exception):
    """Something can be put right outside rtlm; the message is a sentence that says what was given and what is allowed.

    Attributes
    ----------
    exit_code
        With what a command ends that does not catch it.
    """

    exit_code: ClassVar[int] = USER_ERROR


class ConfigError(RtlmError):
    """A configuration cannot be used.

    Parameters
    ----------
    source
        File, preset or option that the configuration came from.
    problems
        One sentence for each thing that is wrong; all of them, not the first.
    """

    def __init__(self, source: str, problems: list[str]):
        self.source = source
        self.problems = tuple(problems)
        if len(problems) == 1:
            text = f"{source}: {problems[0]}"
        else:
            text = f"{source} has {len(problems)} errors:" + "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(text)


class GenerateError(RtlmError):
    """RTL could not be made or written."""


class ToolError(RtlmError):
    """A tool is missing or failed; the message says how to get it, or where its output is."""

    exit_code = ENVIRONMENT_ERROR
