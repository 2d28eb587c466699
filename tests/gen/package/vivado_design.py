"""A block design as a script makes it, with every name checked against what the IPs and modules have."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from tests.gen.package.tcl_reader import calls, words
from tests.gen.package.vivado_ips import IPS, module_ip


@dataclass
class Design:
    """Cells by name, what drives each pin, interfaces, ports, settings, and address spaces."""

    kinds: dict = field(default_factory=dict)
    settings: dict = field(default_factory=lambda: defaultdict(dict))
    drivers: dict = field(default_factory=dict)
    partners: dict = field(default_factory=dict)
    ports: dict = field(default_factory=dict)
    addresses: list = field(default_factory=list)
    spaces: list = field(default_factory=list)
    constraints: list = field(default_factory=list)

    def clock_of(self, end):
        """What drives the clock of an interface's cell; for interconnects, any of theirs."""
        cell = end.partition("/")[0]
        return {
            driver
            for pin, driver in self.drivers.items()
            if pin.startswith(f"{cell}/") and re.search(r"/(aclk\d*|clk|\w+_aclk|AXI_\d\d_ACLK)$", pin)
        } | {
            f"{cell}/{output}"
            for output in {"xdma": ["axi_aclk"], "ddr4": ["c0_ddr4_ui_clk"]}.get(self.kinds[cell], [])
        }


def design(texts):
    """Read the block design of a folder's files, and check its names.

    Parameters
    ----------
    texts
        Files by name, as ``vivado_files`` returns them.
    """
    found = Design()
    modules = {name.split("/")[1][:-2]: module_ip(text) for name, text in texts.items() if name.endswith(".v")}
    for name, *rest in calls(texts["vivado/build.tcl"], "create_system", folder="vivado"):
        if name == "create_bd_cell":
            kind = rest[3].removeprefix("xilinx.com:ip:")
            assert kind in IPS or kind in modules, kind
            assert rest[4] not in found.kinds
            found.kinds[rest[4]] = kind
        elif name == "set_property" and rest[-1] in found.kinds:
            cell = rest[-1]
            pairs = words(rest[1]) if rest[0] == "-dict" else rest[:2]
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                assert re.fullmatch(IPS[found.kinds[cell]].settings, key.removeprefix("CONFIG.")), (cell, key)
                assert key.startswith("CONFIG.") and key not in found.settings[cell], (cell, key)
                found.settings[cell][key.removeprefix("CONFIG.")] = value
        elif name == "create_bd_port":
            found.ports[rest[-1]] = {"O": "output", "I": "input"}[rest[1]]
        elif name == "create_bd_intf_port":
            found.ports[rest[-1]] = (rest[1], rest[3].removeprefix("xilinx.com:interface:"))
        elif name == "connect_bd_net":
            connect_pins(found, modules, *rest)
        elif name == "connect_bd_intf_net":
            connect_interfaces(found, modules, *rest)
        elif name == "assign_bd_address" and "-offset" in rest:
            options = dict(zip(rest[:-1:2], rest[1:-1:2], strict=True))
            place = int(options["-offset"], 16), int(options["-range"], 16)
            found.addresses.append((options["-target_address_space"], rest[-1], *place))
        elif name == "assign_bd_address":
            found.spaces.append((rest[1], rest[2]))
        elif name == "add_files" and "constrs_1" in rest:
            found.constraints.append(rest[-1])
    for cell, kind in found.kinds.items():
        for need in (IPS.get(kind) or modules[kind]).needed:
            assert f"{cell}/{need}" in {**found.drivers, **found.partners}, f"{cell}/{need} is not connected"
    return found


def kind_of(found, modules, pin):
    cell, _, name = pin.partition("/")
    kind = found.kinds[cell]
    return IPS.get(kind) or modules[kind], name


def connect_pins(found, modules, source, sink):
    for end, allowed in ((source, "outputs"), (sink, "inputs")):
        if "/" in end:
            ip, name = kind_of(found, modules, end)
            assert re.fullmatch(getattr(ip, allowed), name), f"{end} is none of {allowed}"
        else:
            assert found.ports[end] == {"outputs": "input", "inputs": "output"}[allowed]
    assert sink not in found.drivers, f"{sink} is driven twice"
    found.drivers[sink] = source


def connect_interfaces(found, modules, first, second):
    roles = []
    for end in (first, second):
        if "/" in end:
            ip, name = kind_of(found, modules, end)
            roles.append(
                next(
                    (role, kind)
                    for role, known in (("Master", ip.masters), ("Slave", ip.slaves))
                    for pattern, kind in known.items()
                    if re.fullmatch(pattern, name)
                )
            )
        else:
            # A port is named by what it is outside.
            roles.append(found.ports[end])
        assert end not in found.partners, f"{end} is connected twice"
    (one, kind), (other, same) = roles
    assert kind == same
    inside = "/" in first and "/" in second
    assert (one, other) == ("Master", "Slave") if inside else one == other
    found.partners |= {first: second, second: first}
