"""The colours of the page: for each name a value on white and one on a dark ground.

Those of plots are what the hues of Okabe and Ito become where they have to stand out 3:1 from the card they lie on
(WCAG 2.2, 1.4.11); texts stand out 4.5:1 (1.4.3).
"""

from rtlm.gen.common.plot_style import BLUE, GREEN, GREY, GRID, ORANGE, PURPLE, SKY, VERMILION, YELLOW

LIGHT = {
    "page": "#f4f5f7",
    "card": "#ffffff",
    "ink": "#16191d",
    "muted": "#565d66",
    "rule": "#dadde2",
    "grid": "#e6e8ec",
    "line": "#8a919b",
    "accent": "#00609a",
    "accent-soft": "#e3f0f8",
    "measured": "#00664b",
    "measured-soft": "#e0f3ec",
    "modelled": "#8a3d00",
    "modelled-soft": "#fcece0",
    "sourced": "#4c4f58",
    "sourced-soft": "#ebecef",
    "blue": "#0072b2",
    "green": "#00875f",
    "vermilion": "#d55e00",
    "purple": "#b4568c",
    "sky": "#2c89c4",
    "orange": "#b57a00",
    "yellow": "#f0e442",
}
DARK = {
    "page": "#101316",
    "card": "#191d22",
    "ink": "#eceff2",
    "muted": "#a9b1ba",
    "rule": "#343a42",
    "grid": "#2a3037",
    "line": "#707a85",
    "accent": "#7cc4f2",
    "accent-soft": "#17303f",
    "measured": "#63d3ac",
    "measured-soft": "#12332a",
    "modelled": "#f5a46a",
    "modelled-soft": "#3b2516",
    "sourced": "#bcc3cb",
    "sourced-soft": "#2b3037",
    "blue": "#4aa8e0",
    "green": "#2fc496",
    "vermilion": "#f0803c",
    "purple": "#dc8fba",
    "sky": "#7cc9f5",
    "orange": "#e9ab2e",
    "yellow": "#f0e442",
}
"""Every name of `LIGHT`."""

TEXT_PAIRS = (
    *(("ink", "page"), ("ink", "card"), ("muted", "page"), ("muted", "card"), ("accent", "card"), ("accent", "page")),
    *(("measured", "measured-soft"), ("modelled", "modelled-soft"), ("sourced", "sourced-soft")),
    *(("accent", "accent-soft"), ("ink", "accent-soft")),
)
"""Texts, each with what it stands on."""

GRAPHICS = ("blue", "green", "vermilion", "purple", "sky", "orange", "line", "ink", "muted")
"""What is drawn on cards and has to be told from them; `YELLOW` only fills shapes with an edge of ink."""

OF_PLOTS = {
    BLUE: "blue",
    GREEN: "green",
    VERMILION: "vermilion",
    PURPLE: "purple",
    SKY: "sky",
    ORANGE: "orange",
    YELLOW: "yellow",
    GREY: "muted",
    GRID: "grid",
    "#000000": "ink",
    "#ffffff": "card",
    "#c9c9c9": "rule",
    "#d0d0d0": "rule",
    "#5a5a5a": "muted",
}
"""The name of each colour that plots are drawn with."""


def custom_properties(colours: dict[str, str]) -> str:
    """Return colours as CSS custom properties."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def contrast(one: str, two: str) -> float:
    """Return the contrast of two colours ``#rrggbb`` (WCAG 2.2): 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
