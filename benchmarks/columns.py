"""What columns bring: batches, prefill and speculation on SmolLM2, in the accelerator's cycles, all in RTL.

Usage: ``python benchmarks/columns.py [batch] [prefill] [speculation] [--config kv260] [--columns 8] [--json FILE]``.
Everything is compared with one column of the same accelerator in the same run, bit for bit and in cycles.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.cli.options import config_option
from rtlm.host.figures.results import record, record_option
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.host.runtime.batch import generate_batch
from rtlm.host.runtime.engine import Engine
from rtlm.host.runtime.generation import Step, generate
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.runtime.simulation import simulate
from rtlm.host.runtime.speculation import NgramDraft

TEXT = Path(__file__).parent / "data/english.txt"
GREEDY = SamplingParams()
PREFILL_TOKENS = 64

STORY = (
    "The old lighthouse keeper climbed the spiral stairs every evening to light the great lamp. The great lamp could "
    "be seen for twenty miles, and the fishermen of the village steered home by it."
)
CODE = """def total_price(items, tax):
    total = 0
    for item in items:
        total += item.price * item.count
    return total * (1 + tax)
"""
SPECULATION = {
    "copy": f"Repeat this text word for word: {STORY}",
    "summary": f"Summarise this text in two sentences: {STORY}",
    "code edit": f"Rename the variable total to amount in this code and print the whole code:\n{CODE}",
    "list": "Write the numbers from 1 to 20 as a list, one on each line, each followed by the word sheep.",
    "new text": "Invent a dragon and say how it looks.",
}
"""Chat prompts: some whose answers repeat them, and one whose answer does not."""


QUANTITIES = {
    key: (unit, "measured in RTL")
    for key, unit in {
        "columns": "columns",
        "batch": "sequences",
        "cycles": "clock cycles",
        "cycles_per_token": "clock cycles",
        "tokens": "tokens",
        "steps": "steps",
        "drafted": "tokens",
        "accepted": "of the guesses",
        "speedup": "1",
    }.items()
}


class ColumnLimit:
    """An engine of which only some columns are used."""

    def __init__(self, engine: Engine, columns: int):
        self.columns = columns
        self.context = engine.context
        self.step = engine.step


def cycles(steps: Iterable[Step]) -> int:
    """Sum of the steps' cycles."""
    return sum(step.result.counters["CYCLES"] for step in steps)


def texts(steps: Iterable[Step], sequences: int) -> list[list[int]]:
    """Tokens of each sequence."""
    found: list[list[int]] = [[] for _ in range(sequences)]
    for step in steps:
        for column, token in zip(step.inputs, step.tokens, strict=False):
            found[column.slot].append(token)
    return found


def measure_batch(engine: Engine, tokenizer: Tokenizer, tokens: int) -> list[dict]:
    """Decode as many sequences as there are columns, together and each alone."""
    paragraphs = [tokenizer.encode(line)[:8] for line in TEXT.read_text().splitlines() if len(line) > 60]
    prompts = paragraphs[: engine.columns]
    how = {"max_tokens": tokens, "stop": frozenset(), "sampling": GREEDY}
    together = list(generate_batch(engine, prompts, **how))
    alone = [list(generate(ColumnLimit(engine, 1), prompt, **how)) for prompt in prompts]
    equal = texts(together, len(prompts)) == [texts(steps, 1)[0] for steps in alone]
    decode = [step for step in together if not step.prefill]
    decode_alone = [step for steps in alone for step in steps if not step.prefill]
    one = cycles(decode_alone) / len(decode_alone)
    all_columns = cycles(decode) / sum(len(step.tokens) for step in decode)
    return [
        {"batch": 1, "cycles_per_token": one, "speedup": 1.0, "same_text": True},
        {
            "batch": len(prompts),
            "cycles_per_token": all_columns,
            "speedup": one / all_columns,
            "same_text": equal,
        },
    ]


