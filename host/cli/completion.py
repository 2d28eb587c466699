"""``rtlm completion``."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options, presets, units, models and keys of --set.

    \b
    The line for the settings of each shell:
      ~/.bashrc (bash 4.4 or newer)    eval "$(rtlm completion bash)"
      ~/.zshrc, behind compinit        eval "$(rtlm completion zsh)"
      ~/.config/fish/config.fish       rtlm completion fish | source

    \b
    Examples:
      rtlm completion bash > rtlm.bash
      rtlm completion zsh
      rtlm completion fish
    """
    from rtlm.host.cli.main import PROGRAM, cli

    script = get_completion_class(shell)
    assert script is not None
    print(script(cli, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
