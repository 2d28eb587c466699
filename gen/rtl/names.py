"""Where hardware objects of the Python source are in the Verilog: modules by class, signals by source line, fields."""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amaranth.hdl import Fragment, Shape, Signal
from amaranth.hdl._ast import SignalDict
from amaranth.lib import data
from rtlm.hw.hls.emit import KernelComponent

PROJECT = Path(__file__).resolve().parents[2]
"""The project's folder; places in it are given from there, others by the file's name alone."""


def field_table(shape: Any, prefix: str = "", offset: int = 0) -> list[dict[str, Any]]:
    """List the fields of a layout with their bits, nested ones by dotted names; empty for a plain shape.

    Parameters
    ----------
    shape
        Shape of a port.
    prefix, offset
        Name and lowest bit of what it is a part of.
    """
    if not isinstance(shape, data.Layout):
        return []
    if isinstance(shape, data.ArrayLayout):
        bits = Shape.cast(shape.elem_shape).width
        return [
            {"name": f"{prefix}[0..{shape.length - 1}]", "offset": offset, "bits": shape.length * bits, "each": bits}
        ]
    fields: list[dict[str, Any]] = []
    for key, field in shape:
        name = f"{prefix}.{key}" if prefix else str(key)
        inner = field_table(field.shape, name, offset + field.offset)
        fields += inner or [{"name": name, "offset": offset + field.offset, "bits": field.width}]
    return fields


def describe_objects(fragment: Fragment, name: str, name_map: SignalDict) -> dict[str, Any]:
    """Return what each module is in Python, and where each of its signals is declared.

    Parameters
    ----------
    fragment
        The elaborated design.
    name
        Name of its top module.
    name_map
        From `amaranth.back.rtlil.convert_fragment`: the hierarchical name of each signal.

    Returns
    -------
    dict[str, Any]
        For each module, by its hierarchical name (``accelerator.matmul.array``): ``class``; ``summary``, the first
        sentence of its documentation; ``signals`` with the place of declaration of each; ``kernel``, its name, where
        the module is a kernel's pipeline; ``states`` where it has state machines: for the register of each the names
        of its states, in the order of their codes.
    """
    objects: dict[str, Any] = {}
    _classes(fragment, name, objects)
    for signal, path in name_map.items():
        *module, last = path
        known = objects.setdefault(".".join(module), {"class": None, "signals": {}})
        known["signals"][last] = _place(signal)
        if states := _states(signal):
            known.setdefault("states", {})[last] = states
    return {
        module: known | {"signals": dict(sorted(known["signals"].items()))} for module, known in sorted(objects.items())
    }


def with_names(objects: Mapping[str, Any], renamed: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return objects with the names that their signals have in Verilog.

    Parameters
    ----------
    objects
        From `describe_objects`.
    renamed
        For each module the signals that have another name there than in the netlist. Where there are some, the
        module's ``netlist`` keeps these names, for what reads netlists.
    """
    found = {}
    for module, known in objects.items():
        names = renamed.get(module, {})
        other = {name: names[name] for name in known["signals"] if name in names}
        signals = sorted((names.get(name, name), place) for name, place in known["signals"].items())
        found[module] = known | {"signals": dict(signals)}
        if "states" in known:
            found[module]["states"] = {names.get(name, name): states for name, states in known["states"].items()}
        if other:
            found[module]["netlist"] = other
    return found


def _sentence(origin: Any) -> str:
    """Return the first sentence of the documentation of an object's class, for one of this project or of a user."""
    kind = type(origin)
    kernel = origin.plan.kernel if isinstance(origin, KernelComponent) else None
    if kind.__module__.partition(".")[0] == "amaranth":
        return ""
    text = (kernel.__doc__ if kernel else kind.__doc__) or ""
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    return re.sub(r":\w+:|`", "", re.split(r"(?<=\.) ", paragraph)[0])


def origin_of(fragment: Fragment) -> Any:
    """Return the object that was put into the design and became a fragment; None where there was none."""
    # The first origin is that object; what it turned into (a Module) says nothing.
    origin: Any = next(iter(fragment.origins or ()), None)
    # A wrapper such as ResetInserter holds the object it was applied to.
    while hasattr(origin, "_elaboratable_"):
        origin = origin._elaboratable_
    return origin


def _classes(fragment: Fragment, path: str, objects: dict[str, Any]) -> None:
    """Note the class of each module; modules without a name are called ``U$0``, ``U$1`` ... by Amaranth."""
    origin = origin_of(fragment)
    kind = None if origin is None else f"{type(origin).__module__}.{type(origin).__qualname__}"
    objects[path] = {"class": kind, "signals": {}}
    if origin is not None and (doc := _sentence(origin)):
        objects[path]["summary"] = doc
    if isinstance(origin, KernelComponent):
        objects[path]["kernel"] = origin.plan.kernel.name
    unnamed = 0
    for inner, inner_name, _ in fragment.subfragments:
        if inner_name is None:
            inner_name, unnamed = f"U${unnamed}", unnamed + 1
        _classes(inner, f"{path}.{inner_name}", objects)


def _states(signal: Signal) -> list[str]:
    """Return the states of a state machine, if the signal is its register; Amaranth then knows a text for each code."""
    decoder, states = signal.decoder, []
    if decoder is None or isinstance(decoder, type):
        return []
    for code in range(1 << len(signal)):
        try:
            states.append(decoder(code).removesuffix(f"/{code}"))
        except KeyError:
            break
    return states


def _place(signal: Signal) -> str:
    """Return file and line of a signal's declaration, from the project's folder on."""
    if signal.src_loc is None:
        return ""
    file, line = signal.src_loc
    path = Path(file).resolve()
    # The project's folder may hold an environment with other packages, and may itself lie in one.
    if path.is_relative_to(PROJECT) and "site-packages" not in (place := path.relative_to(PROJECT)).parts:
        return f"{place.as_posix()}:{line}"
    return f"{path.name}:{line}"
