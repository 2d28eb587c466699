"""The page docs/power.md: how power is estimated, on what it is calibrated, how far it is from published boards."""

import json
from textwrap import fill

from rtlm.gen.configuration.load import load_config
from rtlm.gen.synthesis.elements import shipped_elements
from rtlm.host.estimation.cells_section import cells_section
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.estimation.result import Estimate
from rtlm.host.models.paper import open_model
from rtlm.host.power.calibration import RECORD, TERMS
from rtlm.host.power.dram import read_pj_per_bit
from rtlm.host.power.published import TARGET, compare, published_designs, published_table
from rtlm.host.power.result import Boundary, Range
from rtlm.host.power.shipped import RENEW
from rtlm.host.power.technology import Figure, dram_technology, fpga_technology, shipped_activity
from rtlm.hw.common.markdown import table

MODELS = {"kv260": "llama-2-7b", "u250": "llama-2-7b", "u280": "llama-2-7b", "asic": "smollm2-135m"}
"""The presets of the table, and the model of each: the memory of `asic` holds no larger one."""
BATCHES, CONTEXT = (1, 8), 512

HEAD = """# Power and energy

`rtlm run`, `rtlm estimate`, `rtlm compare` and `rtlm dissect` use one model (`host/power/`). Every watt has a
method, a range and a boundary, by component and by operator:

* **chip**: the FPGA with its leakage, its processor where it has one, and its end of the memory's interface;
* **module**: chip and memory. Totals, tokens/J and pJ per weight bit are of the module;
* **plug**: module, voltage conversion and the rest of the board, or a card at its supply; only where something is
  known of the board.

Figures are estimates: nothing here was measured on hardware that runs this project's RTL.

PARTS

Switching and clock go with the square of the supply (the KV260's chip has 0.72 V, the energies are of 0.85 V),
leakage with its first power. Low and high add up as if everything were low or high at once.

An operator gets memory traffic by its bytes, the unit that multiplies for it by its multiply-accumulates, and
everything else by its cycles; the operators add up to the module.

## Energies

From `constraints/power-xilinx-us+.yaml` and `constraints/power-dram.yaml`. PG is the calibration below, RPE the os-fpga
Rapid Power Estimator, a published set for a 22 nm FPGA.

"""

PARTS = (
    (
        "switching, by unit",
        "elements x toggles for each net bit and cycle x energy of a toggle",
        "elements: synthesis where `rtlm synth` has run for that configurationSHIPPED, else the "
        "netlist's count (runs) or the area model (estimates), and `method` says which; toggles: counted with "
        "`--power measured`, else shipped rates",
    ),
    ("clock tree", "root and sinks, in every cycle", "registers, multipliers and memories"),
    ("static", "leakage of the whole device, used or not", "the device's number of tables, the junction's temperature"),
    ("processor", "cores and memory controller of a Zynq", "calibrated (below)"),
    (
        "DRAM by command",
        "activate, precharge, read, write, refresh, standby with a row open or none",
        "runs: counted in the DRAM model; estimates: bytes, rows and the refresh interval",
    ),
    ("DRAM interface", "PHY, drivers and termination, half of it at each end", "bytes x energy of a bit"),
    ("board", "voltage conversion and the rest", "calibrated or measured (below)"),
)
"""Parts of the power, what they are, and where they are from."""

WIDTH = 118
"""Of lines of text."""

SHOWN_RATE = 0.0005
"""Units that toggle less are left out of the table."""

MEMORIES = """
Devices of DRAM; LPDDR has two supplies of the core. A read bit is beyond standby and without the interface:

"""

RATES = f"""
Toggles for each net bit and cycle for what was not counted (`constraints/power-activity.yaml`): those of the preset
with the same hash, else of the nearest, and the report says which. Renewed by
`{RENEW} PRESET`; a test fails where a preset's RTL is no longer the one that
was counted. Published designs get the mean of `kv260`.

"""

CALIBRATION = """
## Calibration on a board

PowerGear (Z. Lin and others, DATE'22; github.com/zlinaf/PowerGear, MIT) measured HLS designs on a ZCU102, of the
KV260's family, at 100 MHz. The files are no part of this project; with them, `python
benchmarks/power_calibration.py --data DIR --record` gives what stands here. Energies are not negative, and fitted
for the least mean of relative errors (a linear program, by HiGHS):

"""

CALIBRATION_NOTES = """
Published for comparison: 0.19 pJ a toggle of a table and 0.22 pJ of a flip-flop (os-fpga Rapid Power Estimator, 22
nm, 0.8 V, without wires), 0.41 pJ together where the board shows 1.26 pJ with wires and glitches; PowerGear's own
graph network claims an error of 8.8 %.

* *word* and *add* are not in the resources that HLS reports. The harness around each kernel, which its sources
  show, fills memories and reads them: fewer banks mean more blocks at work for a word. Leaving either out costs
  what the last lines of the table say.
* The terms were chosen with all kernels in sight; only the energies are unseen. Kernels of a family are alike: the
  error of a family that was never seen is the more honest one for something new.
* A product costs nothing beyond its operands' toggles here: multipliers and block memories keep the published
  energies, uncalibrated.
* HLS's resources are estimates of HLS, made before placement; activity is of the data-flow graph's edges.

"""

