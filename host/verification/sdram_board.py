"""A board's top with its SDRAM in Verilator: a model of the memory at its pins, and a host on its serial line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rtlm.gen
import rtlm.hw
from numpy.typing import NDArray
from rtlm.gen.boards.sdram import sdram_verilog
from rtlm.gen.common.cache import remembered
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.package.linked import TOP, emit_linked, linked_params
from rtlm.gen.package.shell import SHELLS
from rtlm.host.boards.device import BoardDevice, Polling
from rtlm.host.boards.link_client import LinkClient
from rtlm.host.boards.serial_port import SerialPort
from rtlm.host.boards.uart import UartMemory, UartRegisters
from rtlm.hw.board.linked import MIN_DIVISOR
from rtlm.sim import AcceleratorModel, build_model
from rtlm.sim.memory.dram import named
from rtlm.sim.memory.sdram import COUNTS, PREFIX, TICKS, with_sdram
from rtlm.sim.serial_line import SerialLine

SHELL = SHELLS["ulx3s"]
IMAGE = "sdram.hex"
"""File that the memory is filled from if the working directory has it; sdram.v has the name, too."""

SLICE_TICKS = 4_000
ANSWER_S = 600.0
"""Of the host's clock, which runs while the simulation does: no answer is late."""

BENCH = f"""
module bench_of_board(input clk, input rst, input rx, output tx, output irq);
    wire [7:0] led;
    assign irq = led[0];
    bench bench(.clk_25mhz(clk), .btn({{3'b0, rst, 3'b0}}), .led(led), .ftdi_txd(rx), .ftdi_rxd(tx), .wifi_gpio0(),
        {", ".join(f".{PREFIX}{name}()" for name in COUNTS)});
endmodule
"""


class SimulatedPort(SerialPort):
    """A serial port whose other end is simulated.

    Parameters
    ----------
    model
        The simulation.
    cycles_per_bit
        Of its clock.
    """

    def __init__(self, model: AcceleratorModel, cycles_per_bit: float) -> None:
        self.name = "the simulated line"
        self._model = model
        self._line = SerialLine(model, cycles_per_bit)

    def write(self, content: bytes, seconds: float) -> None:
        """Write bytes."""
        self._line.send(content)

    def read(self, seconds: float) -> bytes:
        """Return what has come after some cycles."""
        self._model.step(SLICE_TICKS)
        return self._line.take()


def board_verilog(config: Configuration) -> str:
    """Return a board's top with the memory at its pins, which ends the simulation when it is misused."""
    params = linked_params(SHELL, config, baud=int(SHELL.clock_hz / MIN_DIVISOR))

    def emitted() -> str:
        design, _ = emit_linked(SHELL, params)
        return json.dumps([design.verilog, design.ports])

    verilog, ports = json.loads(
        remembered("sdram-board", (rtlm.hw, rtlm.gen), config_hash(config), params.divisor, compute=emitted)
    )
    memory = SHELL.sdram_component(params).memory
    parameters = {"STOPS": 1, "LOADED": 1}
    # `emit` names a clock and a reset for every component; this one has pins only.
    ports = [port for port in ports if port["name"] not in ("clk", "rst")]
    return with_sdram(verilog + sdram_verilog(memory), ports, TOP, parameters) + BENCH


@contextmanager
def simulated_board(config: Configuration, *, progress: Stage = no_stage) -> Iterator[BoardDevice]:
    """Build a board's top, and open its serial line as a device.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    progress
        Told what happens.
    """
    build = build_model(board_verilog(config), top="bench_of_board", progress=progress)
    with AcceleratorModel(
        build, dram=named("ideal"), clock_mhz=TICKS * config.clock_mhz, memory_bytes=1 << 12
    ) as model:
        port = SimulatedPort(model, TICKS * MIN_DIVISOR)
        link = LinkClient(port, baud=1, name="the simulated board", answer_s=ANSWER_S)
        params = config.to_params()
        yield BoardDevice(
            params, UartRegisters(link), UartMemory(link), Polling(), timeout_s=ANSWER_S, name="the simulated board"
        )


def write_image(folder: Path, image: NDArray[np.uint8]) -> None:
    """Write the file that the memory is filled from.

    Parameters
    ----------
    folder
        Working directory of the simulation.
    image
        Bytes from address 0 on.
    """
    halves = image.reshape(-1).view("<u2")
    (folder / IMAGE).write_text("\n".join(f"{half:04x}" for half in halves.tolist()) + "\n")
