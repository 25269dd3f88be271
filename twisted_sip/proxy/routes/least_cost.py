"""The least-cost table: which gateway takes calls to a prefix at which rate, read from a CSV file.

The first line names the columns: ``prefix``, ``rate``, ``gateway`` (a group, or the name of one gateway), and ``from``
and ``until``, the first and the last day of the rate. Lines that begin with ``#`` are left out.
"""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

import attrs

#: Prefixes are no longer than this, and a table has no more rates.
_LONGEST = 20
MOST_RATES = 1_000_000

#: In a thread beside the reactor's, after how many lines others have their turn, and for how many seconds. Without that
#: each of their system calls would wait for the interpreter's switch interval.
_TURN = (100, 0.0005)

#: The most faults that are told one by one.
_MOST_FAULTS = 50

_NEEDED = ("prefix", "rate", "gateway")
_KNOWN = (*_NEEDED, "from", "until")


@attrs.frozen(slots=True, kw_only=True)
class LeastCostSettings:
    """The ``[least_cost]`` section.

    :ivar file: the CSV file.
    :ivar read: the table that :meth:`look` has read, with the names that were known then, until somebody takes it.
    """

    file: Path | None = attrs.field(
        default=None,
        metadata={
            "help": "the table of rates: CSV with the columns prefix, rate, gateway and perhaps from and until",
            "shown_default": "none",
        },
    )
    read: list[tuple[frozenset[str], LeastCostTable]] = attrs.field(init=False, factory=list, eq=False, repr=False)

    def look(self, names: frozenset[str]) -> list[str]:
        """Read the file, and return its faults, each one line; a table without faults is kept for :meth:`take`.

        :param names: the groups and gateways that there are.
        """
        self.read.clear()
        if self.file is None:
            return []
        rates, faults = read_rates(self.file, names.__contains__)
        if not faults:
            self.read.append((names, LeastCostTable(rates)))
        return faults

    def take(self, names: frozenset[str]) -> LeastCostTable | None:
        """Return what :meth:`look` has read for *names*, once; None where it has not."""
        known = self.read.pop() if self.read else None
        return known[1] if known is not None and known[0] == names else None


class Rate(NamedTuple):
    """One line of the table.

    :ivar prefix: digits, without ``+``.
    :ivar rate: what it costs.
    :ivar gateway: the name of a group or of a gateway.
    :ivar place: file and line.
    :ivar begin: the first day of it, None for ever.
    :ivar end: the last day of it, None for ever.
    """

    prefix: str
    rate: Decimal
    gateway: str
    place: str
    begin: date | None = None
    end: date | None = None


