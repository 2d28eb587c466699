"""The self-test's files for a board."""

from collections.abc import Mapping
from typing import Any

from rtlm.gen.common.errors import GenerateError
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.package.folder import Package
from rtlm.gen.package.header import header
from rtlm.gen.package.shell import Shell, pins
from rtlm.gen.rtl.verilog import Emitted, emit
from rtlm.gen.synthesis.targets import TARGETS
from rtlm.hw.board import SelfTestParams

TOP = "selftest"
"""Name of the top module."""


def emit_selftest(shell: Shell, params: SelfTestParams) -> Emitted:
    """Return the self-test as netlist and Verilog.

    Raises
    ------
    GenerateError
        If the memory does not fit the device's block memories.
    """
    blocks = TARGETS[shell.target].available["bram"]
    needed = params.depth * params.accelerator.port_bytes
    if needed > blocks * shell.block_bytes:
        raise GenerateError(
            f"The self-test's memory takes {needed} bytes, but the {blocks} block memories of the "
            f"{TARGETS[shell.target].device} have {shell.block_bytes} each, {blocks * shell.block_bytes} in all."
        )
    return emit(shell.component(params), TOP)


def selftest_package(
    shell: Shell,
    config: Configuration,
    params: SelfTestParams,
    facts: Mapping[str, Any],
    emitted: Emitted,
) -> Package:
    """Make the folder of a self-test, without a bitstream.

    Parameters
    ----------
    shell, config, params
        Board, configuration and self-test.
    facts
        What is known about the model.
    emitted
        Netlist and Verilog.
    """
    rows = [
        {"row": n, "kind": row.kind.name, "address": row.address, "value": row.value, "meaning": row.meaning}
        for n, row in enumerate(params.rows)
    ]
    manifest: dict[str, Any] = {
        "board": shell.board,
        "top": TOP,
        "config_hash": config_hash(config),
        "config": config.model_dump(mode="json"),
        "selftest": {"baud": params.baud, **facts, "rows": rows},
    }
    name, text = pins(shell)
    what = f"self-test of {shell.board}, configuration {config_hash(config)}"
    verilog = header(what, emitted.sha256) + emitted.verilog
    return Package(name=TOP, manifest=manifest, texts={f"{TOP}.v": verilog, name: text})
