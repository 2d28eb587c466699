"""How much the accelerator's numerics cost: the golden model against float32 and against llama.cpp.

Usage: ``python benchmarks/accuracy.py [--output accuracy.json]``. Finished sequences are kept in the output file, so an
interrupted run continues where it stopped. Where the processor is shared, ``OPENBLAS_NUM_THREADS=1`` is faster.

``--texts`` takes the passages of one file instead of all, ``--markdown`` also writes the table of docs/accuracy.md.
``--kv-bits 4`` has a KV cache with codes of 4 bits.
llama.cpp's column is recorded; ``--record-llama-cpp`` computes it anew and is all that needs llama-cpp-python.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rtlm.host.errors import ModelError
from rtlm.host.figures.results import record as record_results
from rtlm.host.figures.results import record_option, text_hash
from rtlm.host.golden.model import GoldenModel
from rtlm.host.golden.reference import ReferenceModel
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.sources import SMOLLM2
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.hw.common.kv_codes import KV_BITS
from rtlm.hw.common.layouts import STORED_BITS

HERE = Path(__file__).resolve().parent
TEXTS = (HERE / "data" / "english.txt", HERE / "data" / "kinds.txt")
LLAMA_CPP_TEXTS = HERE / "data" / "llamacpp_texts.json"
"""What llama.cpp itself loses on these texts, by the SHA-256 of a file and by passage."""
LLAMA_CPP = HERE.parent / "tests" / "data" / "llamacpp_greedy.json"
CLEAR_MARGIN = 1.5
"""Above this margin between llama.cpp's best two logits another arg-max is an error; below, its own builds differ."""

LIMITS = {
    "clear_agreement": (">=", 1.0),
    "agreement": (">=", 0.95),
    "top5_difference": ("<", 0.4),
    "kl": ("<=", 0.01),
    "perplexity_change": ("<=", 0.006),
}
NUMERICS = (
    "benchmarks/accuracy.py",
    "hw/common/kv_codes.py",
    "hw/formats",
    "hw/hls",
    "hw/kernels",
    "hw/matmul",
    "host/golden",
    "host/compiler",
)
"""Source that decides the figures."""
GOLDEN = "golden model"
QUANTITIES = {
    "tokens": ("tokens", GOLDEN),
    "kl": ("nats a token", GOLDEN),
    "float_perplexity": ("1", GOLDEN),
    "golden_perplexity": ("1", GOLDEN),
    "perplexity_change": ("of float32's", GOLDEN),
    "perplexity_change_error": ("of float32's", GOLDEN),
    "float_agreement": ("of the tokens", GOLDEN),
    "llama_cpp_kl": ("nats a token", "measured on this computer"),
    "llama_cpp_agreement": ("of the tokens", "measured on this computer"),
    "steps": ("tokens", GOLDEN),
    "clear_steps": ("tokens", GOLDEN),
    "clear_agreement": ("of the tokens", GOLDEN),
    "agreement": ("of the tokens", GOLDEN),
    "top5_difference": ("1", GOLDEN),
}
MEANINGS = {
    "clear_agreement": f"arg-max agrees with llama.cpp where its margin exceeds {CLEAR_MARGIN}",
    "agreement": "arg-max agrees with llama.cpp, all positions",
    "top5_difference": "mean |difference| to llama.cpp's top-5 logits",
    "kl": "mean KL(float32 || golden), nats a token",
    "perplexity_change": "perplexity against float32, relative",
}


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities, in double precision."""
    x = logits.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def compare_with_float(
    tokens: list[int], reference: NDArray[np.float32], golden: NDArray[np.float32]
) -> dict[str, float]:
    """Return sums over the tokens of a text: KL, negative log likelihoods, their squared difference, agreement."""
    p, q = log_softmax(reference), log_softmax(golden)
    index = np.arange(len(tokens) - 1), np.asarray(tokens[1:])
    expected, actual = -p[index], -q[index]
    return {
        "tokens": len(tokens),
        "kl_sum": float((np.exp(p) * (p - q)).sum()),
        "predicted": len(expected),
        "float_nll": float(expected.sum()),
        "golden_nll": float(actual.sum()),
        "change_squares": float(((actual - expected) ** 2).sum()),
        "same_argmax": int((p.argmax(axis=-1) == q.argmax(axis=-1)).sum()),
    }


def compare_with_llama_cpp(steps: list[dict], logits: NDArray[np.float32]) -> dict[str, float]:
    """Return counts over the generated tokens of one prompt; ``logits`` are those that predict them."""
    same = logits.argmax(axis=-1) == [step["token"] for step in steps]
    clear = np.array([step["margin"] for step in steps]) > CLEAR_MARGIN
    differences = [abs(row[t] - v) for row, step in zip(logits, steps, strict=True) for t, v, _ in step["top5"]]
    return {
        "steps": len(steps),
        "same": int(same.sum()),
        "clear": int(clear.sum()),
        "clear_same": int(same[clear].sum()),
        "differences": len(differences),
        "difference_sum": float(np.sum(differences)),
    }


def passages(path: Path) -> dict[str, str]:
    """Return the passages of a text file by their source; see the head of the file."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line[3:], [])
        elif not line.startswith("#"):
            lines.append(line)
    return {source: "\n".join(lines).strip() + "\n" for source, lines in found.items()}


