"""What waveform viewers show first: signals that are in the waveform, and names for the values that they take."""

import re
from pathlib import Path

import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.rtl.verilog_names import ValueNames, instances, read_verilog
from rtlm.host import session
from rtlm.host.runtime.wave_views import MAPPINGS, ShownSignal, write_views
from rtlm.host.session_options import RunOptions
from rtlm.hw.control.isa import Opcode

VERILOG = """
module accelerator(clk, error, last);
  input clk;
  wire clk;
  (* enum_base_type = "Error" *)
  (* enum_value_00 = "NONE" *)
  (* enum_value_01 = "WATCHDOG" *)
  output [1:0] error;
  reg [1:0] error = 2'h0;
  (* enum_base_type = "Error" *)
  (* enum_value_00 = "NONE" *)
  (* enum_value_01 = "WATCHDOG" *)
  output [1:0] last;
  wire [1:0] plain;
  \\accelerator.part  one (
    .clk(clk)
  );
  \\accelerator.part  two (
    .clk(clk)
  );
endmodule

module \\accelerator.part (clk);
  input clk;
  reg [2:0] fsm_state = 3'h0;
endmodule
"""


def test_verilog_says_where_signals_are_and_what_their_values_are_called():
    modules = read_verilog(VERILOG, {"accelerator.part": {"states": {"fsm_state": ["idle", "busy"]}}})
    assert [path for path, _ in instances(modules, "accelerator")] == [
        "accelerator",
        "accelerator.one",
        "accelerator.two",
    ]
    top, part = modules["accelerator"], modules["accelerator.part"]
    assert top.signals == {"clk": 1, "error": 2, "last": 2, "plain": 2}
    assert top.ports == {"clk", "error", "last"}
    assert top.values == dict.fromkeys(("error", "last"), ValueNames("Error", 2, ((0, "NONE"), (1, "WATCHDOG"))))
    assert part.values == {"fsm_state": ValueNames("part_fsm_state", 3, ((0, "idle"), (1, "busy")))}


@pytest.fixture(scope="module")
def waveform(random_model, tmp_path_factory):
    """A waveform of the first layer's attention, with what lies beside it."""
    path = tmp_path_factory.mktemp("views") / "a.vcd"
    model = random_model(layers=2, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=64)
    options = {"config": "tiny", "model": model, "power": "assumed", "waves_file": path}
    session.run(RunOptions(texts=("abc",), max_tokens=1, waves=(0, 1500), **options), SilentProgress())
    return path


def saved(waveform):
    """Return the signals of the save file with their file of names."""
    files, found, current = {}, {}, None
    for line in waveform.with_suffix(".gtkw").read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\^(\d+) (.+)", line):
            current = files[match[1]] = Path(match[2])
        elif line.startswith("TOP."):
            found[re.sub(r"\[\d+:0\]$", "", line)], current = current, None
    return found


@pytest.mark.slow
def test_signals_exist_and_their_values_have_names(waveform):
    pywellen = pytest.importorskip("pywellen")
    wave = pywellen.Waveform(str(waveform))
    seen = {}
    for path, file in saved(waveform).items():
        signal = wave[path].signal  # of a name that is not there this is an error
        if file:
            names = dict(line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines())
            values = {signal[i][1] for i in range(len(signal))}
            assert values <= {int(code, 16) for code in names}, path
            seen[path] = {names[format(value, f"0{len(next(iter(names)))}x")] for value in values}
    assert seen["TOP.accelerator.sequencer.decode_state"] >= {"wait for an instruction", "request words"}
    assert seen["TOP.accelerator.sequencer.issued_head.opcode"] >= {"LOAD", "EMBED", "MATMUL", "ATTENTION"}
    assert seen["TOP.accelerator.attention.phase"] >= {"IDLE", "KEYS", "SOFTMAX", "VALUES"}
    assert "write the row" in seen["TOP.accelerator.vector.kv.fsm_state"]
    assert list(saved(waveform))[:3] == ["TOP.clk", "TOP.rst", "TOP.irq"]


@pytest.mark.slow
def test_surfer_gets_the_same_signals_and_names(waveform):
    commands = waveform.with_suffix(".sucl").read_text(encoding="utf-8").splitlines()
    rows, formats = [], {}
    for command, word in (line.split(" ", 1) for line in commands if " " in line and not line.startswith("#")):
        assert " " not in word
        if command in ("divider_add", "variable_add"):
            rows.append(word)
        elif command == "item_focus":
            row = int("".join(f"{'abcdefghijklmnop'.index(letter):x}" for letter in word), 16)
            assert row == len(rows) - 1
        elif command == "item_set_format":
            formats[rows[-1]] = word
    own = {path: file for path, file in saved(waveform).items() if ".issued_head." not in path}
    added = [row for row in rows if row.startswith("TOP.")]
    # Only fields, whose names have a dot, are left out.
    assert set(added) == {p for p in own if not re.search(r"\.(decoded|issued_head|i_command__payload)\.", p)}
    assert set(formats) == {path for path in added if own[path]}
    for path, name in formats.items():
        lines = (waveform.parent / MAPPINGS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        assert lines[0] == f"Name = {name}"
        names = own[path].read_text(encoding="utf-8").splitlines()
        assert [line.split(" ", 1)[1] for line in lines[2:]] == [line.split(" ", 1)[1] for line in names]


@pytest.mark.slow
def test_opcodes_are_those_of_the_instruction_set(waveform):
    file = saved(waveform)["TOP.accelerator.sequencer.issued_head.opcode"]
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines == [f"{opcode.value:x} {opcode.name}" for opcode in Opcode]


def test_two_enumerations_of_the_same_name_have_a_file_each(tmp_path, monkeypatch):
    from rtlm.host.runtime import wave_views

    first, second = (ValueNames("Destination", 2, ((0, name),)) for name in ("MATMUL", "BANK_0"))
    signals = [ShownSignal(scope="TOP", name=name, bits=2, values=v) for name, v in (("a", first), ("b", second))]
    monkeypatch.setattr(wave_views, "shown_signals", lambda *_: {"unit": signals})
    write_views(tmp_path / "w.fst", "", {})
    files = sorted(path.name for path in (tmp_path / "w.names").iterdir())
    assert files == ["destination.txt", "destination2.txt"]
    assert (tmp_path / "w.names" / "destination2.txt").read_text() == "0 BANK_0\n"
