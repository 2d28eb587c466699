"""IP-XACT (IEEE 1685-2014): the component with its AXI interfaces and registers, for tools that read it."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from rtlm.hw.registers import Access, Register, RegisterMap

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
VENDOR, LIBRARY, VERSION = "rtlm", "accelerators", "1.0"
AXI4 = {"vendor": "amba.com", "library": "AMBA4", "name": "AXI4", "version": "r0p0_0"}
AXI4_LITE = AXI4 | {"name": "AXI4-Lite"}
"""ARM's bus definitions for AXI4 (IP-XACT files of AMBA 4)."""

ACCESS = {Access.READ: "read-only", Access.READ_WRITE: "read-write", Access.PULSE: "write-only"}


def component_xml(
    *,
    name: str,
    module: str,
    description: str,
    ports: Sequence[Mapping[str, Any]],
    files: Sequence[str],
    registers: RegisterMap | None = None,
) -> str:
    """Describe a component.

    Parameters
    ----------
    name
        Name of the component.
    module
        Name of its Verilog module.
    description
        A sentence.
    ports
        Ports as in the manifest. Those called ``X_axi_SIGNAL`` become bus interfaces.
    files
        Names of Verilog files.
    registers
        Registers behind ``s_axi``, if there are any.
    """
    ElementTree.register_namespace("ipxact", NAMESPACE)
    root = Element(_tag("component"))
    for key, value in (("vendor", VENDOR), ("library", LIBRARY), ("name", name), ("version", VERSION)):
        _text(root, key, value)
    found = buses(ports)
    if found:
        parent = _child(root, "busInterfaces")
        for bus, signals in found.items():
            _bus_interface(parent, bus, signals, registers)
        masters = {bus: signals for bus, signals in found.items() if bus.startswith("m")}
        if masters:
            parent = _child(root, "addressSpaces")
            for bus, signals in masters.items():
                space = _child(parent, "addressSpace")
                _text(space, "name", f"{bus}_space")
                _text(space, "range", f"'h{1 << _address_bits(signals):x}")
                _text(space, "width", str(next(p["bits"] for n, p in signals.items() if n.endswith("data"))))
    if registers is not None and "s_axi" in found:
        _memory_map(_child(root, "memoryMaps"), registers)
    _model(root, module, ports)
    file_set = _child(_child(root, "fileSets"), "fileSet")
    _text(file_set, "name", "rtl")
    for file in files:
        entry = _child(file_set, "file")
        _text(entry, "name", file)
        _text(entry, "fileType", "verilogSource")
    _text(root, "description", description)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _child(parent: Element, name: str, /, **attributes: str) -> Element:
    return SubElement(parent, _tag(name), attributes)


def _text(parent: Element, name: str, text: str) -> Element:
    element = _child(parent, name)
    element.text = text
    return element


def buses(ports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Group the ports of AXI buses: bus name, then signal name.

    Parameters
    ----------
    ports
        Ports as in the manifest.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for port in ports:
        if match := re.fullmatch(r"((?:m\d+|s)_axi)_(\w+)", port["name"]):
            found.setdefault(match[1], {})[match[2]] = port
    return found


def map_bytes(registers: RegisterMap) -> int:
    """Return the bytes of address space that the registers take, a power of two."""
    return 1 << (registers.size - 1).bit_length()


def _address_bits(signals: Mapping[str, Mapping[str, Any]]) -> int:
    return int(next(port["bits"] for name, port in signals.items() if name.endswith("addr")))


def _bus_interface(
    parent: Element, bus: str, signals: Mapping[str, Mapping[str, Any]], registers: RegisterMap | None
) -> None:
    kind = AXI4 if bus.startswith("m") else AXI4_LITE
    interface = _child(parent, "busInterface")
    _text(interface, "name", bus)
    _child(interface, "busType", **kind)
    abstraction = _child(_child(interface, "abstractionTypes"), "abstractionType")
    _child(abstraction, "abstractionRef", **(kind | {"name": f"{kind['name']}_rtl"}))
    maps = _child(abstraction, "portMaps")
    for signal, port in signals.items():
        entry = _child(maps, "portMap")
        _text(_child(entry, "logicalPort"), "name", signal.upper())
        _text(_child(entry, "physicalPort"), "name", port["name"])
    if bus.startswith("m"):
        space = _child(_child(interface, "master"), "addressSpaceRef", addressSpaceRef=f"{bus}_space")
        _text(space, "baseAddress", "'h0")
    else:
        slave = _child(interface, "slave")
        if registers is not None:
            _child(slave, "memoryMapRef", memoryMapRef="registers")


def _memory_map(parent: Element, registers: RegisterMap) -> None:
    memory = _child(parent, "memoryMap")
    _text(memory, "name", "registers")
    block = _child(memory, "addressBlock")
    _text(block, "name", "block")
    _text(block, "baseAddress", "'h0")
    _text(block, "range", f"'h{map_bytes(registers):x}")
    _text(block, "width", "32")
    for register in registers.registers:
        for index, offset in enumerate(register.offsets):
            _register(block, register, offset, "" if register.count is None else f"_{index}")


def _register(block: Element, register: Register, offset: int, suffix: str) -> None:
    entry = _child(block, "register")
    _text(entry, "name", f"{register.name}{suffix}")
    _text(entry, "description", register.doc)
    _text(entry, "addressOffset", f"'h{offset:x}")
    _text(entry, "size", "32")
    whole = [("VALUE", register.doc, 0, 32, register.reset)]
    parts = [(f.name, f.doc, f.offset, f.bits, (register.reset & f.mask) >> f.offset) for f in register.fields]
    for name, doc, low, bits, reset in parts or whole:
        field = _child(entry, "field")
        _text(field, "name", name)
        _text(field, "description", doc)
        _text(field, "bitOffset", str(low))
        if register.access is Access.READ_WRITE:
            _text(_child(_child(field, "resets"), "reset"), "value", f"'h{reset:x}")
        _text(field, "bitWidth", str(bits))
        _text(field, "access", ACCESS[register.access])


def _model(root: Element, module: str, ports: Sequence[Mapping[str, Any]]) -> None:
    model = _child(root, "model")
    view = _child(_child(model, "views"), "view")
    _text(view, "name", "rtl")
    _text(view, "envIdentifier", ":*Simulation:")
    _text(view, "envIdentifier", ":*Synthesis:")
    _text(view, "componentInstantiationRef", "verilog")
    instance = _child(_child(model, "instantiations"), "componentInstantiation")
    _text(instance, "name", "verilog")
    _text(instance, "language", "verilog")
    _text(instance, "moduleName", module)
    _text(_child(instance, "fileSetRef"), "localName", "rtl")
    parent = _child(model, "ports")
    for port in ports:
        entry = _child(parent, "port")
        _text(entry, "name", port["name"])
        wire = _child(entry, "wire")
        _text(wire, "direction", {"input": "in", "output": "out"}[port["direction"]])
        if port["bits"] > 1:
            vector = _child(_child(wire, "vectors"), "vector")
            _text(vector, "left", str(port["bits"] - 1))
            _text(vector, "right", "0")
