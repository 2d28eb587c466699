"""The cache: whole folders or none, made once, the oldest removed; where it lies."""

import os
import threading

import pytest
import rtlm.gen.common
from rtlm.gen.common.cache import cache_folder, cached, locked, remembered


def fill(folder):
    (folder / "whole").write_text("")


def names(cache):
    return sorted(path.name for path in cache.iterdir())


def test_an_interrupted_folder_leaves_nothing_but_its_log(tmp_path):
    def interrupted(folder):
        fill(folder)
        (folder / "log").write_text("$ make\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("key", interrupted, cache=tmp_path)
    assert names(tmp_path) == ["key.lock", "key.log"]
    folder = cached("key", fill, cache=tmp_path)
    assert names(folder) == ["whole"] and names(tmp_path) == ["key", "key.lock"]


def test_a_folder_that_cannot_be_used_is_made_again(tmp_path):
    def usable(folder):
        return (folder / "whole").exists()

    cached("key", lambda folder: (folder / "other").touch(), cache=tmp_path)
    assert names(cached("key", fill, cache=tmp_path, usable=usable)) == ["whole"]
    (tmp_path / "key" / "more").touch()
    assert names(cached("key", fill, cache=tmp_path, usable=usable)) == ["more", "whole"]


def test_what_was_not_used_for_longest_goes(tmp_path):
    for age, key in enumerate(("newest", "used", "old", "oldest")):
        cached(key, fill, cache=tmp_path)
        os.utime(tmp_path / key, (1000 - age, 1000 - age))
    (tmp_path / "gone.part-x").mkdir()
    os.utime(tmp_path / "gone.part-x", (0, 0))
    (tmp_path / "now.part-x").mkdir()
    with locked(tmp_path / "oldest.lock"):  # being made anew
        cached("one", fill, cache=tmp_path, keep=2)
    assert [path.name for path in sorted(tmp_path.iterdir()) if path.is_dir()] == [
        "newest",
        "now.part-x",
        "oldest",
        "one",
        "used",
    ]
    assert not (tmp_path / "old.lock").exists()
    cached("two", fill, cache=tmp_path, keep=None)
    assert {"newest", "used", "oldest", "one", "two"} <= set(names(tmp_path))


def test_using_a_folder_keeps_it(tmp_path):
    cached("key", fill, cache=tmp_path)
    os.utime(tmp_path / "key", (0, 0))
    cached("key", fill, cache=tmp_path)
    assert (tmp_path / "key").stat().st_mtime > 0


def test_who_waits_says_so(tmp_path):
    said, waits = (
        threading.Event(),
        threading.Thread(target=lambda: cached("key", fill, cache=tmp_path, waiting=said.set), daemon=True),
    )
    with locked(tmp_path / "key.lock"):
        waits.start()
        assert said.wait(10)
        assert not (tmp_path / "key").exists()
    waits.join(10)
    assert (tmp_path / "key").is_dir()


def test_cache_folder_follows_the_standard(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("rtl") == tmp_path / "rtlm" / "rtl"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder().parts[-2:] == (".cache", "rtlm")


def test_a_value_is_computed_once_for_source_and_arguments(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def value(argument):
        def compute():
            calls.append(argument)
            return {"argument": argument}

        return remembered("values", (rtlm.gen.common,), argument, compute=compute)

    assert [value(1), value(1), value(2)] == [{"argument": 1}, {"argument": 1}, {"argument": 2}]
    assert calls == [1, 2]


def test_a_value_survives_a_cache_that_is_damaged_or_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert remembered("values", (), "damaged", compute=lambda: 1) == 1
    (file,) = tmp_path.rglob("*.json")
    file.write_text("{")
    assert remembered("values", (), "damaged", compute=lambda: 2) == 2
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert remembered("values", (), "unwritable", compute=lambda: 3) == 3
