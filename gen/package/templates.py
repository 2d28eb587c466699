"""Instantiation templates and lint waivers that go beside the Verilog."""

from collections.abc import Mapping, Sequence
from typing import Any

from rtlm.gen.rtl.reserved import SYSTEMVERILOG

Port = dict[str, Any]

WAIVERS = (
    ("DECLFILENAME", "The file is called after the configuration, and it holds every module."),
    ("PROCASSINIT", "Registers have initial values, as FPGAs have them, beside their reset."),
    ("UNUSEDSIGNAL", "Signals keep their names from the Python source, also where only some of their bits are used."),
    ("WIDTHEXPAND", "Sums are one bit wider than their operands; Verilog extends those."),
    ("WIDTHTRUNC", "Counters wrap: their sum is cut to their width."),
    ("CASEOVERLAP", "Cases are tried in order, as Python's If and Elif are."),
    ("CASEINCOMPLETE", "A Switch in Python need not list what changes nothing."),
    ("VARHIDDEN", "A memory may be called as the module instance that holds it, a function's argument as a signal."),
    ("UNSIGNED", "Clamps of values that cannot be negative stay in the generated code."),
)
"""Verilator's rules that generated Verilog breaks by design, and why that is harmless."""


def lint_waivers(verilog_name: str) -> str:
    """Write the waivers for ``verilator --lint-only -Wall``.

    Parameters
    ----------
    verilog_name
        Name of the Verilog file.
    """
    lines = ["`verilator_config"]
    for rule, why in WAIVERS:
        lines += [f"// {why}", f'lint_off -rule {rule} -file "*{verilog_name}"']
    lines += ["// A port may be called by a word of C++ that is none of Verilog."]
    lines += [f'lint_off -rule SYMRSVDWORD -file "*{file}"' for file in (verilog_name, "_example.v", "_example.sv")]
    lines += ["// The template holds a package beside its module.", 'lint_off -rule DECLFILENAME -file "*_example.sv"']
    return "\n".join(lines) + "\n"


def verilog_template(module: str, wrapper: str, ports: Sequence[Port]) -> str:
    """Write a Verilog-2001 module that instantiates another and passes all ports on.

    Parameters
    ----------
    module
        Module that is instantiated.
    wrapper
        Name of the module that is written.
    ports
        Ports as in the manifest.
    """
    declarations = [f"    {p['direction']:<6} wire {port_range(p):>9} {p['name']}" for p in ports]
    return (
        f"// Instantiates {module}; take what is between the parentheses, or the module as it is.\n"
        "// `default_nettype none makes a misspelt name an error.\n"
        "`default_nettype none\n\n"
        f"module {wrapper} (\n" + ",\n".join(declarations) + "\n);\n\n" + instance(module, ports) + "\nendmodule\n\n"
        "`default_nettype wire\n"
    )


def systemverilog_template(module: str, wrapper: str, ports: Sequence[Port]) -> str:
    """Write a SystemVerilog package with the layouts of payloads, and a module that instantiates another with them.

    Parameters
    ----------
    module, wrapper, ports
        As for `verilog_template`.
    """
    types = {p["name"]: text for p in ports if (text := _struct(p))}
    package = f"{wrapper}_pkg"
    head = f"// An instance of {module}"
    if types:
        head += "; the package has the layouts of its payloads, the first field in the lowest bits"
        head += f".\npackage {package};\n" + "\n".join(types.values()) + "endpackage\n\n"
    else:
        head += ".\n"
    declarations = []
    for p in ports:
        kind = f"{package}::{p['name']}_t" if p["name"] in types else f"logic {port_range(p)}".rstrip()
        declarations.append(f"    {p['direction']:<6} {kind} {p['name']}")
    return (
        f"{head}"
        f"module {wrapper} (\n" + ",\n".join(declarations) + "\n);\n\n" + instance(module, ports) + "\nendmodule\n"
    )


def instance(module: str, ports: Sequence[Port], signals: Mapping[str, str] | None = None) -> str:
    """Instantiate a module, each port connected to the signal of its name, or to the one that is given for it."""
    names = {port["name"]: port["name"] for port in ports} | dict(signals or {})
    connections = ",\n".join(f"        .{port}({signal})" for port, signal in names.items())
    return f"    {module} {module}_i (\n{connections}\n    );\n"


def port_range(port: Port) -> str:
    """Return the range of a port's bits, empty for a single one."""
    return f"[{port['bits'] - 1}:0]" if port["bits"] > 1 else ""


def _struct(port: Port) -> str:
    """Write the layout of a port as a packed structure; empty if it has none, or fields that overlap."""
    lines, top = [], 0
    for number, field in enumerate(sorted(port.get("fields", ()), key=lambda f: f["offset"])):
        if field["offset"] < top:
            return ""
        if field["offset"] > top:
            lines.append(_member(f"unused_{number}", field["offset"] - top))
        lines.append(_member(field["name"], field["bits"], field.get("each")))
        top = field["offset"] + field["bits"]
    if not lines:
        return ""
    if top < port["bits"]:
        lines.append(_member("unused_top", port["bits"] - top))
    return "    typedef struct packed {\n" + "".join(reversed(lines)) + f"    }} {port['name']}_t;\n"


def _member(name: str, bits: int, each: int | None = None) -> str:
    name = name.partition("[")[0].replace(".", "_")
    name = f"{name}_" if name in SYSTEMVERILOG else name or "item"
    if each is None:
        return f"        logic {f'[{bits - 1}:0] ' if bits > 1 else ''}{name};\n"
    return f"        logic [{bits // each - 1}:0][{each - 1}:0] {name};\n"
