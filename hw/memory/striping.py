"""The map from beats to ports and byte addresses: the one definition that reader, writer and packer share.

Memory is addressed in beats, a beat being what all ports deliver together. Beat ``n`` lies, for port ``p``, at byte
address ``(n // B) * ports * B * port_bytes + p * B * port_bytes + (n % B) * port_bytes`` where ``B`` is the longest
burst: each port reads linear chunks of `B` beats, and `ports` neighbouring chunks make a stripe.
"""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Value, ValueLike
from amaranth.utils import exact_log2
from numpy.typing import NDArray
from rtlm.hw.common.checks import check_power_of_two
from rtlm.hw.memory.axi import MAX_DATA_BITS, longest_burst


@dataclass(frozen=True, kw_only=True)
class Striping:
    """How beats lie in memory.

    Parameters
    ----------
    ports
        Memory ports, a power of two.
    port_bytes
        Bytes that a port moves in a cycle, a power of two from 1 to 128.
    """

    ports: int
    port_bytes: int

    def __post_init__(self) -> None:
        """Validate."""
        check_power_of_two("ports", self.ports)
        check_power_of_two("port_bytes", self.port_bytes, 1, MAX_DATA_BITS // 8)

    @property
    def burst_beats(self) -> int:
        """Beats of the longest burst, `B`; also the beats of a stripe."""
        return longest_burst(self.port_bytes)

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat: all ports together."""
        return self.ports * self.port_bytes

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one port's share of a stripe."""
        return self.burst_beats * self.port_bytes

    @property
    def stripe_bytes(self) -> int:
        """Bytes of a stripe: the chunks of all ports."""
        return self.ports * self.chunk_bytes

    def beat_bits(self, address_bits: int) -> int:
        """Bits of a beat number that covers `address_bits` bits of byte address."""
        return address_bits - exact_log2(self.beat_bytes)

    def byte_address(self, beat: int, port: int) -> int:
        """Return the byte address of one port's part of a beat."""
        stripe, offset = divmod(beat, self.burst_beats)
        return stripe * self.stripe_bytes + port * self.chunk_bytes + offset * self.port_bytes

    def byte_address_value(self, beat: ValueLike, port: int) -> Value:
        """Return the same address in hardware; as all sizes are powers of two it takes wires only."""
        beat = Value.cast(beat)
        offset_bits = exact_log2(self.burst_beats)
        return Cat(
            Const(0, exact_log2(self.port_bytes)),
            beat[:offset_bits],
            Const(port, exact_log2(self.ports)),
            beat[offset_bits:],
        )

    def scatter(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay a linear image out for the ports.

        Parameters
        ----------
        image
            Bytes in the order of beats (words), any shape; the first byte is at a stripe's start.

        Returns
        -------
        NDArray[np.uint8]
            Bytes in the order of byte addresses; the last stripe is filled up with zeros.
        """
        linear = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
        return self._swap_axes(linear, self.burst_beats, self.ports)

    def gather(self, physical: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Undo `scatter`: bytes of whole stripes by address in, bytes in the order of beats out.

        Raises
        ------
        ValueError
            If the image does not end at a stripe's end.
        """
        flat = np.ascontiguousarray(physical).reshape(-1).view(np.uint8)
        if flat.size % self.stripe_bytes:
            raise ValueError(f"an image of {flat.size} bytes does not consist of stripes of {self.stripe_bytes} bytes")
        return self._swap_axes(flat, self.ports, self.burst_beats)

    def _swap_axes(self, source: NDArray[np.uint8], outer: int, inner: int) -> NDArray[np.uint8]:
        """Swap the two axes of port-wide items within each stripe; a short last stripe counts as filled with zeros."""
        stripes = -(-source.size // self.stripe_bytes)
        out = np.empty(stripes * self.stripe_bytes, dtype=np.uint8)
        whole = source.size // self.stripe_bytes * self.stripe_bytes
        tail = np.zeros(out.size - whole, dtype=np.uint8)
        tail[: source.size - whole] = source[whole:]
        for part, into in ((source[:whole], out[:whole]), (tail, out[whole:])):
            if self.ports == 1:
                into[:] = part
                continue
            # NumPy copies strided integers much faster than strided runs of bytes.
            item = np.dtype(f"<u{min(self.port_bytes, 8)}")
            taken = part.view(item).reshape(-1, outer, inner, self.port_bytes // item.itemsize)
            placed = into.view(item).reshape(-1, inner, outer, self.port_bytes // item.itemsize)
            for column in range(taken.shape[-1]):
                placed[..., column] = taken[..., column].swapaxes(1, 2)
        return out
