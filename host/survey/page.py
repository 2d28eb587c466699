"""docs/comparison.md: the table's ranges beside the survey's, and what the command prints."""

from collections.abc import Callable, Iterator, Sequence

from rtlm.host.survey.load import published_rows
from rtlm.host.survey.ours import SHIPPED_MODEL
from rtlm.host.survey.point import Point
from rtlm.host.survey.ranges import QUANTITIES, SURVEY, SURVEY_RANGES, by_platform, differences, pairs
from rtlm.host.survey.row import Kind, Method, Platform, Row
from rtlm.host.survey.table import LISTED, number, span
from rtlm.hw.common.markdown import table, wrapped

EXAMPLES = ("compare --summary", "compare --platform fpga --model-size 6:9 --kind measured")
"""Commands whose output the page shows."""

KINDS = {
    Kind.MEASURED: "hardware ran, whoever stopped the time; the watts may be something else (`power_boundary`)",
    Kind.SIMULATED: "from a simulator of the design",
    Kind.VENDOR: "what a manufacturer says of its product",
    Kind.DERIVED: "worked out from published figures; the note says how",
    Kind.UNSTATED: "what was read does not tell",
}

SURVEY_SPEEDUP = "2.56 to 5.32"
"""Throughput at batch 8 against batch 1 that the survey states, read in a second-hand table."""

JSON_KEYS = (
    ("schema", "`rtlm.comparison`, with `version`"),
    ("points[]", "the columns above, `ours`, and `methods` in place of `method`"),
    ("points[].performance", "`tokens_per_s`, `batch`, `context`, as in [a report](report.md#performance)"),
    (
        "points[].power",
        "`total_w`, `low_w`, `high_w`, `tokens_per_j` as in [a report](report.md#power); `boundary`, and for ours "
        "`method`; `null` where no power is known",
    ),
    ("points[].error_band", "largest relative error of the speed, for an estimate of ours; else `null`"),
    ("by_platform[], by_method[]", "`name`, `batch`, `points` and the ranges, with the points at their ends"),
    ("notes", "sentences that qualify the figures"),
)


def comparison_page(run: Callable[[str], str]) -> str:
    """Describe the table, and set its ranges beside the survey's.

    Parameters
    ----------
    run
        Returns what a command of rtlm prints.
    """
    points = [Point.from_row(row) for row in published_rows()]
    parts = [
        wrapped(_opening(points)),
        *(f"```console\n$ rtlm {each}\n{_stripped(run(each))}```\n" for each in EXAMPLES),
    ]
    parts += map(wrapped, (_ranges(points), _batches(points), _coverage(points), _files()))
    return "\n".join(parts)


def _opening(points: Sequence[Point]) -> str:
    listed = sum((point.note or "").startswith(LISTED) for point in points)
    kinds = table(("kind", "of the speed"), ((f"`{kind}`", text) for kind, text in KINDS.items()))
    return (
        "# Comparison with published hardware\n\n"
        f"`rtlm compare` sets our designs among {len(points)} published figures for decoding on CPUs, GPUs, FPGAs, "
        "ASICs and processing in memory: tokens/s, W and tokens/J, by platform and by optimisation method. The "
        f"division is that of a survey ({SURVEY}, *Large Language Model Inference Acceleration: A Comprehensive "
        "Hardware Perspective*), and so is its scatter, which `--plot FILE.svg` or `FILE.png` draws.\n\n"
        "The figures are in `host/survey/platforms.csv`, a row for each, with its source. "
        f'Of the {len(points)} rows, {listed} begin their note with "{LISTED}": the paper that `source` names was '
        "not read for their speed. The others were read, or their note says what was not. The survey does not say "
        "which model a row is of, only that it is one of about 7B at batch 1; such rows have the model `7B class`.\n\n"
        f"{kinds}\n"
        "Watts are not comparable without their boundary: `chip` (often an estimate of the tool), `board`, `plug`, "
        "`tdp` (a rating, which nobody measured) or `unknown`. A rating makes tokens/J look worse than it was, the "
        "chip alone better.\n\n"
        f"Ours are estimates of presets with {SHIPPED_MODEL} ([estimates.md](estimates.md)) unless reports are given: "
        "`rtlm compare --ours report.json`, with what `rtlm run --json` or `rtlm estimate --json` wrote. "
        "Each says whether it was simulated as RTL or estimated, and then how far off the estimate may be; power is "
        "an estimate with its band ([power.md](power.md)), of chip and memory, the boundary `module`. Ours are in no "
        "range.\n"
    )


