"""The host's side of `rtlm.hw.board.link.protocol`: requests in packets, answers checked, lost ones repeated."""

import time
from collections import deque
from collections.abc import Sequence

from rtlm.host.boards.serial_port import SerialPort
from rtlm.host.errors import AcceleratorError
from rtlm.hw.board.link.protocol import (
    ANSWER_MARK,
    FLUSH,
    LINK_ID,
    LINK_VERSION,
    WORD_BYTES,
    Answer,
    Opcode,
    Request,
    Status,
    numbers,
)

RETRIES = 4
"""How often in a row something is sent again before the board counts as silent."""
WINDOW = 16
"""Requests that are under way at once: what they are answered takes longer than USB's pauses of a millisecond."""
BITS_PER_BYTE = 10
QUIET_S = 0.05
"""Without a byte for so long nothing is under way: three times the pause of a bridge of FTDI."""

MEANINGS = {
    Status.OPCODE: "knows no such request: its bitstream is of another version",
    Status.COUNT: "refuses the number of words: its bitstream is of another version",
    Status.ADDRESS: "has neither registers nor memory there",
    Status.BUS: "got an error from the registers or the memory there",
    Status.NO_ANSWER: "got no answer from the registers or the memory there; reset the board",
}
"""What a status means that no repetition mends."""


class LostError(Exception):
    """A packet was lost or damaged."""


class LinkClient:
    """Requests to a board behind a serial line.

    Parameters
    ----------
    port
        The serial port.
    baud
        Its speed.
    name
        Of the board, for sentences.
    answer_s
        Seconds that an answer may take, beside the time of its bytes.

    Raises
    ------
    AcceleratorError
        If no such board answers.
    """

    def __init__(self, port: SerialPort, *, baud: int, name: str, answer_s: float) -> None:
        self._port, self._baud, self.name, self._answer_s = port, baud, name, answer_s
        self._received = bytearray()
        self._sequence = 0
        self.repeated = 0
        """How often something had to be sent again."""
        self._synchronise()
        (opened,) = self.exchange([Request(opcode=Opcode.OPEN)])
        identity, version, words = numbers(opened)
        if identity != LINK_ID or version != LINK_VERSION:
            raise AcceleratorError(
                f"{name} answers as {identity:#010x} with version {version} of the packets; this driver knows "
                f"{LINK_ID:#010x} with version {LINK_VERSION}"
            )
        self.memory_bytes = words * WORD_BYTES

    def seconds(self, size: int) -> float:
        """Return how long some bytes take on the line."""
        return size * BITS_PER_BYTE / self._baud

    def exchange(self, requests: Sequence[Request], *, window: int = 1) -> list[bytes]:
        """Make requests, and return the words that they were answered with.

        Parameters
        ----------
        requests
            In their order.
        window
            How many may be under way at once; those of registers go one by one, for the board to know a repetition.

        Raises
        ------
        AcceleratorError
            If the board refuses one, was reset, or does not answer however often it is asked.
        """
        packets = [(request, self._next()) for request in requests]
        answers: list[bytes] = []
        failures = 0
        while len(answers) < len(packets):
            before = len(answers)
            try:
                self._stream(packets[before:], 1 if failures else window, answers)
            except LostError as problem:
                failures = failures + 1 if len(answers) == before else 1
                if failures > RETRIES:
                    raise self._silent(str(problem)) from None
                self.repeated += 1
                self._drain()
                self._synchronise()
        return answers

    def _stream(self, packets: Sequence[tuple[Request, int]], window: int, answers: list[bytes]) -> None:
        """Send requests and add their answers."""
        waiting: deque[tuple[Request, int]] = deque()
        sent = 0
        while waiting or sent < len(packets):
            while sent < len(packets) and len(waiting) < window:
                request, sequence = packets[sent]
                self._port.write(request.encode(sequence), self._patience(waiting, request))
                waiting.append(packets[sent])
                sent += 1
            request, sequence = waiting[0]
            answer = self._answer(self._patience(waiting))
            if answer.status == Status.CHECKSUM.value or answer.sequence != sequence:
                raise LostError("requests arrive damaged, or answers are lost")
            self._judge(request, answer)
            if len(answer.words) != request.answer_words * WORD_BYTES:
                raise LostError("answers have other lengths than they should")
            waiting.popleft()
            answers.append(answer.words)

    def _patience(self, waiting: Sequence[tuple[Request, int]], *more: Request) -> float:
        """Return the seconds after which what is under way is overdue."""
        requests = [*(request for request, _ in waiting), *more]
        return self._answer_s + 2 * self.seconds(sum(each.size + each.answer_size for each in requests))

    def _answer(self, seconds: float) -> Answer:
        """Return the next answer."""
        deadline = time.monotonic() + seconds
        while True:
            answer, size = Answer.decode(self._received)
            del self._received[:size]
            if answer:
                return answer
            if size:
                raise LostError("answers arrive damaged")
            left = deadline - time.monotonic()
            if left <= 0:
                raise LostError("no answer comes")
            self._received += self._port.read(left)

    def _judge(self, request: Request, answer: Answer) -> None:
        """Refuse what no repetition mends."""
        if answer.status == Status.OKAY.value:
            return
        if answer.status == Status.RESET.value:
            raise AcceleratorError(f"{self.name} was reset meanwhile: what it held is lost; run the command again")
        known = answer.status in {status.value for status in MEANINGS}
        meaning = MEANINGS[Status(answer.status)] if known else f"answers with status {answer.status}"
        what = f"{request.opcode.name} at {request.address:#x}"
        raise AcceleratorError(f"{self.name} {meaning} ({what})")

    def _drain(self) -> None:
        """Wait until the answers that are under way have come: what is sent meanwhile may find no room."""
        while self._port.read(QUIET_S):
            pass

    def _synchronise(self) -> None:
        """End whatever packet was begun, and wait until an answer shows that both sides are between two."""
        for _ in range(RETRIES):
            request, sequence = Request(opcode=Opcode.IDENTIFY), self._next()
            patience = self._answer_s + 2 * self.seconds(len(FLUSH))
            self._received.clear()
            self._port.write(FLUSH + request.encode(sequence), patience)
            deadline = time.monotonic() + patience
            while (left := deadline - time.monotonic()) > 0:
                self._received += self._port.read(left)
                if self._forget_until(sequence):
                    return
        raise self._silent("no answer comes")

    def _forget_until(self, sequence: int) -> bool:
        """Forget what was received up to the answer to an IDENTIFY; say whether it was there."""
        place = self._received.find(ANSWER_MARK)
        while place >= 0:
            answer, size = Answer.decode(self._received[place:])
            if answer and (answer.status, answer.sequence) == (Status.OKAY.value, sequence):
                del self._received[: place + size]
                return True
            place = self._received.find(ANSWER_MARK, place + 1)
        return False

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) % 256
        return self._sequence

    def _silent(self, why: str) -> AcceleratorError:
        return AcceleratorError(
            f"{self.name} does not answer as an accelerator at {self._baud} baud ({why}): is its bitstream loaded, and "
            "was it built for this speed?"
        )
