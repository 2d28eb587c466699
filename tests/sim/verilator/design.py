"""A small AXI master as the design under test: reads a range on every port, writes it with one added elsewhere."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.gen.rtl.verilog import emit

ADDRESS_BITS = 40


def _port(number, width):
    out = {
        "araddr": ADDRESS_BITS, "arlen": 8, "arsize": 3, "arburst": 2, "arvalid": 1, "arid": 1, "rready": 1,
        "awaddr": ADDRESS_BITS, "awlen": 8, "awsize": 3, "awburst": 2, "awvalid": 1, "awid": 1,
        "wdata": width, "wstrb": width // 8, "wlast": 1, "wvalid": 1, "bready": 1,
    }  # fmt: skip
    into = {
        "arready": 1, "rdata": width, "rresp": 2, "rlast": 1, "rvalid": 1, "rid": 1,
        "awready": 1, "wready": 1, "bresp": 2, "bvalid": 1, "bid": 1,
    }  # fmt: skip
    names = {name: Out(bits) for name, bits in out.items()} | {name: In(bits) for name, bits in into.items()}
    return {f"m{number}_axi__{name}": flow for name, flow in names.items()}


class Copier(wiring.Component):
    """Copies `SOURCE` to `TARGET`, burst by burst on each port, adding one to every beat.

    Registers: 0 start (write), 4 SOURCE, 8 TARGET, 12 bursts a port, 16 copy (0: read only), 20 errors seen (read),
    24 mutation (1: writes 8 bytes off, 2: does not hold the read address). The burst after next is
    requested while one is received, so that reads are back to back.
    """

    def __init__(self, *, ports=2, width=128, beats=16):
        self.ports, self.width, self.beats = ports, width, beats
        lite = {
            "awaddr": In(16), "awvalid": In(1), "awready": Out(1), "wdata": In(32), "wstrb": In(4), "wvalid": In(1),
            "wready": Out(1), "bresp": Out(2), "bvalid": Out(1), "bready": In(1), "araddr": In(16), "arvalid": In(1),
            "arready": Out(1), "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
        }  # fmt: skip
        members = {"irq": Out(1)} | {f"s_axi__{name}": flow for name, flow in lite.items()}
        for number in range(ports):
            members |= _port(number, width)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        registers = [Signal(32, name=f"register_{i}") for i in range(7)]
        _, source, target, bursts, copy, errors, mutation = registers
        running, done = Signal(), Signal(self.ports)
        go = self.registers(m, registers)
        for number in range(self.ports):
            finished = self.port(m, number, running, go, source, target, bursts, copy, errors, mutation)
            m.d.comb += done[number].eq(finished)
        with m.If(go):
            m.d.sync += [running.eq(1), self.irq.eq(0)]
        with m.Elif(running & done.all()):
            m.d.sync += [running.eq(0), self.irq.eq(1)]
        return m

    def registers(self, m, registers):
        take = self.s_axi__awvalid & self.s_axi__wvalid & ~self.s_axi__bvalid
        m.d.comb += [self.s_axi__awready.eq(take), self.s_axi__wready.eq(take)]
        m.d.sync += registers[0].eq(0)
        with m.If(take):
            m.d.sync += self.s_axi__bvalid.eq(1)
            with m.Switch(self.s_axi__awaddr[2:5]):
                for i, register in enumerate(registers):
                    with m.Case(i):
                        m.d.sync += register.eq(self.s_axi__wdata)
        with m.Elif(self.s_axi__bready):
            m.d.sync += self.s_axi__bvalid.eq(0)
        m.d.comb += self.s_axi__arready.eq(~self.s_axi__rvalid)
        with m.If(self.s_axi__arvalid & self.s_axi__arready):
            m.d.sync += self.s_axi__rvalid.eq(1)
            with m.Switch(self.s_axi__araddr[2:5]):
                for i, register in enumerate(registers):
                    with m.Case(i):
                        m.d.sync += self.s_axi__rdata.eq(register)
        with m.Elif(self.s_axi__rready):
            m.d.sync += self.s_axi__rvalid.eq(0)
        return registers[0][0]

    def port(self, m, number, running, go, source, target, bursts, copy, errors, mutation):
        def pin(name):
            return getattr(self, f"m{number}_axi__{name}")

        step = self.beats * self.width // 8
        first, stride = number * step, self.ports * step
        counts = ("asked", "received", "written", "answered")
        asked, received, written, answered = (Signal(32, name=f"{name}_{number}") for name in counts)
        beat_out = Signal(range(self.beats), name=f"beat_out_{number}")
        size = (self.width // 8).bit_length() - 1
        m.d.comb += [
            pin("arlen").eq(self.beats - 1), pin("arsize").eq(size), pin("arburst").eq(1),
            pin("awlen").eq(self.beats - 1), pin("awsize").eq(size), pin("awburst").eq(1),
            pin("wstrb").eq((1 << self.width // 8) - 1), pin("bready").eq(1),
        ]  # fmt: skip

        ahead = Signal(32, name=f"ahead_{number}")
        m.d.comb += ahead.eq(asked - received)
        with m.If(go):
            m.d.sync += [asked.eq(0), received.eq(0), written.eq(0), answered.eq(0)]
            m.d.sync += pin("araddr").eq(source + first)
            m.d.sync += pin("awaddr").eq(target + first + (mutation == 1) * 8)
            m.d.sync += [errors.eq(0)]
        m.d.comb += pin("arvalid").eq((asked != bursts) & (ahead < 6) & running & ~go)
        with m.If(pin("arvalid") & pin("arready")):
            m.d.sync += [asked.eq(asked + 1), pin("araddr").eq(pin("araddr") + stride)]
        with m.Elif((mutation == 2) & pin("arvalid")):
            m.d.sync += pin("araddr").eq(pin("araddr") + stride)

        # Read data go straight to write data through one register.
        full = Signal(name=f"full_{number}")
        m.d.comb += pin("rready").eq(~copy[0] | ~full | pin("wready") & pin("wvalid"))
        with m.If(pin("wvalid") & pin("wready")):
            m.d.sync += full.eq(0)
            m.d.sync += beat_out.eq(beat_out + 1)
        with m.If(pin("rvalid") & pin("rready")):
            m.d.sync += full.eq(copy[0])
            m.d.sync += pin("wdata").eq(pin("rdata") + 1)
            with m.If(pin("rlast")):
                m.d.sync += received.eq(received + 1)
            with m.If(pin("rresp") != 0):
                m.d.sync += errors.eq(errors + 1)
        m.d.comb += [pin("wvalid").eq(full), pin("wlast").eq(beat_out == self.beats - 1)]

        m.d.comb += pin("awvalid").eq(copy[0] & running & ~go & (written != asked))
        with m.If(pin("awvalid") & pin("awready")):
            m.d.sync += [written.eq(written + 1), pin("awaddr").eq(pin("awaddr") + stride)]
        with m.If(pin("bvalid") & pin("bready")):
            m.d.sync += answered.eq(answered + 1)
            with m.If(pin("bresp") != 0):
                m.d.sync += errors.eq(errors + 1)
        return (received == bursts) & (~copy[0] | (answered == bursts))


def copier_verilog(**parameters):
    return emit(Copier(**parameters), "accelerator").verilog
