"""Opening SQLite databases: file modes, journal mode, schema versions, and plain words for what can go wrong.

A schema is a list of migrations. Version *n* is what the first *n* of them make; the number stands in the database
(``PRAGMA user_version``) beside the mark of its kind (``PRAGMA application_id``). Migrations only go forward, and one
that has been released never changes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Literal

import attrs

from twisted_sip.errors import StoreError


@attrs.frozen(slots=True)
class Schema:
    """What a database of one kind holds.

    :ivar kind: what it is called in messages.
    :ivar application_id: the 32-bit mark of the kind.
    :ivar migrations: statements that lead from version ``index`` to ``index + 1``.
    """

    kind: str
    application_id: int
    migrations: tuple[tuple[str, ...], ...]


def explain(path: Path, error: Exception) -> StoreError:
    """Return a StoreError that says in one line what *error* means for the database at *path*, and what to do."""
    text = str(error).partition("\n")[0]
    if "locked" in text:
        text = "locked by another process; end that, or try again later"
    elif "readonly" in text or "read-only" in text:
        text = "not writable; give the user that runs this the right to write it"
    elif "not a database" in text or "malformed" in text or "corrupt" in text:
        text = f"damaged ({text}); restore a backup or move the file away"
    elif "full" in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        text = "the disk is full; make room"
    elif isinstance(error, (FileExistsError, NotADirectoryError)):
        text = "a file stands where its directory should be; name another directory"
    elif isinstance(error, OSError) or "unable to open" in text:
        reason = getattr(error, "strerror", None) or text
        text = f"{reason.lower()}; see that {path.parent} can be written by the user that runs this"
    return StoreError(f"{path}: {text}")


def open_database(
    path: Path,
    schema: Schema,
    *,
    synchronous: Literal["NORMAL", "FULL"],
    timeout: float = 5.0,
    check: bool = True,
    only_read: bool = False,
) -> sqlite3.Connection:
    """Open the database at *path*, make or migrate it as needed.

    The file gets mode 0600, a directory that has to be made 0700. The journal is a write-ahead log: with NORMAL a
    commit survives the death of the process, with FULL that of the machine.

    :param timeout: seconds to wait for another process that holds the database.
    :param check: look for damage; False for one that may be too large to be read at each start.
    :param only_read: nothing is to be written, so it need not be possible: the disk may be full.
    :return: a connection in autocommit mode that may be used in one thread at a time, whichever.
    :raises StoreError: it cannot be opened: missing rights, locked, damaged, of another kind, of a newer version.
    """
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made by us before SQLite sees it, so that it is never open to others, not even for a moment; the log and
        # its index take their mode from it. An existing file is not opened here: closing it would drop SQLite's locks.
        if path.exists():
            _close_to_others(path)
        else:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        _prepare(connection, schema, path, synchronous, check, only_read)
        return connection
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise explain(path, error) from error
    except StoreError:
        if connection is not None:
            connection.close()
        raise


def _close_to_others(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        # Somebody else's file keeps its mode: whether it can be written is found out below.
        with contextlib.suppress(PermissionError):
            path.chmod(0o600)


def _prepare(
    connection: sqlite3.Connection, schema: Schema, path: Path, synchronous: str, check: bool, only_read: bool
) -> None:
    version = _pragma(connection, "user_version")
    mark = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    known = len(schema.migrations)
    if mark != schema.application_id and (mark or version or tables):
        raise StoreError(f"{path}: not a {schema.kind} database of twisted-sip")
    if version > known:
        raise StoreError(
            f"{path}: made by a newer twisted-sip (schema version {version}, this one knows {known}); upgrade it"
        )
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if check else "ok"
    if damage != "ok":
        raise sqlite3.DatabaseError(f"malformed: {damage}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    if version < known:
        _migrate(connection, schema)
    elif not only_read:
        # Nothing to migrate, yet a file that cannot be written has to be found out now, not at the first change.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    """Bring the database to the newest version: all steps or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have been first.
        for migration in schema.migrations[_pragma(connection, "user_version") :]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
        connection.execute(f"PRAGMA user_version = {len(schema.migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


class DatabaseLock:
    """The right to be the one server that owns a database: an advisory lock that the kernel drops with the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock that belongs to the database at *path*.

        :raises StoreError: another process holds it, or it cannot be made.
        """
        self._descriptor = -1
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise StoreError(
                f"{path}: in use by another server; stop that, or choose another state directory"
            ) from error
        except OSError as error:
            self.release()
            raise explain(path, error) from error

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
