"""``rtlm list``, ``rtlm show`` and ``rtlm schema``."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.host.cli.models import check_context, context_option, for_option, licence_option, named_file
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import set_option


@click.command(name="list")
@click.argument(
    "what",
    required=False,
    type=click.Choice(["units", "presets", "boards", "parameters", "technologies", "memories"]),
)
@for_option
@context_option
@licence_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(what: str | None, model: str | None, context: int | None, licences: tuple[str, ...], as_json: bool) -> None:
    """List units, presets, boards, parameters, technologies and memories; all of them, or one kind.

    With --for MODEL, each preset says whether it holds the model, what it lacks, and the options that add it.

    \b
    Examples:
      rtlm list
      rtlm list parameters --json
      rtlm list presets --for model.gguf
    """
    if model is not None:
        if what != "presets":
            raise click.UsageError("--for MODEL goes with presets: rtlm list presets --for MODEL.")
        from rtlm.host.cli.fitting import fit_text, lacking, preset_fits
        from rtlm.host.models.paper import open_model

        opened = open_model(named_file(model, licences))
        if lacks := lacking(opened):
            print(lacks, file=sys.stderr)
        fits = preset_fits(opened, context)
        print(json.dumps(fits, indent=2) if as_json else "\n".join(["presets", *map(fit_text, fits)]))
        return
    check_context(model, context)
    found = {name: section() for name, section in SECTIONS.items() if what in (None, name)}
    if as_json:
        print(json.dumps(found if what is None else found[what], indent=2))
        return
    print("\n\n".join(f"{name}\n{_text(entries)}" for name, entries in found.items()))


@click.command()
@click.argument("config", default=DEFAULT_PRESET, shell_complete=complete("presets", files=True))
@set_option
@for_option
@context_option
@licence_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(
    config: str,
    overrides: tuple[str, ...],
    model: str | None,
    context: int | None,
    licences: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print a configuration with everything that follows from it.

    CONFIG is a preset or a YAML file; without it the default preset is shown. The output is a YAML file that can be
    used as a configuration again. With --for MODEL, the configuration is changed to hold the model; what was changed
    is said on standard error.

    \b
    Examples:
      rtlm show kv260 --set matmul.lanes=256
      rtlm show kv260 --for model.gguf > mine.yaml
    """
    import yaml
    from rtlm.gen.configuration.load import config_hash, load_config

    check_context(model, context)
    loaded = load_config(config, overrides)
    if model is not None:
        from rtlm.host.cli.fitting import fitted

        loaded, said = fitted(loaded, named_file(model, licences), context)
        print(said, file=sys.stderr)
    values = loaded.model_dump(mode="json")
    follows = {"hash": config_hash(loaded), **loaded.derived()}
    if as_json:
        print(json.dumps({"config": values, "derived": follows}, indent=2))
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")
        print("\n# follows from it")
        for name, value in follows.items():
            print(f"# {name}: {value}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of configuration files, for editors.

    \b
    Examples:
      rtlm schema > rtlm.schema.json

    Editors with the YAML language server read it where the first line of a configuration is
    "# yaml-language-server: $schema=rtlm.schema.json".
    """
    from rtlm.gen.configuration.schema import Configuration, json_schema

    print(json_schema(Configuration), end="")


def _text(entries: list[dict[str, Any]]) -> str:
    """Write entries for people: name and meaning; parameters on two lines."""
    lines = []
    for entry in entries:
        if "allowed" in entry:
            default = json.dumps(entry["default"])
            lines.append(f"  {entry['name']:27} {entry['type']}: {entry['allowed']}; default {default}")
            lines.append(f"{'':30}{entry['meaning']}")
        else:
            lines.append(f"  {entry['name']:21} {entry['meaning']}")
    return "\n".join(lines)


def _units() -> list[dict[str, Any]]:
    from rtlm.gen.rtl.units import UNITS

    whole = {"name": "accelerator", "meaning": "The whole accelerator of a configuration."}
    own = {"name": "kernel", "meaning": "A kernel of your own: rtlm generate kernel FILE.py:FUNCTION."}
    return [whole, own, *({"name": unit.name, "meaning": unit.summary} for unit in UNITS.values())]


def _presets() -> list[dict[str, Any]]:
    from rtlm.gen.configuration.load import preset_names, preset_text

    return [{"name": name, "meaning": _first_comment(preset_text(name))} for name in preset_names()]


def _boards() -> list[dict[str, Any]]:
    from rtlm.gen.configuration.schema import BOARDS

    return [{"name": name, "meaning": meaning} for name, meaning in BOARDS.items()]


def _parameters() -> list[dict[str, Any]]:
    from rtlm.gen.configuration.load import load_config
    from rtlm.gen.package.pages import parameter_list

    return [{"name": entry.pop("key"), **entry} for entry in parameter_list(load_config(DEFAULT_PRESET))]


def _technologies() -> list[dict[str, Any]]:
    from rtlm.hw.hls.technology import TECHNOLOGIES

    return [
        {"name": name, "meaning": f"a level of logic {delays.level_ns:g} ns, a multiplier {delays.multiply_ns:g} ns"}
        for name, delays in TECHNOLOGIES.items()
    ]


def _memories() -> list[dict[str, Any]]:
    import inspect

    from rtlm.sim.memory.dram import GRADES

    return [{"name": name, "meaning": (inspect.getdoc(make) or "").partition("\n")[0]} for name, make in GRADES.items()]


def _first_comment(text: str) -> str:
    """Return the first sentence that a preset's file says about itself."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


SECTIONS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "units": _units,
    "presets": _presets,
    "boards": _boards,
    "parameters": _parameters,
    "technologies": _technologies,
    "memories": _memories,
}
"""What can be listed; each entry has at least a name and a meaning."""
