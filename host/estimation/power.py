"""Size and power of what is estimated: the area model's elements at the rates of its steps."""

from dataclasses import asdict

from rtlm.gen.area.estimate import Area, estimate_area
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.synthesis.elements import synthesised_elements
from rtlm.host.estimation.result import StepEstimate
from rtlm.host.power.accelerator_cells import accelerator_cells
from rtlm.host.power.dram import estimated_commands
from rtlm.host.power.estimate import PowerRequest, Traffic, estimate_power
from rtlm.host.power.libraries import OSU018
from rtlm.host.power.result import OperatorUse, Power
from rtlm.host.power.shipped import shipped_for
from rtlm.host.reports.work import multiplying_unit
from rtlm.host.runtime.simulated_memory import simulated_memory

MODELLED_TECHNOLOGIES = ("generic", "xilinx-us+")
"""Technologies whose size the area model knows."""


def area_of(config: Configuration) -> Area | None:
    """Return the size of an accelerator, or None where no model knows it."""
    return estimate_area(config) if config.technology in MODELLED_TECHNOLOGIES else None


def power_of(config: Configuration, area: Area | None, step: StepEstimate, library: str = OSU018) -> Power | None:
    """Return the power of chip, memory and board in steps of one kind; None where the accelerator's size is unknown.

    Parameters
    ----------
    config, area
        The accelerator, and its size on an FPGA.
    step
        The steps.
    library
        Library of its standard cells, if it has any.
    """
    cells, cells_are = accelerator_cells(config, library)
    if area is None and not cells:
        return None
    dram = simulated_memory(config)
    synthesised, synthesised_are = synthesised_elements(config)
    modelled = {unit: asdict(each) for unit, each in area.units.items()} if area else {}
    seconds = step.cycles / (config.clock_mhz * 1e6)
    read, written = sum(step.read.values()), sum(step.written.values())
    return estimate_power(
        PowerRequest(
            technology=config.technology,
            board=config.board,
            elements=synthesised or modelled,
            elements_are=synthesised_are if synthesised else "elements of the area model",
            cells=cells,
            cells_are=cells_are,
            library=library,
            shipped=shipped_for(config),
            busy={unit: min(1.0, cycles / step.cycles) for unit, cycles in step.busy.items()},
            clock_mhz=config.clock_mhz,
            traffic=Traffic(
                dram=dram,
                name=dram.name,
                commands=None if dram.ideal else estimated_commands(dram, read, written, seconds),
                bytes_per_s=(read + written) / seconds,
                source="estimated",
            ),
            tokens_per_s=step.tokens / seconds,
            weight_bytes_per_s=step.read["weights"] / seconds or None,
            uses={
                each.name: OperatorUse(
                    cycles=each.cycles, bytes=each.bytes, macs=each.macs, unit=multiplying_unit(each.name)
                )
                for each in step.operators
            },
        )
    )
