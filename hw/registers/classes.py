"""Register maps: one definition of names, offsets and fields for hardware, host and documentation."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from rtlm.hw.common.checks import check_range
from rtlm.hw.common.layouts import REGISTER_BITS
from rtlm.hw.common.markdown import table

REGISTER_BYTES = REGISTER_BITS // 8


class Access(Enum):
    """What the host may do with a register."""

    READ = "read"
    """The host reads a value of the hardware; writing it is an error."""
    READ_WRITE = "read/write"
    """The host writes a value and reads it back; the hardware reads it."""
    PULSE = "pulse"
    """Bits written as one are one for a cycle in the hardware; reads give zero."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name
        Name, a lower-case identifier.
    doc
        Meaning.
    offset
        Lowest bit.
    bits
        Number of bits.
    """

    name: str
    doc: str
    offset: int
    bits: int = 1

    def __post_init__(self) -> None:
        """Validate."""
        if not (self.name.isidentifier() and self.name.islower()):
            raise ValueError(f"a field cannot be called {self.name!r}: its name is a lower-case identifier")
        if self.bits < 1 or self.offset < 0 or self.offset + self.bits > REGISTER_BITS:
            raise ValueError(
                f"field {self.name!r} of {self.bits} bits at bit {self.offset} does not lie in {REGISTER_BITS} bits"
            )

    @property
    def mask(self) -> int:
        """The field's bits in the register."""
        return ((1 << self.bits) - 1) << self.offset