PUBLISHED = """
## Published accelerators

Their own resources, clock and traffic through this model, at the boundary that their watts are of (`python
benchmarks/published_power.py`; facts and sources in `host/power/published.yaml`). Two of them set one figure each
in `constraints/power-boards.yaml`, the other seven are a test. None publishes its toggles: all get the mean rate of
this project's units, times the share of the peak that they move.

"""

PRESETS_TEXT = f"""
## The presets

At context {CONTEXT}, energy of the module; `asic` in OSU018 at the preset's 100 MHz:

"""

COMMANDS = """
The commands:

```sh
"""

TAIL_PRESETS = """
The best published DDR4 system takes 25.5 pJ for each weight bit; where an estimate is below 25 pJ a note says that
it is more optimistic than every published board.
"""

TAIL = """
## A board at its plug

A KV260 with a DPU was measured at 9.15 W idle and 10.13 W loaded at the plug, and 4.3 to 4.8 W by the sensors of
its module (simfero.eu, March 2026), while Hummingbird states 3.81 W, a vendor's estimate of the chip. The three are
of different things: the model's chip, module and plug of the preset `kv260` are in the table above.

## What is left out

* Toggles of presets that are not in the table above (`u250`, `u280`), of batches and of long contexts: the shipped
  rates are of one sequence in a decoding step at position 3, attention's at position 1,000 or the last that fits, with
  random keys and values. In `zcu104` that leaves one of two columns idle.
* Glitches of this RTL: a simulation without delays has none; the board's energy of a toggle contains those of HLS
  designs.
* Multipliers and block memories were not calibrated; UltraRAM's energy is a guess, as are temperatures and
  converters.
* Data in the memory: currents of data sheets are maxima, and bits that do not toggle take less.
* Devices of a memory module: `u250` has DIMMs with more and narrower devices than the four of a channel here, and error
  correction. The ZCU104 and the U50 are modelled with the nearest memory that is simulated.
* Standard cells: layout, clock tree and glitches; the toggle rates are those of RTL nets, taken for the nets
  between cells.
"""


def power_page() -> str:
    """Return the page."""
    counted = ", ".join(f"`{name}`" for name in shipped_elements())
    parts = table(("part", "what", "from"), PARTS).replace(
        "SHIPPED", f" or its counts come with the project ({counted})" if counted else ""
    )
    return "".join(
        (
            HEAD.replace("PARTS\n", parts),
            _energies(),
            CALIBRATION,
            _calibration(),
            CALIBRATION_NOTES,
            PUBLISHED,
            _published(),
            PRESETS_TEXT,
            _presets(),
            TAIL_PRESETS,
            cells_section(),
            TAIL,
        )
    )


def _energies() -> str:
    technology, dram = fpga_technology("xilinx-us+"), dram_technology()
    assert technology is not None
    figures: list[tuple[str, Figure, str]] = [
        ("toggle of a look-up table", technology.lut_toggle_pj, "pJ"),
        ("toggle of a flip-flop", technology.ff_toggle_pj, "pJ"),
        ("clock at a sink", technology.clock_sink_pj, "pJ"),
        (f"product of {technology.dsp.bits[0]} x {technology.dsp.bits[1]} bits", technology.dsp.cycle_pj, "pJ"),
        (f"access of {technology.bram.bits} bits of a block memory", technology.bram.access_pj, "pJ"),
        (f"access of {technology.uram.bits} bits of an UltraRAM", technology.uram.access_pj, "pJ"),
        (
            f"leakage for each table of the device, {technology.static.at_c:g} degrees",
            technology.static.uw_per_lut,
            "uW",
        ),
        *((f"interface of {name.upper()}, a bit", figure, "pJ") for name, figure in dram.interface_pj_per_bit.items()),
        ("currents of DRAM, times", dram.range, ""),
    ]
    rows = (
        (name, f"{each.nominal:g} {unit}".strip(), f"{each.low:g} to {each.high:g}", each.source)
        for name, each, unit in figures
    )
    return table(("event", "energy", "range", "source"), rows) + _memories() + _rates()


def _memories() -> str:
    """Return the devices with currents, and what a read bit takes of their core."""
    technology = dram_technology()
    simulated = {each.device: name for name, each in technology.memories.items()}
    rows = (
        (
            f"`{name}`",
            f"`{simulated[name]}`" if name in simulated else "",
            ", ".join(f"{rail.vdd:g} V" for rail in device.rails),
            f"{read_pj_per_bit(device, int(name.rpartition('x')[2])):.2g}" if device.mega_transfers else "",
            device.source,
        )
        for name, device in technology.devices.items()
    )
    return MEMORIES + table(("device", "simulated as", "core", "pJ a read bit", "currents from"), rows)


