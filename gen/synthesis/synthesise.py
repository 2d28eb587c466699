"""Synthesis: what a design takes of a device, module by module, measured by yosys; results are cached by content.

::

    netlist = accelerator_netlist(load_config("tiny"))    # or rtlm.gen.rtl.verilog.to_rtlil of any component
    result = synthesise(netlist, target="ecp5", placement=Placement(clock_mhz=50))
    print(result.modules[0].total["lut"], result.timing.fmax_mhz)
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import ConfigError, GenerateError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.rtl.verilog import TOP, to_rtlil
from rtlm.gen.synthesis import asic as synth_asic
from rtlm.gen.synthesis import place, yosys
from rtlm.gen.synthesis.netlist import cut, down_to
from rtlm.gen.synthesis.path_names import Owner, Share, owner, shares
from rtlm.gen.synthesis.place import Placement, Timing
from rtlm.gen.synthesis.results import result_key, stored
from rtlm.gen.synthesis.targets import ASIC, TARGET_NAMES, TARGETS, Target, technology
from rtlm.gen.synthesis.timing.static import StaticTiming, check_timed, time_unit

RESULT_VERSION = 2
"""Changes when the stored results change."""
STATISTICS = "statistics.json"
DEFAULT_DEPTH = 1


@dataclass(frozen=True, kw_only=True)
class ModuleUse:
    """What a module takes.

    Parameters
    ----------
    path
        Place below the top, such as ``matmul.array``; empty for the top.
    own, total
        Amount of each resource, without and with everything below. FPGA: `RESOURCES` of `synth_targets`; ASIC: ``ge``
        (gate equivalents without memories), ``ff``, ``area_um2`` and ``memory_bits``.
    cells
        Number of cells of each type, without what is below.
    """

    path: str
    own: dict[str, float]
    total: dict[str, float]
    cells: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class SynthResult:
    """Measured size, and with place and route measured speed.

    Parameters
    ----------
    target, top
        What was mapped to, and the name of the top module.
    modules
        Every module; the top first, a module before its parts.
    tools
        Versions.
    seconds
        Time that synthesis took when it was made.
    notes
        What a reader must know, one sentence or more each.
    timing
        Result of place and route, or None.
    ends
        Registers at the two ends of its critical path, in terms of our source.
    path
        What each operator or unit takes of that path, in its order.
    static
        Result of static timing, or None.
    folder
        Cache folder, with the logs.
    cached
        Whether the result was there before.
    """

    target: str
    top: str
    modules: tuple[ModuleUse, ...]
    tools: dict[str, str]
    seconds: float
    notes: tuple[str, ...]
    timing: Timing | None = None
    ends: tuple[Owner, ...] = ()
    path: tuple[Share, ...] = ()
    static: StaticTiming | None = None
    folder: Path = field(default_factory=Path)
    cached: bool = False

    @property
    def total(self) -> dict[str, float]:
        """What the whole takes."""
        return self.modules[0].total

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the same for the same content."""
        values = asdict(self)
        del values["folder"], values["cached"]
        return values


def configuration_for(source: str | Path, overrides: Sequence[str], target: str) -> tuple[Configuration, str]:
    """Load a configuration to be synthesised for a target, and say what its pipelines are scheduled for.

    The target brings its technology, unless an override names one or there are no delays for the target.

    Parameters
    ----------
    source, overrides
        As for `rtlm.gen.configuration.load.load_config`.
    target
        One of `TARGET_NAMES`.

    Returns
    -------
    tuple[Configuration, str]
        The configuration, and one sentence on its schedule.

    Raises
    ------
    ConfigError
        If it is not valid; where its clock is too fast for the target, the message says how to keep the schedule.
    """
    named = any(override.partition("=")[0].strip() == "technology" for override in overrides)
    own = load_config(source, overrides, unit_only=True).technology
    chosen = own if named else technology(target) or own
    keep = f"--set technology={own} keeps the configuration's delays."
    try:
        config = load_config(source, [*overrides, f"technology={chosen}"])
    except ConfigError as error:
        hint = "" if chosen == own else f" {keep}"
        raise ConfigError(f"{source} for {target}", [f"{problem}{hint}" for problem in error.problems]) from None
    if named:
        return config, f"Pipelines are scheduled with the delays of {chosen}, as --set says."
    if not technology(target):
        return config, f"Pipelines are scheduled with the delays of {chosen}, the configuration's; {target} has none."
    hint = "." if chosen == own else f"; {keep}"
    return config, f"Pipelines are scheduled with the delays of {chosen}, the target's{hint}"


def accelerator_netlist(config: Configuration) -> str:
    """Return the RTLIL of a configuration's accelerator."""
    from rtlm.hw.accelerator import Accelerator

    return to_rtlil(Accelerator(config.to_params()), TOP)


