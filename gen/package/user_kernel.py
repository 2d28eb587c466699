"""A kernel that a user wrote in a file of their own: loading it, and the folder that comes of it."""

import importlib
import importlib.util
import re
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import GenerateError
from rtlm.gen.configuration.fields import closest
from rtlm.gen.package.folder import Package
from rtlm.gen.package.handover import add_bench, component_package, component_text, files_table
from rtlm.gen.package.pages import table
from rtlm.gen.rtl.units import KernelParams
from rtlm.gen.rtl.verilog import emit
from rtlm.hw.hls import Kernel


def load_kernel(source: str, folder: Path | None = None) -> Kernel:
    """Load a kernel.

    Parameters
    ----------
    source
        ``path/to/file.py:function``, or ``package.module:function``.
    folder
        Where a relative path begins; the working directory if it is None.

    Raises
    ------
    GenerateError
        If there is no such file or function, or it is no kernel; one sentence.
    """
    place, colon, name = source.rpartition(":")
    if not colon or not place or not name:
        raise GenerateError(f"'{source}' names no kernel: it is written path/to/file.py:function.")
    try:
        module = _load_file((folder or Path()) / place) if place.endswith(".py") else importlib.import_module(place)
    except ModuleNotFoundError as error:
        if place.endswith(".py") or not place.startswith(error.name or " "):
            raise GenerateError(f"{place} cannot be loaded: there is no module {error.name}.") from error
        raise GenerateError(f"There is no module {place}; a file's name ends with .py.") from error
    kernel = getattr(module, name, None)
    if isinstance(kernel, Kernel):
        return kernel
    known = sorted(key for key, value in vars(module).items() if isinstance(value, Kernel))
    if kernel is not None:
        raise GenerateError(f"{name} in {place} is no kernel; put @kernel (from rtlm.hw.hls) above its definition.")
    guess = closest(name, known)
    there = f"its kernels are {', '.join(known)}" if known else "it has no kernel"
    raise GenerateError(f"{place} has no {name}; {there}" + (f"; did you mean {guess}?" if guess else "."))


def _load_file(path: Path) -> Any:
    """Run a Python file."""
    if not path.is_file():
        raise GenerateError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(f"rtlm_user_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}", path)
    if spec is None or spec.loader is None:
        raise GenerateError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        raise GenerateError(f"{path}{_line(error, path)}: {type(error).__name__}: {_first_line(error)}") from error
    return module


def kernel_package(
    source: str, params: KernelParams, *, clock_mhz: float, technology: str
) -> tuple[Package, dict[str, Any]]:
    """Make the folder of a user's kernel: RTL, bench against the golden model, and the kernel's file itself.

    Parameters
    ----------
    source
        ``path/to/file.py:function``.
    params
        Lanes, and the longest packet for a kernel that reduces.
    clock_mhz, technology
        What its pipeline is scheduled for.

    Returns
    -------
    tuple[Package, dict[str, Any]]
        The files, and the cost: ``latency``, ``initiation_interval``, ``operators``, ``register_bits``.

    Raises
    ------
    GenerateError
        If there is no such kernel, or it cannot be built; one sentence.
    """
    kernel = load_kernel(source)
    path = source.rpartition(":")[0]
    try:
        component = kernel.component(
            lanes=params.lanes, clock_mhz=clock_mhz, technology=technology, max_length=params.max_length
        )
    except (TypeError, ValueError) as error:
        raise GenerateError(f"{source}{_line(error, Path(path))}: {_first_line(error)}") from error
    top = re.sub(r"\W", "_", kernel.name)
    emitted = emit(component, top)
    schedule = component.schedule
    cost = {
        "latency_cycles": component.latency,
        "initiation_interval": schedule.initiation_interval,
        "operators": dict(schedule.operators),
        "register_bits": schedule.register_bits,
    }
    settings = {
        "kernel": kernel.name,
        "parameters": asdict(params),
        "clock_mhz": clock_mhz,
        "technology": technology,
        "cost": cost,
    }
    package = component_package(top, component, emitted, clock_mhz, settings)
    inside = source
    if path.endswith(".py"):
        inside = f"{Path(path).name}:{source.rpartition(':')[2]}"
        if Path(path).name == "bench.py":
            raise GenerateError(f"{path} cannot be handed over: bench.py is the name of the bench; rename the file.")
        package.texts[Path(path).name] = Path(path).read_text(encoding="utf-8")
    add_bench(package, kernel=inside, top=top, params=params)
    arguments = ", ".join(kernel.arguments)
    package.texts["README.md"] = (
        f"# Kernel `{kernel.name}`\n\n{(kernel.__doc__ or '').strip()}\n\n"
        f"## Golden model\n\n```python\nfrom rtlm.gen.package.user_kernel import load_kernel\n\n"
        f'kernel = load_kernel("{inside}")\n'
        f"result = kernel.model({arguments})  # NumPy arrays, bit for bit as the gates\n"
        "```\n\n"
        f"## Cost\n\n{cost_table(cost)}\n" + component_text(component, emitted, settings) + files_table(package)
    )
    return package, cost


def cost_table(cost: dict[str, Any]) -> str:
    """Write what a kernel costs as a Markdown table."""
    rows = [
        ("latency", f"{cost['latency_cycles']} cycles"),
        ("initiation interval", f"{cost['initiation_interval']} cycle"),
        ("register bits", cost["register_bits"]),
        *((f"operator {name}", count) for name, count in cost["operators"].items()),
    ]
    return table(("", ""), rows)


def _line(error: BaseException, path: Path) -> str:
    """Return the line of a file that an exception came from."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == path.name]
    return f", line {lines[-1]}" if lines else ""


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = text.strip().partition("\n")[0]
    return text if text.endswith(".") else f"{text}."
