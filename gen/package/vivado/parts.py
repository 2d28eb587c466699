"""Where the memory ports of a card have their memory."""

from dataclasses import dataclass

from amaranth.utils import exact_log2
from rtlm.hw.memory.axi import BURST_BOUNDARY_BYTES


@dataclass(frozen=True)
class Parts:
    """Addresses in which each port has a part of the memory of its own.

    The accelerator's byte addresses have the chunks of its ports side by side (`rtlm.hw.memory.Striping`). A chunk is
    4096 bytes, which no AXI burst crosses, so that the number of the port can become the highest bits of an address:
    wires only.

    Parameters
    ----------
    ports
        Memory ports, a power of two.
    part_bits
        Bits of an address in a part.
    """

    ports: int
    part_bits: int

    @property
    def comment(self) -> str:
        """A comment for the head of the module."""
        return "// The number of the port, in the middle of addresses, becomes their highest bits: memory of its own.\n"

    @property
    def parameters(self) -> str:
        """None."""
        return ""

    @property
    def all_bits(self) -> int:
        """Bits of an address in all parts."""
        return self.part_bits + exact_log2(self.ports)

    def bits(self, widest: int) -> int:
        """Return bits for all parts."""
        return self.all_bits

    def address(self, signal: str, bits: int) -> str:
        """Return the bits in another order."""
        low, number = exact_log2(BURST_BOUNDARY_BYTES), exact_log2(self.ports)
        if not number:
            return f"{signal}[{bits - 1}:0]"
        return f"{{{signal}[{low + number - 1}:{low}], {signal}[{bits - 1}:{low + number}], {signal}[{low - 1}:0]}}"
