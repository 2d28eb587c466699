"""Device tree of a Zynq UltraScale+ for Linux: the accelerator, its memory, and what loads them with the bitstream."""

import json

from rtlm.gen.configuration.schema import Configuration
from rtlm.gen.package.ipxact import map_bytes
from rtlm.gen.package.vivado import SMALLEST_RANGE, System, system
from rtlm.gen.package.vivado.zynq import FIRST_HP, HPM0_BASE, MEMORY_BASE
from rtlm.hw.registers import RegisterMap

FOLDER = "linux"
"""Where the files lie in the folder of an accelerator."""
MEMORY_BYTES = 0x3F00_0000
"""Memory that is the accelerator's alone: from `MEMORY_BASE` on, below the firmware's at the end of the second GiB."""
INTERRUPT = 89
"""Shared peripheral interrupt of pl_ps_irq0[0]: number 121 of the interrupt controller (UG1085, system interrupts), of
which the shared ones begin at 32."""
PL0_CLOCK = 71
PL0_RESET = 116
"""Numbers of pl_clk0 and pl_resetn0 (Linux, dt-bindings: clock/xlnx-zynqmp-clk.h, reset/xlnx-zynqmp-resets.h)."""
AFI_WIDTHS = {128: 0, 64: 1, 32: 2}
"""What the registers AFIFMx_RDCTRL and AFIFMx_WRCTRL hold for the width of an HP port; a register's number is twice
that of its AFIFM, and one more for writes (UG1085; Linux, bindings of xlnx,afi-fpga)."""
AFIFS, HPM_32_BITS = 14, 0
"""Register with the widths of M_AXI_HPM0_FPD and HPM1_FPD, and its value for 32 bits."""

OVERLAY = """\
// Overlay for Linux, with the bitstream: accelerator {name} on {board}. Make it by
//
//   dtc -@ -O dtb -o {name}.dtbo {name}.dts
//
// The bitstream's clock and widths are set with it, for the boot firmware may be that of another. rtlm_memory is a
// label of reserved-memory.dts, which has to be in the tree from which Linux boots. Compiled by a test; not loaded on a
// board.
/dts-v1/;
/plugin/;

&fpga_full {{
    firmware-name = "{name}.bit.bin";
    resets = <&zynqmp_reset {reset}>;
}};

&amba {{
    #address-cells = <2>;
    #size-cells = <2>;

    // pl_clk0.
    rtlm_clock: clocking0 {{
        compatible = "xlnx,fclk";
        #clock-cells = <0>;
        clocks = <&zynqmp_clk {clock}>;
        clock-output-names = "fabric_clk";
        assigned-clocks = <&zynqmp_clk {clock}>;
        assigned-clock-rates = <{hertz}>;
    }};

    // Widths of the HP ports, each for reads and writes, and of HPM0.
    rtlm_widths: afi0 {{
        compatible = "xlnx,afi-fpga";
        config-afi = {widths};
    }};

    // pl_ps_irq0[0] is a shared interrupt, active high.
    rtlm: rtlm@{registers:x} {{
        compatible = "generic-uio";
        reg = <0x0 {registers:#x} 0x0 {registers_bytes:#x}>;
        interrupt-parent = <&gic>;
        interrupts = <0 {interrupt} 4>;
    }};

    // github.com/ikwzm/udmabuf.
    rtlm_buffer: udmabuf0 {{
        compatible = "ikwzm,u-dma-buf";
        device-name = "udmabuf0";
        size = <{memory_bytes:#x}>;
        memory-region = <&rtlm_memory>;
    }};
}};
"""
RESERVED = """\
// Memory that is the accelerator's alone, for the tree from which Linux boots: it cannot be taken from Linux later.
// With the board's tree as system.dtb, which has symbols (dtc -@):
//
//   dtc -@ -O dtb -o reserved-memory.dtbo reserved-memory.dts
//   fdtoverlay -i system.dtb -o system-rtlm.dtb reserved-memory.dtbo
//
// It begins where MEMORY_BASE of the wrapper in ../vivado puts byte address 0. Compiled by a test; no board has
// booted from it.
/dts-v1/;
/plugin/;

&{{/}} {{
    #address-cells = <2>;
    #size-cells = <2>;

    reserved-memory {{
        #address-cells = <2>;
        #size-cells = <2>;
        ranges;

        rtlm_memory: rtlm@{memory:x} {{
            compatible = "shared-dma-pool";
            reusable;
            reg = <0x0 {memory:#x} 0x0 {memory_bytes:#x}>;
        }};
    }};
}};
"""
BIF = "all:\n{{\n    [destination_device = pl] {name}.bit\n}}\n"
SHELL = {"shell_type": "XRT_FLAT", "num_slots": "1"}
"""A design without slots, for ``xmutil`` (Kria's dfx-mgr)."""


def device_tree_files(config: Configuration, registers: RegisterMap) -> dict[str, str]:
    """Return the files for Linux by name; none without a block design for a Zynq.

    Parameters
    ----------
    config
        Configuration of the accelerator.
    registers
        Registers behind ``s_axi``.
    """
    if system(config) is not System.ZYNQ:
        return {}
    width = AFI_WIDTHS[config.memory.port_bits]
    afi = [(2 * (FIRST_HP + port) + write, width) for port in range(config.memory.ports) for write in (0, 1)]
    values = {
        "name": config.name,
        "board": config.board,
        "reset": PL0_RESET,
        "clock": PL0_CLOCK,
        "hertz": round(config.clock_mhz * 1e6),
        "widths": ", ".join(f"<{register} {value}>" for register, value in [*afi, (AFIFS, HPM_32_BITS)]),
        "registers": HPM0_BASE,
        "registers_bytes": max(map_bytes(registers), SMALLEST_RANGE),
        "interrupt": INTERRUPT,
        "memory": MEMORY_BASE,
        "memory_bytes": MEMORY_BYTES,
    }
    files = {
        f"{config.name}.dts": OVERLAY.format(**values),
        "reserved-memory.dts": RESERVED.format(**values),
        f"{config.name}.bif": BIF.format(**values),
        "shell.json": json.dumps(SHELL, indent=2) + "\n",
    }
    return {f"{FOLDER}/{name}": text for name, text in files.items()}
