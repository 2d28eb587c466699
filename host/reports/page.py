"""The page of counters: what each counts, where the report has it, and what to do where it is large."""

from rtlm.host.reports.causes import CAUSES, IDLE, MEMORY_CAUSES
from rtlm.host.reports.measurements import OPERATOR_NAMES
from rtlm.host.reports.report import PEDIGREE
from rtlm.hw.common.markdown import table, wrapped
from rtlm.hw.control.counters import COUNTER_BITS, EVENTS
from rtlm.hw.control.isa import OPERATOR_MEANINGS, Operator
from rtlm.hw.registers.accelerator import register_map
from rtlm.sim.accelerator import TOTALS

ADVICE = {
    "needed": "fewer bytes a token: narrower formats, groups of weights, `attention.kv_bits`, columns",
    "other_bytes": "shapes that fill words and bursts",
    "refresh": "a linear stream has it too; a controller that refreshes single banks",
    "rows": "a linear stream has most of it too",
    "turnaround": "a step writes little: keys, values, and logits where they are stored",
    "timing": "a linear stream has most of it too",
    "latency": "`memory.outstanding`, `memory.prefetch_kib`",
    "dependency": "the operator's unit: `matmul.lanes`, `attention.bytes_per_cycle`, `vector.lanes`; short waits are "
    "hidden by `memory.prefetch_kib`",
    "control": "the start of a step: nothing",
    "drain": "the end of a step: nothing; its share falls as models grow",
}
"""What makes a cause smaller."""

ADVICE_OF_EVENTS = {
    "matmul_busy": "high is good while matrices are read",
    "matmul_starved": "memory is the limit, as it should be in decoding",
    "matmul_blocked_activation": "results before it are late: `vector.lanes`, `vector.interval`",
    "matmul_blocked_output": "the vector engine is slower than the array: `vector.lanes`, `vector.interval`",
    "attention_busy": "grows with the context",
    "attention_starved": "memory is the limit while attention runs",
    "vector_busy": "high means that the vector engine may be the limit",
    "words": "the words that were read, padding and program included",
    "reader_no_room": "units are the limit; see `dependency`",
    "reader_no_request": "the sequencer has asked for everything it may, or the step ends",
}


def counters_page() -> str:
    """Describe counters, causes and sources of figures."""
    offsets = {register.name: register.offset for register in register_map(1).registers}
    place = "{:#05x}".format
    operators = (
        (f"`{OPERATOR_NAMES.get(name, name)}`", place(offsets[f"OPERATOR_{each.name}"]), OPERATOR_MEANINGS[each])
        for each in Operator
        for name in (each.name.lower(),)
    )
    events = (
        (f"`{name}`", place(offsets[f"EVENT_{name.upper()}"]), meaning, ADVICE_OF_EVENTS[name])
        for name, meaning in EVENTS.items()
    )
    causes = (
        (f"`{name}`", meaning, "yes" if name in MEMORY_CAUSES else "", ADVICE[name]) for name, meaning in CAUSES.items()
    )
    requests = ((each.value, f"`{each.name}`", f"`{cause}`") for each, cause in IDLE.items())
    return wrapped(
        "# What a counter means\n\n"
        "Three kinds of figures say where a step's time went. The accelerator counts its cycles by operator, each to "
        "exactly one, and events of its units, which overlap. The simulated memory assigns each of its clocks to a "
        "cause. `rtlm run` prints all three; [the report](report.md) has them as JSON.\n\n"
        f"On a board, counters are registers of {COUNTER_BITS} bits ([all registers](registers.md)); "
        f"`CYCLES`, at {place(offsets['CYCLES'])}, has the cycles of the last step. They are cleared when a step "
        "starts, and stand from its end to the next start.\n\n"
        "## Cycles by operator\n\n"
        "A cycle counts to the operator that takes words, or that is waited for; they add up to `CYCLES`.\n\n"
        f"{table(('operator', 'register', 'what happens in its cycles'), operators)}\n"
        "## Events\n\nEach counts the cycles in which it holds.\n\n"
        f"{table(('event', 'register', 'in these cycles', 'what it tells'), events)}\n"
        "## Causes\n\n"
        "What the memory's data bus did, from the cycle in which a step starts to the one in which it is done; an "
        "example is in [utilisation](utilisation.md#cycles-by-cause). Only a simulated memory can tell those of its "
        "own.\n\n"
        f"{table(('cause', 'in these cycles', 'the memory alone', 'what makes it smaller'), causes)}\n"
        "A memory clock without a request goes to what the accelerator reports on its output `activity`:\n\n"
        f"{table(('value', 'requests', 'cause'), requests)}\n"
        "## Counters of the memory\n\n"
        "Of the whole run, at `memory.counters` of the report.\n\n"
        f"{table(('counter', 'what it counts'), ((f'`{name}`', meaning) for name, meaning in TOTALS.items()))}\n"
        "## Where figures are from\n\n"
        "What the report says at `pedigree`: the kind of figure that stands at a path.\n\n"
        f"{table(('path', 'kind'), ((f'`{path}`', kind) for path, kind in PEDIGREE.items()))}"
    )
