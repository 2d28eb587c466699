"""Mutation testing: RTL, models and packer broken one way at a time, in a copy, and the check that notices.

::

    python -m tests.mutations                    # all; about an hour on two idle cores
    python -m tests.mutations --check prove      # those that a proof must find, in minutes
    python -m tests.mutations --common-mode      # those that gates and golden model share, in minutes
    python -m tests.mutations --only "limit off by one" --json mutations.json

A mutation replaces one piece of source text. The check that covers it runs on the copy and must fail (exit code 1: a
test or proof that is negative; anything else is an error of the script). Each check first runs on an unchanged copy.
"""

from tests.mutations.common_mode import COMMON_MODE
from tests.mutations.table import MUTATIONS, Mutation

ALL = MUTATIONS + COMMON_MODE

__all__ = ["ALL", "COMMON_MODE", "MUTATIONS", "Mutation"]
