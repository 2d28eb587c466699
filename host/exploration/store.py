"""The store of a sweep: one SQLite file, in which every finished result is safe at once.

A result that was stored survives ``kill -9``: it is committed with its point in one transaction, and the write-ahead
log is played back by whoever opens the file next.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rtlm.gen.common.errors import RtlmError
from rtlm.host.exploration.grid import Point

APPLICATION = 0x52544C53
"""SQLite's application id: the letters RTLS."""
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE point (key TEXT PRIMARY KEY, description TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE result (
    key TEXT NOT NULL REFERENCES point, kind TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, kind)
) WITHOUT ROWID;
"""
ESTIMATE, SIMULATION, SYNTHESIS = KINDS = ("estimate", "simulation", "synthesis")
"""Kinds of results of a point."""
MOST_KEYS = 500
"""Keys that one query names; SQLite allows at least 999."""


class StoreError(RtlmError):
    """A store cannot be opened, read or written; what it held stays."""


class Store:
    """Results by point and kind; one process writes, any number may read meanwhile.

    Parameters
    ----------
    path
        The file; made if it does not exist.

    Raises
    ------
    StoreError
        If it is no store, cannot be written, or another sweep writes it.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise StoreError(f"{path} is being written by another sweep") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from None
        try:
            with self._sentences():
                self._database = sqlite3.connect(path, isolation_level=None)
                self._open()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        try:
            self._database.close()
        except sqlite3.Error:
            pass  # nothing is lost: what was committed is in the log
        finally:
            self._lock.release()

    def put(self, kind: str, results: Iterable[tuple[str, Point, str]]) -> None:
        """Store results as one: all of them, or none.

        Parameters
        ----------
        kind
            One of `KINDS`.
        results
            Key, point, result as JSON.

        Raises
        ------
        StoreError
            If the disk is full or fails.
        """
        with self._sentences():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for key, point, value in results:
                    text = json.dumps(point.to_json())
                    self._database.execute("INSERT OR IGNORE INTO point VALUES (?, ?)", (key, text))
                    self._database.execute("INSERT OR IGNORE INTO result VALUES (?, ?, ?)", (key, kind, value))
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the results of a kind that are there, by key."""
        found: dict[str, dict[str, Any]] = {}
        with self._sentences():
            for first in range(0, len(keys), MOST_KEYS):
                some = keys[first : first + MOST_KEYS]
                marks = ",".join("?" * len(some))
                rows = self._database.execute(
                    f"SELECT key, value FROM result WHERE kind = ? AND key IN ({marks})", (kind, *some)
                )
                found.update((key, json.loads(value)) for key, value in rows)
        return found

    def points(self, keys: Sequence[str]) -> dict[str, Point]:
        """Return the points that are there, by key."""
        found: dict[str, Point] = {}
        with self._sentences():
            for first in range(0, len(keys), MOST_KEYS):
                some = keys[first : first + MOST_KEYS]
                marks = ",".join("?" * len(some))
                rows = self._database.execute(f"SELECT key, description FROM point WHERE key IN ({marks})", some)
                found.update((key, Point.from_json(json.loads(text))) for key, text in rows)
        return found

    def count(self, kind: str) -> int:
        """Return how many results of a kind there are."""
        with self._sentences():
            return int(self._database.execute("SELECT count(*) FROM result WHERE kind = ?", (kind,)).fetchone()[0])

    def _open(self) -> None:
        """Make the tables, or check that they are ours."""
        (tables,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not tables:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(
                f"BEGIN; PRAGMA application_id = {APPLICATION};PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA} COMMIT;"
            )
        (application,) = self._database.execute("PRAGMA application_id").fetchone()
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if (application, version) != (APPLICATION, SCHEMA_VERSION):
            self._database.close()
            raise StoreError(f"{self.path} is not the store of a sweep, or one of another version of rtlm")

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn what SQLite says into a sentence."""
        try:
            yield
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                reason = "the disk is full; every result before is stored, and the same command goes on from there"
            elif error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                reason = "it is not the store of a sweep"
            else:
                reason = str(error)
            raise StoreError(f"{self.path} cannot be used: {reason}") from error
