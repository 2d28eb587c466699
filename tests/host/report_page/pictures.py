"""The pictures of docs/report.md, taken in a headless Chromium.

``.venv/bin/python -m tests.host.report_page.pictures`` renews them.
"""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.browser import Browser, browser
from tests.documents import DOCS
from tests.host.report_page.pages import page

FOLDER = DOCS / "pictures"
MOST_BYTES = 150_000
PICTURES = {"report.webp": (1400, 1500, False), "report-phone.webp": (360, 1100, True)}
"""Width, height and whether it is dark, by name."""


def take(shown: Browser, folder: Path) -> None:
    """Write the pictures of the page that a browser shows."""
    for name, (width, height, dark) in PICTURES.items():
        shown.show(width, dark=dark)
        picture = Image.open(io.BytesIO(shown.screenshot(height=height)))
        picture.convert("RGB").save(folder / name, quality=85, method=6)


def main() -> None:
    """Renew the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        path = Path(name, "report.html")
        path.write_text(page(), encoding="utf-8")
        with browser(Path(name, "profile")) as shown:
            shown.open(path)
            take(shown, FOLDER)


if __name__ == "__main__":
    main()
