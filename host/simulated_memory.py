"""From a configuration's memory to the simulator's DRAM model."""

import dataclasses
from typing import Any

from rtlm.gen.errors import ConfigError
from rtlm.gen.fields import closest
from rtlm.gen.schema import Configuration
from rtlm.sim.dram import Dram, Timing, named


def simulated_memory(config: Configuration) -> Dram:
    """Give the memory that stands behind the accelerator, with the configuration's changes.

    Raises
    ------
    ConfigError
        If a change is of no parameter, or makes an impossible memory.
    """
    dram = config.memory.dram
    kinds = {field.name: field.type for field in dataclasses.fields(Dram)}
    problems = []
    changes: dict[str, Any] = {}
    for name, value in dram.change.items():
        if name not in kinds:
            guess = closest(name, list(kinds))
            hint = f"; did you mean {guess}?" if guess else "."
            problems.append(f"memory.dram.change.{name} is no parameter of a memory{hint}")
        elif kinds[name] in (Timing, "Timing"):
            changes[name] = Timing(**value) if isinstance(value, dict) else Timing(clocks=value)
        else:
            changes[name] = value
    if problems:
        raise ConfigError(config.name, problems)
    try:
        memory = named(dram.base, **changes)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(config.name, [f"memory.dram.change cannot be used: {error}"]) from error
    # The number of channels is part of a name such as hbm2-16; any other change makes it another memory.
    return dataclasses.replace(memory, name=f"{memory.name} (changed)") if changes.keys() - {"channels"} else memory
