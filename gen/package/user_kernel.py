"""A kernel or region that a user wrote in a file of their own: loading it, and the folder that comes of it."""

import contextlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtlm.gen.common.errors import GenerateError
from rtlm.gen.configuration.fields import closest
from rtlm.gen.package.folder import Package
from rtlm.gen.package.handover import add_bench, component_package, component_text, files_table
from rtlm.gen.package.schedule_picture import schedule_svg
from rtlm.gen.rtl.reserved import language_of
from rtlm.gen.rtl.units import KernelParams
from rtlm.gen.rtl.verilog import emit
from rtlm.hw.common.markdown import table
from rtlm.hw.hls import Kernel, KernelError, Region
from rtlm.hw.hls.errors import source_place
from rtlm.hw.hls.regions.schedule import RegionSchedule
from rtlm.hw.hls.schedule import Schedule

PICTURE = "schedule.svg"
OF_BENCH = frozenset({"bench", "cocotb", "numpy", "rtlm"}) | sys.stdlib_module_names
"""Modules that a file beside the generated bench may not be called like."""


def load_kernel(source: str, folder: Path | None = None) -> Kernel:
    """Load a kernel; its file may import those beside it.

    Parameters
    ----------
    source
        ``path/to/file.py:function``, or ``package.module:function``.
    folder
        Where a relative path begins; the working directory if it is None.

    Raises
    ------
    GenerateError
        If there is no such file or function, or it is not a kernel; one sentence.
    """
    kernel = _find_kernel(source, folder or Path())[0]
    if not isinstance(kernel, Kernel):
        raise GenerateError(f"{source} is a region; load_region loads it.")
    return kernel


def load_region(source: str, folder: Path | None = None) -> Region:
    """Load a region; parameters and errors as of `load_kernel`."""
    region = _find_kernel(source, folder or Path())[0]
    if not isinstance(region, Region):
        raise GenerateError(f"{source} is a kernel; load_kernel loads it.")
    return region


def _find_kernel(source: str, folder: Path) -> tuple[Kernel | Region, list[Path]]:
    """Load a kernel or region, and list the files beside and below its own that it imports."""
    place, colon, name = source.rpartition(":")
    if not colon or not place or not name:
        raise GenerateError(f"'{source}' names no kernel: it is written path/to/file.py:function.")
    try:
        module, imported = _load_file(folder / place) if place.endswith(".py") else (importlib.import_module(place), [])
    except ModuleNotFoundError as error:
        if place.endswith(".py") or not place.startswith(error.name or " "):
            raise GenerateError(f"{place} cannot be loaded: there is no module {error.name}.") from error
        raise GenerateError(f"There is no module {place}; a file's name ends with .py.") from error
    kernel = getattr(module, name, None)
    if isinstance(kernel, Kernel | Region):
        return kernel, imported
    known = sorted(key for key, value in vars(module).items() if isinstance(value, Kernel | Region))
    if kernel is not None:
        raise GenerateError(f"{name} in {place} is not a kernel; put @kernel (from rtlm.hw.hls) above its definition.")
    guess = closest(name, known)
    there = f"its kernels are {', '.join(known)}" if known else "it has no kernel"
    raise GenerateError(f"{place} has no {name}; {there}" + (f"; did you mean {guess}?" if guess else "."))


def _load_file(path: Path) -> tuple[Any, list[Path]]:
    """Run a Python file, and list the files of its folder that it imports."""
    if not path.is_file():
        raise GenerateError(f"There is no file {path}.")
    name = f"rtlm_user_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GenerateError(f"{path} is not a Python file.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _imports_from(path.parent.resolve()) as imported:
            spec.loader.exec_module(module)
    except ModuleNotFoundError:
        raise
    except KernelError as error:
        raise GenerateError(str(error)) from error
    except Exception as error:
        text = _first_line(error)
        if "relative import" in text:
            text = (
                "a kernel's file is not part of a package: write 'from name import ...' for the file name.py beside it."
            )
        raise GenerateError(f"{source_place(path, 1, error)}: {type(error).__name__}: {text}") from error
    finally:
        del sys.modules[name]
    return module, imported


@contextlib.contextmanager
def _imports_from(folder: Path) -> Iterator[list[Path]]:
    """Make imports find the modules of a folder first, and forget these afterwards, as another folder may have its own.

    Yields
    ------
    list[Path]
        Empty; in the end the files that were imported from the folder.
    """
    names = {path.stem for path in folder.glob("*.py")} - sys.stdlib_module_names
    hidden = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    before = set(sys.modules)
    imported: list[Path] = []
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield imported
    finally:
        sys.path.remove(str(folder))
        for name in sorted(sys.modules.keys() - before):
            base = folder.joinpath(*name.split("."))
            files = [file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()]
            if str(getattr(sys.modules[name], "__file__", "")) in map(str, files) or (base.is_dir() and not files):
                imported += files
                del sys.modules[name]
        sys.modules.update(hidden)