def _ranges(points: Sequence[Point]) -> str:
    rows = []
    for group in by_platform(points):
        if group.batch == 1:
            published = SURVEY_RANGES[Platform(group.name)]
            cells = (
                cell
                for name, each in group.extents.items()
                for cell in (span(each.low, each.high), " \N{EN DASH} ".join(published[name]))
            )
            rows.append((group.name, group.points, *cells))
    heads = [cell for unit in QUANTITIES.values() for cell in (unit, "survey")]
    why = table(
        ("platform", "end", "survey", "here", "row", "why"),
        (
            (
                each.platform.value,
                f"{each.end} {QUANTITIES[each.quantity]}",
                each.published,
                number(getattr(each.point, each.quantity)),
                f"`{each.point.id}`",
                _why(each.point, each.survey_point),
            )
            for each in differences(points)
        ),
    )
    return (
        "## Ranges, beside the survey's\n\n"
        "Models of 6B to 9B at batch 1, and what the survey's own table gives.\n\n"
        f"{table(('platform', 'designs', *heads), rows, numbers=True)}\n"
        f"Where an end differs, to the digits that the survey has:\n\n{why}"
    )


def _why(point: Point, survey_point: Point | None) -> str:
    """Return why the end of a range is not the survey's."""
    if survey_point is None:
        return point.note or ""
    return (
        f"The survey's is `{survey_point.id}`, a model of {survey_point.parameters_b:g}B parameters. {point.note or ''}"
    ).strip()


def _batches(points: Sequence[Point]) -> str:
    without = [group.name for group in by_platform(points) if group.batch == 8 and not group.points]
    found = pairs(points)
    rows = (
        (
            *(pair.one.work, pair.one.chip, pair.one.model, pair.one.context),
            *(number(pair.one.tokens_per_s), number(pair.eight.tokens_per_s), f"{pair.speedup:.2f}"),
        )
        for pair in found
    )
    speedups = sorted(pair.speedup for pair in found)
    return (
        "## Batch 8\n\n"
        f"There are {sum(point.batch == 8 for point in points)} rows at batch 8, and none of them is of "
        f"{', '.join(without[:-1])} or {without[-1]}: the survey compares batch 1 and 8 in its text, but its published "
        "table has batch 1 only, and no other source with figures was found for these platforms. "
        f"The survey states a throughput {SURVEY_SPEEDUP} times that of batch 1 (from a second-hand table). "
        f"The designs that are here at both are {speedups[0]:.2f} to {speedups[-1]:.2f} times as fast:\n\n"
        f"{table(('work', 'chip', 'model', 'context', 'batch 1', 'batch 8', 'ratio'), rows)}"
    )


def _coverage(points: Sequence[Point]) -> str:
    rows = (
        (method.value, *(_count(points, platform, method) for platform in Platform))
        for method in Method
        if method is not Method.NONE
    )
    heads = ("method", *(platform.value for platform in Platform))
    return (
        "## Rows by platform and method\n\n"
        "A row may have several methods. What is empty here is empty in the survey's table too: among others, no FPGA "
        "for fast decoding or operator optimisation.\n\n"
        f"{table(heads, rows, numbers=True)}"
    )


def _count(points: Sequence[Point], platform: Platform, method: Method) -> str:
    return str(sum(point.platform == platform and method in point.methods for point in points) or "")


def _files() -> str:
    columns = table(("column", "what it is"), _columns())
    keys = table(("key", "what it is"), ((f"`{key}`", text) for key, text in JSON_KEYS))
    return (
        "## Further rows\n\n"
        "`rtlm compare --add FILE.csv` reads rows from a file in UTF-8 whose first line has these titles. What is "
        "wrong is refused in a sentence with file, line, column and value.\n\n"
        f"{columns}\n"
        "## JSON and CSV\n\n"
        "`--csv FILE` writes the points in the same columns and some more: `tokens_per_j`, and the band and method of "
        "ours. `--json FILE` writes:\n\n"
        f"{keys}"
    )


def _columns() -> Iterator[tuple[str, str]]:
    for name, field in Row.model_fields.items():
        allowed = next((each.allowed for each in field.metadata if hasattr(each, "allowed")), None)
        names = f"one or more of {', '.join(Method)}; semicolons between them" if name == "method" else allowed
        meaning = (field.description or "").rstrip(".").replace("``", "`")
        yield f"`{name}`", meaning + (f" ({names})" if names else "")


def _stripped(text: str) -> str:
    """Return a text without blanks at the ends of its lines."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
