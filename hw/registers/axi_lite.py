"""The hardware of a register map: an AXI4-Lite slave."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.layouts import REGISTER_BITS
from rtlm.hw.memory.axi import RESPONSE_OKAY, RESPONSE_SLVERR, AXI4Lite
from rtlm.hw.registers.classes import REGISTER_BYTES, Access, Register, RegisterMap


def register_shape(register: Register) -> int | data.FlexibleLayout:
    """Return a register's shape in hardware: 32 bits, or a layout with its fields."""
    if not register.fields:
        return REGISTER_BITS
    fields = {field.name: data.Field(field.bits, field.offset) for field in register.fields}
    return data.FlexibleLayout(REGISTER_BITS, fields)


class RegisterFile(wiring.Component):
    """Registers behind AXI4-Lite.

    One read and one write are handled at a time, independently of each other. An address outside the map is answered
    with SLVERR, as is a write to a register that can only be read, or that is locked while `locked` is high. Byte
    strobes are respected. The address bits below a register are ignored.

    Latency: a read is answered two cycles after its address, a write two cycles after address and data; a written
    value and pulses are visible to the hardware in the cycle of the answer.

    Throughput: a read every three cycles, and a write every three cycles.

    Parameters
    ----------
    registers : RegisterMap
        The map.
    address_bits : int
        Bits of a byte address.

    Attributes
    ----------
    s_axi : In(AXI4Lite)
        The bus.
    locked : In(1)
        Locked registers keep their values; only with a map that has such registers.
    <name> : In or Out
        For each register a member with its name in lower case, an array for an array of registers; shape
        `register_shape`. It is an input for a register to be read, otherwise an output.
    """

    def __init__(self, registers: RegisterMap, *, address_bits: int = 16):
        if registers.size > 1 << address_bits:
            raise ValueError(
                f"register map {registers.name!r} takes {registers.size} bytes, "
                f"too many for {address_bits} address bits"
            )
        self.registers = registers
        members = {"s_axi": In(AXI4Lite(address_bits=address_bits))}
        if registers.has_locked:
            members["locked"] = In(1)
        for register in registers.registers:
            shape = register_shape(register)
            if register.access is Access.READ:
                member = In(shape)
            elif register.fields and register.reset:
                member = Out(shape, init=register.decode(register.reset))
            else:
                member = Out(shape, init=register.reset if not register.fields else None)
            members[register.name.lower()] = member if register.count is None else member.array(register.count)
        super().__init__(members)

    def signals(self, register: Register) -> list[Signal]:
        """Return the members of a register, one for each of an array."""
        member = getattr(self, register.name.lower())
        return [member] if register.count is None else list(member)

    def elaborate(self, platform: object) -> Module:
        """Describe the slave."""
        m = Module()
        bus = self.s_axi
        places = [
            (offset, register, signal)
            for register in self.registers.registers
            for offset, signal in zip(register.offsets, self.signals(register), strict=True)
        ]

        # Reads: the address is kept, then the value.
        read_address, reading = Signal.like(bus.araddr), Signal()
        m.d.comb += bus.arready.eq(~reading & ~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [read_address.eq(bus.araddr), reading.eq(1)]
        with m.If(reading):
            m.d.sync += [reading.eq(0), bus.rvalid.eq(1), bus.rdata.eq(0), bus.rresp.eq(RESPONSE_OKAY)]
            with m.Switch(read_address[2:]):
                for offset, register, signal in places:
                    with m.Case(offset // REGISTER_BYTES):
                        if register.access is not Access.PULSE:
                            m.d.sync += bus.rdata.eq(Value.cast(signal) & register.used_mask)
                with m.Default():
                    m.d.sync += bus.rresp.eq(RESPONSE_SLVERR)
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)

        # Writes: address and data come in any order and are kept until both are there.
        write_address, have_address = Signal.like(bus.awaddr), Signal()
        value, strobe, have_value = Signal(REGISTER_BITS), Signal(REGISTER_BYTES), Signal()
        m.d.comb += [bus.awready.eq(~have_address), bus.wready.eq(~have_value)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [write_address.eq(bus.awaddr), have_address.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [value.eq(bus.wdata), strobe.eq(bus.wstrb), have_value.eq(1)]
        for _, register, signal in places:
            if register.access is Access.PULSE:
                m.d.sync += signal.eq(0)
        with m.If(have_address & have_value & ~bus.bvalid):
            m.d.sync += [have_address.eq(0), have_value.eq(0), bus.bvalid.eq(1), bus.bresp.eq(RESPONSE_OKAY)]
            mask = Cat(bit.replicate(8) for bit in strobe)
            with m.Switch(write_address[2:]):
                for offset, register, signal in places:
                    if register.access is Access.READ:
                        continue
                    with m.Case(offset // REGISTER_BYTES):
                        kept = 0 if register.access is Access.PULSE else Value.cast(signal) & ~mask
                        write = Value.cast(signal).eq((kept | (value & mask)) & register.used_mask)
                        if not register.locked:
                            m.d.sync += write
                            continue
                        with m.If(self.locked):
                            m.d.sync += bus.bresp.eq(RESPONSE_SLVERR)
                        with m.Else():
                            m.d.sync += write
                with m.Default():
                    m.d.sync += bus.bresp.eq(RESPONSE_SLVERR)
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        return m
