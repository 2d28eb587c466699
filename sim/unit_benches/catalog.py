"""All benches: which units they test, and at which parameters."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from rtlm.gen.configuration.schema import Configuration
from rtlm.hw.kernels import __all__ as kernels_of_accelerator
from rtlm.hw.unit_params import UnitParams, unit_params
from rtlm.sim.unit_benches.attention import bench as attention
from rtlm.sim.unit_benches.bench import Bench, Prepared
from rtlm.sim.unit_benches.kernels import bench as kernels
from rtlm.sim.unit_benches.matmul import bench as matmul
from rtlm.sim.unit_benches.memory import bench as memory
from rtlm.sim.unit_benches.sequencer import bench as sequencer
from rtlm.sim.unit_benches.vector import bench as vector

_PACKAGE = "rtlm.sim.unit_benches"


def _family(
    units: Iterable[str],
    module: str,
    sets: dict[str, Any],
    prepare: Callable[[Any], Prepared],
    of_config: Callable[[UnitParams], Any],
) -> dict[str, Callable[[Configuration | None], list[Bench]]]:
    """Return, for each unit, a function from a configuration (or none: the standard sets) to benches."""

    def make(unit: str, config: Configuration | None) -> list[Bench]:
        chosen = sets if config is None else {config.name: of_config(unit_params(config.to_params()))}
        return [
            Bench(unit=unit, name=name, module=f"{_PACKAGE}.{module}", prepare=partial(prepare, params))
            for name, params in chosen.items()
        ]

    return {unit: partial(make, unit) for unit in units}


def _memory_params(sizes: UnitParams) -> memory.MemoryParams:
    return memory.MemoryParams.of_units(sizes.reader, sizes.writer)


def _kernels(config: Configuration | None) -> list[Bench]:
    """All kernels, or those of the accelerator at a configuration's lanes and clock."""
    chosen = kernels.SETS
    if config is not None:
        chosen = {
            f"{config.name}-{group}": kernels.KernelSet(
                names=tuple(names),
                lanes=config.vector.lanes,
                clock_mhz=config.schedule_mhz,
                technology=config.technology,
            )
            for group, names in kernels.GROUPS.items()
            if group != "operators"
        }
    return [
        Bench(
            unit="kernels", name=name, module=f"{_PACKAGE}.kernels.cocotb_tests", prepare=partial(kernels.prepare, each)
        )
        for name, each in chosen.items()
    ]


FAMILIES: dict[str, Callable[[Configuration | None], list[Bench]]] = {
    **_family(["matmul"], "matmul.cocotb_tests", matmul.SETS, matmul.prepare, lambda sizes: sizes.matmul),
    **_family(
        ["attention"], "attention.cocotb_tests", attention.SETS, attention.prepare, lambda sizes: sizes.attention
    ),
    **_family(["vector"], "vector.cocotb_tests", vector.SETS, vector.prepare, lambda sizes: sizes.vector),
    **_family(["memory"], "memory.cocotb_tests", memory.SETS, memory.prepare, _memory_params),
    **_family(
        ["sequencer"], "sequencer.cocotb_tests", sequencer.SETS, sequencer.prepare, lambda sizes: sizes.sequencer
    ),
    "kernels": _kernels,
}

ALIASES = {
    "gemv": "matmul",
    "qmatmul": "matmul",
    "axi-reader": "memory",
    "axi-writer": "memory",
    "registers": "memory",
    **{name.replace("_", "-"): "kernels" for name in kernels_of_accelerator},
}
"""Units that share a bench, by their names for ``rtlm generate``."""

NAMES = (*FAMILIES, *ALIASES)
"""What a bench can be asked for by."""


def benches(unit: str, config: Configuration | None = None) -> list[Bench]:
    """Return the benches of a unit.

    Parameters
    ----------
    unit
        One of `NAMES`.
    config
        Test the unit at the sizes that it has in this configuration, instead of the standard sets of parameters.

    Raises
    ------
    KeyError
        If there is no such unit; the message names those that are.
    """
    name = ALIASES.get(unit, unit)
    if name not in FAMILIES:
        raise KeyError(f"there is no bench for {unit!r}; there are {', '.join(sorted(NAMES))}")
    return FAMILIES[name](config)
