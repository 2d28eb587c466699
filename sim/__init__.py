"""Simulation: Verilator builds cached by content, a C++ bench with a DRAM model, and a Python class around both.

Build and run a design (`verilog` is the text of a module ``accelerator``)::

    from rtlm.sim import AcceleratorModel, build_model, dram

    build = build_model(verilog, progress=print)          # trace="fst", "vcd" or "saif" for builds that can trace
    memory = dram.named("ddr4-2400")                      # "ddr3-800", "hbm2", "hbm2-8", "ideal"
    with AcceleratorModel(build, dram=memory, clock_mhz=300, memory_bytes=1 << 28) as model:
        model.map_image("model.img")                      # copy on write, no copy now
        model.write(0x1000, array); model.read(0x1000, 64)
        model.set_purposes({"weights": [(0, 1 << 20)], "kv": [(1 << 20, 1 << 21)]})
        model.write_register(0x08, 1)                     # AXI4-Lite
        cycles = model.run(max_cycles=10_000_000)         # until irq is high
        status = model.read_register(0x04)
        counters = model.counters()                       # .totals, .read_bytes, .write_bytes, .ports, .since(earlier)
        model.trace_start("window.saif"); model.step(5000); model.trace_stop()

The memory's own ceiling, without a design::

    from rtlm.sim import stream_ceiling
    stream_ceiling(memory, ports=4, port_bytes=16, clock_mhz=300)     # fraction of peak

Tools: `find_verilator`, `find_compiler`, `checks` (for ``rtlm doctor``). Errors: `ToolError` (a tool is missing or
failed), `SimulationError` (the design broke a rule or did not finish); both carry a sentence.

Ports of the top: ``clk``, ``rst`` (synchronous, high), ``irq``; AXI4 masters ``m0_axi_*``, ``m1_axi_*``, … whose read
or write half may be absent; an AXI4-Lite slave ``s_axi_*`` which may be absent.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rtlm.gen.common.errors import ToolError
from rtlm.sim.memory import dram
from rtlm.sim.memory.dram import Dram

if TYPE_CHECKING:
    from rtlm.sim.accelerator import AcceleratorModel as AcceleratorModel
    from rtlm.sim.accelerator import Counters as Counters
    from rtlm.sim.accelerator import SimulationError as SimulationError
    from rtlm.sim.memory.stream import StreamResult as StreamResult
    from rtlm.sim.memory.stream import stream as stream
    from rtlm.sim.memory.stream import stream_ceiling as stream_ceiling
    from rtlm.sim.verilator.build import Build as Build
    from rtlm.sim.verilator.build import build_model as build_model
    from rtlm.sim.verilator.find import Verilator as Verilator
    from rtlm.sim.verilator.find import checks as checks
    from rtlm.sim.verilator.find import find_compiler as find_compiler
    from rtlm.sim.verilator.find import find_verilator as find_verilator

_PLACES = {
    "AcceleratorModel": "accelerator",
    "Build": "verilator.build",
    "Counters": "accelerator",
    "SimulationError": "accelerator",
    "StreamResult": "memory.stream",
    "Verilator": "verilator.find",
    "build_model": "verilator.build",
    "checks": "verilator.find",
    "find_compiler": "verilator.find",
    "find_verilator": "verilator.find",
    "stream": "memory.stream",
    "stream_ceiling": "memory.stream",
}
"""Modules of the names below; each is loaded when it is asked for: what looks for tools loads no hardware."""

__all__ = ["Dram", "ToolError", "dram", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
