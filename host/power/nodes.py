"""Scaling of energy and area between CMOS nodes, by the published factors in ``nodes.yaml``."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter
from rtlm.host.power.technology import Entry, Positive

FACTS = Path(__file__).with_name("nodes.yaml")


class Node(Entry):
    """A node.

    Parameters
    ----------
    volt
        Nominal supply.
    area
        Times that of 180 nm.
    energy
        Coefficients of the square of the supply, the supply and 1.
    """

    volt: Positive
    area: Positive
    energy: tuple[float, float, float]

    @property
    def energy_factor(self) -> float:
        """Energy of an operation at the nominal supply, in the unit of all nodes."""
        square, linear, constant = self.energy
        return square * self.volt**2 + linear * self.volt + constant


@cache
def nodes() -> Mapping[int, Node]:
    """Return the nodes by their length in nm."""
    return TypeAdapter(dict[int, Node]).validate_python(yaml.safe_load(FACTS.read_text(encoding="utf-8")))
