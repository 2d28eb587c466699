"""Command line of the mutations; see the package."""

import argparse
import json
import sys
from pathlib import Path

from tests.mutations import ALL, COMMON_MODE
from tests.mutations.runner import examine


def main() -> int:
    """Run from the command line; the exit code is 1 if a mutation survived, 2 if one could not be judged."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations", description="Break the source one way at a time; some check must notice."
    )
    parser.add_argument("--check", metavar="TEXT", default="", help="only mutations whose check contains this")
    parser.add_argument("--only", metavar="NAME", help="only the mutation of this name")
    parser.add_argument("--common-mode", action="store_true", help="only those that gates and golden model share")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    options = parser.parse_args()
    table = COMMON_MODE if options.common_mode else ALL
    chosen = [m for m in table if options.check in m.check and options.only in (None, m.name)]
    records = examine(chosen)
    fates = [record["fate"] for record in records]
    print(f"{fates.count('killed')} of {len(fates)} killed, {fates.count('survived')} survived")
    if options.json:
        options.json.write_text(json.dumps(records, indent=2) + "\n")
    return 2 if "invalid" in fates else 1 if "survived" in fates else 0


sys.exit(main())
