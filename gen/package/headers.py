"""C headers for drivers: registers, errors, instructions. They need nothing but ``stdint.h``."""

from rtlm.gen.package.pages import ENUMERATIONS
from rtlm.hw.control import isa
from rtlm.hw.control.errors import ERROR_MEANINGS, Error
from rtlm.hw.registers.accelerator import ID_VALUE, VERSION_VALUE, register_map

WORD_BITS = 32


def registers_header(columns: int) -> str:
    """Write the register map and the error codes as a C header.

    Parameters
    ----------
    columns
        Activation columns of the accelerator.
    """
    end = "#endif /* RTLM_REGISTERS_H */"
    body, _, _ = register_map(columns).c_header().partition(end)
    lines = ["/* Values of ERROR */"]
    lines += [f"#define RTLM_ERROR_{error.name} {error.value}u /* {ERROR_MEANINGS[error]} */" for error in Error]
    lines += [
        "",
        f"#define RTLM_ID_VALUE {ID_VALUE:#010x}u",
        f"#define RTLM_VERSION_VALUE {VERSION_VALUE}u",
        "",
        end,
        "",
    ]
    return body + "\n".join(lines)


def instructions_header() -> str:
    """Write the instruction set as a C header: places of the fields, values, and functions that set and get a field."""
    words = 8 * isa.INSTRUCTION_BYTES // WORD_BITS
    lines = [
        "#ifndef RTLM_INSTRUCTIONS_H",
        "#define RTLM_INSTRUCTIONS_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define RTLM_INSTRUCTION_BYTES {isa.INSTRUCTION_BYTES}u",
        f"#define RTLM_INSTRUCTION_WORDS {words}u",
        "",
        "/* A field: its lowest bit and its number of bits. */",
    ]
    for field in isa.FIELDS:
        name = f"RTLM_ISA_FIELD_{field.name.upper()}"
        lines += [f"#define {name} {field.start}u, {field.width}u /* {field.doc} */"]
    for name, kind in ENUMERATIONS.items():
        lines += ["", f"/* Values of {name} */"]
        lines += [f"#define RTLM_ISA_{name.upper()}_{member.name} {member.value}u" for member in kind]
    return "\n".join(lines) + _FUNCTIONS


_FUNCTIONS = """

/* Set a field of an instruction, for instance rtlm_set(word, RTLM_ISA_FIELD_OPCODE, RTLM_ISA_OPCODE_END).
   The words are little-endian in memory, word 0 first. */
static inline void rtlm_set(uint32_t *instruction, uint32_t start, uint32_t bits, uint32_t value)
{
    uint32_t i;
    for (i = 0; i < bits; i++) {
        uint32_t mask = (uint32_t)1 << ((start + i) % 32u);
        if ((value >> i) & 1u)
            instruction[(start + i) / 32u] |= mask;
        else
            instruction[(start + i) / 32u] &= ~mask;
    }
}

static inline uint32_t rtlm_get(const uint32_t *instruction, uint32_t start, uint32_t bits)
{
    uint32_t i, value = 0;
    for (i = 0; i < bits; i++)
        value |= ((instruction[(start + i) / 32u] >> ((start + i) % 32u)) & 1u) << i;
    return value;
}

#endif /* RTLM_INSTRUCTIONS_H */
"""