class LeastCostTable:
    """The rates by prefix.

    :param rates: all of them.
    :param now: seconds since the epoch: the days of rates are days of UTC.
    """

    def __init__(self, rates: list[Rate], now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._by_prefix: dict[str, list[Rate]] = {}
        for rate in rates:
            self._by_prefix.setdefault(rate.prefix, []).append(rate)
        for same in self._by_prefix.values():
            same.sort(key=lambda rate: rate.rate)
        self._longest = max(map(len, self._by_prefix), default=0)
        self._dated = any(rate.begin or rate.end for rate in rates)

    def __len__(self) -> int:
        """Return how many rates there are."""
        return sum(map(len, self._by_prefix.values()))

    def find(self, number: str) -> Iterator[Rate]:
        """Yield the rates for *number*: those of its longest prefix first, of one prefix the cheapest first."""
        digits = number.removeprefix("+")
        today = datetime.fromtimestamp(self._now(), UTC).date() if self._dated else None
        for length in range(min(self._longest, len(digits)), -1, -1):
            for rate in self._by_prefix.get(digits[:length], ()):
                if today is None or ((rate.begin or today) <= today <= (rate.end or today)):
                    yield rate


def read_rates(path: Path, known: Callable[[str], bool]) -> tuple[list[Rate], list[str]]:
    """Read the table at *path*.

    :param known: tells whether there is a gateway, or a group, of a name.
    :returns: the rates and the faults, each one line that begins with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return [], [f"{path}: cannot be read ({(error.strerror or str(error)).lower()}), write the path of a CSV file"]
    except UnicodeDecodeError:
        return [], [f"{path}: is not UTF-8, save the file as UTF-8"]
    return rates_of(text, str(path), known)


def rates_of(text: str, name: str, known: Callable[[str], bool]) -> tuple[list[Rate], list[str]]:
    """Read the table in *text*, as :func:`read_rates`; *name* is what it is called."""
    head = next((line for line in io.StringIO(text) if line.strip() and not line.startswith("#")), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in head else ",")
    columns: list[str] = []
    rates: list[Rate] = []
    faults: list[str] = []
    beside = threading.current_thread() is not threading.main_thread()
    try:
        for row in reader:
            if beside and not reader.line_num % _TURN[0]:
                time.sleep(_TURN[1])
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            place = f"{name}:{reader.line_num}"
            if not columns:
                columns = [cell.lower() for cell in cells]
                fault = _columns_fault(columns)
                if fault:
                    return [], [f"{place}: {fault}"]
                continue
            made = _rate(dict(zip(columns, cells, strict=False)), place, known)
            beyond = next(filter(None, cells[len(columns) :]), "")
            if beyond and isinstance(made, Rate):
                # A rate that ends, or begins, some day would hold for ever.
                made = f'"{beyond}" stands in no column, name all columns in the first line'
            if isinstance(made, Rate):
                rates.append(made)
            else:
                faults.append(f"{place}: {made}")
            if len(rates) > MOST_RATES:
                return [], [f"{name}: has more than {MOST_RATES} rates, leave some out"]
    except csv.Error as error:
        faults.append(f"{name}:{reader.line_num}: {error}, correct the CSV there")
    if not columns and not faults:
        return [], [f"{name}:1: is empty, begin with the line prefix,rate,gateway"]
    if len(faults) > _MOST_FAULTS:
        faults[_MOST_FAULTS:] = [f"{name}: and {len(faults) - _MOST_FAULTS} more lines are wrong"]
    return rates, faults


def _columns_fault(columns: list[str]) -> str:
    for column in columns:
        if column not in _KNOWN:
            return f'unknown column "{column}", write {", ".join(_KNOWN)}'
        if columns.count(column) > 1:
            return f"column {column} stands twice, write it once"
    for column in _NEEDED:
        if column not in columns:
            return f"column {column} is missing, begin with the line prefix,rate,gateway"
    return ""


def _rate(cells: dict[str, str], place: str, known: Callable[[str], bool]) -> Rate | str:
    """Return what a line says, or what is wrong with it."""
    for name in _NEEDED:
        if name != "prefix" and not cells.get(name):
            return f"{name} is missing, write it"
    prefix = cells.get("prefix", "").removeprefix("+")
    if (prefix and not (prefix.isascii() and prefix.isdigit())) or len(prefix) > _LONGEST:
        return f'prefix "{cells["prefix"]}" is no prefix, write digits, or nothing for all numbers'
    try:
        rate = Decimal(cells["rate"] if "_" not in cells["rate"] else "")
    except InvalidOperation:
        rate = Decimal(-1)
    if not rate.is_finite() or rate < 0:
        return f'rate "{cells["rate"]}" is no rate, write a number like 0.012'
    if not known(cells["gateway"]):
        return f'gateway "{cells["gateway"]}" is unknown, write a group or the name of a [[gateway]]'
    days: list[date | None] = []
    for name in ("from", "until"):
        try:
            days.append(date.fromisoformat(cells[name]) if cells.get(name) else None)
        except ValueError:
            return f'{name} "{cells[name]}" is no day, write it like 2026-01-31'
    begin, end = days
    if begin and end and end < begin:
        return f"until {end} is before from {begin}, write a later day"
    return Rate(prefix, rate, cells["gateway"], place, begin, end)
