"""From a configuration's memory to the simulator's DRAM model."""

import dataclasses
from typing import Any

from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.schema import Configuration
from rtlm.sim.memory.dram import Dram, Timing, named


def simulated_memory(config: Configuration) -> Dram:
    """Return the memory that stands behind the accelerator, with the configuration's changes.

    Raises
    ------
    ConfigError
        If the changes make an impossible memory.
    """
    dram = config.memory.dram
    kinds = {field.name: field.type for field in dataclasses.fields(Dram)}
    changes: dict[str, Any] = {}
    for name, value in dram.change.items():
        if kinds[name] in (Timing, "Timing"):
            changes[name] = Timing(**value) if isinstance(value, dict) else Timing(clocks=value)
        else:
            changes[name] = value
    try:
        memory = named(dram.base, **changes)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(config.name, [f"memory.dram.change cannot be used: {error}"]) from error
    # The number of channels is part of a name such as hbm2-16; any other change makes it another memory.
    return dataclasses.replace(memory, name=f"{memory.name} (changed)") if changes.keys() - {"channels"} else memory