def summarise(sequences: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the figures over all sequences, with the standard error of the perplexity's change."""

    def total(key: str) -> float:
        return sum(sequence.get(key, 0) for sequence in sequences.values())

    summary: dict[str, Any] = {}
    if count := total("predicted"):
        change = (total("golden_nll") - total("float_nll")) / count
        summary |= {
            "tokens": int(total("tokens")),
            "kl": total("kl_sum") / total("tokens"),
            "float_perplexity": math.exp(total("float_nll") / count),
            "golden_perplexity": math.exp(total("golden_nll") / count),
            "perplexity_change": math.expm1(change),
            "perplexity_change_error": math.sqrt(max(total("change_squares") / count - change**2, 0) / count),
            "float_agreement": total("same_argmax") / total("tokens"),
        }
    if total("steps"):
        summary |= {
            "steps": int(total("steps")),
            "clear_steps": int(total("clear")),
            "clear_agreement": total("clear_same") / total("clear"),
            "agreement": total("same") / total("steps"),
            "top5_difference": total("difference_sum") / total("differences"),
        }
    return summary


def passes(name: str, value: float) -> bool:
    """Whether a figure keeps its limit."""
    relation, limit = LIMITS[name]
    return {">=": value >= limit, "<=": value <= limit, "<": value < limit}[relation]


class Evaluation:
    """The two models of one file, loaded when first needed."""

    def __init__(self, path: Path, *, kv_bits: int = STORED_BITS):
        self.path = path
        self.kv_bits = kv_bits
        self.model = LlamaModel.open(path)
        self.tokenizer = Tokenizer(self.model.file)
        self._golden: GoldenModel | None = None
        self._reference: ReferenceModel | None = None

    def golden(self, tokens: list[int]) -> NDArray[np.float32]:
        """Return the golden model's logits."""
        self._golden = self._golden or GoldenModel(self.model, kv_bits=self.kv_bits)
        return self._golden.evaluate(tokens, self._golden.cache(len(tokens)))

    def text(self, text: str) -> dict[str, float]:
        """Evaluate one passage."""
        tokens = self.tokenizer.encode(text)
        self._reference = self._reference or ReferenceModel(self.model)
        return compare_with_float(tokens, self._reference.logits(tokens), self.golden(tokens))

    def llama_cpp(self, text: str) -> dict[str, float]:
        """Evaluate one passage by llama.cpp, with its default float16 KV cache."""
        from llama_cpp import Llama

        tokens = self.tokenizer.encode(text)
        llama = Llama(str(self.path), n_ctx=len(tokens) + 8, logits_all=True, n_gpu_layers=0, verbose=False)
        llama.eval(tokens)
        self._reference = self._reference or ReferenceModel(self.model)
        sums = compare_with_float(tokens, self._reference.logits(tokens), np.asarray(llama.scores[: len(tokens)]))
        return {name: sums[name] for name in ("tokens", "kl_sum", "same_argmax")}

    def prompt(self, entry: dict[str, Any]) -> dict[str, float]:
        """Evaluate one of llama.cpp's prompts, fed with the tokens that llama.cpp chose."""
        tokens = [*entry["prompt_ids"], *entry["generated_ids"][:-1]]
        return compare_with_llama_cpp(entry["steps"], self.golden(tokens)[len(entry["prompt_ids"]) - 1 :])


def fingerprint(model: Path, *others: Path, kv_bits: int) -> str:
    """Return a hash of everything a kept result depends on: the model, the inputs and the source of the numerics."""
    digest = hashlib.sha256(f"{kv_bits} bits {text_hash(NUMERICS)}".encode())
    for path in (model, *others):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def load(path: Path, key: str) -> dict[str, dict[str, float]]:
    """Return the sequences that an earlier run with the same inputs has finished."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept["sequences"] if kept["fingerprint"] == key else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def save(path: Path, content: dict[str, Any]) -> None:
    """Write atomically."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


@click.command()
@click.option("--model", type=click.Path(path_type=Path, dir_okay=False), help="GGUF file; SmolLM2-135M by default.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("accuracy.json"))
@click.option("--texts", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Passages; all by default.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the table of texts.")
@click.option(
    "--kv-bits",
    type=click.Choice([str(bits) for bits in KV_BITS]),
    default=str(STORED_BITS),
    help="As attention.kv_bits.",
)
@click.option("--record-llama-cpp", is_flag=True, help="Only write what llama.cpp itself loses on the texts.")
@record_option
def main(
    model: Path | None,
    output: Path,
    texts: Path | None,
    markdown: Path | None,
    kv_bits: str,
    record_as: str | None,
    *,
    record_llama_cpp: bool,
) -> None:
    """Measure the golden model's accuracy and write it as JSON."""
    files = TEXTS if texts is None else (texts,)
    try:
        path = model or fetch(SMOLLM2)
        if record_llama_cpp:
            record(path, files)
        else:
            sequences, llama_cpp = run(path, output, files, markdown, kv_bits=int(kv_bits))
            record_results(record_as, figures(sequences, llama_cpp), QUANTITIES, source=NUMERICS)
    except ModelError as error:
        raise click.ClickException(str(error)) from None


def all_passages(files: Sequence[Path]) -> dict[str, str]:
    """Return the passages of all files by their source."""
    return {source: text for path in files for source, text in passages(path).items()}


def recorded() -> dict[str, dict[str, dict[str, float]]]:
    """Return llama.cpp's own sums, by the SHA-256 of a file and by passage."""
    return json.loads(LLAMA_CPP_TEXTS.read_text(encoding="utf-8")) if LLAMA_CPP_TEXTS.exists() else {}


def record(path: Path, files: Sequence[Path]) -> None:
    """Evaluate all passages by llama.cpp and keep the sums."""
    evaluation = Evaluation(path)
    sums = {source: evaluation.llama_cpp(text) for source, text in all_passages(files).items()}
    content = recorded()
    content.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), {}).update(sums)
    save(LLAMA_CPP_TEXTS, content)


def run(
    path: Path, output: Path, files: Sequence[Path], markdown: Path | None, *, kv_bits: int
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Evaluate every sequence that is not in ``output`` yet, print the summary; return all, and llama.cpp's sums."""
    console = Console()
    evaluation = Evaluation(path, kv_bits=kv_bits)
    jobs: dict[str, Any] = {source: (evaluation.text, text) for source, text in all_passages(files).items()}
    reference = json.loads(LLAMA_CPP.read_text(encoding="utf-8"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 == reference["sha256"]:
        jobs |= {f"llama.cpp {entry['name']}": (evaluation.prompt, entry) for entry in reference["prompts"]}
    key = fingerprint(path, *files, LLAMA_CPP, kv_bits=kv_bits)
    sequences = load(output, key)
    with Progress(console=console) as progress:
        task = progress.add_task("sequences", total=len(jobs), completed=sum(name in sequences for name in jobs))
        for name, (evaluate, argument) in jobs.items():
            if name not in sequences:
                progress.update(task, description=name[:50])
                sequences[name] = evaluate(argument)
                summary = summarise(sequences)
                save(output, {"fingerprint": key, "model": path.name, "summary": summary, "sequences": sequences})
                progress.advance(task)
    show(console, sequences)
    if markdown is not None:
        markdown.write_text(markdown_table(sequences, recorded().get(sha256, {})), encoding="utf-8")
    return sequences, recorded().get(sha256, {})


def figures(sequences: dict[str, dict[str, float]], llama_cpp: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the figures of each passage, of all of them by file, and those against llama.cpp's own answers."""

    def part(names: Sequence[str]) -> dict[str, Any]:
        other = [llama_cpp[name] for name in names if name in llama_cpp]
        summary = summarise({name: sequences[name] for name in names})
        if tokens := sum(each["tokens"] for each in other):
            summary["llama_cpp_kl"] = sum(each["kl_sum"] for each in other) / tokens
            summary["llama_cpp_agreement"] = sum(each["same_argmax"] for each in other) / tokens
        return summary

    by_file = {path.stem: [name for name in passages(path) if name in sequences] for path in TEXTS}
    texts = [name for names in by_file.values() for name in names]
    prompts = {name: sequence for name, sequence in sequences.items() if "steps" in sequence}
    return {
        "passages": [{"name": name} | part([name]) for name in texts],
        "files": {file: part(names) for file, names in by_file.items() if names},
        "all": part(texts),
        "prompts": summarise(prompts),
    }


def markdown_table(sequences: dict[str, dict[str, float]], llama_cpp: dict[str, dict[str, float]]) -> str:
    """Return the figures of each text beside llama.cpp's, and those of all texts, as docs/accuracy.md has them."""
    texts = {name: sequence for name, sequence in sequences.items() if "kl_sum" in sequence}
    rows = [(name, {name: sequence}) for name, sequence in texts.items()] + [("**all**", texts)]
    lines = [
        "| passage | tokens | KL | KL of llama.cpp | perplexity, float32 | change | arg-max | of llama.cpp |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, part in rows:
        figures = summarise(part)
        other = [llama_cpp[each] for each in part if each in llama_cpp]
        tokens = sum(each["tokens"] for each in other)
        complete = tokens == figures["tokens"]
        kl = f"{sum(each['kl_sum'] for each in other) / tokens:.4f}" if complete else ""
        same = f"{sum(each['same_argmax'] for each in other) / tokens:.3f}" if complete else ""
        change = f"{figures['perplexity_change']:+.2%} ± {figures['perplexity_change_error']:.2%}"
        cells = (f"{figures['kl']:.4f}", kl, f"{figures['float_perplexity']:.2f}", change)
        lines.append(
            f"| {name} | {figures['tokens']:,} | {' | '.join(cells)} | {figures['float_agreement']:.3f} | {same} |"
        )
    return "\n".join(lines).replace("%", " %") + "\n"


def show(console: Console, sequences: dict[str, dict[str, float]]) -> None:
    """Print the figures of each text, then the totals with their limits."""
    texts = Table("text", "tokens", "KL", "float32 perplexity", "change", "arg-max agreement")
    for name, sequence in sequences.items():
        if "tokens" in sequence:
            part = summarise({name: sequence})
            change = f"{part['perplexity_change']:+.2%} ± {part['perplexity_change_error']:.2%}"
            cells = f"{part['kl']:.5f}", f"{part['float_perplexity']:.2f}", change, f"{part['float_agreement']:.3f}"
            texts.add_row(name[:28], str(part["tokens"]), *cells)
    console.print(texts)
    summary = summarise(sequences)
    totals = Table("figure", "value", "limit", "")
    for name, (relation, limit) in LIMITS.items():
        if name in summary:
            verdict = "pass" if passes(name, summary[name]) else "MISS"
            totals.add_row(MEANINGS[name], f"{summary[name]:.5f}", f"{relation} {limit}", verdict)
    console.print(totals)
    console.print(
        f"{summary['tokens']} tokens of text, perplexity {summary['float_perplexity']:.3f} (float32) and "
        f"{summary['golden_perplexity']:.3f}, standard error of the change {summary['perplexity_change_error']:.2%}"
    )


if __name__ == "__main__":
    main()
