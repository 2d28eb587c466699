"""A simulated accelerator with a model in its memory: RTL, simulator, image, driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rtlm.gen.common.progress import Progress
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.rtl.verilog import Rtl, build_rtl
from rtlm.host.compiler.image import build_image
from rtlm.host.compiler.layout import MemoryMap
from rtlm.host.compiler.program import compile_model, program_crc
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.engine import Engine
from rtlm.host.runtime.simulated_device import SimulatedDevice
from rtlm.host.runtime.simulated_memory import simulated_memory
from rtlm.sim import AcceleratorModel, Build, build_model, find_verilator


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A simulated accelerator that holds a model.

    Parameters
    ----------
    engine
        Drives it.
    device
        Its registers and memory.
    memory
        Where things lie.
    rtl
        What was generated.
    version
        Version of the simulator.
    """

    engine: Engine
    device: SimulatedDevice
    memory: MemoryMap
    rtl: Rtl
    version: str


@contextmanager
def simulate(
    config: Configuration,
    model: LlamaModel,
    *,
    context: int,
    progress: Progress,
    trace: str | None = None,
    pgo: bool = False,
    stall_seed: int = 0,
    stall_percent: int = 0,
) -> Iterator[Simulation]:
    """Generate RTL, build the simulator, load the model.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    model
        The model.
    context
        Positions for which RoPE tables are stored.
    progress
        Told what happens.
    trace
        Kind of trace that the simulator can write: one of `rtlm.sim.verilator.build.TRACES`.
    pgo
        Whether the simulator is built twice, the second time guided by a profile of one step.
    stall_seed, stall_percent
        Random gaps on the buses, for tests.
    """
    params = config.to_params()
    memory, program = compile_model(params, model, context=context)
    rtl = build_rtl(config, progress.stage)

    @contextmanager
    def load(build: Build) -> Iterator[tuple[Engine, SimulatedDevice]]:
        progress.stage("packing the model")
        image = build_image(params, model, memory, program)
        with AcceleratorModel(
            build,
            dram=simulated_memory(config),
            clock_mhz=config.clock_mhz,
            memory_bytes=memory.bytes,
            stall_seed=stall_seed,
            stall_percent=stall_percent,
        ) as simulated:
            device = SimulatedDevice(simulated, params)
            device.load(image)
            del image
            device.count_purposes(memory)
            engine = Engine(
                device,
                params,
                memory,
                vocabulary=model.vocab,
                context=context,
                program_crc=program_crc(params, program),
            )
            yield engine, device

    def train(build: Build) -> None:
        with load(build) as (engine, _):
            engine.step([ColumnInput(token=0, position=0, history=0, local_first=0, slot=0)])

    # Toggles are counted on every operator's result, as the shipped rates are.
    text = (rtl.netlist if trace == "saif" else rtl.verilog).read_text()
    build = build_model(text, trace=trace, train=train if pgo else None, progress=progress.stage)
    with load(build) as (engine, device):
        yield Simulation(engine=engine, device=device, memory=memory, rtl=rtl, version=find_verilator().version)
