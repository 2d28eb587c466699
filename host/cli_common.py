"""Options that several commands share."""

import click
from rtlm.host.session_options import DEFAULT_CONFIG

ROUTERS = ("router2", "router1")

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
seed_option = click.option(
    "--seed", type=int, default=1, show_default=True, help="Seed of the placer; results differ by some 5 %."
)
router_option = click.option(
    "--router",
    type=click.Choice(ROUTERS),
    default=ROUTERS[0],
    show_default=True,
    help="Router of nextpnr; router2 is ended where it does not converge.",
)