def _rates() -> str:
    presets = shipped_activity().presets
    units = list(dict.fromkeys(unit for rates in presets.values() for unit in rates.always))
    most = {unit: max(rates.always.get(unit, 0.0) for rates in presets.values()) for unit in units}
    busy = dict.fromkeys(unit for rates in presets.values() for unit in rates.busy)
    rows = [
        *((f"{unit}, while busy", *(f"{rates.busy[unit]:.1%}" for rates in presets.values())) for unit in busy),
        *(
            (unit, *(f"{rates.always[unit]:.1%}" if unit in rates.always else "" for rates in presets.values()))
            for unit in sorted(units, key=lambda unit: -most[unit])
            if most[unit] >= SHOWN_RATE
        ),
        ("mean, weighted by energy", *(f"{rates.other:.1%}" for rates in presets.values())),
    ]
    lines = "".join(
        fill(f"* `{name}` ({rates.config}): {rates.source}.", width=WIDTH, subsequent_indent="  ") + "\n"
        for name, rates in presets.items()
    )
    return RATES + lines + "\n" + table(("unit", *(f"`{name}`" for name in presets)), rows, numbers=True)


def _calibration() -> str:
    found = json.loads(RECORD.read_text(encoding="utf-8"))
    energies = (
        (name, f"{found['pj'][name]:.4g}", f"{found['low_pj'][name]:.3g} to {found['high_pj'][name]:.3g}", meaning)
        for name, meaning in TERMS.items()
    )
    errors = [
        ("**test**: each kernel with energies of the others", found["test"]),
        ("**test**: each family of kernels with energies of the others", found["families"]),
        ("train: all designs", found["train"]),
        *((f"`{kernel}`, never seen", one) for kernel, one in found["by_kernel"].items()),
        *((f"{family}, never seen", one) for family, one in found["by_family"].items()),
        *((f"kernels never seen, with {terms} alone", one) for terms, one in list(found["by_terms"].items())[:-1]),
    ]
    rows = (
        (name, one["designs"], *(f"{one[key]:.1%}" for key in ("mean", "median", "p90")), f"{one['bias']:+.1%}")
        for name, one in errors
    )
    static = found["static"]
    return "\n".join(
        (
            table(("event", "pJ", "over the folds", "what it is"), energies),
            table(("designs", "number", "mean error", "median", "90 %", "bias"), rows, numbers=True),
            f"Static power, with the idle clock, of {static['designs']:,} designs that wait: "
            f"{static['least']:.3f} W at least, {static['median']:.3f} W in the median, "
            f"{static['most']:.3f} W or less for 95 %.\n",
        )
    )


def _published() -> str:
    found = [compare(design) for design in published_designs()]
    tests = [each for each in found if not each.design.calibrates]
    met = sum(abs(each.error) <= TARGET for each in tests)
    mean = sum(abs(each.error) for each in tests) / len(tests)
    return (
        published_table(found)
        + f"\n{met} of the {len(tests)} tests are within {TARGET:.0%}, their mean error is {mean:.0%}; "
        + f"{sum(each.within_range for each in tests)} lie within the model's own range, which is wide.\n"
    )


def _presets() -> str:
    head = (
        "preset",
        "model",
        "batch",
        "tokens/s",
        *(f"{each.value} W" for each in Boundary),
        "J/token",
        "of the prompt",
        "tokens/J",
        "pJ/weight bit",
    )
    rows = (_preset(preset, model, batch) for batch in BATCHES for preset, model in MODELS.items())
    columns = {batch: f" --set matmul.columns={batch} --batch {batch}" if batch > 1 else "" for batch in BATCHES}
    commands = "".join(
        f"rtlm estimate --model {model} --config {preset} --context {CONTEXT}{columns[batch]}\n"
        for preset, model in MODELS.items()
        for batch in BATCHES
    )
    return table(head, rows) + COMMANDS + commands + "```\n"


def _preset(preset: str, model: str, batch: int) -> tuple[str, ...]:
    config = load_config(preset, [f"matmul.columns={batch}"])
    found: Estimate = estimate(EstimateRequest(config=config, model=open_model(model), context=CONTEXT, batch=batch))
    power, prefill = found.power, found.prefill_power
    assert power is not None and prefill is not None
    bit = power.weight_bits_per_s
    return (
        f"`{preset}`",
        model,
        str(batch),
        f"{power.tokens_per_s:.3g}",
        *(_spread(within) if (within := power.within(boundary)) else "" for boundary in Boundary),
        _spread(power.j_per_token),
        _spread(prefill.j_per_token),
        f"{power.tokens_per_j:.3g}",
        _spread(power.total * (1e12 / bit)) if bit else "",
    )


def _spread(one: Range | None) -> str:
    return "" if one is None else f"{one.nominal:.3g} ({one.low:.3g} to {one.high:.3g})"
