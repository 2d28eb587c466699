"""Runs sessions one after the other, as a program of its own, and prints what came of each as JSON.

``python -m tests.host.boards.driver_program '[{"backend": "xdma:/dev/xdma0", ...}, ...]'``; `die_in` names the step in
which the program ends at once, right after it has started the accelerator.
"""

import json
import os
import sys

from rtlm.gen.common.errors import RtlmError
from rtlm.gen.common.progress import SilentProgress
from rtlm.host import session
from rtlm.host.boards.device import BoardDevice
from rtlm.host.session_options import RunOptions


def die_in(step):
    """End the program in a step."""
    left = [step]
    wait = BoardDevice.run

    def run(self):
        left[0] -= 1
        if not left[0]:
            os._exit(9)
        wait(self)

    BoardDevice.run = run


def main():
    for options in json.loads(sys.argv[1]):
        if step := options.pop("die_in", 0):
            die_in(step)
        try:
            report = session.run(RunOptions(texts=("abc",), read_logits=True, **options), SilentProgress())
        except RtlmError as error:
            print(json.dumps({"error": str(error), "code": error.exit_code}), flush=True)
        else:
            print(json.dumps(report.to_json()), flush=True)


if __name__ == "__main__":
    main()
