"""``rtlm estimate``."""

import json
from pathlib import Path

import click
from rtlm.gen.common.errors import OK
from rtlm.host.cli.files import console, save
from rtlm.host.cli.models import NAMES, licence_option, named_file
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import Real, Whole, check_writable, config_option, set_option
from rtlm.host.power.libraries import LIBRARIES

DEFAULT_MODEL = "smollm2-135m"


@click.command(epilog="Errors against RTL: docs/estimates.md. The JSON has the keys of a report, docs/report.md.")
@click.option(
    "--model",
    "-m",
    "name",
    default=DEFAULT_MODEL,
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete("models", "fetched", files=True),
    help=f"A model on paper (docs/models.md), one that is fetched ({NAMES}), a GGUF file, or a Hugging Face "
    "config.json.",
)
@licence_option
@config_option
@set_option
@click.option(
    "--weights", default="q4_0", show_default=True, help="Block format of a model on paper: one of matmul.formats."
)
@click.option("--output-weights", default=None, help="Block format of its output projection; else that of the others.")
@click.option(
    "--group", type=Whole(32, 256), default=32, show_default=True, help="Weights that share a scale: 32, 64, 128, 256."
)
@click.option("--context", type=Whole(0), default=512, show_default=True, help="Positions in the KV cache.")
@click.option("--batch", type=Whole(1), default=1, show_default=True, help="Sequences that decode together.")
@click.option("--prompt", type=Whole(1), default=128, show_default=True, help="Prompt tokens before the first answer.")
@click.option("--host-us", type=Real(0), default=0.0, show_default=True, help="Host's time between steps.")
@click.option("--chips", type=Whole(1, 64), default=1, show_default=True, help="Chips that share heads and rows.")
@click.option("--link-gb-s", type=Real(0.001), default=12.5, show_default=True, help="Rate of a hop between chips.")
@click.option("--link-us", type=Real(0), default=1.0, show_default=True, help="Latency of a hop between chips.")
@click.option("--host-share", type=Whole(0), default=0, show_default=True, help="Layers that a processor computes.")
@click.option("--host-gb-s", type=Real(0.001), default=40.0, show_default=True, help="Rate at which it reads weights.")
@click.option(
    "--cells",
    type=click.Choice(LIBRARIES),
    default=LIBRARIES[0],
    show_default=True,
    help="Library of standard cells, for technology asic.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the estimate here too.")
def estimate(
    name: str,
    licences: tuple[str, ...],
    config: str,
    overrides: tuple[str, ...],
    weights: str,
    output_weights: str | None,
    group: int,
    context: int,
    batch: int,
    prompt: int,
    host_us: float,
    chips: int,
    link_gb_s: float,
    link_us: float,
    host_share: int,
    host_gb_s: float,
    cells: str,
    json_file: Path | None,
) -> int:
    """Estimate cycles, bytes and power of a model on an accelerator, without weights and without simulating.

    The configuration's limits grow to hold the model; what was changed is printed.

    \b
    Examples:
      rtlm estimate --model llama-2-7b --config kv260 --context 1024
      rtlm estimate --model llama-3-8b --config u280 --set matmul.columns=8 --batch 8
      rtlm estimate --model llama-2-7b --config u250 --chips 4 --link-gb-s 12.5
      rtlm estimate --model smollm2-135m --config asic --cells nangate45
    """
    from rtlm.gen.configuration.load import load_config
    from rtlm.host.estimation.estimate import EstimateRequest
    from rtlm.host.estimation.estimate import estimate as estimate_request
    from rtlm.host.estimation.scale_out import Link, Processor, scale_out
    from rtlm.host.estimation.table import render, render_scale_out
    from rtlm.host.models.paper import open_model

    if json_file:
        check_writable("--json", json_file)
    request = EstimateRequest(
        config=load_config(config, overrides),
        model=open_model(named_file(name, licences), weights=weights, output=output_weights, group=group),
        context=context,
        batch=batch,
        prompt=prompt,
        host_us=host_us,
        library=cells,
    )
    out = console()
    if chips == 1 and not host_share:
        result = estimate_request(request)
        values = result.to_json()
        out.print(render(result))
    else:
        divided = scale_out(
            request,
            chips=chips,
            link=Link(bytes_per_s=link_gb_s * 1e9, latency_s=link_us * 1e-6),
            processor=Processor(layers=host_share, bytes_per_s=host_gb_s * 1e9) if host_share else None,
        )
        values = divided.to_json()
        out.print(render(divided.chip), render_scale_out(divided))
    if json_file:
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        save("--json", str(json_file), lambda: json_file.write_text(text, encoding="utf-8"))
    return OK
