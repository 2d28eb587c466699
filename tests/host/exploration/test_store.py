"""The store: all or nothing, one writer, and a sentence when the disk is full."""

import sqlite3

import pytest
from rtlm.host.exploration.grid import Point
from rtlm.host.exploration.store import ESTIMATE, SIMULATION, Store, StoreError

POINT = Point(
    config="tiny", changes=(("memory.dram", {"base": "ideal", "change": {}}),), model="m", weights="q4_0", output=None,
    context=1, batch=1, prompt=1,
)  # fmt: skip


def test_what_is_put_is_there_for_the_next(tmp_path):
    path = tmp_path / "a.sqlite"
    with Store(path) as store:
        store.put(ESTIMATE, [(str(n), POINT, f'{{"n":{n}}}') for n in range(1200)])
        store.put(SIMULATION, [("7", POINT, '{"cycles":1}')])
        store.put(ESTIMATE, [("7", POINT, '{"n":-1}')])  # the first stays
    with Store(path) as store:
        found = store.get(ESTIMATE, [str(n) for n in range(-5, 1300)])
        assert found == {str(n): {"n": n} for n in range(1200)}
        assert store.get(SIMULATION, ["6", "7"]) == {"7": {"cycles": 1}}
        assert store.points(["7", "x"]) == {"7": POINT}
        assert (store.count(ESTIMATE), store.count(SIMULATION)) == (1200, 1)


def test_one_process_writes_at_a_time_and_others_may_read(tmp_path):
    path = tmp_path / "a.sqlite"
    with Store(path) as store:
        with pytest.raises(StoreError, match="is being written by another sweep"):
            Store(path)
        store.put(ESTIMATE, [("k", POINT, "{}")])
        reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        assert reader.execute("SELECT key FROM result").fetchall() == [("k",)]
        reader.close()
    Store(path).close()


def test_a_full_disk_is_a_sentence_and_loses_nothing(tmp_path):
    path = tmp_path / "a.sqlite"
    with Store(path) as store:
        store.put(ESTIMATE, [("before", POINT, "{}")])
        # SQLite's own limit of the file, which it reports as it reports a full disk.
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="the disk is full; every result before is stored"):
            store.put(ESTIMATE, [(str(n), POINT, f'"{"x" * 4000}"') for n in range(50)])
        assert store.count(ESTIMATE) == 1
    with Store(path) as store:
        assert store.get(ESTIMATE, ["before", "0"]) == {"before": {}}
        store.put(ESTIMATE, [("after", POINT, "{}")])
        assert store.count(ESTIMATE) == 2


def test_what_is_no_store_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(StoreError, match="it is not the store of a sweep"):
        Store(path)
    assert path.read_bytes() == b"something else" * 100
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(StoreError, match="is not the store of a sweep"):
        Store(path)
    with pytest.raises(StoreError, match="unable to open database file"):
        Store(tmp_path)
