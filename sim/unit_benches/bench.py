"""What a bench is: a unit at one set of parameters, as Verilog, with the cocotb module that tests it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.lib import wiring
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.rtl.verilog import emit
from rtlm.sim.verilator.cocotb_runner import CocotbRun, build_cocotb, run_cocotb

DESIGN_FILE = "design.v"
"""Name of the unit's Verilog in the folder of a run."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A bench that is ready to be built.

    Parameters
    ----------
    verilog
        The unit, or a harness around it.
    top
        Its top module.
    environment
        Variables that the cocotb side reads.
    files
        Content of files that it finds in its folder, ``BENCH_FOLDER``.
    """

    verilog: str
    top: str
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A unit at one set of parameters.

    Parameters
    ----------
    unit
        Name of the unit, as for ``rtlm generate``.
    name
        Name of the set of parameters.
    module
        Importable name of the cocotb side.
    prepare
        Generates the unit.
    """

    unit: str
    name: str
    module: str
    prepare: Callable[[], Prepared]

    @property
    def full_name(self) -> str:
        """Unit and set, by which the bench is called."""
        return f"{self.unit}/{self.name}"

    def run(
        self,
        folder: Path,
        *,
        seed: int,
        waves: bool = False,
        coverage: bool = False,
        tests: str | None = None,
        mutate: Callable[[str], str] = lambda text: text,
        progress: Stage = no_stage,
    ) -> CocotbRun:
        """Generate, build and run.

        Parameters
        ----------
        folder
            Where results go.
        seed
            Seed of everything random in it.
        waves, coverage
            What to record.
        tests
            Regular expression of the tests to run; all by default.
        mutate
            Changes the Verilog, to see that the bench notices.
        progress
            Told what happens.

        Raises
        ------
        ToolError
            If a tool is missing or the Verilog cannot be built.
        """
        progress(f"generating {self.full_name}")
        prepared = self.prepare()
        build = build_cocotb(
            mutate(prepared.verilog), top=prepared.top, waves=waves, coverage=coverage, progress=progress
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESIGN_FILE).write_text(mutate(prepared.verilog))
        for name, content in prepared.files.items():
            (folder / name).write_bytes(content)
        progress(f"running {self.full_name}")
        environment = {**prepared.environment, "BENCH_FOLDER": str(folder.resolve())}
        return run_cocotb(build, module=self.module, folder=folder, seed=seed, environment=environment, tests=tests)


def verilog_text(component: wiring.Component, name: str) -> str:
    """Return a component as Verilog, from the emitter that writes what is handed over."""
    return emit(component, name).verilog
