"""The picture of how data flows: from a model and a configuration to tokens, report and power."""

from rtlm.host.plots.diagram import Arrow, Box, diagram

TITLE = (
    "The host packs a model file into a memory image and a program; a configuration becomes Amaranth components and "
    "Verilog; the simulator runs both, which gives tokens, counters and activity, and logits equal those of the golden "
    "model."
)


def data_flow_svg() -> str:
    """Draw how data flows."""
    boxes = (
        Box(name="model.gguf", x=20, y=30, width=120, height=60, outside=True),
        Box(name="host", x=200, y=30, width=160, height=60, lines=("read, pack, compile",)),
        Box(name="memory image", x=440, y=30, width=150, height=60, lines=("and program",)),
        Box(name="config.yaml", x=20, y=150, width=120, height=60, outside=True),
        Box(name="gen", x=200, y=150, width=160, height=60, lines=("check, derive sizes",)),
        Box(name="hw", x=440, y=150, width=150, height=60, lines=("Amaranth",)),
        Box(name="sim", x=720, y=150, width=190, height=60, lines=("Verilator, DRAM model",)),
        Box(name="golden model", x=440, y=280, width=150, height=60, lines=("NumPy",)),
        Box(name="tokens, logits", x=640, y=280, width=130, height=60, outside=True),
        Box(name="report", x=790, y=280, width=80, height=60, outside=True),
        Box(name="power", x=890, y=280, width=80, height=60, outside=True),
    )
    arrows = (
        Arrow(points=((140, 60), (200, 60))),
        Arrow(points=((360, 60), (440, 60))),
        Arrow(points=((590, 60), (815, 60), (815, 150))),
        Arrow(points=((140, 180), (200, 180))),
        Arrow(points=((360, 180), (440, 180))),
        Arrow(points=((590, 180), (720, 180)), label=("Verilog",), label_at=(630, 172)),
        Arrow(points=((515, 210), (515, 280)), label=("same source",)),
        Arrow(points=((740, 210), (740, 280))),
        Arrow(points=((830, 210), (830, 280)), label=("counters",), label_at=(768, 250)),
        Arrow(points=((900, 210), (900, 280)), label=("activity",)),
        Arrow(points=((590, 310), (640, 310)), label=("equal bits",), label_at=(584, 366)),
    )
    return diagram(985, 380, TITLE, (*boxes, *arrows))