def measure_prefill(engine: Engine, tokenizer: Tokenizer) -> list[dict]:
    """Feed a prompt token by token and on all columns, and compare cycles, KV cache and logits."""
    kv = engine.memory.regions["kv0"]
    empty = np.zeros(kv.words * engine.params.word_bytes, np.uint8)
    prompt = tokenizer.encode(TEXT.read_text())[:PREFILL_TOKENS]
    rows, results = [], []
    for columns in (1, engine.columns):
        engine.device.write_words(kv.start, empty)
        steps = list(
            generate(
                ColumnLimit(engine, columns),
                prompt,
                max_tokens=1,
                stop=frozenset(),
                sampling=GREEDY,
                read_logits=True,
            )
        )
        results.append((engine.device.read_words(kv.start, kv.words), steps[-1].result.logits[-1].view(np.uint32)))
        rows.append({"columns": columns, "tokens": len(prompt), "cycles": cycles(steps)})
    same = all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    for row in rows:
        row |= {"speedup": rows[0]["cycles"] / row["cycles"], "same_kv_and_logits": same}
    return rows


def measure_speculation(engine: Engine, tokenizer: Tokenizer, tokens: int) -> list[dict]:
    """Decode with and without drafts."""
    rows = []
    for name, text in SPECULATION.items():
        prompt = tokenizer.encode(tokenizer.chat([{"role": "user", "content": text}]))
        how = {"max_tokens": tokens, "stop": tokenizer.stop, "sampling": GREEDY}
        plain = list(generate(engine, prompt, **how))
        drafted = list(generate(engine, prompt, **how, draft=NgramDraft()))
        decode = [step for step in drafted if not step.prefill]
        new = sum(len(step.tokens) for step in decode)
        drafts = sum(step.drafted for step in decode)
        rows.append(
            {
                "prompt": name,
                "tokens": new,
                "steps": len(decode),
                "drafted": drafts,
                "accepted": (new - len(decode)) / drafts if drafts else 0.0,
                "speedup": cycles(step for step in plain if not step.prefill) / cycles(decode),
                "same_text": texts(plain, 1) == texts(drafted, 1),
                "text": tokenizer.decode(texts(drafted, 1)[0]),
            }
        )
        print_rows(name, rows[-1:])
    return rows


def print_rows(title: str, rows: Sequence[dict]) -> None:
    """Print a table."""
    table = Table(*(key.replace("_", " ") for key in rows[0] if key != "text"), title=title)
    for row in rows:
        cells = [value for key, value in row.items() if key != "text"]
        table.add_row(*(f"{x:,.3f}" if isinstance(x, float) else str(x) for x in cells))
    Console().print(table)


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(["batch", "prefill", "speculation"]))
@config_option
@click.option("--columns", default=8, show_default=True, help="Columns of the accelerator.")
@click.option("--tokens", default=48, show_default=True, help="Tokens of each answer.")
@click.option("--batch-tokens", default=6, show_default=True, help="Tokens of each sequence of the batch.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures as JSON.")
@record_option
def main(
    parts: tuple[str, ...],
    config: str,
    columns: int,
    tokens: int,
    batch_tokens: int,
    file: Path | None,
    record_as: str | None,
) -> None:
    """Measure batches, prefill and speculation."""
    configuration = load_config(config, (f"matmul.columns={columns}",))
    progress = TerminalProgress()
    model = LlamaModel.open(fetch(progress=progress.stage))
    tokenizer = Tokenizer(model.file)
    figures: dict[str, list[dict]] = {}
    with simulate(configuration, model, context=512, progress=progress) as simulation:
        progress.close()
        measures = {
            "batch": lambda: measure_batch(simulation.engine, tokenizer, batch_tokens),
            "prefill": lambda: measure_prefill(simulation.engine, tokenizer),
            "speculation": lambda: measure_speculation(simulation.engine, tokenizer, tokens),
        }
        for part in parts or measures:
            figures[part] = measures[part]()
            print_rows(f"{part}, {config} with {columns} columns", figures[part])
    record(record_as, {"columns": columns} | figures, QUANTITIES, rtl=[(config, (f"matmul.columns={columns}",))])
    if file:
        file.write_text(json.dumps({"config": config, "columns": columns} | figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
