"""Synthesis of an accelerator, or of a part of it, which keeps what estimates of power take of a whole one."""

from pathlib import Path

from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.gen.synthesis.cell_counts import keep_cells
from rtlm.gen.synthesis.elements import keep_elements
from rtlm.gen.synthesis.place import Placement
from rtlm.gen.synthesis.synthesise import DEFAULT_DEPTH, SynthResult, accelerator_netlist, synthesise


def synthesise_accelerator(
    config: Configuration,
    *,
    target: str,
    unit: str = "",
    depth: int = DEFAULT_DEPTH,
    placement: Placement | None = None,
    timed: bool = False,
    liberty: Path | None = None,
    progress: Stage = no_stage,
) -> tuple[SynthResult, str]:
    """Synthesise an accelerator, and return what was found and the RTLIL that it is of.

    Parameters
    ----------
    config
        The accelerator.
    target, unit, depth, placement, liberty, progress
        As for `synthesise`, which raises what this raises.
    timed
        Whether static timing holds the netlist against the clock of the configuration.
    """
    progress(f"netlist of {config.name}")
    netlist = accelerator_netlist(config)
    result = synthesise(
        netlist,
        target=target,
        unit=unit,
        depth=depth,
        placement=placement,
        timing_mhz=config.clock_mhz if timed else None,
        liberty=liberty,
        objects=build_rtl(config, progress).objects if placement or timed else None,
        progress=progress,
    )
    if not unit and depth and not liberty:
        keep_elements(config, result)
        keep_cells(config, result, netlist)
    return result, netlist
