"""Plots as SVG within the page: its text in the page's font, its colours from the page's palette."""

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.figure import Figure
from rtlm.gen.common.plot_style import plot_file
from rtlm.host.report_page.palette import OF_PLOTS

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
FONT = re.compile(r"font: (?:(bold|\d+) )?([\d.]+)px [^;]+")
COLOUR = re.compile(r"#[0-9a-f]{6}")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
PIXELS_A_POINT = 4 / 3

Draw = Callable[[Figure], None]


def inline_svg(
    draw: Draw, size_inches: tuple[float, float], *, name: str, title: str, description: str, css_class: str
) -> Markup:
    """Return a plot as an ``svg`` element, no wider than it was drawn.

    Parameters
    ----------
    draw
        Draws on a figure.
    size_inches
        Width and height.
    name
        Begins the element's ids, which are unique in the page.
    title, description
        What screen readers say.
    css_class
        Of the element.
    """
    text = io.StringIO()
    with plot_file(text, size_inches) as figure:
        draw(figure)
    return embed(text.getvalue(), name=name, title=title, description=description, css_class=css_class)


def embed(text: str, *, name: str, title: str, description: str, css_class: str) -> Markup:
    """Return a file that matplotlib has written as an ``svg`` element; see `inline_svg`."""
    root = ElementTree.fromstring(text)  # from matplotlib, not from anybody else
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style") or not isinstance(child.tag, str):
                parent.remove(child)
    used = {
        target
        for element in root.iter()
        for value in element.attrib.values()
        for target in (*REFERENCE.findall(value), value[1:] if value.startswith("#") else "")
    }
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        _rename(element, name, used)
    width = root.attrib.pop("width")
    root.attrib.pop("height")
    root.attrib.pop("version", None)
    root.attrib |= {
        "class": css_class,
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
        "style": f"max-width: {float(width.removesuffix('pt')) * PIXELS_A_POINT:.0f}px",
    }
    for position, (tag, words) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{name}-{'title' if tag == 'title' else 'description'}"})
        element.text = words
        root.insert(position, element)
    for element in root.iter("defs"):
        element.tail = None
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _rename(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Give ids and references the plot's name, and colours and fonts the page's."""
    attributes = element.attrib
    own = attributes.pop("id", None)
    if own in used:
        attributes["id"] = f"{name}-{own}"
    if target := attributes.pop(LINK, None):
        attributes["href"] = f"#{name}-{target[1:]}"
    for key in ("clip-path", "style"):
        if key in attributes:
            attributes[key] = REFERENCE.sub(rf"url(#{name}-\1)", attributes[key])
    if style := attributes.get("style"):
        style = FONT.sub(lambda found: _font(found[1], found[2]), style)
        attributes["style"] = COLOUR.sub(lambda found: _variable(found[0]), style)
    elif element.tag in ("path", "text") and "fill" not in attributes:
        attributes["style"] = "fill: var(--ink)"


def _font(weight: str | None, size: str) -> str:
    bold = f"; font-weight: {weight}" if weight else ""
    return f"font-size: {size}px{bold}"


def _variable(colour: str) -> str:
    """Return a colour of the palette; one that is not in it would be illegible on one of the grounds.

    Raises
    ------
    KeyError
        If the palette has no such colour.
    """
    return f"var(--{OF_PLOTS[colour]})"