def synthesise(
    netlist: str,
    *,
    target: str,
    unit: str = "",
    depth: int = DEFAULT_DEPTH,
    placement: Placement | None = None,
    timing_mhz: float | None = None,
    liberty: Path | None = None,
    objects: Mapping[str, Any] | None = None,
    progress: Stage = no_stage,
) -> SynthResult:
    """Synthesise a netlist, and place and route it if asked.

    Parameters
    ----------
    netlist
        RTLIL from `rtlm.gen.rtl.verilog.to_rtlil`.
    target
        One of `TARGET_NAMES`.
    unit
        Place below the top of the part to synthesise alone, such as ``matmul.array``; empty for the whole.
    depth
        Levels of the hierarchy that are told apart; what lies below is flattened into them. More levels take more time
        and optimise less.
    placement
        How to place and route; None does not.
    timing_mhz
        Clock that static timing holds the mapped netlist against (`rtlm.gen.synthesis.timing`); None does not.
    liberty
        Standard cells to map to in place of those that are fetched; for the target ``asic`` alone.
    objects
        What each module is (`rtlm.gen.rtl.verilog.Rtl.objects`), to name the critical path by; without it there are
        only the names of the netlist.
    progress
        Called with a short text when there is work to do.

    Raises
    ------
    GenerateError
        If the target or unit is not known, the target has no place and route, or no delays for static timing.
    LoopError
        If static timing finds a combinational loop.
    YosysError, PlaceError
        If a tool refuses the design.
    ToolError
        If a tool is not installed.
    """
    if target not in TARGET_NAMES:
        raise GenerateError(f"The target must be one of {', '.join(TARGET_NAMES)}, got {target!r}.")
    if placement is not None:
        if target not in place.PLACERS:
            reason = "there is no open place and route for it" if target == "xilinx-us+" else "it is not done here"
            raise GenerateError(f"Target {target} cannot be placed and routed ({reason}); leave out --place.")
        place.check(target, placement)
    if liberty is not None and target != ASIC:
        raise GenerateError(f"A liberty file is for the target {ASIC}, got the target {target}; leave out --liberty.")
    if timing_mhz is not None:
        check_timed(target, liberty)
    text, top = cut(netlist, unit)
    use = stored(
        "synth",
        _key(target, text, depth, liberty),
        lambda folder: _measure(text, top, target, depth, folder, progress, liberty),
    )
    timing = None
    if placement is not None:
        timing = place_unit(text, top, target, placement, progress)
    static = None
    if timing_mhz is not None:
        static = time_unit(text, top, target, timing_mhz, objects or {}, progress, liberty)
    values = use.values
    return SynthResult(
        target=target,
        top=top,
        modules=tuple(ModuleUse(**module) for module in values["modules"]),
        tools=values["tools"] | (timing.tools if timing else {}),
        seconds=values["seconds"],
        notes=tuple(values["notes"]),
        timing=timing,
        ends=tuple(owner(signal, top, objects or {}) for signal in (timing.source, timing.target)) if timing else (),
        path=tuple(shares(timing.steps, top, objects or {})) if timing else (),
        static=static,
        folder=use.folder,
        cached=use.cached,
    )


def place_unit(netlist: str, top: str, target: str, how: Placement, progress: Stage = no_stage) -> Timing:
    """Place and route a netlist of its own, or return what that has given before.

    Parameters
    ----------
    netlist, top
        RTLIL and the name of its top module.
    target, how
        A key of `rtlm.gen.synthesis.place.PLACERS`, and what `rtlm.gen.synthesis.place.check` accepts.
    progress
        Called with a short text when there is work to do.

    Raises
    ------
    YosysError, PlaceError
        If a tool refuses the design.
    """
    found = stored(
        "place", _key(target, netlist, how), lambda folder: place.place(netlist, top, target, how, folder, progress)
    )
    return Timing.from_json(found.values)


def _key(target: str, netlist: str, how: int | Placement, liberty: Path | None = None) -> str:
    """Hash everything that a result depends on."""
    script = repr(TARGETS[target]) if target in TARGETS else synth_asic.description(liberty)
    parts = [RESULT_VERSION, target, script, yosys.version(), repr(how), yosys.PREPARATION, yosys.MODULES]
    if isinstance(how, Placement):
        parts += [repr(place.PLACERS[target]), place.version(target)]
    return result_key(parts, netlist)


def _measure(
    netlist: str, top: str, target: str, depth: int, folder: Path, progress: Stage, liberty: Path | None
) -> dict[str, Any]:
    """Run yosys and count."""
    progress(f"synthesis of {top} for {target}")
    start = time.monotonic()
    (folder / "netlist.il").write_text(netlist, encoding="utf-8")
    keep = [f"setattr -mod -set keep_hierarchy 1 {name}" for name in down_to(netlist, top, depth)]
    if target == ASIC:
        area = synth_asic.measure(top, keep, folder, progress, liberty)
        cells, notes, tools = area.cells, area.notes, area.tools
        own = {name: area.own(name) for name in cells}
    else:
        kind = TARGETS[target]
        read = [*yosys.read_commands(folder, kind.macros), *keep]
        yosys.run([*read, *_script(kind, top), f"tee -q -o {STATISTICS} stat -json"], folder)
        cells = yosys.cells_by_module((folder / STATISTICS).read_text(encoding="utf-8"))
        own, notes, tools = {name: kind.resources(types) for name, types in cells.items()}, (kind.note,), {}
    (folder / "netlist.il").unlink()
    return {
        "modules": _tree(cells, own, top),
        "tools": {"yosys": yosys.version()} | tools,
        "seconds": round(time.monotonic() - start, 1),
        "notes": notes,
    }


def _script(target: Target, top: str) -> list[str]:
    return [command.format(top=top) for command in target.script]


def _tree(
    cells: Mapping[str, Mapping[str, int]], own: Mapping[str, dict[str, float]], top: str
) -> list[dict[str, Any]]:
    """Add modules up along the hierarchy that their names state."""
    inside = sorted(name for name in cells if name == top or name.startswith(f"{top}."))
    total = {name: dict(own[name]) for name in inside}
    for name in inside:
        above = name
        while above != top:
            above = above.rpartition(".")[0]
            for resource, amount in own[name].items():
                total[above][resource] += amount
    return [
        {
            "path": name.removeprefix(top).lstrip("."),
            "own": own[name],
            "total": total[name],
            "cells": {kind: count for kind, count in sorted(cells[name].items()) if kind not in cells},
        }
        for name in inside
    ]
