"""Calibration: energies that made the data come out again, kernels left out are not seen, bad files are refused."""

import csv
import random

import numpy as np
import pytest
from rtlm.host.power.calibration import (
    CLOCK_MHZ,
    KERNELS,
    TERMS,
    CalibrationError,
    calibrate,
    fit,
    read_designs,
    read_static,
    spread,
    together,
)

ENERGIES = {"toggle": 1.3, "lut": 0.006, "ff": 0.01, "word": 250.0, "add": 150.0}
COLUMNS = (
    "kernel",
    "design",
    "lut_hls",
    "ff_hls",
    "sum_edge_src_activity",
    "latency_cycles",
    "measured_dynamic_mW",
)


def designs_file(path, kernels, *, of=8, odd=None):
    """Write designs whose power is exactly that of `ENERGIES`; those of the kernel `odd` take twice as much."""
    rng = random.Random(1)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for kernel in kernels:
            for _ in range(of):
                banks = rng.choice([1, 2, 4, 8])
                luts, ffs, toggles = rng.uniform(500, 9000), rng.uniform(300, 9000), rng.uniform(10, 900)
                cycles = rng.uniform(2000, 40000)
                work = KERNELS[kernel]
                pj = (
                    ENERGIES["toggle"] * toggles
                    + ENERGIES["lut"] * luts
                    + ENERGIES["ff"] * ffs
                    + ENERGIES["word"] * work.words / banks / cycles
                    + ENERGIES["add"] * work.adds / cycles
                )
                milliwatt = pj * 1e-12 * CLOCK_MHZ * 1e6 * 1e3 * (2 if kernel == odd else 1)
                rows.writerow((kernel, f"io{banks}_l1n1_l2n1", luts, ffs, toggles, cycles, milliwatt))
    return path


def test_energies_behind_the_data_are_found(tmp_path):
    found = calibrate(read_designs(designs_file(tmp_path / "designs.csv", KERNELS)))
    assert found.pj == pytest.approx(ENERGIES, rel=1e-3)
    assert spread(together(found.test)).mean < 1e-3
    assert spread(found.train).designs == 8 * len(KERNELS) == len(together(found.families))
    means = [spread(errors).mean for errors in found.ladder.values()]
    assert len(means) == len(TERMS) and means[-1] < means[0]


def test_a_left_out_kernel_is_not_seen(tmp_path):
    found = calibrate(read_designs(designs_file(tmp_path / "designs.csv", KERNELS, odd="mac_1")))
    assert spread(found.test["mac_1"]).bias == pytest.approx(-0.5, abs=0.01)
    assert spread(found.test["Ax"]).mean < 0.05


def test_energies_are_not_negative():
    events = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 9.0]])
    watt = np.array([2.0, 4.0, 1.0]) * 1e-4  # the second event seems to give energy back
    assert (fit(events, watt) >= 0).all()
    assert fit(events[:, :1], events[:, 0] * 3e-4) == pytest.approx([3.0])


def test_static_power(tmp_path):
    path = tmp_path / "power.csv"
    path.write_text("static_mW,dynamic_mW\n300,-1\n400,5\n500,6\n")
    static = read_static(path)
    assert (static.designs, static.least, static.median, static.below_zero) == (3, 0.3, 0.4, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have at least one design, got none"),
        (f"{','.join(COLUMNS)}\nAB,io1_x,1,1,1,1,1\n", "line 2: kernel must be one of AB_1"),
        (f"{','.join(COLUMNS)}\nAB_1,io1_x,1,1,1,0,1\n", "line 2: latency_cycles must be a number above 0, got '0'"),
        (f"{','.join(COLUMNS)}\nAB_1,io1_x,1,1,nan,1,1\n", "sum_edge_src_activity must be a number above 0, got 'nan'"),
        (f"{','.join(COLUMNS)}\nAB_1,l1_x,1,1,1,1,1\n", "must begin with io and its number of banks, got 'l1_x'"),
        (f"{','.join(COLUMNS)}\nAB_1,io1_x,1,1,1,1,1\n", "must be of at least two kernels, got 1"),
    ],
)
def test_bad_data_is_refused(tmp_path, text, message):
    path = tmp_path / "designs.csv"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=message):
        for design in (designs := read_designs(path)):
            assert design.events
        calibrate(designs)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CalibrationError, match=r"none\.csv cannot be read"):
        read_designs(tmp_path / "none.csv")
