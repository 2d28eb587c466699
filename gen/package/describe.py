"""What components and definitions say about themselves, as plain values for manifests."""

import gc
import inspect
import re
import warnings
from enum import Enum
from typing import Any

from amaranth.hdl import UnusedElaboratable
from amaranth.lib import wiring
from rtlm.gen.package.pages import ENUMERATIONS
from rtlm.hw.accelerator import Accelerator
from rtlm.hw.control import isa
from rtlm.hw.control.counters import COUNTERS, EVENTS
from rtlm.hw.control.errors import ERROR_MEANINGS, Error
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.registers import RegisterMap


def latency(component: wiring.Component) -> dict[str, Any]:
    """Return the latency of a component in cycles, where it is one number, and what its documentation says about it."""
    cycles = getattr(component, "latency", None)
    if isinstance(cycles, dict):
        cycles = {key.name if isinstance(key, Enum) else str(key): value for key, value in cycles.items()}
    text = " ".join(section(component, "Latency").split())
    return {"cycles": cycles, "meaning": text.replace("`", "")}


def unit_latencies(params: AcceleratorParams) -> dict[str, dict[str, Any]]:
    """Return the latency of each unit of an accelerator, by its name in the Verilog."""
    with warnings.catch_warnings():
        # The units are made to be asked only; Amaranth complains about that when they are collected.
        warnings.simplefilter("ignore", UnusedElaboratable)
        units = Accelerator(params).units()
        latencies = {name: latency(unit) for name, unit in units.items()}
        del units
        gc.collect()
    return latencies


def section(component: wiring.Component, title: str) -> str:
    """Return the paragraph of a component's documentation that begins with ``Title:``; empty if there is none."""
    text = inspect.getdoc(type(component)) or ""
    match = re.search(rf"^{title}: (.*?)(?=^[A-Z]\w+(?: and \w+)?: |\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return match[1].strip() if match else ""


def documentation(component: wiring.Component) -> str:
    """Return a component's documentation as Markdown: numpy headings become headings."""
    text = inspect.getdoc(type(component)) or ""
    return re.sub(r"^(\w+)\n-+$", r"**\1**\n", text, flags=re.MULTILINE)


def registers(registers: RegisterMap) -> list[dict[str, Any]]:
    """List the registers of a map."""
    return [
        {
            "name": register.name,
            "offset": register.offset,
            "count": register.count or 1,
            "stride": register.stride,
            "access": register.access.value,
            "reset": register.reset,
            "meaning": register.doc,
            "fields": [
                {"name": field.name, "offset": field.offset, "bits": field.bits, "meaning": field.doc}
                for field in register.fields
            ],
        }
        for register in registers.registers
    ]


def instructions() -> dict[str, Any]:
    """List the fields of an instruction, and the names of their values."""
    return {
        "bytes": isa.INSTRUCTION_BYTES,
        "fields": [{"name": f.name, "offset": f.start, "bits": f.width, "meaning": f.doc} for f in isa.FIELDS],
        "values": {name: {member.name: member.value for member in kind} for name, kind in ENUMERATIONS.items()},
    }


def counters() -> dict[str, str]:
    """Return the counter registers with their meaning."""
    meanings = {f"EVENT_{name.upper()}": text for name, text in EVENTS.items()}
    return {name: meanings.get(name, "cycles") for name in COUNTERS}


def errors() -> dict[str, dict[str, Any]]:
    """Return the error codes with their meaning."""
    return {error.name: {"code": error.value, "meaning": ERROR_MEANINGS[error]} for error in Error}
