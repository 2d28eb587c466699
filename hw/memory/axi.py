"""AXI4 and AXI4-Lite signatures with flat members.

A component with a member ``m0_axi: Out(AXI4Read(...))`` has the Verilog ports ``m0_axi_araddr``, ``m0_axi_arlen``
..., which AXI tools recognise by their prefix. Names and widths are those of the AMBA AXI specification (ARM IHI
0022); signals that would be constant (lock, cache, prot, qos) are left to the integration.
"""

from amaranth.hdl import Module
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.common.checks import check_power_of_two, check_range

MAX_BURST_BEATS = 256
"""Longest INCR burst of AXI4."""

BURST_BOUNDARY_BYTES = 4096
"""No AXI burst crosses a multiple of this."""

MAX_DATA_BITS = 1024
"""Widest data bus of AXI4."""

RESPONSE_OKAY = 0
RESPONSE_SLVERR = 2
RESPONSE_DECERR = 3


def longest_burst(port_bytes: int) -> int:
    """Return the beats of the longest burst of a port of `port_bytes` bytes."""
    return min(MAX_BURST_BEATS, BURST_BOUNDARY_BYTES // port_bytes)


class Burst(enum.Enum, shape=2):
    """Values of ``arburst`` and ``awburst``."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class BusFault(enum.Enum, shape=2):
    """Why a bus master stopped; the first fault is kept."""

    NONE = 0
    RESPONSE = 1
    """A slave answered with something else than OKAY."""
    LIMIT = 2
    """An access beyond the limit was asked for; it was not made."""
    ALIGNMENT = 3
    """An address was not a multiple of a word; the access was not made."""


def _check_widths(kind: str, address_bits: int, data_bits: int) -> None:
    check_range(f"address_bits of {kind}", address_bits, 12, 64)
    check_power_of_two(f"data_bits of {kind}", data_bits, 8, MAX_DATA_BITS)


def _address_channel(prefix: str, address_bits: int, id_bits: int) -> dict[str, wiring.Member]:
    return {
        f"{prefix}addr": Out(address_bits),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(Burst),
        f"{prefix}id": Out(id_bits),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


class AXI4Read(wiring.Signature):
    """Read address and read data channels, seen from the master.

    Parameters
    ----------
    address_bits
        Bits of a byte address.
    data_bits
        Bits of a beat.
    id_bits
        Bits of a transaction identifier; masters here use identifier 0 only, so that beats come in order.
    """

    def __init__(self, *, address_bits: int, data_bits: int, id_bits: int = 1):
        _check_widths("AXI4", address_bits, data_bits)
        self.address_bits, self.data_bits, self.id_bits = address_bits, data_bits, id_bits
        super().__init__(
            {
                **_address_channel("ar", address_bits, id_bits),
                "rdata": In(data_bits),
                "rresp": In(2),
                "rlast": In(1),
                "rid": In(id_bits),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AXI4Write(wiring.Signature):
    """Write address, write data and write response channels, seen from the master.

    Parameters
    ----------
    address_bits, data_bits, id_bits
        As for `AXI4Read`.
    """

    def __init__(self, *, address_bits: int, data_bits: int, id_bits: int = 1):
        _check_widths("AXI4", address_bits, data_bits)
        self.address_bits, self.data_bits, self.id_bits = address_bits, data_bits, id_bits
        super().__init__(
            {
                **_address_channel("aw", address_bits, id_bits),
                "wdata": Out(data_bits),
                "wstrb": Out(data_bits // 8),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bid": In(id_bits),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )


class AXI4(wiring.Signature):
    """All five channels, seen from the master: the members of `AXI4Read` and of `AXI4Write`.

    Parameters
    ----------
    address_bits, data_bits, id_bits
        As for `AXI4Read`.
    """

    def __init__(self, *, address_bits: int, data_bits: int, id_bits: int = 1):
        self.address_bits, self.data_bits, self.id_bits = address_bits, data_bits, id_bits
        widths = {"address_bits": address_bits, "data_bits": data_bits, "id_bits": id_bits}
        super().__init__({**dict(AXI4Read(**widths).members), **dict(AXI4Write(**widths).members)})


class AXI4Lite(wiring.Signature):
    """AXI4-Lite with 32 bits of data, seen from the master; a slave has an ``In`` member of it.

    Parameters
    ----------
    address_bits
        Bits of a byte address.
    """

    def __init__(self, *, address_bits: int = 16):
        _check_widths("AXI4-Lite", address_bits, 32)
        self.address_bits = address_bits
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


def forward(m: Module, inner: wiring.PureInterface, outer: wiring.PureInterface) -> None:
    """Bring an inner component's bus out through members of the same names of a component's own bus.

    `outer` may have more members: a reader and a writer each forward to their half of one `AXI4` port.
    """
    for name, member in inner.signature.members.items():
        source, sink = (inner, outer) if member.flow is Out else (outer, inner)
        m.d.comb += getattr(sink, name).eq(getattr(source, name))
