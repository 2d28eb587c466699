"""The serial line of a simulated design, from its other end."""

from __future__ import annotations

import numpy as np
from rtlm.sim.accelerator import AcceleratorModel

ROOM = 1 << 16
"""Bytes that are taken at once at most."""


class SerialLine:
    """What a host sees of a serial line: eight bits, no parity, one stop bit.

    Parameters
    ----------
    model : AcceleratorModel
        The simulation; its design has the ports ``rx`` and ``tx``.
    cycles_per_bit : float
        Cycles of the design's clock in a bit of the host's.

    Raises
    ------
    SimulationError
        If the design has no serial line.
    """

    def __init__(self, model: AcceleratorModel, cycles_per_bit: float):
        if cycles_per_bit < 1:
            raise ValueError(f"cycles_per_bit must be at least 1, got {cycles_per_bit}")
        self._model = model
        self._room = np.empty(ROOM, np.uint8)
        model._check("serial_speed", cycles_per_bit)

    def send(self, content: bytes) -> None:
        """Have bytes sent to the design in the cycles to come, behind those that were given before."""
        data = np.frombuffer(content, np.uint8)
        self._model._call("serial_send", data.ctypes.data, data.size)

    @property
    def unsent(self) -> int:
        """Bytes that were not sent yet, or not to their end."""
        return int(self._model._call("serial_unsent"))

    def take(self) -> bytes:
        """Return the bytes that the design has sent since the last time."""
        count = self._model._call("serial_take", self._room.ctypes.data, self._room.size)
        return self._room[:count].tobytes()
