"""Options that several commands share."""

import click
from rtlm.host.session_options import DEFAULT_CONFIG

config_option = click.option(
    "--config",
    "-c",
    default=DEFAULT_CONFIG,
    show_default=True,
    metavar="NAME|FILE",
    help="Preset (see rtlm list) or YAML file.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the configuration, such as matmul.lanes=256. May be repeated.",
)
