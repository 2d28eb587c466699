"""Files for LibreLane: its configuration, constraints, and a script that turns memories into SRAM black boxes."""

import json
import re
from importlib import resources

from rtlm.gen.boards.constraints import FOLDER as CONSTRAINTS
from rtlm.gen.boards.constraints import clock_constraint
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.synthesis.asic import SMALL_MEMORY_WIDTH, SMALL_MEMORY_WORDS
from rtlm.gen.synthesis.targets import ASIC

FOLDER = "librelane"
"""Where the files lie in the folder of an accelerator."""
CLOCK = "clk"
UTILISATION = 35
"""Share of the core that cells take, in percent: a start, with room for macros."""
NOTE = """
## LibreLane

For a chip, in `librelane/`: `yosys memories.ys` reads the RTL and writes `accelerator_srams.v`, in which memories of
more than {words} words or {width} bits are instances of `rtlm_sram`, a black box; `memories.json` has their number,
size and unit. Nothing in it has an initial value, as nothing on a chip has one: tables have become logic, and every
state that matters comes from `rst`. Registers take data at rising edges, resets are synchronous, and the only latches
are in the clock gates: a scan chain holds them.

Fill `rtlm_sram.v` with macros of your process, add their LEF, GDS and liberty files as `MACROS` to `config.json`, and
run `librelane --pdk PDK config.json`. Macros belong beside the cells of their unit, those of `reader` and `writer` at
the pins of the memory ports. yosys was run, LibreLane was not, and nothing was laid out.
"""

SCRIPT = """\
# Run in this folder: yosys memories.ys
read_verilog ../{verilog}
read_verilog -lib rtlm_sram.v
hierarchy -check -top {top}
proc
opt_expr
opt_dff
opt_clean
setattr -unset ram_style m:*
memory -nomap
memory_map -rom-only
memory_map t:$mem_v2 r:SIZE<={words} %i r:WIDTH<={width} %i
setattr -unset init w:*
techmap -map srams_map.v
opt_clean
write_verilog -noattr accelerator_srams.v
"""

_MODULE = re.compile(r"^module (\S+) ?\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_MEMORY = re.compile(r"^ *reg \[(\d+):0\] (\S+) +\[(\d+):0\];", re.MULTILINE)


def librelane_files(config: Configuration, top: str, verilog: str, text: str) -> dict[str, str]:
    """Return the files for LibreLane by name; none for a technology that is not of standard cells.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    top
        Name of its Verilog module.
    verilog, text
        Name of the Verilog file, and its text.
    """
    if config.technology != ASIC:
        return {}
    process = (CONSTRAINTS / f"{ASIC}.sdc").read_text(encoding="utf-8")
    package = resources.files(__name__)
    settings = {
        "meta": {"version": 2},
        "DESIGN_NAME": top,
        "VERILOG_FILES": ["dir::accelerator_srams.v"],
        "EXTRA_VERILOG_MODELS": ["dir::rtlm_sram.v"],
        "CLOCK_PORT": CLOCK,
        "CLOCK_PERIOD": 1000 / config.clock_mhz,
        "PNR_SDC_FILE": "dir::accelerator.sdc",
        "SIGNOFF_SDC_FILE": "dir::accelerator.sdc",
        "FP_CORE_UTIL": UTILISATION,
    }
    files = {
        "config.json": json.dumps(settings, indent=2) + "\n",
        "accelerator.sdc": clock_constraint(top, config.clock_mhz) + "\n" + process,
        "memories.ys": SCRIPT.format(verilog=verilog, top=top, words=SMALL_MEMORY_WORDS, width=SMALL_MEMORY_WIDTH),
        "memories.json": json.dumps(memories(text), indent=2) + "\n",
        **{name: (package / name).read_text(encoding="utf-8") for name in ("srams_map.v", "rtlm_sram.v")},
    }
    return {f"{FOLDER}/{name}": written for name, written in files.items()}


def librelane_note(config: Configuration) -> str:
    """Return what the folder's README says of it."""
    if config.technology != ASIC:
        return ""
    return NOTE.format(words=SMALL_MEMORY_WORDS, width=SMALL_MEMORY_WIDTH)


def memories(verilog: str) -> list[dict[str, str | int]]:
    """Return the memories that become SRAM, each with its place in the hierarchy, its unit, width and words."""
    found: list[dict[str, str | int]] = []
    for module in _MODULE.finditer(verilog):
        path = module[1].removeprefix("\\").partition(".")[2]
        for high, name, last in _MEMORY.findall(module[0]):
            width, words = int(high) + 1, int(last) + 1
            written = re.search(rf"^[^<\n]*(?<![\w$]){re.escape(name)} ?\[.*\] <= ", module[0], re.MULTILINE)
            if written and (width > SMALL_MEMORY_WIDTH or words > SMALL_MEMORY_WORDS):
                place = f"{path}.{name.removeprefix(chr(92))}".lstrip(".")
                found.append({"memory": place, "unit": place.split(".")[0], "width": width, "words": words})
    return sorted(found, key=lambda each: str(each["memory"]))
