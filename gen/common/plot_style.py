"""The style of plots, and how one becomes a file: the same values, the same bytes."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DOTS_PER_INCH = 160

# Colours of Okabe and Ito, which colour-blind readers tell apart.
BLUE, GREEN, VERMILION, PURPLE, SKY, ORANGE, YELLOW = (
    *("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#e69f00", "#f0e442"),
)
GREY = "#7a7a7a"
GRID = "#ececec"

SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.5,
    "text.parse_math": False,  # a name with $ is a name
    "svg.hashsalt": "rtlm",  # same points, same file
    "svg.fonttype": "none",  # text that can be searched and edited
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def plot_file(path: Path | TextIO, size_inches: tuple[float, float]) -> Iterator[Figure]:
    """Provide a figure that is written to a file at the end.

    Parameters
    ----------
    path
        File to write, as SVG or PNG by its ending; an open text file as SVG.
    size_inches
        Width and height.
    """
    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
        # Without pyplot there is no global state, and no display is looked for.
        figure = Figure(figsize=size_inches)
        FigureCanvasAgg(figure)
        yield figure
        kind = path.suffix[1:].lower() if isinstance(path, Path) else "svg"
        figure.savefig(path, format=kind, dpi=DOTS_PER_INCH, metadata={"Date": None} if kind == "svg" else None)