@dataclass(frozen=True, kw_only=True)
class Register:
    """A 32-bit register, or an array of them.

    Parameters
    ----------
    name
        Name, an upper-case identifier.
    doc
        Meaning.
    offset
        Byte offset, a multiple of 4.
    access
        What the host may do.
    fields
        Its parts; a register without fields is one number.
    reset
        Value after reset of a register that can be written and read.
    count
        Registers in the array; None for a single register.
    stride
        Bytes from one register of the array to the next.
    locked
        Whether a write is refused while the hardware says that registers are locked.
    """

    name: str
    doc: str
    offset: int
    access: Access = Access.READ
    fields: tuple[Field, ...] = ()
    reset: int = 0
    count: int | None = None
    stride: int = REGISTER_BYTES
    locked: bool = False

    def __post_init__(self) -> None:
        """Validate."""
        if not (self.name.isidentifier() and self.name.isupper()):
            raise ValueError(f"a register cannot be called {self.name!r}: its name is an upper-case identifier")
        if self.offset < 0 or self.offset % REGISTER_BYTES:
            raise ValueError(f"register {self.name} cannot be at {self.offset:#x}: offsets are multiples of 4")
        if self.stride < REGISTER_BYTES or self.stride % REGISTER_BYTES:
            raise ValueError(f"registers {self.name} cannot be {self.stride} bytes apart: strides are multiples of 4")
        if self.count is not None:
            check_range(f"count of {self.name}", self.count, 1)
        if not 0 <= self.reset < 1 << REGISTER_BITS:
            raise ValueError(f"reset value {self.reset} of register {self.name} does not fit {REGISTER_BITS} bits")
        if self.reset and self.access is not Access.READ_WRITE:
            raise ValueError(
                f"register {self.name} cannot have a reset value: its access is {self.access.value}, "
                f"and only {Access.READ_WRITE.value} registers keep one"
            )
        if self.locked and self.access is not Access.READ_WRITE:
            raise ValueError(
                f"register {self.name} cannot be locked: its access is {self.access.value}, "
                f"and only {Access.READ_WRITE.value} registers can"
            )
        used = 0
        for field in self.fields:
            if used & field.mask:
                raise ValueError(f"field {field.name!r} of register {self.name} overlaps another field")
            used |= field.mask
        if self.fields and self.reset & ~used:
            raise ValueError(f"reset value {self.reset:#x} of register {self.name} sets bits outside its fields")
        if len({field.name for field in self.fields}) != len(self.fields):
            raise ValueError(f"register {self.name} has two fields of the same name")

    @property
    def offsets(self) -> tuple[int, ...]:
        """Byte offsets of all registers of the array."""
        return tuple(self.offset + index * self.stride for index in range(self.count or 1))

    @property
    def access_text(self) -> str:
        """What the host may do, for documentation."""
        return f"{self.access.value}, locked" if self.locked else self.access.value

    @property
    def used_mask(self) -> int:
        """Bits that exist."""
        return sum(field.mask for field in self.fields) if self.fields else (1 << REGISTER_BITS) - 1

    def field(self, name: str) -> Field:
        """Find a field by its name."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"register {self.name} has no field {name!r}; it has {[field.name for field in self.fields]}")

    def decode(self, value: int) -> dict[str, int]:
        """Take a value apart into fields."""
        return {field.name: (value & field.mask) >> field.offset for field in self.fields}

    def encode(self, **values: int) -> int:
        """Put fields together; those not named are zero."""
        word = 0
        for name, value in values.items():
            field = self.field(name)
            if not 0 <= value < 1 << field.bits:
                raise ValueError(
                    f"{value} does not fit field {name!r} of register {self.name}: it has {field.bits} bits"
                )
            word |= value << field.offset
        return word


class RegisterMap:
    """An ordered set of registers.

    Parameters
    ----------
    name
        Name of the whole, which prefixes names in C.
    registers
        The registers, in any order.

    Raises
    ------
    ValueError
        If two registers share a name or an address.
    """

    def __init__(self, name: str, registers: Iterable[Register]):
        self.name = name
        self.registers = tuple(sorted(registers, key=lambda register: register.offset))
        self._by_name = {register.name: register for register in self.registers}
        if len(self._by_name) != len(self.registers):
            raise ValueError(f"register map {name!r} has two registers of the same name")
        owner: dict[int, str] = {}
        for register in self.registers:
            for offset in register.offsets:
                if offset in owner:
                    raise ValueError(f"registers {owner[offset]} and {register.name} both lie at {offset:#x}")
                owner[offset] = register.name
        self.size = max(owner, default=0) + REGISTER_BYTES
        self.has_locked = any(register.locked for register in self.registers)

    def __getitem__(self, name: str) -> Register:
        """Find a register by its name."""
        if name not in self._by_name:
            raise KeyError(f"register map {self.name!r} has no register {name!r}; it has {list(self._by_name)}")
        return self._by_name[name]

    def address(self, name: str, index: int = 0) -> int:
        """Return the byte offset of a register, or of one of an array."""
        offsets = self[name].offsets
        if not 0 <= index < len(offsets):
            raise IndexError(f"{name}[{index}] does not exist: there are {len(offsets)} of it")
        return offsets[index]

    def markdown(self) -> str:
        """Write the map as a Markdown table."""
        rows = []
        for register in self.registers:
            name, offset = f"`{register.name}`", f"`{register.offset:#06x}`"
            if register.count is not None:
                name = f"`{register.name}[{register.count}]`"
                offset += f" + {register.stride} · n"
            access = register.access_text
            reset = f" Reset: {register.reset:#x}." if register.reset else ""
            rows.append((offset, name, access, "31:0", "", register.doc + reset))
            for field in register.fields:
                top = field.offset + field.bits - 1
                bits = str(top) if field.bits == 1 else f"{top}:{field.offset}"
                rows.append(("", "", "", bits, f"`{field.name}`", field.doc))
        return table(("offset", "register", "access", "bits", "field", "meaning"), rows)

    def c_header(self) -> str:
        """Write the map as a C header."""
        prefix = self.name.upper()
        lines = [f"#ifndef {prefix}_REGISTERS_H", f"#define {prefix}_REGISTERS_H", ""]
        for register in self.registers:
            lines.append(f"/* {register.doc} ({register.access_text}) */")
            name = f"{prefix}_{register.name}"
            if register.count is None:
                lines.append(f"#define {name} {register.offset:#06x}u")
            else:
                lines.append(f"#define {name}(n) ({register.offset:#06x}u + {register.stride}u * (n))")
                lines.append(f"#define {name}_COUNT {register.count}u")
            for field in register.fields:
                part = f"{name}_{field.name.upper()}"
                lines.append(f"#define {part}_SHIFT {field.offset}u /* {field.doc} */")
                lines.append(f"#define {part}_MASK {field.mask:#010x}u")
            lines.append("")
        return "\n".join([*lines, f"#endif /* {prefix}_REGISTERS_H */", ""])


class RegisterAccess:
    """Registers by name over any transport.

    Parameters
    ----------
    registers
        The map.
    read32
        Reads the register at a byte offset.
    write32
        Writes a value to the register at a byte offset.
    """

    def __init__(
        self, registers: RegisterMap, read32: Callable[[int], int], write32: Callable[[int, int], None]
    ) -> None:
        self.registers = registers
        self._read32 = read32
        self._write32 = write32

    def read(self, name: str, index: int = 0) -> int:
        """Read a register as a number."""
        return self._read32(self.registers.address(name, index))

    def read_fields(self, name: str, index: int = 0) -> dict[str, int]:
        """Read a register as its fields."""
        return self.registers[name].decode(self.read(name, index))

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Write a number to a register."""
        register = self.registers[name]
        if register.access is Access.READ:
            raise ValueError(f"register {name} can only be read")
        if not 0 <= value < 1 << REGISTER_BITS:
            raise ValueError(f"{value} does not fit the {REGISTER_BITS} bits of register {name}")
        self._write32(self.registers.address(name, index), value)

    def write_fields(self, name: str, index: int = 0, **values: int) -> None:
        """Write fields to a register; those not named become zero."""
        self.write(name, self.registers[name].encode(**values), index)
