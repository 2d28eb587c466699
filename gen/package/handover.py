"""Assembles output folders: the whole accelerator, one unit, or a user's kernel."""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib import resources
from typing import Any

from amaranth.lib import wiring
from rtlm.gen.boards.constraints import board_constraints, clock_constraint
from rtlm.gen.common.progress import Stage, no_stage
from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package import describe, headers, pages
from rtlm.gen.package.device_tree import device_tree_files
from rtlm.gen.package.driver import driver_files
from rtlm.gen.package.folder import NAMES, Package, port_table, to_json
from rtlm.gen.package.header import header
from rtlm.gen.package.ipxact import component_xml
from rtlm.gen.package.librelane import librelane_files, librelane_note
from rtlm.gen.package.prefix import check_prefix, prefixed_objects, prefixed_text
from rtlm.gen.package.templates import lint_waivers, systemverilog_template, verilog_template
from rtlm.gen.package.vivado import System, system, vivado_files
from rtlm.gen.rtl.units import KernelParams, Unit
from rtlm.gen.rtl.verilog import TOP, Emitted, build_rtl, emit
from rtlm.hw.common import clock_gate, mac
from rtlm.hw.common.clock_gate import ClockGating
from rtlm.hw.common.markdown import table
from rtlm.hw.registers import RegisterFile, RegisterMap
from rtlm.hw.registers.accelerator import register_map

CONFIGURATION = "configuration.yaml"
"""The configuration in the folder of an accelerator."""

ABOUT = {
    ".v": "the RTL, plain Verilog-2005; the same bytes on every machine",
    ".vlt": "waivers for `verilator --lint-only -Wall {name}.vlt {name}.v`, each with its reason",
    "_example.v": "instantiation template in Verilog",
    "_example.sv": "instantiation template in SystemVerilog, with the layouts of payloads as packed structures",
    "_clock.sdc": "the clock, for XDC and SDC readers",
    "manifest.json": "configuration, versions, ports, latency and what else is known, for programs",
    "schedule.svg": "which operator works in which cycle",
    "names.json": "for each module and signal of the Verilog its class and source line in Python",
    "driver/driver.c": "driver in C99 for any platform: steps, waits with an end, errors with texts",
    "driver/driver.h": "its functions, and what this accelerator is",
    "driver/main.c": "example for Linux: decodes tokens behind XDMA or UIO; run against the gates only, not on a board",
    "component.xml": "IP-XACT (IEEE 1685-2014): AXI interfaces, registers, files; checked against the standard's "
    "schema, not with Vivado",
    "registers.md": "register map, errors, how a step is run",
    "registers.h": "register map and errors as a C header",
    "instructions.md": "instruction set",
    "instructions.h": "instruction set as a C header",
    "memory-image.md": "what lies where in memory",
    CONFIGURATION: "the configuration; `--config` takes it, of `rtlm image` and others",
    "vivado/build.tcl": "Vivado project: synthesis, implementation, reports; not run",
    "vivado/clock.xdc": "the clock, for the script",
    "librelane/config.json": "LibreLane: the design; macros and process are to be added; not run",
    "librelane/accelerator.sdc": "the clock and what is assumed around the accelerator, in one file",
    "librelane/memories.ys": "yosys: memories become instances of a black box",
    "librelane/memories.json": "the memories that do: place, unit, width, words",
    "librelane/srams_map.v": "for this script",
    "librelane/rtlm_sram.v": "the black box, with a model for simulation",
    "_bd.v": "the accelerator with attributes for Vivado's block designs",
    "vivado/card_host.v": "between the XDMA and the rest of the block design",
    "vivado/card.xdc": "the path of the interrupt between clocks",
    ".dts": "device-tree overlay for Linux: clock, registers, interrupt and memory; compiled, not loaded on a board",
    "linux/reserved-memory.dts": "memory of the accelerator, for the device tree from which Linux boots",
    ".bif": "for bootgen, which makes the `.bit.bin` that Linux loads",
    "linux/shell.json": "for `xmutil` on Kria",
    "bench.py": "cocotb bench: random data, gaps and back-pressure against the golden model; `python bench.py` runs it",
    "bench.json": "what the bench needs to know",
    ".py": "the kernel, or what its file imports",
}
"""What each file is, by its end."""

