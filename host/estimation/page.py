"""The page docs/estimates.md: how estimates are made, and how good they are."""

from collections.abc import Callable, Sequence

from rtlm.host.estimation.errors import PointError, error_band, point_errors
from rtlm.host.estimation.points import GROUPS
from rtlm.host.estimation.published import DESIGNS, Prediction, predict
from rtlm.hw.common.markdown import table

EXAMPLES = {
    "EXAMPLE": "estimate --model llama-2-7b --config kv260 --context 1024",
    "CHIPS": "estimate --model llama-2-7b --config u250 --chips 4 --link-gb-s 12.5 --link-us 1",
}
"""Commands whose output the page shows, by where."""

HEAD = """# Estimates

`rtlm estimate` says in about a second what a model does on an accelerator: cycles and tokens/s, time to the first
token, bytes by purpose, what bounds each operator, whether the memory holds it. It needs no weights, generates no
RTL and simulates nothing.

EXAMPLE
The model is a shipped one ([models.md](models.md)), a `config.json` of Hugging Face, or a GGUF file. The
configuration's limits grow to hold it, and what was changed is printed. `--batch` takes as many sequences as there are
columns (`--set matmul.columns=8 --batch 8`), `--weights` another block format, `--json FILE` writes the keys of
[a report](report.md) with `error_band`.

## How

The estimate walks the same plan that the compiler makes its program from (`host/compiler/plan.py`), instruction by
instruction, and takes from the units what they state of themselves: latencies from the kernels' schedules, words a
cycle, sizes of buffers and queues. There is no second description of the machine.

* **Words** (`host/estimation/words.py`): segments are cut into bursts where the reader cuts them. A burst is
  requested when a port has fewer under way than its limit and the buffer has room for it, and arrives at the rate
  of a linear stream. Words of the program stand in the same queue.
* **The memory** (`host/estimation/memory.py`): rate, latency and refresh from the data-sheet timings of the
  simulated memory (`sim/memory/dram.py`). Where addresses jump, it opens another row.
* **Units** (`host/estimation/step.py`): an instruction is handed out when its units take it. A matrix's first row
  group waits for the last block of its activations, its results for the norm's scalar and for the epilogue before
  it, attention for all units to rest, its values for the softmax and for the sums of the head before.
* Once two layers take equally long, the others are counted, not walked.

What bounds an operator is the memory or its unit where that accounts for half of its cycles, and a dependency
otherwise.

## Error against RTL

Cycles of single decoding steps, measured in Verilator behind the DRAM model (`python benchmarks/rtl_cycles.py`) and
estimated. *Held out* are groups that were chosen before the estimator was written and not looked at until it was
done.

"""

PUBLISHED = """## Against published designs

This project's accelerator, estimated on the memory, at the clock and with the model of published ones (weights in
32-weight blocks unless a group is named; context 512 where the source states none). This is no model of their
machines: where they use their memory well, it comes close; where they do not, it says how much the memory would
allow.

"""

LIMITS = """
Formats that the gates do not have (ternary weights: TeLLMe v2, PD-Swap; 3 bits, sparsity: FlightLLM; FP16 weights:
DFX) are not estimated, or with the format that is named.

## Several chips, and a processor

CHIPS
On paper only: no RTL divides a model yet. With `--chips n` each chip has its share of the heads, of the
feed-forward network and of the vocabulary. Behind attention and behind the feed-forward network they exchange their
parts of the residual stream, float32, in a ring of n - 1 hops, which is not hidden behind anything. With
`--host-share` a processor computes so many layers, bound by the rate at which it reads their weights.

## What is left out

* The host's time between steps (register writes, sampling), unless it is given with `--host-us`.
* Write turn-around and the order of requests in the memory; of rows only that one has to be opened where addresses
  jump.
* Logits that are read back.
* What of a model's architecture the gates do not execute; each estimate names it."""


def estimates_page(run: Callable[[str], str]) -> str:
    """Return the page; the RTL's cycles are those that were measured last.

    Parameters
    ----------
    run
        Returns what a command of rtlm prints.
    """
    published = published_table([predict(design) for design in DESIGNS])
    page = HEAD + errors_section(point_errors()) + PUBLISHED + published + LIMITS
    for place, command in EXAMPLES.items():
        printed = "\n".join(line.rstrip() for line in run(command).splitlines())
        page = page.replace(f"{place}\n", f"```console\n$ rtlm {command}\n{printed}\n```\n\n", 1)
    return page


def errors_section(points: Sequence[PointError]) -> str:
    """Return the table of errors, and what they are in all."""
    rows = []
    for each in points:
        point, group = each.point, GROUPS[each.group]
        what = "decode" if point.prompt == 1 else "prompt"
        if not point.logits:
            what += ", no logits"
        rows.append(
            (
                f"`{each.group}`" + (" (held out)" if each.held_out else ""),
                group.model,
                what,
                point.context,
                max(point.batch, point.prompt),
                f"{each.measured:,}",
                f"{each.estimated:,.0f}",
                f"{100 * each.error:+.2f} %",
            )
        )
    head = ("group", "model", "step", "context", "columns", "RTL", "estimate", "error")
    sentences = []
    for name, chosen in (("All", points), ("Held out", [each for each in points if each.held_out])):
        if chosen:
            band = error_band(chosen)
            sentences.append(f"**{name}: {band.points} points, mean error {band.mean:.2%}, worst {band.worst:.2%}.**")
    changes = [
        (f"`{name}`", f"`{group.config}`", " ".join(f"`{each}`" for each in group.overrides) or "as it is")
        for name, group in GROUPS.items()
        if any(each.group == name for each in points)
    ]
    return (
        "![error of each estimate](estimates.svg)\n\n"
        + table(head, rows)
        + "\n"
        + "\n".join(sentences)
        + "\n\nThe groups' configurations:\n\n"
        + table(("group", "preset", "changes"), changes)
        + "\n"
    )


def published_table(predictions: Sequence[Prediction]) -> str:
    """Return the table of published designs."""
    rows = []
    for each in predictions:
        design = each.design
        group = f", groups of {design.group}" if design.group != 32 else ""
        link = f"; the link takes {each.link_share:.1%} of a step" if each.link_share else ""
        rows.append(
            (
                f"{design.work}, {design.platform} ({design.source})",
                f"{design.model}, {design.weights}{group}",
                f"{each.tokens_per_s:.3g}" if each.tokens_per_s < 1000 else f"{each.tokens_per_s:,.0f}",
                "no figure read" if design.published is None else f"{design.published:g}",
                "" if each.difference is None else f"{each.difference:+.0%}",
                design.why + link,
            )
        )
    return table(("design", "model", "estimate, tokens/s", "published", "difference", "why"), rows)
