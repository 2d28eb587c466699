"""``rtlm convert``."""

from pathlib import Path

import click
from rtlm.gen.common.errors import OK
from rtlm.host.cli.options import check_writable

FORMATS = (
    "q8_0",
    "q6_k",
    "q5_k",
    "q5_1",
    "q5_0",
    "q4_k",
    "q4_1",
    "q4_0",
    "mxfp4",
    "q3_k",
    "q2_k",
    "tq2_0",
    "tq1_0",
)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--format", type=click.Choice(FORMATS), default="q8_0", show_default=True, help="Of the layers' matrices."
)
@click.option(
    "--output",
    "-o",
    required=True,
    metavar="FILE.gguf",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; an earlier one is replaced.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
def convert(folder: Path, format: str, output: Path, quiet: bool) -> int:
    """Make a GGUF file from a model folder as Hugging Face has it: config.json, *.safetensors, tokenizer.json.

    Embedding and output projection become Q8_0, norms F32. Q2_K to Q6_K, TQ1_0 and TQ2_0 need rows of a multiple of
    256 weights; other matrices become Q4_0, Q5_0, Q5_1 or Q8_0, which is printed. Folders of the families llama,
    granite, smollm3, qwen2, qwen3 and gemma3 (text) are read (docs/families.md).

    \b
    Examples:
      rtlm convert SmolLM2-135M-Instruct --format q4_k -o smollm2.gguf
    """
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.host.conversion.convert import convert as convert_folder
    from rtlm.host.conversion.quantisation import FALLBACKS
    from rtlm.host.models.model import LAYER_MATRICES
    from rtlm.hw.formats import BlockFormat

    check_writable("--output", output)
    asked = BlockFormat[format.upper()]
    progress = SilentProgress() if quiet else TerminalProgress()
    try:
        model = convert_folder(folder, output, format=asked, progress=progress.stage)
    finally:
        progress.close()
    if not quiet:
        print(f"{output}: {model.family.architecture}, {model.layers} layers, {model.vocab} tokens")
        # All layers have matrices of the same shapes.
        if others := [name for name in LAYER_MATRICES if model.matrix(name, 0).type.name != asked.name]:
            print(
                f"{', '.join(others)} became {FALLBACKS[asked].name}, as their rows are no multiple of "
                f"{asked.block_weights} weights"
            )
    return OK
