"""Every kernel against its definition in float64 (references.py), within the bound of its format and operators."""

import importlib
import pkgutil

import numpy as np
import pytest
import rtlm.hw
from rtlm.hw.hls.kernel import Kernel

from tests.hw.kernels.reference_check import check_kernel
from tests.hw.kernels.references import REFERENCES

LIBRARY = "rtlm.hw.kernels.library."
"""Their references are in test_library.py: they take vectors and memories."""


def kernels_of_hardware() -> dict[str, Kernel]:
    """Return every kernel below `rtlm.hw` by its name; each is defined in one place."""
    found: dict[str, Kernel] = {}
    for module in pkgutil.walk_packages(rtlm.hw.__path__, "rtlm.hw."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Kernel) and not value.function.__module__.startswith(LIBRARY):
                assert found.setdefault(value.name, value) is value, f"two kernels are called {value.name}"
    return found


KERNELS = kernels_of_hardware()


def test_every_kernel_has_a_reference():
    assert KERNELS.keys() == REFERENCES.keys()
    assert len(KERNELS) >= 23  # the walk found the packages


def test_every_kernel_lives_among_the_kernels():
    assert {k.function.__module__.rpartition(".")[0] for k in KERNELS.values()} == {"rtlm.hw.kernels"}


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_keeps_its_bound(name, seed):
    check_kernel(KERNELS[name], np.random.default_rng(seed))
