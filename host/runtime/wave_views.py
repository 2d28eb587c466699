"""What a waveform viewer shows first: signals by unit, with the names of opcodes, operators and states.

Beside a waveform go a save file of GTKWave (with one file of names for each enumeration) and a command file of Surfer
(with mapping translators below ``.surfer/mappings``, where Surfer looks in the folder in which it is started).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlm.gen.rtl.verilog import TOP
from rtlm.gen.rtl.verilog_names import ValueNames, VerilogModule, instances, read_verilog

SCOPE = "TOP"
"""What Verilator puts around the design."""

UNITS = ("sequencer", "reader", "matmul", "banks", "attention", "vector", "writer")
"""Units, in the order of the data."""

FLAGS = ("busy", "idle", "starved", "starved_credit", "blocked_activation", "blocked_output", "done", "ended")
"""What units say of themselves."""

GTKWAVE_SUFFIX, SURFER_SUFFIX, NAMES_SUFFIX = ".gtkw", ".sucl", ".names"
MAPPINGS = Path(".surfer", "mappings")
"""Where Surfer looks for names, below the folder in which it is started."""

_TOP_PINS = ("clk", "rst", "irq")
_PLAIN = re.compile(r"[A-Za-z]\w*|(decoded|issued_head|i_command__payload)\.\w+")
"""Names without a suffix from Amaranth, and of fields those of instructions and commands."""
_CONSTANT = ("Burst", "SegmentKind")
"""Enumerations that do not change, or are seen elsewhere."""
_HANDSHAKE = re.compile(r"\w*(valid|ready)")
_DIGITS = "abcdefghijklmnop"


@dataclass(frozen=True, kw_only=True)
class ShownSignal:
    """A signal of a view.

    Parameters
    ----------
    scope
        Instance that it is in, with the scope around the design.
    name
        Its name there.
    bits
        Width.
    values
        Names of its values; None for a number.
    """

    scope: str
    name: str
    bits: int
    values: ValueNames | None = None

    @property
    def path(self) -> str:
        """Its name in the waveform."""
        return f"{self.scope}.{self.name}"


def write_views(waveform: Path, verilog: str, objects: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write what GTKWave and Surfer read beside a waveform, and return both files; existing ones are replaced.

    Parameters
    ----------
    waveform
        The waveform.
    verilog, objects
        Text of the design, and what was generated beside it.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    groups = shown_signals(verilog, objects)
    gtkwave, surfer = (waveform.with_suffix(suffix) for suffix in (GTKWAVE_SUFFIX, SURFER_SUFFIX))
    _write_gtkwave(gtkwave, waveform, groups)
    _write_surfer(surfer, groups)
    return gtkwave, surfer


def shown_signals(verilog: str, objects: Mapping[str, Any]) -> dict[str, list[ShownSignal]]:
    """Return the signals of a view, by group: clock, reset and ports, then unit by unit.

    Of each unit: its handshakes, the registers of its state machines and its enumerations, its flags; of what is
    within it the state machines and enumerations.

    Parameters
    ----------
    verilog, objects
        Text of the design, and what was generated beside it.
    """
    modules = read_verilog(verilog, objects)
    found = dict(instances(modules, TOP))
    groups = {"clock, reset, host": _top(modules[TOP], "s_axi_"), "memory ports": _top(modules[TOP], r"m\d+_axi_")}
    groups["activity"] = [
        _signal(TOP, modules[TOP], name) for name in ("operator", "attention_phase") if name in modules[TOP].signals
    ]
    for unit in UNITS:
        path = f"{TOP}.{unit}"
        module = found[path]
        handshakes = sorted(name for name in module.ports if _HANDSHAKE.fullmatch(name))
        flags = [name for name in FLAGS if module.signals.get(name) == 1]
        names = [*handshakes, *_named(module), *flags]
        signals = [_signal(path, module, name) for name in dict.fromkeys(names) if _PLAIN.fullmatch(name)]
        for inner, part in found.items():
            if inner.startswith(f"{path}."):
                signals += [_signal(inner, part, name) for name in _named(part) if "." not in name]
        groups[unit] = signals
    return groups


def _top(module: VerilogModule, ports: str) -> list[ShownSignal]:
    """Return pins of the top: those of the host with clock and reset, or those of the memory ports."""
    own = [*_TOP_PINS] if ports == "s_axi_" else []
    names = sorted(name for name in module.ports if re.fullmatch(rf"{ports}\w*(valid|ready|addr|len)", name))
    return [_signal("", module, name) for name in (*own, *names)]


def _signal(path: str, module: VerilogModule, name: str) -> ShownSignal:
    scope = f"{SCOPE}.{path}" if path else SCOPE
    return ShownSignal(scope=scope, name=name, bits=module.signals[name], values=module.values.get(name))


def _named(module: VerilogModule) -> list[str]:
    """Return the signals whose values have names; state machines and what has no dot in its name first."""
    named = ((name, values.kind) for name, values in module.values.items())
    plain = [name for name, kind in named if _PLAIN.fullmatch(name) and kind not in _CONSTANT]
    return sorted(plain, key=lambda name: ("." in name, not name.endswith("_state"), name))


def _kinds(groups: Mapping[str, Sequence[ShownSignal]]) -> dict[ValueNames, str]:
    """Return a name for each set of value names; of two enumerations of the same name the second gets a number."""
    kinds: dict[ValueNames, str] = {}
    for signals in groups.values():
        for each in signals:
            if each.values and each.values not in kinds:
                same = sum(other.kind == each.values.kind for other in kinds)
                kinds[each.values] = f"{each.values.kind}{same + 1 if same else ''}".lower()
    return kinds


def _write_gtkwave(path: Path, waveform: Path, groups: Mapping[str, Sequence[ShownSignal]]) -> None:
    from vcd.gtkw import GTKWSave, make_translation_filter

    # GTKWave looks for these files from the folder in which it is started.
    folder = waveform.with_suffix(NAMES_SUFFIX).absolute()
    folder.mkdir(exist_ok=True)
    files = {values: folder / f"{name}.txt" for values, name in _kinds(groups).items()}
    for values, file in files.items():
        file.write_text(make_translation_filter(values.names, "hex", values.bits) + "\n", encoding="utf-8")
    with path.open("w", encoding="utf-8") as out:
        save = GTKWSave(out)
        save.comment("Signals by unit; rtlm run --waves writes this file anew")
        save.dumpfile(str(waveform))
        for group, signals in groups.items():
            with save.group(group):
                for each in signals:
                    suffix = f"[{each.bits - 1}:0]" if each.bits > 1 else ""
                    names = str(files[each.values]) if each.values else None
                    save.trace(each.path + suffix, translate_filter_file=names)


def _write_surfer(path: Path, groups: Mapping[str, Sequence[ShownSignal]]) -> None:
    kinds = {values: f"rtlm_{name}" for values, name in _kinds(groups).items()}
    folder = path.parent / MAPPINGS
    folder.mkdir(parents=True, exist_ok=True)
    for values, name in kinds.items():
        lines = [f"Name = {name}", f"Bits = {values.bits}", *(f"{code} {text}" for code, text in values.names)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.write_text(
        "\n".join(["# Signals by unit, for: surfer -c", *_surfer_commands(groups, kinds), ""]), encoding="utf-8"
    )


def _surfer_commands(groups: Mapping[str, Sequence[ShownSignal]], kinds: Mapping[ValueNames, str]) -> Iterator[str]:
    """Yield commands that add the signals; a signal gets its format by its place in the list.

    Fields of commands and instructions are left out: their names have a dot, which Surfer takes for another scope.
    """
    place = 0
    for group, signals in groups.items():
        yield f"divider_add {group.replace(', ', '_').replace(' ', '_')}"
        place += 1
        for each in signals:
            if "." in each.name:
                continue
            yield f"variable_add {each.path}"
            if each.values:
                yield f"item_focus {_letters(place)}"
                yield f"item_set_format {kinds[each.values]}"
            place += 1
    yield "item_unfocus"
    yield "zoom_fit"


def _letters(place: int) -> str:
    """Return Surfer's name of a row: its number in base 16, with digits from a to p."""
    return "".join(_DIGITS[int(digit, 16)] for digit in f"{place:x}")
