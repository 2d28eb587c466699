"""``rtlm list`` and ``rtlm show``."""

import json
from collections.abc import Iterator

import click
from rtlm.host.cli_common import set_option
from rtlm.host.session_options import DEFAULT_CONFIG


@click.command(name="list")
def list_() -> None:
    """List presets, boards, memories and parameters."""
    from rtlm.gen.config import preset_names, preset_text
    from rtlm.gen.schema import BOARDS, DRAM_GRADES, TECHNOLOGIES

    print("presets")
    for name in preset_names():
        print(f"  {name:12}{_first_comment(preset_text(name))}")
    print("\nparameters")
    for key, allowed, meaning in _parameters():
        print(f"  {key:28}{allowed}\n{'':30}{meaning}")
    print(f"\nboards        {', '.join(BOARDS)}")
    print(f"technologies  {', '.join(TECHNOLOGIES)}")
    print(f"memories      {', '.join(DRAM_GRADES)}")


@click.command()
@click.argument("config", default=DEFAULT_CONFIG)
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(config: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print a configuration with everything that follows from it.

    CONFIG is a preset or a YAML file; without it the default preset is shown.

    \b
    Example:
      rtlm show kv260 --set matmul.lanes=256
    """
    import yaml
    from rtlm.gen.config import config_hash, load_config

    loaded = load_config(config, overrides)
    values = loaded.model_dump(mode="json")
    follows = {"hash": config_hash(loaded), **loaded.derived()}
    if as_json:
        print(json.dumps({"config": values, "derived": follows}, indent=2))
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")
        print("\n# follows from it")
        for name, value in follows.items():
            print(f"# {name}: {value}")


def _first_comment(text: str) -> str:
    """Give the first sentence that a preset's file says about itself."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def _parameters() -> Iterator[tuple[str, str, str]]:
    """Give key, allowed values and meaning of each parameter."""
    from rtlm.gen.schema import Configuration, Section

    def walk(section: type[Section], prefix: str) -> Iterator[tuple[str, str, str]]:
        for name, field in section.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from walk(kind, f"{prefix}{name}.")
            else:
                allowed = next((entry.allowed for entry in field.metadata if hasattr(entry, "allowed")), "")
                yield f"{prefix}{name}", allowed or "a text or a mapping", (field.description or "").rstrip(".")

    return walk(Configuration, "")
