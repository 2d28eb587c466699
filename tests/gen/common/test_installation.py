"""Hints fit how rtlm was installed."""

import ast
import importlib
import json
import sys
from pathlib import Path

import pytest
from rtlm.gen.common.installation import install_command, package_version

TREE, WHEEL = "pip install -e '.[test]'", "pip install 'rtlm[test]'"


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///source/rtlm", "dir_info": {"editable": True}}, TREE),
        ({"url": "file:///source/rtlm", "dir_info": {}}, WHEEL),
        ({"url": "file:///packages/rtlm-0.1.0-py3-none-any.whl", "archive_info": {}}, WHEEL),
        (None, WHEEL),  # from an index
    ],
)
def test_command_fits_the_installation(tmp_path, monkeypatch, origin, command):
    folder = tmp_path / "rtlm-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: rtlm\nVersion: 9.9\n")
    if origin:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(tmp_path)
    assert package_version("rtlm") == "9.9"
    assert install_command("test") == command


@pytest.mark.parametrize(
    ("note", "command"),
    [
        ("pipx_metadata.json", "pipx runpip rtlm install 'rtlm[test]'"),
        ("uv-receipt.toml", "uv pip install --python {prefix} 'rtlm[test]'"),
    ],
)
def test_command_fits_the_tool_that_made_the_environment(tmp_path, monkeypatch, note, command):
    monkeypatch.setattr("rtlm.gen.common.installation.in_source_tree", lambda: False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert install_command("test") == WHEEL
    (tmp_path / note).write_text("")
    assert install_command("test") == command.format(prefix=tmp_path)


def test_without_an_installation_it_is_the_source_tree(monkeypatch):
    monkeypatch.setattr("rtlm.gen.common.installation.PACKAGE", "no-such-package")
    assert install_command("test") == TREE


@pytest.mark.parametrize("room", ["gen", "sim", "host"])
def test_extras_are_named_in_one_place(room):
    folder = Path(importlib.import_module(f"rtlm.{room}").__path__[0])
    for path in folder.rglob("*.py"):
        if path.name != "installation.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    assert "pip install -e" not in node.value and "pip install '" not in node.value, path