def kernel_package(
    source: str, params: KernelParams, *, clock_mhz: float, technology: str
) -> tuple[Package, dict[str, Any]]:
    """Make the folder of a user's kernel or region: RTL, bench against the golden model, and the kernel's file itself.

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
    kernel, imported = _find_kernel(source, Path())
    path = source.rpartition(":")[0]
    try:
        component = kernel.component(
            params.directives(clock_mhz=clock_mhz, technology=technology), max_length=params.max_length
        )
    except KernelError as error:
        raise GenerateError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise GenerateError(f"{source}: {_first_line(error)}") from error
    top = kernel.name
    _check_names(
        source, kernel, {"clk", "rst", *("__".join(path) for path, _, _ in component.signature.flatten(component))}
    )
    emitted = emit(component, top)
    schedule = component.schedule
    cost = {
        "latency_cycles": component.latency,
        "initiation_interval": schedule.initiation_interval,
        "operators": dict(schedule.operators),
        "register_bits": schedule.register_bits,
        "limits": list(schedule.limits),
        "buffers": [asdict(buffer) for buffer in schedule.buffers],
        "activities": [asdict(activity) for activity in schedule.activities],
    }
    if isinstance(schedule, RegionSchedule):
        cost |= {"loops": [], "region": schedule.to_json()}
    else:
        cost |= {"loops": [asdict(loop) for loop in schedule.loops], "trip": schedule.trip}
    settings = {
        "kernel": kernel.name,
        "parameters": asdict(params),
        "clock_mhz": clock_mhz,
        "technology": technology,
        "cost": cost,
    }
    kind = "kernel" if isinstance(kernel, Kernel) else "region"
    package = component_package(top, component, emitted, clock_mhz, settings, what=f"{kind} {kernel.name}")
    picture = ""
    if isinstance(schedule, Schedule):
        package.texts[PICTURE], picture = schedule_svg(kernel.name, schedule), f"![Schedule]({PICTURE})\n\n"
    inside = source
    if path.endswith(".py"):
        inside = f"{Path(path).name}:{source.rpartition(':')[2]}"
        package.texts |= _sources(Path(path), imported)
    add_bench(package, kernel=inside, top=top, params=params, bench="bench" if kind == "kernel" else kind)
    package.texts["README.md"] = (
        f"# {kind.capitalize()} `{kernel.name}`\n\n{(kernel.__doc__ or '').strip()}\n\n"
        f"## Golden model\n\n```python\nfrom rtlm.gen.package.user_kernel import load_{kind}\n\n"
        f'{kind} = load_{kind}("{inside}")\n'
        f"result = {kind}.model({', '.join(kernel.declared)})  # NumPy arrays, bit for bit as the gates\n"
        f"```\n\n## Cost\n\n{cost_table(cost)}\n{picture}"
        + component_text(component, emitted, settings)
        + files_table(package)
    )
    return package, cost


def cost_table(cost: dict[str, Any]) -> str:
    """Write what a kernel costs as a Markdown table."""
    rows = [
        ("latency", f"{cost['latency_cycles']} cycles"),
        ("initiation interval", f"{cost['initiation_interval']} cycle" + "s" * (cost["initiation_interval"] > 1)),
        *(("because", limit) for limit in dict.fromkeys(cost["limits"])),
        *((f"loop at {loop['place']}", _loop_text(loop)) for loop in cost["loops"]),
        *([("a command", f"{cost['trip']} cycles")] if cost["loops"] else []),
        ("register bits", cost["register_bits"]),
        *((f"operator {name}", count) for name, count in cost["operators"].items()),
        *((f"buffer {b['name']}", f"{b['words']} words of {b['bits']} bits: {b['reason']}") for b in cost["buffers"]),
    ]
    return table(("", ""), rows)


def _loop_text(loop: dict[str, Any]) -> str:
    """Write how often a loop runs, and how."""
    lanes = f", {loop['lanes']} iterations a beat" if loop["lanes"] > 1 else ""
    return f"{loop['bound']} iterations{lanes}" + (", a packet" if loop["packet"] else "")


def _check_names(source: str, kernel: Kernel | Region, ports: set[str]) -> None:
    """Refuse names that a module, or a field of a payload, cannot have."""
    fields = [*kernel.arguments, *kernel.results] if isinstance(kernel, Kernel) else [*kernel.declared]
    for name in (kernel.name, *fields):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise GenerateError(
                f"{source}: {name} becomes a name in Verilog: letters a to z, digits and _ are allowed."
            )
    language = language_of(kernel.name)
    if language or kernel.name in ports:
        what = f"a keyword of {language}" if language else "the name of a port"
        raise GenerateError(f"{source}: {kernel.name} is {what} and cannot be that of the module; rename the function.")


def _sources(path: Path, imported: list[Path]) -> dict[str, str]:
    """Return the texts of a kernel's file and of those it imports, by their names in the generated folder."""
    texts = {}
    for file in [path, *imported]:
        if file.resolve().parent != path.resolve().parent:
            raise GenerateError(
                f"{path} imports {file}, but only files beside it are handed over: move that file into the same folder."
            )
        if file.stem in OF_BENCH:
            raise GenerateError(
                f"{file} cannot be handed over: the bench imports a module {file.stem}; rename the file."
            )
        texts[file.name] = file.read_text(encoding="utf-8")
    return texts


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = text.strip().partition("\n")[0]
    return text if text.endswith(".") else f"{text}."
