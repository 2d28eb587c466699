"""SDRAM of a board behind an AXI4 port: LiteDRAM's controller as it is seen from here."""

from dataclasses import dataclass

from amaranth.hdl import ClockSignal, Instance, IOPort, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.checks import check_range
from rtlm.hw.memory.axi import AXI4

MODULE = "litedram_sdram"
"""Verilog module of the controller, which `rtlm.gen.boards.litedram` writes."""

PORT_BITS = 32
"""Of the AXI4 port: what an SDRAM of 16 bits at twice the clock delivers in a cycle."""

FAST_DOMAIN = "sdram"
"""Clock domain of the memory's interface: twice the frequency of ``sync``, rising with it."""


LITEDRAM_PINS = {"csn": "cs_n", "rasn": "ras_n", "casn": "cas_n", "wen": "we_n", "dqm": "dm"}
"""LiteDRAM's names of pins, where they are not the board's."""


@dataclass(frozen=True, kw_only=True)
class SdramParams:
    """An SDR SDRAM of 16 bits, and how it is started.

    Parameters
    ----------
    module
        Its class in ``litedram.modules``, which has geometry and timing. The default has the longest delays of the
        32 MiB chips that a ULX3S was built with; on one of 64 MiB half of each row is used.
    clock_hz
        Clock of the AXI4 port; the memory has twice this.
    address_bits, bank_bits, row_bits, data_bits
        Bits of a byte address, and pins of the memory.
    power_up_us
        Time before the first command: 200 us in data sheets of ISSI and Alliance, 100 us in Micron's.
    power_up_refreshes
        Refreshes before the mode register is written: eight in data sheets of Winbond, two in the others'.
    command_gap_ns
        Time behind each command of the initialisation, longer than a refresh takes.
    """

    module: str = "IS42S16160"
    clock_hz: float = 25e6
    address_bits: int = 25
    bank_bits: int = 2
    row_bits: int = 13
    data_bits: int = 16
    power_up_us: float = 200
    power_up_refreshes: int = 8
    command_gap_ns: float = 100

    def __post_init__(self) -> None:
        """Validate."""
        # Slower than that LiteDRAM cannot refresh in time; faster than that the CAS latency of 2 is too short.
        check_range("clock_hz of an SDRAM", int(self.clock_hz), 13_000_000, 50_000_000)


def sdram_pins(params: SdramParams) -> dict[str, wiring.Member]:
    """Return the pins of a memory but for clock and data, seen from the controller, named as on a ULX3S."""
    return {
        **{name: Out(1, init=1) for name in ("csn", "rasn", "casn", "wen")},
        "cke": Out(1),
        "a": Out(params.row_bits),
        "ba": Out(params.bank_bits),
        "dqm": Out(params.data_bits // 8),
    }


class SdramController(wiring.Component):
    """LiteDRAM's controller, its AXI4 front end and its PHY, and an initialisation in gates.

    Protocol: takes no request and no data before `ready`, which rises some 0.2 ms after the reset ends. Bursts are
    INCR with full beats; responses are always OKAY, in order.

    Latency: some ten cycles from a read address to its first beat in an open row; a refresh, every 7.8 us, or another
    row costs about as much.

    Throughput: a beat a cycle within a row of 1 KiB.

    Clocks: ``sync``, and `FAST_DOMAIN`. The memory's clock comes a quarter of its period later, so that commands are
    stable before its edge and read data are when they are sampled.

    Parameters
    ----------
    params
        The memory.
    data
        The memory's data pins.

    Attributes
    ----------
    axi : In(AXI4)
        The port.
    ready : Out(1)
        The memory has been initialised.
    csn, rasn, casn, wen, cke, a, ba, dqm : Out
        Pins of the memory, from registers in their I/O cells.
    """

    def __init__(self, params: SdramParams, data: IOPort):
        if len(data) != params.data_bits:
            raise ValueError(f"the SDRAM has {params.data_bits} data pins, got {len(data)}")
        self.params, self._data = params, data
        super().__init__(
            {
                "axi": In(AXI4(address_bits=params.address_bits, data_bits=PORT_BITS)),
                "ready": Out(1),
                **sdram_pins(params),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect LiteDRAM's module."""
        m = Module()
        axi = {
            f"{'i' if member.flow is Out else 'o'}_axi_{name}": getattr(self.axi, name)
            for name, member in AXI4(address_bits=self.params.address_bits, data_bits=PORT_BITS).members.items()
        }
        pins = {f"o_sdram_{LITEDRAM_PINS.get(name, name)}": getattr(self, name) for name in sdram_pins(self.params)}
        m.submodules.litedram = Instance(
            MODULE,
            i_sys_clk=ClockSignal("sync"),
            i_sys_rst=ResetSignal("sync"),
            i_sys2x_clk=ClockSignal(FAST_DOMAIN),
            i_sys2x_rst=ResetSignal(FAST_DOMAIN),
            o_ready=self.ready,
            io_sdram_dq=self._data,
            **axi,
            **pins,
        )
        return m
