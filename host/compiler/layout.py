"""Where everything lies in the accelerator's memory: the plan's regions, one after the other, in linear word space."""

from dataclasses import dataclass

from rtlm.host.compiler.plan import Plan, Region
from rtlm.host.errors import ModelError
from rtlm.hw.memory import Striping
from rtlm.hw.params import AcceleratorParams

BEAT_ADDRESS_BITS = 32
"""Width of beat addresses in instructions and registers."""


@dataclass(frozen=True, kw_only=True)
class PlacedRegion(Region):
    """A region that has its place.

    Parameters
    ----------
    start
        First word.
    """

    start: int


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """The regions of one model on one accelerator.

    Parameters
    ----------
    plan
        The step that reads and writes them.
    regions
        By name, in the order of their addresses.
    """

    plan: Plan
    regions: dict[str, PlacedRegion]

    @property
    def params(self) -> AcceleratorParams:
        """The accelerator."""
        return self.plan.params

    @property
    def words(self) -> int:
        """Words in all."""
        return sum(region.words for region in self.regions.values())

    @property
    def beats(self) -> int:
        """Beats in all: the limit register."""
        return self.words * self.params.beats_per_word

    @property
    def bytes(self) -> int:
        """Bytes in all, to the end of the last stripe."""
        stripe = striping_of(self.params).stripe_bytes
        return -(-self.words * self.params.word_bytes // stripe) * stripe

    def address(self, name: str) -> int:
        """Return the first beat of a region."""
        return self.regions[name].start * self.params.beats_per_word


def striping_of(params: AcceleratorParams) -> Striping:
    """Return how an accelerator's beats lie in memory."""
    return Striping(ports=params.ports, port_bytes=params.port_bytes)


def place_regions(plan: Plan) -> dict[str, PlacedRegion]:
    """Return the regions of a plan by name, one after the other, whether they fit or not."""
    regions: dict[str, PlacedRegion] = {}
    start = 0
    for region in plan.regions:
        regions[region.name] = PlacedRegion(**vars(region), start=start)
        start += region.words
    return regions


def memory_map(plan: Plan) -> MemoryMap:
    """Place the regions of a plan.

    Raises
    ------
    ModelError
        If they do not fit the accelerator's address space.
    """
    memory = MemoryMap(plan=plan, regions=place_regions(plan))
    _check_address_space(memory)
    return memory


def _check_address_space(memory: MemoryMap) -> None:
    """Refuse a map that ports cannot address, or instructions cannot name; the sentence shows the sum."""
    params = memory.params
    kv = sum(region.words for region in memory.regions.values() if region.purpose == "kv")
    total, kv_bytes = memory.words * params.word_bytes, kv * params.word_bytes
    for what, limit in (
        (f"{params.address_bits} address bits reach", 1 << params.address_bits),
        (
            f"{BEAT_ADDRESS_BITS} bits count in beats of {params.beat_bytes} bytes",
            params.beat_bytes << BEAT_ADDRESS_BITS,
        ),
    ):
        if total > limit:
            raise ModelError(
                f"the memory image takes {total - kv_bytes} bytes and {params.columns} KV slots of "
                f"{params.context_limit} positions take {kv_bytes}, in all {total} bytes, but in configuration "
                f"{params.name} {what} {limit}"
            )