SYSTEMS = {
    System.ZYNQ: "clock `pl_clk0`, registers at the beginning of HPM0_FPD, memory over the HP ports from MEMORY_BASE "
    "in the wrapper `_bd.v` on, interrupt `pl_ps_irq0`",
    System.CARD: "AMD's XDMA, registers at the beginning of its BAR, for each memory port memory of its own, "
    "interrupt `usr_irq_req`",
}
"""What a block design connects."""

BENCH_BEATS = 400
"""Beats that a kernel's bench sends."""


def accelerator_package(
    config: Configuration, documents: Mapping[str, str], progress: Stage = no_stage, *, prefix: str = ""
) -> Package:
    """Make the folder of a whole accelerator.

    Parameters
    ----------
    config
        Its configuration.
    documents
        Further files by name, from layers above.
    progress
        Called with a short text when there is work to do.
    prefix
        What the names of all modules begin with.

    Raises
    ------
    GenerateError
        If the RTL cannot be made, or the prefix makes no name.
    """
    check_prefix(prefix, TOP)
    rtl = build_rtl(config, progress)
    registers = register_map(config.matmul.columns)
    top, objects = f"{prefix}{TOP}", prefixed_objects(rtl.objects, prefix)
    verilog = prefixed_text(rtl.verilog.read_text(encoding="utf-8"), prefix)
    manifest = rtl.manifest | {
        "top": top,
        "registers": describe.registers(registers),
        "errors": describe.errors(),
        "instructions": describe.instructions(),
        "counters": describe.counters(),
        "latency": describe.unit_latencies(config.to_params()),
        "modules": _modules(objects),
    }
    package = Package(name=config.name, manifest=manifest)
    what = f"accelerator {config.name}, configuration {rtl.manifest['config_hash']}"
    verilog = header(what, rtl.manifest["verilog_sha256"]) + verilog
    _add_rtl(package, verilog, objects, rtl.manifest["ports"], top, config.clock_mhz, registers, prefix)
    package.texts |= {
        "registers.md": pages.registers_page(config.matmul.columns),
        "registers.h": headers.registers_header(config.matmul.columns),
        "instructions.md": pages.instructions_page(),
        "instructions.h": headers.instructions_header(),
        **board_constraints(config.board),
        **driver_files(config.to_params()),
        **device_tree_files(config, registers),
        **librelane_files(config, top, f"{config.name}.v", verilog),
        **vivado_files(config, top, rtl.manifest["ports"], registers, f"{config.name}.v"),
        **documents,
    }
    head = (
        f"# Accelerator `{config.name}`\n\nLLM decode: {config.matmul.lanes} lanes, {config.matmul.columns} "
        f"column{'s' if config.matmul.columns > 1 else ''}, {config.memory.ports} AXI4 ports of "
        f"{config.memory.port_bits} bits, {config.clock_mhz:g} MHz, "
        f"scheduled for {config.schedule_mhz:g} MHz ({config.technology}). "
        f"Configuration hash `{rtl.manifest['config_hash']}`, readable in a register.\n\n"
        "Connect `clk`, `rst` (synchronous, active high, one cycle or longer), `s_axi` (AXI4-Lite, registers), each "
        "`mN_axi` (AXI4 memory port; all reach the same memory) and `irq` (level). Signals that AXI has beside these "
        "(lock, cache, prot, qos) are the integration's.\n\n"
    )
    package.texts["README.md"] = head + files_table(package) + _vivado_note(package, config)
    package.texts["README.md"] += _clock_gate_note(config, prefix) + _mac_note(verilog, prefix) + librelane_note(config)
    return package


