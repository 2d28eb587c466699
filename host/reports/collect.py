"""From what a simulated run did to what its report is made of."""

from collections.abc import Mapping, Sequence

from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.plan import Plan
from rtlm.host.reports.causes import cycles_by_cause, whole_cycles
from rtlm.host.reports.layers import cycles_by_layer, layers_of
from rtlm.host.reports.measurements import DECODE, PREFILL, MemoryMeasurement, StepMeasurement
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.reports.work import operator_name, step_work
from rtlm.host.runtime.device import ColumnInput, Stepper, StepResult
from rtlm.host.runtime.generation import Step
from rtlm.host.runtime.simulated_device import SimulatedDevice
from rtlm.sim import AcceleratorModel, Counters, stream_ceiling


class MeasuredStepper:
    """Computes steps on a simulated accelerator, and records the memory's counters of each.

    Parameters
    ----------
    stepper
        What computes.
    model
        The simulation behind it.
    """

    def __init__(self, stepper: Stepper, model: AcceleratorModel):
        self.columns, self.context = stepper.columns, stepper.context
        self.clocks: list[dict[str, int]] = []
        """`rtlm.sim.accelerator.Counters.running` of each step."""
        self.layers: list[dict[str, dict[str, int]]] = []
        """`rtlm.host.reports.layers.cycles_by_layer` of each step."""
        self.counters = model.counters()
        """What the bench had counted when the last step ended, without steps that were broken off before it."""
        self.dram = model.dram
        self._stepper, self._model = stepper, model

    def step(self, columns: Sequence[ColumnInput], *, want_logits: bool, read_logits: bool) -> StepResult:
        """Feed one token for each column; see `Engine.step`."""
        before = self._model.counters()
        result = self._stepper.step(columns, want_logits=want_logits, read_logits=read_logits)
        after = self._model.counters()
        self.clocks.append(after.since(before).running)
        self.layers.append(cycles_by_layer(self._model.operator_spans()))
        self.counters = after.since(before.since(self.counters))
        return result


def measure_steps(steps: Sequence[Step], plan: Plan, measured: MeasuredStepper | None) -> list[StepMeasurement]:
    """Turn steps and their counters into the report's input.

    Parameters
    ----------
    steps
        All that were run, in order.
    plan
        What a step does, for the bytes that it needs.
    measured
        What ran them; None where nothing counts cycles (golden model).
    """
    found = []
    for i, step in enumerate(steps):
        result = step.result
        logits = {"logits": result.best is not None, "stored_logits": result.logits is not None}
        by_purpose = needed_bytes(plan, step.inputs, **logits)
        needed = sum(by_purpose.values())
        causes: Mapping[str, int] = {}
        layers: Mapping[str, Mapping[str, int]] = {}
        if measured:
            if layers_of(measured.layers[i]) == plan.shape.layers:
                layers = measured.layers[i]
            causes = whole_cycles(cycles_by_cause(measured.clocks[i], measured.dram, needed))
        found.append(
            StepMeasurement.from_counters(
                result.counters,
                phase=PREFILL if step.prefill else DECODE,
                tokens=len(step.inputs) if step.prefill else len(step.tokens),
                context=step.inputs[-1].position + 1,
                drafted=step.drafted,
                needed_bytes=needed,
                causes=causes,
                layers=layers,
                work={operator_name(key): work for key, work in step_work(plan, step.inputs, **logits).items()},
            )
        )
    return found


def measure_memory(config: Configuration, device: SimulatedDevice, counters: Counters) -> MemoryMeasurement:
    """Collect what the bench counted, and what a linear stream reaches in the same memory.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    device
        The simulated accelerator.
    counters
        What was counted, to the end of the last step.
    """
    dram, params = device.model.dram, device.params
    peak = min(dram.peak_bytes_per_second, config.port_bytes_per_s)
    ceiling = 1.0
    if not dram.ideal:
        of_dram = stream_ceiling(dram, ports=params.ports, port_bytes=params.port_bytes, clock_mhz=config.clock_mhz)
        ceiling = min(1.0, of_dram * dram.peak_bytes_per_second / peak)
    return MemoryMeasurement(
        name=dram.name,
        source=dram.source,
        peak_bytes_per_s=peak,
        stream_ceiling=ceiling,
        ideal=dram.ideal,
        read_bytes=counters.read_bytes,
        written_bytes=counters.write_bytes,
        counters=counters.totals,
        dram=dram,
    )
