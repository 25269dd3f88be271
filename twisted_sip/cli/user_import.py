"""Users by the thousand, from CSV: every fault is named with its line, and then nothing is changed."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from twisted_sip.cli.accounts import Accounts
from twisted_sip.cli.output import Failed

#: More faults than these are counted, not shown.
_SHOWN = 20

_COLUMNS = ("aor", "password")


def import_users(accounts: Accounts, path: Path, algorithm: str) -> int:
    """Import the users in the file at *path*; return how many there were.

    :raises Failed: the file cannot be read or has faults, or the database cannot be changed.
    """
    rows = _read(accounts, path)
    with Progress(
        TextColumn("importing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=False,
    ) as progress:
        task = progress.add_task("import", total=len(rows))
        return accounts.store.import_users(
            rows, algorithm=algorithm, progress=lambda done: progress.update(task, completed=done)
        )


def _read(accounts: Accounts, path: Path) -> list[tuple[str, str, str]]:
    name = "standard input" if str(path) == "-" else str(path)
    users: list[tuple[str, str, str]] = []
    faults: list[str] = []
    lines: dict[tuple[str, str], int] = {}
    for line, row in _rows(name, path):
        if isinstance(row, str):
            faults.append(f"{name}: line {line}: {row}")
            continue
        aor, password = row
        try:
            account = accounts.account(aor)
        except click.UsageError as error:
            faults.append(f"{name}: line {line}: {error.message}")
            continue
        fault = _password_fault(password)
        key = (account.user, account.realm)
        if not fault and key in lines:
            fault = f"{account.aor} stands in line {lines[key]} already"
        if fault:
            faults.append(f"{name}: line {line}: {fault}")
            continue
        lines[key] = line
        users.append((account.user, account.realm, password))
    if faults:
        more = [f"{name}: and {len(faults) - _SHOWN} more faults"] if len(faults) > _SHOWN else []
        raise Failed("\n".join([*faults[:_SHOWN], *more, f"{name}: nobody was imported, correct the file first"]))
    if not users:
        raise Failed(f"{name}: holds no users, write lines like alice@example.com,password")
    return users


def _password_fault(password: str) -> str:
    if not password:
        return "the password is empty"
    if any(ord(char) < 32 or ord(char) == 127 for char in password):
        return "the password holds a control character"
    return ""


def _rows(name: str, path: Path) -> Iterator[tuple[int, tuple[str, str] | str]]:
    """Yield the line and the two columns of each row, or what is wrong with it."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise Failed(f"{name}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Failed(f"{name}: line {line}: is not UTF-8, save the file as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    places = (0, 1)
    first = True
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield reader.line_num, f"is no CSV ({error})"
            return
        if row is None:
            return
        if not row:
            continue
        header = [cell.strip(" \t").lower() for cell in row]
        if first and "aor" in header and "password" in header:
            places = (header.index("aor"), header.index("password"))
            first = False
            continue
        first = False
        if len(row) <= max(places):
            yield line, f"has {len(row)} column{'s' if len(row) > 1 else ''}, write aor,password"
        elif len(row) > 2 and places == (0, 1) and any(row[2:]):
            yield line, f"has {len(row)} columns, write aor,password and quote a password with a comma"
        else:
            yield line, (row[places[0]].strip(" \t"), row[places[1]])