def unit_package(
    unit: Unit, params: Any, config: Configuration, progress: Stage = no_stage, *, prefix: str = ""
) -> Package:
    """Make the folder of one unit.

    Parameters
    ----------
    unit
        The unit.
    params
        Its parameters.
    config
        Returns clock and technology.
    progress
        Called with a short text when there is work to do.
    prefix
        What the names of all modules begin with.

    Raises
    ------
    GenerateError
        If the RTL cannot be made, or the prefix makes no name.
    """
    check_prefix(prefix, unit.module)
    progress(f"generating RTL of {unit.name}")
    component = unit.build(params, clock_mhz=config.schedule_mhz, technology=config.technology)
    emitted = emit(component, unit.module)
    settings = {
        "unit": unit.name,
        "parameters": asdict(params) if is_dataclass(params) and not isinstance(params, type) else {},
        "clock_mhz": config.clock_mhz,
        "technology": config.technology,
        "config_name": config.name,
    }
    what = f"unit {unit.name} for configuration {config.name}"
    package = component_package(unit.module, component, emitted, config.clock_mhz, settings, what=what, prefix=prefix)
    if isinstance(component, RegisterFile):
        package.texts |= {
            "registers.md": pages.registers_page(params.columns),
            "registers.h": headers.registers_header(params.columns),
        }
        package.manifest |= {"registers": describe.registers(component.registers), "errors": describe.errors()}
    if unit.kernel is not None:
        add_bench(package, kernel=f"rtlm.hw.kernels:{unit.kernel.name}", top=f"{prefix}{unit.module}", params=params)
    body = f"# Unit `{unit.name}`\n\n{unit.summary}\n\n"
    package.texts["README.md"] = body + component_text(component, emitted, settings) + files_table(package)
    return package


def component_package(
    module: str,
    component: wiring.Component,
    emitted: Emitted,
    clock_mhz: float,
    settings: Mapping[str, Any],
    *,
    what: str,
    prefix: str = "",
) -> Package:
    """Make a folder without README for one component.

    Parameters
    ----------
    module
        Name of its Verilog module, and of the whole.
    component, emitted
        The component, and its Verilog.
    clock_mhz
        Clock that it is scheduled for.
    settings
        What it was made from.
    what
        What it is, for the head of the Verilog.
    prefix
        What the names of all modules begin with.
    """
    top, objects = f"{prefix}{module}", prefixed_objects(emitted.objects, prefix)
    manifest = {
        "top": top,
        **settings,
        "ports": list(emitted.ports),
        "latency": {module: describe.latency(component)},
        "modules": _modules(objects),
        "elements_are": "estimated from the netlist without synthesis",
        "elements": {name: counts.to_json() for name, counts in sorted(emitted.elements.items())},
        "verilog_sha256": emitted.sha256,
    }
    package = Package(name=module, manifest=manifest)
    registers = component.registers if isinstance(component, RegisterFile) else None
    verilog = header(what, emitted.sha256) + prefixed_text(emitted.verilog, prefix)
    _add_rtl(package, verilog, objects, emitted.ports, top, clock_mhz, registers, prefix)
    return package


def add_bench(package: Package, *, kernel: str, top: str, params: KernelParams, bench: str = "bench") -> None:
    """Add the cocotb bench of a kernel or region to a folder.

    Parameters
    ----------
    package
        The folder.
    kernel
        Where the bench finds the kernel, seen from the folder.
    top
        Verilog module.
    params
        Size of the pipeline.
    bench
        Which one: a module of ``kernel_bench``.
    """
    settings = {"kernel": kernel, "top": top, **asdict(params), "beats": BENCH_BEATS}
    package.texts["bench.json"] = json.dumps(settings, indent=2) + "\n"
    source = resources.files("rtlm.gen.package") / "kernel_bench" / f"{bench}.py"
    package.texts["bench.py"] = source.read_text(encoding="utf-8")


def _add_rtl(
    package: Package,
    verilog: str,
    objects: Mapping[str, Any],
    ports: Any,
    module: str,
    clock_mhz: float,
    registers: RegisterMap | None,
    prefix: str,
) -> None:
    """Add what every folder has."""
    name = package.name
    wrapper = f"{prefix}{name}_example".replace("-", "_")
    package.texts |= {
        f"{name}.v": verilog,
        f"{name}.vlt": lint_waivers(f"{name}.v"),
        f"{name}_clock.sdc": clock_constraint(module, clock_mhz),
        f"{wrapper}.v": verilog_template(module, wrapper, ports),
        f"{wrapper}.sv": systemverilog_template(module, wrapper, ports),
        NAMES: to_json(objects),
        "component.xml": component_xml(
            name=name,
            module=module,
            description=f"Generated by rtlm; top module {module}.",
            ports=ports,
            files=[f"{name}.v"],
            registers=registers,
        ),
    }


