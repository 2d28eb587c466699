"""Published accelerators in this project's power model, against the watts that their authors state.

Each has its own resources, clock and traffic (``host/power/published.yaml``, with sources). Two of them set a figure of
``constraints/power-boards.yaml`` each; the others are a test. Exits with 1 if one of the two is not met any more.

Usage::

    python benchmarks/published_power.py [--json FILE]
"""

import json
import sys
from pathlib import Path

import click
from rtlm.host.power.published import CALIBRATED, compare, published_designs, published_table, to_json


@click.command()
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures, too.")
def main(file: Path | None) -> None:
    """Print the table."""
    found = [compare(design) for design in published_designs()]
    print(published_table(found))
    if file:
        file.write_text(json.dumps([to_json(each) for each in found], indent=2) + "\n", encoding="utf-8")
    sys.exit(any(each.design.calibrates and abs(each.error) > CALIBRATED for each in found))


if __name__ == "__main__":
    main()
