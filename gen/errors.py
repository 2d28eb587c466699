"""The exceptions of configuration and generation; each message is made of sentences that name the value."""


class ConfigError(Exception):
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


class GenerateError(Exception):
    """RTL could not be made or written; the message is one sentence."""


class ToolMissingError(Exception):
    """A tool that a command needs is not installed; the message says how to get it."""
