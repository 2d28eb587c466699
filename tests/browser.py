"""A headless Chromium, driven through its DevTools protocol over a pipe: what a page does and looks like in it."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "chrome", "google-chrome", "google-chrome-stable")
SECONDS = 60.0
START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Puts the pipes where the browser expects them, whatever their numbers are in ours, and becomes the browser."""
MISSING = "needs a Chromium: apt install chromium, or CHROMIUM=PATH"


def find_browser() -> str | None:
    """Return the path of a Chromium: that of the variable CHROMIUM, or one on PATH; None where there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A page in a browser.

    Parameters
    ----------
    process
        The browser, which listens on its file descriptor 3 and answers on 4.
    to, back
        Our ends of these pipes.
    """

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int):
        self.events: list[dict[str, Any]] = []
        """All that the browser has told of the page, since it was opened."""
        self._process, self._to, self._back = process, to, back
        self._buffer, self._number, self._session = b"", 0, ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Open a file and wait until it is there."""
        self.events.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("Page.loadEventFired")

    def wait(self, method: str) -> None:
        """Wait until the browser has told of something."""
        while not any(event["method"] == method for event in self.events):
            self._receive()

    def show(self, width: int, height: int = 900, *, dark: bool = False, media: str = "screen") -> None:
        """Set the size of the window, and whether it is dark or paper."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    def screenshot(self, *, height: int | None = None) -> bytes:
        """Return the page as PNG, whole or so many pixels of it."""
        width, whole = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height or whole, "scale": 1}
        return base64.b64decode(self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed on A4."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            if not select.select([self._back], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"the browser has said nothing for {SECONDS:g} s")
            part = os.read(self._back, 1 << 16)
            if not part:
                raise RuntimeError(f"the browser has ended with exit code {self._process.wait()}")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser, and end it.

    Parameters
    ----------
    profile
        An empty folder for what it writes.
    """
    path = find_browser()
    assert path, MISSING
    their_in, to = os.pipe()
    back, their_out = os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    options += ["--remote-debugging-pipe", f"--user-data-dir={profile}"]
    options += ["--disable-background-networking", "--no-first-run", "--disable-component-update"]
    high = tuple(fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (their_in, their_out))
    process = subprocess.Popen(
        [sys.executable, "-c", START, *map(str, high), path, *options],
        pass_fds=high,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile), "XDG_CACHE_HOME": str(profile)},
    )
    for descriptor in (their_in, their_out, *high):
        os.close(descriptor)
    try:
        yield Browser(process, to, back)
    finally:
        with contextlib.suppress(OSError):
            os.write(to, b'{"id":0,"method":"Browser.close"}\0')
        os.close(to)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(back)
