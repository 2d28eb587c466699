"""Reference pages in Markdown, made from the definitions that the hardware is made from.

``python -m rtlm.host.pages`` writes them to docs/; ``rtlm generate`` writes them for one configuration.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from rtlm.gen.configuration.rules import RULES
from rtlm.gen.configuration.schema import Configuration, Section
from rtlm.hw.common.markdown import table, wrapped
from rtlm.hw.control import isa, legality
from rtlm.hw.control.errors import ERROR_MEANINGS, Error
from rtlm.hw.formats import BlockFormat
from rtlm.hw.registers.accelerator import ID_VALUE, VERSION_VALUE, register_map
from rtlm.hw.vector.epilogue import Epilogue

ENUMERATIONS: dict[str, type[Any]] = {
    "opcode": isa.Opcode,
    "epilogue": Epilogue,
    "format": BlockFormat,
    "index": isa.Index,
    "operator": isa.Operator,
}
"""Fields of an instruction whose values have names."""

START_SEQUENCE = (
    "Write the memory image, then `PROGRAM_BASE`, `PROGRAM_WORDS`, `PROGRAM_CRC` and `LIMIT`, once.",
    "For each step: `TOKEN`, `POSITION`, `HISTORY`, `LOCAL_FIRST` and `KV_BASE` of each column that takes part, and "
    "their number in `COLUMNS`.",
    "Write `CONTROL.start`, together with `no_logits` or `store_logits` where wanted.",
    "Wait for the interrupt, or until `STATUS` has `done` or `error`.",
    "Read `BEST` of each column, or the logits in memory; on an error read `ERROR`, then write `CONTROL.reset` and "
    "wait until `STATUS.resetting` is 0 before you write any other register.",
)


def registers_page(columns: int) -> str:
    """Describe the register map, the errors and how a step is run.

    Parameters
    ----------
    columns
        Activation columns of the accelerator.
    """
    steps = "".join(f"{number}. {text}\n" for number, text in enumerate(START_SEQUENCE, 1))
    errors = table(
        ("code", "name", "meaning"),
        ((error.value, f"`{error.name}`", ERROR_MEANINGS[error]) for error in Error),
    )
    return wrapped(
        "# Registers\n\n"
        "AXI4-Lite, 32-bit registers, byte offsets. A read of an offset that is not listed, and a write to one that is "
        "not listed or can only be read, is answered with SLVERR. `pulse` registers act while they are written and "
        "read as zero. `locked` registers keep their values from the start of a step to its end, and behind an error "
        "until a reset is over (`STATUS.resetting` is 0): a write meanwhile is answered with SLVERR.\n\n"
        f"`ID` reads {ID_VALUE:#010x}, `VERSION` {VERSION_VALUE}. There "
        f"{'is one column' if columns == 1 else f'are {columns} columns'}.\n\n"
        f"{register_map(columns).markdown()}\n"
        f"## Errors\n\nValues of `ERROR`. A step stops at the first; `CONTROL.reset` clears it.\n\n{errors}\n"
        "A step does not start, and nothing is read or written, where its registers do not keep to this table:\n\n"
        f"{legality.step_markdown()}\n"
        f"## Running a step\n\n{steps}"
    )


def instructions_page() -> str:
    """Describe the instruction word and the values of its fields."""
    parts = [
        "# Instructions\n\n"
        f"An instruction is {isa.INSTRUCTION_BYTES} bytes, little-endian; bit 0 is the lowest bit of the first byte. "
        "Fields that an opcode does not use are zero. A program is a run of instructions that ends with `END`; "
        "it is fetched once for each step. What each does is in docs/architecture.md of rtlm.\n\n",
        isa.markdown(),
    ]
    for name, kind in ENUMERATIONS.items():
        rows = ((member.value, f"`{member.name}`") for member in kind)
        doc = (inspect.getdoc(kind) or "").partition("\n")[0]
        parts.append(f"\n## `{name}`\n\n{doc}\n\n{table(('value', 'name'), rows)}")
    parts.append(
        "\n## What is refused\n\nAn unknown opcode, or an instruction that does not keep to this table, stops the step "
        f"with the error ILLEGAL_INSTRUCTION.\n\n{legality.markdown()}"
    )
    return wrapped("".join(parts))


def parameters_page(defaults: Configuration) -> str:
    """Describe every key of a configuration file.

    Parameters
    ----------
    defaults
        The default preset.
    """
    rows = (
        (f"`{p['key']}`", p["type"], p["allowed"], f"`{p['default']}`", p["meaning"]) for p in parameter_list(defaults)
    )
    rules = "".join(f"* {rule}\n" for rule in RULES)
    return wrapped(
        "# Parameters\n\n"
        "Keys of a configuration file. A file may begin with `extends: PRESET` and then holds only what differs; "
        "`--set KEY=VALUE` changes single values. `rtlm schema` prints the JSON Schema for editors, `rtlm show CONFIG` "
        f"the values of a configuration and what follows from them. Defaults are those of `{defaults.name}`.\n\n"
        f"{table(('key', 'type', 'allowed', 'default', 'meaning'), rows)}\n"
        f"## Between values\n\n{rules}"
    )


def parameter_list(defaults: Configuration) -> list[dict[str, Any]]:
    """List every key with type, allowed values, default and meaning."""
    values = defaults.model_dump(mode="json")

    def walk(section: type[Section], prefix: str, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for name, field in section.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from walk(kind, f"{prefix}{name}.", values[name])
                continue
            allowed = next((entry.allowed for entry in field.metadata if hasattr(entry, "allowed")), None)
            if allowed is None:
                allowed = "lower-case letters, digits, - and _" if kind is str else "names of parameters with values"
            names = {int: "integer", float: "number", str: "text", bool: "flag", tuple[str, ...]: "list"}
            kind_name = names.get(kind, "mapping")  # type: ignore[arg-type]
            yield {
                "key": f"{prefix}{name}",
                "type": kind_name,
                "allowed": allowed,
                "default": values[name],
                "meaning": (field.description or "").rstrip("."),
            }

    return list(walk(Configuration, "", values))
