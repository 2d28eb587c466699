"""Placement of a pipeline's logic between registers, so that these hold the fewest bits.

The scheduler puts every step as early as it can be; many then carry wide results along, where they could wait for
narrow operands. Here, with the latency given, each step ``i`` gets the stage ``s[i]`` that minimises all registers::

    minimise    sum of width[i] * (l[i] - s[i])        l[i]: the last stage that reads i
    subject to  s[j] - s[i] >= 0, l[i] - s[j] >= 0     j reads i
                s[j] - s[i] >= 1                       the path from i to j is too long for a cycle, or i or j is alone
                l[i] >= held[i], s[i] <= latest[i]     results and states

These are difference constraints, whose linear program has integer solutions (Cong, Zhang, "An efficient and versatile
scheduling algorithm based on SDC formulation", DAC 2006). HiGHS solves it. Loops, states and reads of memories stay in
place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rtlm.hw.hls.builder import Builder, Net

BIT = 1024.0
"""Cost of a bit for a cycle; a stage costs 1, so that of equal placements the earliest is taken."""
TOLERANCE_NS = 1e-9
"""By which sums of delays may be off."""


def place(builder: Builder, live: Mapping[int, int], held: Mapping[int, int], depth: int) -> None:
    """Move the nets of a pipeline to the stages that need the fewest register bits.

    Parameters
    ----------
    builder
        Its nets, each as early as can be.
    live
        The ids of the nets that are read.
    held
        For results and what states are written from, by id, the stage until which they are needed.
    depth
        Registers that every result has behind it.
    """
    nets = [net for net in builder.nets if id(net) in live]
    if not nets:
        return
    number = {id(net): n for n, net in enumerate(nets)}
    earliest, latest = _bounds(builder, nets, depth)
    rows = [(j, i, 1) for j, i in _separated(builder, nets, number)]
    for j, net in enumerate(nets):
        for i in (number[id(a)] for a in net.args if not a.is_const):
            rows += [(j, i, 0), (len(nets) + i, j, net.reads_at - net.stage)]
        rows.append((len(nets) + j, j, 0))
    widths = BIT * np.array([net.width for net in nets])
    ends = [float(held.get(id(net), 0)) for net in nets]
    infinite = np.full(len(nets), np.inf)
    found = _solve(np.r_[1 - widths, widths], np.r_[earliest, ends], np.r_[latest, infinite], rows)
    for net, stage in zip(nets, found, strict=False):
        net.stage = round(stage)
    _time(builder, nets)


def _bounds(builder: Builder, nets: list[Net], depth: int) -> tuple[list[float], list[float]]:
    """First and last stage in which each net may stand."""
    written = {id(state.written): state.write_stage for state in builder.states}
    earliest, latest = [], []
    for net in nets:
        # A state that moved would be read before the beat in front has written it.
        stays = net.is_input or net.memory or net.state or net.operator in builder.fixed
        earliest.append(float(net.stage if stays else net.alone and net.delay > 0))
        last = min(depth - (net.delay > 0), written.get(id(net), depth))
        latest.append(float(net.stage if stays else max(last, net.stage)))
    return earliest, latest


def _separated(builder: Builder, nets: list[Net], number: Mapping[int, int]) -> set[tuple[int, int]]:
    """Pairs of nets between which there has to be a register, the later one first."""
    pairs: set[tuple[int, int]] = set()
    reaching: list[dict[int, float]] = []
    """For each net what may reach it within a cycle, by number, and the longest delay from there."""
    for j, net in enumerate(nets):
        before = [] if net.memory or net.taker else [number[id(a)] for a in net.args if not a.is_const]
        sources = {i for b in before for i in reaching[b]}
        if net.delay > 0:
            own = net.operator
        else:  # wires belong to the operator that they follow, of several to that which comes last
            own = max((nets[i].stage, nets[i].operator) for i in sources)[1] if sources else 0
        here: dict[int, float] = {}
        for i in sources:
            delay = max(reaching[b].get(i, 0.0) for b in before) + net.delay
            apart = net.delay > 0 and (net.alone or nets[i].alone)
            longest = builder.longest(net.operator, crosses=nets[i].operator != own)
            if not apart and delay <= longest + TOLERANCE_NS:
                here[i] = delay
            else:
                pairs.add((j, i))
        if net.delay > 0:
            here[j] = net.delay
        reaching.append(here)
    return pairs


def _solve(cost: np.ndarray, low: np.ndarray, high: np.ndarray, rows: list[tuple[int, int, int]]) -> np.ndarray:
    """Solve the program; a row (a, b, n) says that a is at least b + n."""
    import highspy  # a quarter of the time that importing the language takes; most commands schedule nothing

    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(cost), len(rows)
    program.col_cost_, program.col_lower_, program.col_upper_ = cost, low, high
    program.row_lower_ = np.array([float(n) for _, _, n in rows])
    program.row_upper_ = np.full(len(rows), np.inf)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.arange(0, 2 * len(rows) + 1, 2)
    program.a_matrix_.index_ = np.array([column for a, b, _ in rows for column in (a, b)])
    program.a_matrix_.value_ = np.tile([1.0, -1.0], len(rows))
    solver = highspy.Highs()
    solver.silent()
    solver.passModel(program)
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal, "the earliest placement is a solution"
    return np.array(solver.getSolution().col_value)


def _time(builder: Builder, nets: list[Net]) -> None:
    """Compute when each net settles within its cycle."""
    builder.critical = 0.0
    for net in nets:
        late = [a.time for a in net.args if not a.is_const and a.stage == net.stage and not (net.memory or net.taker)]
        net.time = max(late, default=0.0) + net.delay
        builder.critical = max(builder.critical, net.time)
