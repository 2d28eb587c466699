"""The stream of words from memory: bursts on their way into the prefetch buffer, and the units that take their words.

As the reader (`rtlm.hw.memory.reader`) does it: segments are cut into bursts at stripe boundaries; a burst is requested
once a port has fewer than its limit under way and the buffer has room for all the burst's words; words arrive in order.
The memory delivers each burst at the rate of a linear stream, some cycles after its request.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from rtlm.host.estimation.memory import ADDRESS_CYCLES, WORD_CYCLES, MemoryTimes

PROGRAM = 0
"""Stands for a word of the program among the lengths of bursts."""

STEADY = 4
"""Bursts in a row that take equally long before the rest of a segment is worked out at once."""


@dataclass(slots=True)
class _Burst:
    """Words of one burst.

    Attributes
    ----------
    first, end
        When its first word can be taken, and when its last one can.
    words, taken
        How many it has, and how many have been taken.
    """

    words: int
    first: float
    end: float
    taken: float = 0.0


@dataclass(slots=True)
class _Run:
    """Bursts of equal length that have not been requested.

    Attributes
    ----------
    words, count
        Words of each (or `PROGRAM`), and how many.
    jump
        Cycles that the memory takes to get there.
    """

    words: int
    count: int
    jump: float = 0.0


class WordStream:
    """Words on their way from memory to the units, at one moment.

    Parameters
    ----------
    memory
        Where they come from.

    Attributes
    ----------
    time
        The moment, in cycles from the step's start.
    """

    def __init__(self, memory: MemoryTimes):
        self.memory = memory
        self.time = 0.0
        self._burst = _Burst(0, 0.0, 0.0)
        self._left: deque[_Run] = deque()
        self._end = 0  # of the last segment
        self._decoded = 0.0
        self._requested = 0.0
        self._arrived: deque[float] = deque(maxlen=memory.outstanding)
        self._admitted = 0  # words of all bursts so far
        self._takes: deque[tuple[float, float, float]] = deque()  # words taken before; begin and end
        self._taken = 0.0

    @property
    def waiting(self) -> bool:
        """Whether words are wanted that have not been requested."""
        return bool(self._left)

    def shift(self, cycles: float) -> None:
        """Move everything to a later time."""
        self.time += cycles
        self._decoded += cycles
        self._requested += cycles
        self._burst.first += cycles
        self._burst.end += cycles
        self._arrived = deque((end + cycles for end in self._arrived), self._arrived.maxlen)
        self._takes = deque((words, start + cycles, end + cycles) for words, start, end in self._takes)

    def request(self, start: int, words: int, *, decoded: float) -> None:
        """Begin a segment.

        Parameters
        ----------
        start
            Its first word in memory.
        words
            How many; the ones before must have been taken.
        decoded
            When its instruction asks for it.
        """
        size = self.memory.burst_words
        head = min(words, size - start % size)
        full, tail = divmod(words - head, size)
        runs = [(head, 1), (size, full), (tail, 1)]
        if start != self._end:
            first = head or (size if full else tail)
            self._left.append(_Run(first, 1, self.memory.jump))
            runs = [(size, full if head else full - 1), (tail, 1)] if head or full else []
        self._left.extend(_Run(each, count) for each, count in runs if each and count > 0)
        self._end = start + words
        self._decoded = max(self._decoded, decoded)

    def request_program(self, *, decoded: float) -> None:
        """Begin a segment of one word of the program, which the sequencer takes as soon as it comes."""
        self._left.append(_Run(PROGRAM, 1))
        self._decoded = max(self._decoded, decoded)

    def next_program(self) -> float:
        """Return when the next word of the program is there, which must be the next one of all."""
        return self._request_burst().end

    def wait(self, until: float) -> None:
        """Let time pass in which no word is taken."""
        self.time = max(self.time, until)

    def arrival(self) -> float:
        """Return when the next word can be taken."""
        burst = self._burst
        if burst.words - burst.taken <= 1e-9:
            burst = self._next()
        return burst.first + (burst.taken + 1) / self.memory.words_per_cycle

    def take(self, words: float, *, cycles: float) -> None:
        """Take words.

        Parameters
        ----------
        words
            How many, of the segments that have begun.
        cycles
            For which the unit works on each, at least.
        """
        left = words
        rate = self.memory.words_per_cycle
        bursts: deque[tuple[float, float]] = deque(maxlen=STEADY)
        while left > 1e-9:
            burst = self._burst
            if burst.words - burst.taken <= 1e-9:
                if duration := _steady(bursts):
                    left -= self._jump(left, duration)
                    bursts.clear()
                burst = self._next()
            part = min(left, burst.words - burst.taken)
            start = max(self.time, burst.first + burst.taken / rate)
            burst.taken += part
            self.time = max(start + part * cycles, burst.first + burst.taken / rate)
            self._takes.append((self._taken, start, self.time))
            self._taken += part
            left -= part
            if part == self.memory.burst_words:
                bursts.append((burst.end, self.time))

    def _next(self) -> _Burst:
        """Request the next burst of data, and with it what comes before it of the program."""
        while self._left[0].words == PROGRAM:
            self.next_program()
        return self._request_burst()

    def _request_burst(self) -> _Burst:
        """Request the next burst of the runs."""
        run = self._left[0]
        run.count -= 1
        if not run.count:
            self._left.popleft()
        memory, words = self.memory, run.words or 1
        before = self._arrived[-1] if self._arrived else 0.0
        free = self._arrived[0] if len(self._arrived) == memory.outstanding else 0.0
        self._admitted += words
        earliest = max(self._requested + 1, self._decoded + ADDRESS_CYCLES, free + 1)
        self._requested = max(earliest, self._room() + 1)
        if run.words == PROGRAM:
            first = max(self._requested + memory.latency + memory.jump, before)
        else:
            first = max(self._requested + memory.latency, before) + run.jump
        last = first + words / memory.words_per_cycle
        self._arrived.append(last)
        self._burst = _Burst(words, first + WORD_CYCLES, last + WORD_CYCLES)
        if run.words == PROGRAM:
            self._burst.taken = 1.0
            taken = max(self.time, self._burst.end)
            self._takes.append((self._taken, taken, taken))
            self._taken += 1
        return self._burst

    def _room(self) -> float:
        """Return when the buffer has room for all words that have been admitted."""
        needed = self._admitted - self.memory.buffer_words
        if needed <= 0:
            return 0.0
        while len(self._takes) > 1 and self._takes[1][0] < needed:
            self._takes.popleft()
        before, start, end = self._takes[0]
        after = self._takes[1][0] if len(self._takes) > 1 else self._taken
        return end if after <= before else start + (end - start) * min(1.0, (needed - before) / (after - before))

    def _jump(self, left: float, duration: float) -> float:
        """Take all but the last of the whole bursts that are left of a segment; return their words."""
        size = self.memory.burst_words
        if not self._left or self._left[0].words != size:
            return 0.0
        count = min(self._left[0].count, int(left // size)) - 1
        if count < 1:
            return 0.0
        self._left[0].count -= count
        words = count * size
        self.shift(count * duration)
        self._decoded -= count * duration
        self._admitted += words
        self._taken += words
        self._takes = deque((before + words, start, end) for before, start, end in self._takes)
        return words


def _steady(bursts: deque[tuple[float, float]]) -> float:
    """Return the cycles between bursts if arrivals and takes keep step, or 0."""
    if len(bursts) < STEADY:
        return 0.0
    gaps = [b - a for (one, two), (three, four) in pairwise(bursts) for a, b in ((one, three), (two, four))]
    return gaps[-1] if max(gaps) - min(gaps) < 1e-6 else 0.0
