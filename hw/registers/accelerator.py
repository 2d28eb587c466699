"""The accelerator's register map."""

from rtlm.hw.control.counters import COUNTERS, EVENTS
from rtlm.hw.registers import Access, Field, Register, RegisterMap

ID_VALUE = 0x4D4C5452
"""The characters RTLM, little-endian."""

VERSION_VALUE = 1
"""Version of the register map, the instruction set and the memory layout."""

COLUMN_STRIDE = 0x20
COLUMN_OFFSET = 0x100
COUNTER_OFFSET = 0x400
DEFAULT_WATCHDOG = 1 << 20
"""Cycles without any progress after which a step is given up."""


def register_map(columns: int) -> RegisterMap:
    """Return the register map of an accelerator.

    Parameters
    ----------
    columns
        Its activation columns.
    """

    def host(name: str, offset: int, doc: str, reset: int = 0) -> Register:
        return Register(name=name, doc=doc, offset=offset, access=Access.READ_WRITE, reset=reset, locked=True)

    def column(name: str, place: int, doc: str, access: Access = Access.READ_WRITE) -> Register:
        return Register(
            name=name,
            doc=doc,
            offset=COLUMN_OFFSET + 4 * place,
            access=access,
            count=columns,
            stride=COLUMN_STRIDE,
            locked=access is Access.READ_WRITE,
        )

    registers = [
        Register(name="ID", doc=f"{ID_VALUE:#010x}: this is an rtlm accelerator.", offset=0x00),
        Register(name="VERSION", doc="Version of registers, instructions and memory layout.", offset=0x04),
        Register(name="CONFIG_HASH_LOW", doc="Hash of the configuration, low half.", offset=0x08),
        Register(name="CONFIG_HASH_HIGH", doc="Hash of the configuration, high half.", offset=0x0C),
        Register(
            name="CONTROL",
            doc="Commands.",
            offset=0x10,
            access=Access.PULSE,
            fields=(
                Field(name="start", doc="Run the program once.", offset=0),
                Field(name="reset", doc="Stop, forget everything but these registers, clear the error.", offset=1),
                Field(name="no_logits", doc="With start: leave the output projection out.", offset=2),
                Field(name="store_logits", doc="With start: write the logits to memory.", offset=3),
                Field(name="clear_done", doc="Clear STATUS.done, and with it the interrupt.", offset=4),
            ),
        ),
        Register(
            name="STATUS",
            doc="State.",
            offset=0x14,
            fields=(
                Field(name="busy", doc="A step is running.", offset=0),
                Field(name="done", doc="A step has ended; the interrupt is active.", offset=1),
                Field(name="error", doc="ERROR is not zero; the interrupt is active.", offset=2),
                Field(name="resetting", doc="A reset is waiting for outstanding bus transfers.", offset=3),
            ),
        ),
        Register(name="ERROR", doc="First error since reset (see the table of errors).", offset=0x18),
        host("PROGRAM_BASE", 0x20, "Beat address of the program."),
        host("PROGRAM_WORDS", 0x24, "Words of the program."),
        host(
            "PROGRAM_CRC",
            0x34,
            "CRC-32 (that of zlib) of the program's words, checked before a step ends; 0 turns it off.",
        ),
        host("LIMIT", 0x28, "First beat that may not be accessed."),
        Register(
            name="WATCHDOG",
            doc="Cycles without progress that end a step with an error; 0 turns it off.",
            offset=0x2C,
            access=Access.READ_WRITE,
            reset=DEFAULT_WATCHDOG,
        ),
        host("COLUMNS", 0x30, "Columns that take part in a step.", reset=1),
        column("TOKEN", 0, "Token that the column is fed."),
        column("POSITION", 1, "Position of the token."),
        column("HISTORY", 2, "Positions of its sequence that lie in the KV cache."),
        column("LOCAL_FIRST", 3, "First column of the step that it attends to."),
        column("KV_BASE", 4, "Beat address of its KV slot."),
        column("BEST", 5, "Arg-max token of the last step with logits.", Access.READ),
        column("BEST_VALUE", 6, "Its logit, F32.", Access.READ),
    ]
    for i, name in enumerate(COUNTERS):
        registers.append(Register(name=name, doc=_counter_doc(name), offset=COUNTER_OFFSET + 4 * i))
    return RegisterMap("rtlm", registers)


def _counter_doc(name: str) -> str:
    kind, _, rest = name.partition("_")
    if kind == "EVENT":
        return f"Cycles of the last step in which {EVENTS[rest.lower()]}."
    if kind == "OPERATOR":
        return f"Cycles of the last step that count to {rest.lower()}."
    return "Cycles of the last step."
