"""Diagrams of boxes and arrows as SVG that is legible on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from xml.sax.saxutils import escape

from rtlm.gen.common.plot_style import BLUE, GREY, SETTINGS, SKY, VERMILION

LINE = 17
"""Pixels from one line of text to the next."""
HEAD = 7
"""Length of an arrow's head."""

# The picture has a ground of its own, so its text is as legible where a page is not as dark as the system says.
STYLE = Template("""
.ground { fill: #ffffff } .box { fill: #e8f1f8; stroke: $BLUE } .outside { fill: #f3f3f3; stroke: $GREY }
text { fill: #1b1b1b; font-family: $FONT, sans-serif } .small { fill: #444444 } .name { font-weight: bold }
.arrow { stroke: #5a5a5a; fill: none } .head { fill: #5a5a5a } .slice { fill: $VERMILION }
@media (prefers-color-scheme: dark) {
.ground { fill: #1e2129 } .box { fill: #17384d; stroke: $SKY } .outside { fill: #2f333d; stroke: #9a9a9a }
text { fill: #eeeeee } .small { fill: #c4c4c4 }
.arrow { stroke: #b0b0b0 } .head { fill: #b0b0b0 } .slice { fill: #ff9248 }
}
""").substitute(BLUE=BLUE, GREY=GREY, SKY=SKY, VERMILION=VERMILION, FONT=SETTINGS["font.family"])


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box with a name and lines of text.

    Parameters
    ----------
    name
        Its first line.
    x, y, width, height
        Place of its upper left corner and size, in pixels.
    lines
        Small text below the name.
    outside
        Whether it lies outside what the diagram is of.
    """

    name: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...] = ()
    outside: bool = False

    def svg(self) -> str:
        """Return its elements."""
        middle = self.x + self.width / 2
        top = self.y + (self.height - LINE * len(self.lines)) / 2 + 5
        shape = (
            f'<rect class="{"outside" if self.outside else "box"}" x="{self.x:g}" y="{self.y:g}" '
            f'width="{self.width:g}" height="{self.height:g}" rx="5"/>\n'
        )
        texts = [_text(middle, top, self.name, "name", 14)]
        texts += [_text(middle, top + LINE * n, line, "small", 12) for n, line in enumerate(self.lines, 1)]
        return shape + "".join(texts)


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """An arrow along corners.

    Parameters
    ----------
    points
        Its corners, the head at the last.
    label
        Lines of text.
    label_at
        Where the label begins; default: right of the middle.
    slice
        Whether a register slice is drawn across it.
    """

    points: tuple[tuple[float, float], ...]
    label: tuple[str, ...] = ()
    label_at: tuple[float, float] | None = None
    slice: bool = False

    def svg(self) -> str:
        """Return its elements."""
        (x0, y0), (x1, y1) = self.points[-2:]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        u, v = (x1 - x0) / length, (y1 - y0) / length
        base = (x1 - HEAD * u, y1 - HEAD * v)
        half = HEAD / 2
        corners = [(x1, y1), (base[0] - half * v, base[1] + half * u), (base[0] + half * v, base[1] - half * u)]
        path = " ".join(f"{x:g},{y:g}" for x, y in (*self.points[:-1], base))
        parts = [f'<polyline class="arrow" points="{path}"/>\n']
        parts.append(f'<polygon class="head" points="{" ".join(f"{x:g},{y:g}" for x, y in corners)}"/>\n')
        (ax, ay), (bx, by) = self.points[:2]
        if self.slice:
            across = 8 if ax == bx else 4
            x, y = (ax + bx) / 2, (ay + by) / 2
            parts.append(
                f'<rect class="slice" x="{x - across:g}" y="{y - 12 + across:g}" width="{2 * across}" '
                f'height="{24 - 2 * across}"/>\n'
            )
        x, y = self.label_at or ((ax + bx) / 2 + 10, (ay + by) / 2 - LINE * (len(self.label) - 1) / 2 + 4)
        parts += [_text(x, y + LINE * n, line, "small", 12, "start") for n, line in enumerate(self.label)]
        return "".join(parts)


def diagram(width: int, height: int, title: str, parts: Sequence[Box | Arrow]) -> str:
    """Return an SVG file.

    Parameters
    ----------
    width, height
        Size in pixels.
    title
        What it shows, for those who cannot see it.
    parts
        What is drawn, the first lowest.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
        f'<rect class="ground" width="{width}" height="{height}" rx="6"/>\n'
        f"{''.join(part.svg() for part in parts)}</svg>\n"
    )


def _text(x: float, y: float, text: str, kind: str, size: int, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>\n'
