"""Why the accelerator stops: the codes of its register ERROR."""

from amaranth.hdl import unsigned
from amaranth.lib import enum


class Error(enum.Enum, shape=unsigned(4)):
    """Why the accelerator stopped."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    READ_RESPONSE = 2
    READ_LIMIT = 3
    READ_ALIGNMENT = 4
    WRITE_RESPONSE = 5
    WRITE_LIMIT = 6
    WRITE_ALIGNMENT = 7
    WATCHDOG = 8
    START_WHILE_BUSY = 9
    BAD_COLUMNS = 10
    PROGRAM_CHECKSUM = 11
    BAD_POSITION = 12
    BAD_HISTORY = 13
    BAD_LOCAL_FIRST = 14

    @property
    def meaning(self) -> str:
        """A sentence for people."""
        return ERROR_MEANINGS[self]


ERROR_MEANINGS = {
    Error.NONE: "no error.",
    Error.ILLEGAL_INSTRUCTION: "the program holds an instruction with an unknown opcode, "
    "or with a value that its opcode does not allow.",
    Error.READ_RESPONSE: "the memory answered a read with an error response.",
    Error.READ_LIMIT: "a read beyond LIMIT was asked for.",
    Error.READ_ALIGNMENT: "a read that does not begin at a word was asked for.",
    Error.WRITE_RESPONSE: "the memory answered a write with an error response.",
    Error.WRITE_LIMIT: "a write beyond LIMIT was asked for.",
    Error.WRITE_ALIGNMENT: "a write that does not begin at a word was asked for.",
    Error.WATCHDOG: "nothing moved for WATCHDOG cycles; the program does not fit the data.",
    Error.START_WHILE_BUSY: "a step was started while one was running.",
    Error.PROGRAM_CHECKSUM: "the program that was fetched is not the one that PROGRAM_CRC stands for; "
    "what it wrote may be wrong, so load the memory image again.",
    Error.BAD_COLUMNS: "COLUMNS is zero or larger than the accelerator's number of columns.",
    Error.BAD_POSITION: "POSITION of a column that takes part is not below the accelerator's context limit.",
    Error.BAD_HISTORY: "HISTORY of a column that takes part is larger than the accelerator's context limit.",
    Error.BAD_LOCAL_FIRST: "LOCAL_FIRST of a column that takes part is larger than the column's own number.",
}
