"""Verilog around the accelerator for Vivado's block designs: interfaces, addresses, signals that never change."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rtlm.gen.package.ipxact import buses
from rtlm.gen.package.templates import instance, port_range

WRAPPER = "_bd"
"""End of the name of the module that tells block designs which ports are interfaces."""
CLOCK, RESET, INTERRUPT = "clk", "rst", "irq"
"""Ports beside the AXI ports."""
CONSTANTS = {"lock": "1'b0", "cache": "4'b0011", "prot": "3'b000", "qos": "4'b0000"}
"""AXI4 signals of an address channel that the accelerator leaves to the integration: ordinary accesses, bufferable and
modifiable (so that an interconnect may change their width), as AMD's own make them (PG021), without priority."""


class Placement(Protocol):
    """Where in a board's memory the bytes lie that the accelerator addresses."""

    @property
    def comment(self) -> str:
        """A comment for the head of the module."""

    @property
    def parameters(self) -> str:
        """Parameters of the Verilog module; empty for none."""

    def bits(self, widest: int) -> int:
        """Return the bits of an address outside, for addresses of at most `widest` bits inside."""

    def address(self, signal: str, bits: int) -> str:
        """Return the Verilog expression of the address outside, for a signal of `bits` bits, the same as outside."""


def interface(bus: str, signal: str, first: bool, settings: str) -> str:
    """Return the attributes of a port of an AXI interface (UG994); the first one has the settings of all."""
    parameter = f"XIL_INTERFACENAME {bus}, {settings}" if first else ""
    return attributes(f"xilinx.com:interface:aximm:1.0 {bus} {signal.upper()}", parameter)


def attributes(info: str, parameter: str = "") -> str:
    """Return the lines that say of which interface a port is, and what the interface is like."""
    second = f'\n    (* X_INTERFACE_PARAMETER = "{parameter}" *)' if parameter else ""
    return f'(* X_INTERFACE_INFO = "{info}" *){second}'


def block_design_wrapper(module: str, ports: Sequence[Mapping[str, Any]], placement: Placement) -> str:
    """Write a Verilog module around another, with attributes that name the interface of each port (UG994).

    Parameters
    ----------
    module
        Module that is instantiated.
    ports
        Ports as in the manifest.
    placement
        What becomes of the addresses.
    """
    found = buses(ports)
    masters = {bus: signals for bus, signals in found.items() if bus.startswith("m")}
    addresses = [signals[name] for signals in masters.values() for name in ("araddr", "awaddr") if name in signals]
    bits = placement.bits(max(port["bits"] for port in addresses))
    roles = {
        CLOCK: attributes(
            f"xilinx.com:signal:clock:1.0 {CLOCK} CLK",
            f"ASSOCIATED_BUSIF {':'.join(found)}, ASSOCIATED_RESET {RESET}",
        ),
        RESET: attributes(f"xilinx.com:signal:reset:1.0 {RESET} RST", "POLARITY ACTIVE_HIGH"),
        INTERRUPT: attributes(f"xilinx.com:signal:interrupt:1.0 {INTERRUPT} INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
    }
    for bus, signals in found.items():
        settings = f"PROTOCOL {'AXI4' if bus in masters else 'AXI4LITE'}"
        for number, (signal, port) in enumerate(signals.items()):
            roles[port["name"]] = interface(bus, signal, not number, settings)
    outer = [dict(port) | ({"bits": bits} if port in addresses else {}) for port in ports]
    constants = {}
    for bus, signals in masters.items():
        for channel in ("ar", "aw"):
            beside = signals.get(f"{channel}addr")
            if beside is None:
                continue
            for name, value in CONSTANTS.items():
                # As the ports beside it are called.
                added = beside["name"].removesuffix(f"{channel}addr") + channel + name
                roles[added] = interface(bus, channel + name, False, "")
                outer.append({"name": added, "direction": "output", "bits": int(value[0])})
                constants[added] = value
    declarations = [
        (f"    {roles[port['name']]}\n" if port["name"] in roles else "")
        + f"    {port['direction']:<6} wire {port_range(port):>9} {port['name']}"
        for port in outer
    ]
    inner = {port["name"]: f"{port['name']}_inner" for port in addresses}
    body = []
    for port in addresses:
        signal, whole, spare = inner[port["name"]], f"{port['name']}_whole", bits - port["bits"]
        body += [
            f"    wire {port_range(dict(port))} {signal};",
            f"    wire [{bits - 1}:0] {whole} = {f'{{{spare}{chr(39)}b0, {signal}}}' if spare else signal};",
            f"    assign {port['name']} = {placement.address(whole, bits)};",
        ]
    body += [f"    assign {name} = {value};" for name, value in constants.items()]
    parameters = f"#(\n{placement.parameters}\n) " if placement.parameters else ""
    return (
        f"// {module} for Vivado's block designs: attributes say which port belongs to which interface, and what AXI\n"
        f"// has beside the accelerator's signals is constant.\n{placement.comment}"
        f"module {module}{WRAPPER} {parameters}(\n" + ",\n".join(declarations) + "\n);\n\n" + "\n".join(body) + "\n\n"
        f"{instance(module, [dict(port) for port in ports], inner)}\nendmodule\n"
    )