def _modules(objects: Mapping[str, Any]) -> dict[str, str]:
    """Return the Python class of each module of this project, by its hierarchical Verilog name."""
    return {name: known["class"] for name, known in objects.items() if (known["class"] or "").startswith("rtlm.")}


def component_text(component: wiring.Component, emitted: Emitted, settings: Mapping[str, Any]) -> str:
    """Describe a component in Markdown: parameters, documentation, ports."""
    parameters = table(("parameter", "value"), ((f"`{name}`", value) for name, value in settings["parameters"].items()))
    return (
        f"Scheduled for {settings['clock_mhz']:g} MHz ({settings['technology']}).\n\n"
        f"{parameters}\n{_latency_text(component)}"
        f"## What it does\n\n{describe.documentation(component)}\n\n"
        f"## Ports\n\nA stream moves its payload in each cycle in which `valid` and `ready` are both 1.\n\n"
        f"{port_table(emitted.ports)}\n"
    )


def _latency_text(component: wiring.Component) -> str:
    cycles = describe.latency(component)["cycles"]
    if cycles is None:
        return ""
    if isinstance(cycles, dict):
        return "".join(f"* Latency, {name}: {value} cycles\n" for name, value in cycles.items()) + "\n"
    return f"Its `latency` is {cycles} cycles.\n\n"


def files_table(package: Package) -> str:
    """Return a Markdown table of the files of a folder and what each is."""
    rows = []
    for name in sorted({*package.texts, "manifest.json"} - {"README.md"}):
        # The longest end that fits: a template's name ends like the Verilog's.
        ends = sorted((end for end in ABOUT if name.endswith(end)), key=len)
        text = ABOUT[ends[-1]] if ends else "constraints of the board or process, with their sources"
        rows.append((f"`{name}`", text.format(name=package.name)))
    return f"## Files\n\n{table(('file', ''), rows)}"


def _vivado_note(package: Package, config: Configuration) -> str:
    if "vivado/build.tcl" not in package.texts:
        return ""
    text = (
        "\n## Vivado\n\n`vivado -mode batch -source vivado/build.tcl` synthesises and implements the accelerator "
        "alone, out of context, and writes timing, utilisation and power to `vivado/alone/`; its exit code is 1 if the "
        "clock is missed. "
    )
    if kind := system(config):
        text += (
            f"With `-tclargs system` it builds a block design with {kind.value} ({SYSTEMS[kind]}) and a bitstream in "
        )
        text += "`vivado/system/`. "
    return text + (
        "The script was not run with Vivado, only with stand-ins for its commands. The block design has the "
        "ports that the board's constraints name.\n"
    )


def _clock_gate_note(config: Configuration, prefix: str) -> str:
    gating = ClockGating(config.clock_gating)
    if gating == ClockGating.OFF:
        return ""
    module = f"\n## Clock\n\nThe module `{prefix}{clock_gate.MODULES[gating]}` at the end of the Verilog "
    if gating == ClockGating.SIMULATOR:
        return (
            f"{module}passes the clock on: all registers are on one clock. Only a simulator that defines "
            f"`{clock_gate.SIMULATION_MACRO}` stops it where nothing would change, which is faster.\n"
        )
    return (
        f"{module}is the model of an integrated clock gate, a latch and an AND gate. Define "
        f"`{clock_gate.CELL_MACRO}` as an instance of the library's cell on `clk`, `enable` and `gated`.\n"
    )


def _mac_note(verilog: str, prefix: str) -> str:
    if mac.MODULE not in verilog:
        return ""
    return (
        f"\n## Multipliers with sums\n\nThe module `{prefix}{mac.MODULE}` at the end of the Verilog multiplies and "
        "adds up, in behavioural form. For AMD UltraScale and UltraScale+ define "
        f"`{mac.BLOCK_MACRO}`: then each instance is one DSP48E2.\n"
    )
