"""Call records as a part of a server: where they are kept, who is told, what goes with time, and the calls of now."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import heappush, heappushpop
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.calls.ledger import CallLedger
from twisted_sip.calls.settings import LedgerSettings
from twisted_sip.element.element import Element
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.proxy.response_context import ResponseContext
from twisted_sip.storage.accounting_json_lines import JSONLinesAccounting
from twisted_sip.storage.accounting_reading import CallFilter
from twisted_sip.storage.accounting_rows import ACCOUNTING_FILE
from twisted_sip.storage.accounting_several import SeveralSinks
from twisted_sip.storage.accounting_sqlite import SQLiteAccounting
from twisted_sip.storage.accounting_text import record_text
from twisted_sip.storage.batch_writer import WriterThread
from twisted_sip.tap.control import Command, CommandError
from twisted_sip.tap.control_rows import LOOKS_FOR_A_ROW, Rows, sifted
from twisted_sip.tap.part import Part, Prepared

if TYPE_CHECKING:
    from twisted_sip.interfaces.routing import IForwardingPolicy
    from twisted_sip.storage.accounting_http import CallbackDelivery
    from twisted_sip.tap.accounting_section import AccountingSection
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration

_log = Logger()

#: Seconds between two signs of life of the server, by which the end of calls is known that died with it.
SIGN_INTERVAL = 10.0

#: Seconds between two looks for records that are too old.
PRUNE_INTERVAL = 3600.0

#: Seconds for which a record waits for company: an answer is told so much later.
FLUSH_INTERVAL = 0.01

#: From how many changes at once on they wait longer, and how many times as long: a write costs as much as a third of a
#: call, however many it is for, and nobody hears whether an answer takes a hundredth or a twentieth of a second.
UNDER_LOAD = (3, 5)

#: Records that are removed at a time.
_PRUNED = 500

_DAY = 86_400.0

_ANY = CallRecord(id="", caller="", callee="", set_up=0.0)


class AccountingPart(Part):
    """The part: stands before whatever makes calls.

    :ivar sink: where records go, None where none are kept and before the start.
    :ivar ledger: makes the records of a proxy, None where nothing is forwarded.
    :ivar live: give the records of calls that are under way, or None for what is none; others may add to it.
    """

    sections = ("accounting",)
    fixed = (
        "accounting.enabled",
        "accounting.json_lines",
        "accounting.url",
        "accounting.token",
        "accounting.max_queued",
        "accounting.max_calls",
        "accounting.max_duration",
        "accounting.patience",
    )

    def __init__(self) -> None:
        self.sink: Any = None
        self.ledger: CallLedger | None = None
        self.live: list[Callable[[], Iterable[CallRecord | None]]] = []
        self._section: AccountingSection | None = None
        self._element: Element | None = None
        self._database: SQLiteAccounting | None = None
        self._lines: JSONLinesAccounting | None = None
        self._delivery: CallbackDelivery | None = None
        self._loops: list[LoopingCall] = []

    def open_stores(self, server: Server, directory: Path) -> None:
        """Open the database and the file of records.

        :raises StoreError: one cannot be used.
        """
        section = self._section = server.configuration.accounting
        if not section.enabled:
            return
        storage = server.configuration.storage
        reactor = server.reactor
        database = self._database = SQLiteAccounting(
            directory / ACCOUNTING_FILE,
            reactor,
            WriterThread(server.rounds, "accounting"),
            max_callbacks=section.max_queued if section.url else 0,
            patience=section.patience,
            interval=FLUSH_INTERVAL,
            under_load=UNDER_LOAD,
            timeout=storage.lock_timeout,
        )
        sinks = [sink for part in server.parts for sink in part.sinks()]
        if section.json_lines:
            self._lines = JSONLinesAccounting(directory / section.json_lines)
            sinks.append(self._lines)
        self.sink = SeveralSinks([*sinks, database]) if sinks else database
        if section.url:
            # Others need no HTTP.
            from twisted_sip.storage.accounting_http import CallbackDelivery

            self._delivery = CallbackDelivery(database, section.url, reactor, token=section.token)

    def links(self, server: Server, element: Element) -> Sequence[Any]:
        database, section = self._database, self._section
        if database is None or section is None:
            return ()
        self._element = element
        if server.forwards:
            self.ledger = CallLedger(
                server.reactor,
                element.domains.is_local_uri,
                self.sink,
                lambda: secrets.token_hex(6),
                LedgerSettings(max_calls=section.max_calls, max_duration=section.max_duration),
            )
            resumed = self.ledger.resume(database.unfinished, database.last_seen)
            if resumed:
                _log.info("{count} calls from before the start may still go on", count=resumed)
            self.live += [self.ledger.records, self._set_ups]
        else:
            # The calls of a b2bua have ended with it.
            for record in database.unfinished:
                self.sink.ended(interrupted(record, database.last_seen))
        if self._delivery is not None:
            self._delivery.start()
        self._loop(server, self._tick, SIGN_INTERVAL)
        self._loop(server, self._prune, PRUNE_INTERVAL, now=True)
        return ()

    def _loop(self, server: Server, work: Callable[[], object], interval: float, now: bool = False) -> None:
        loop = LoopingCall(work)
        loop.clock = server.reactor
        self._loops.append(loop)
        loop.start(interval, now=now).addErrback(_failed)

    def _tick(self) -> None:
        if self._database is not None:
            self._database.sign_of_life()
        if self._lines is not None:
            self._lines.follow()

    def _prune(self) -> Deferred[None] | None:
        section, database = self._section, self._database
        if section is None or database is None or not section.keep_days:
            return None
        return Deferred.fromCoroutine(_pruned(database, time.time() - section.keep_days * _DAY)).addErrback(_failed)

    def _set_ups(self) -> Iterable[CallRecord | None]:
        """Give the records of calls that the proxy is setting up: their transactions know of them."""
        element, ledger = self._element, self.ledger
        assert element is not None and ledger is not None
        return _being_set_up(list(element.transactions.servers.values()), ledger)

    def policies(self) -> Sequence[IForwardingPolicy]:
        return () if self.ledger is None else (self.ledger,)

    def commands(self) -> Mapping[str, Command]:
        def calls(request: Mapping[str, Any]) -> Any:
            wanted, limit = _wanted(request)
            return Rows(_found(chain.from_iterable([give() for give in self.live]), wanted, limit))

        return {"calls": calls}

    async def remove_user(self, aor: str, keep_data: bool) -> Mapping[str, int]:
        section, database = self._section, self._database
        if keep_data or database is None or section is None or not section.remove_with_user:
            return {}
        return {"call records": await database.remove_user(aor)}

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        def commit() -> None:
            if self._section is not None:
                self._section = attrs.evolve(
                    self._section,
                    keep_days=configuration.accounting.keep_days,
                    remove_with_user=configuration.accounting.remove_with_user,
                )

        return Prepared(commit)

    def counts(self) -> Mapping[str, Any]:
        database = self._database
        if database is None:
            return {}
        counts: dict[str, Any] = {"answered calls": len(database)}
        if self._delivery is not None:
            counts["callbacks waiting"] = database.queued
        for name, count in (
            ("call records lost", database.lost),
            ("call records late", database.late),
            ("callbacks lost", database.callbacks_lost),
            ("call records cut short", 0 if self.ledger is None else self.ledger.unfollowed),
            ("call records not taken", getattr(self.sink, "failed", 0)),
        ):
            if count:
                counts[name] = count
        return counts

    async def close(self) -> None:
        loops, self._loops = self._loops, []
        for loop in loops:
            if loop.running:
                loop.stop()
        ledger, self.ledger = self.ledger, None
        if ledger is not None:
            ledger.stop()
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            await delivery.stop()
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()
        database, self._database = self._database, None
        self.sink = self._element = None
        self.live = []
        if database is not None:
            await database.close()


def _being_set_up(transactions: Iterable[Any], ledger: CallLedger) -> Iterator[CallRecord | None]:
    for transaction in transactions:
        context = getattr(transaction, "user", None)
        if isinstance(context, ResponseContext) and context.setting_up:
            with suppress(RemoteProtocolError):
                yield ledger.record_of(context)
                continue
        yield None


def _wanted(request: Mapping[str, Any]) -> tuple[CallFilter, int]:
    """Return which calls are asked for, and how many at most, 0 for all.

    :raises CommandError: that cannot be understood.
    """
    limit, given = request.get("limit", 0), request.get("wanted", {})
    try:
        wanted = CallFilter(**given)
        wanted.fits(_ANY, 0.0)
        return wanted, max(0, int(limit))
    except (TypeError, ValueError, AttributeError) as error:
        raise CommandError("wanted has a key or a value that is not known") from error


def _found(records: Iterable[CallRecord | None], wanted: CallFilter, limit: int) -> Iterator[Any]:
    """Yield those of *records* that are *wanted* as JSON can say them: the *limit* that began last, 0 for all."""
    now = time.time()
    fitting = sifted(records, lambda record: record if record is not None and wanted.fits(record, now) else None)
    if limit:
        latest: list[tuple[float, int, CallRecord]] = []
        for number, record in enumerate(fitting):
            if record is not None:
                add = heappush if len(latest) < limit else heappushpop
                add(latest, (record.set_up, number, record))
            if record is None or number % LOOKS_FOR_A_ROW == 0:
                yield None
        fitting = (record for *_, record in sorted(latest, reverse=True))
    for record in fitting:
        yield None if record is None else json.loads(record_text(record))


async def _pruned(database: SQLiteAccounting, before: float) -> None:
    """Remove old records, so few at a time that no call has to wait for it."""
    count = _PRUNED
    while count == _PRUNED:
        count = await database.prune(before, _PRUNED)


def _failed(failure: Failure) -> None:
    _log.failure("looking after call records failed", failure)


def interrupted(record: CallRecord, last_seen: float | None) -> CallRecord:
    """Return what becomes of the record of a call that has died with the program before this one.

    :param last_seen: when that last said that it runs, in seconds since the epoch, None if it never did.
    """
    ended = max(record.answered or record.set_up, record.known_until or 0.0, last_seen or 0.0)
    return attrs.evolve(
        record,
        result="interrupted",
        ended=ended,
        known_until=ended,
        status=200,
        ended_by="server",
        reason="the server has stopped in the middle of it",
        legs=tuple([leg if leg.ended is not None else attrs.evolve(leg, ended=ended) for leg in record.legs]),
    )
