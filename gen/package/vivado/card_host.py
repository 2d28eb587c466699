"""Verilog between the XDMA and the rest of a card's block design."""

from rtlm.gen.package.vivado.parts import Parts
from rtlm.gen.package.vivado.text import filled
from rtlm.gen.package.vivado.wrapper import interface

HOST = "card_host"
"""Module between the XDMA and the rest."""
HOST_BITS, HOST_ID_BITS, HOST_ADDRESS_BITS = 512, 4, 64
"""Widths of the XDMA's memory interface for sixteen lanes of 8 GT/s (PG195)."""


def card_host(parts: Parts) -> str:
    """Write the Verilog module that gives the XDMA the accelerator's view of the memory, and takes its interrupt over.

    Parameters
    ----------
    parts
        Where the ports have their memory.
    """
    outside = parts.all_bits
    address = [("id", HOST_ID_BITS), ("addr", HOST_ADDRESS_BITS), ("len", 8), ("size", 3), ("burst", 2)]
    address += [("cache", 4), ("prot", 3), ("valid", 1)]
    to_memory = [(f"{channel}{name}", bits) for channel in ("aw", "ar") for name, bits in address]
    to_memory += [("wdata", HOST_BITS), ("wstrb", HOST_BITS // 8), ("wlast", 1), ("wvalid", 1)]
    to_memory += [("bready", 1), ("rready", 1)]
    to_host = [("awready", 1), ("wready", 1), ("arready", 1), ("bid", HOST_ID_BITS), ("bresp", 2), ("bvalid", 1)]
    to_host += [("rid", HOST_ID_BITS), ("rdata", HOST_BITS), ("rresp", 2), ("rlast", 1), ("rvalid", 1)]
    declarations, body = [], []
    for bus, directions in (("s_axi", ("input", "output")), ("m_axi", ("output", "input"))):
        for signals, direction in zip((to_memory, to_host), directions, strict=True):
            for signal, bits in signals:
                span = f"[{bits - 1}:0]" if bits > 1 else ""
                first = signal == to_memory[0][0]
                lead = interface(bus, signal, first, "PROTOCOL AXI4")
                declarations.append(f"    {lead}\n    {direction:<6} wire {span:>7} {bus}_{signal}")
    for signal, _ in to_memory:
        if signal.endswith("addr"):
            inside = parts.address(f"s_axi_{signal}", outside)
            body.append(f"    assign m_axi_{signal} = {{s_axi_{signal}[{HOST_ADDRESS_BITS - 1}:{outside}], {inside}}};")
        else:
            body.append(f"    assign m_axi_{signal} = s_axi_{signal};")
    body += [f"    assign s_axi_{signal} = m_axi_{signal};" for signal, _ in to_host]
    return filled(
        "card_host.v",
        {"HOST": HOST, "DECLARATIONS": ",\n".join(declarations), "BODY": "\n".join(body)},
    )
