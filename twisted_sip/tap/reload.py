"""Other settings for a server that runs: read anew, looked at, and put in place in one step, or not at all.

Settings are one immutable snapshot (see :mod:`twisted_sip.tap.configuration`). A reload makes everything ready that the
new ones need, sockets and certificates above all, while the old ones still hold. If anything cannot be had, that is
given back and nothing has changed. Otherwise the snapshot is swapped and everybody takes his share of it, in one turn
of the reactor: no request sees a part of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import ConfigurationError
from twisted_sip.storage.batch_writer import WriterThread
from twisted_sip.tap.changes import Change, changes, is_below, kept
from twisted_sip.tap.part import Prepared

_log = Logger()


#: Keys that decide at the start of a server whether it has a part, which cannot speak for itself where it is not.
_SWITCHES = frozenset({"metrics.enabled", "accounting.enabled"})


class Follower(Protocol):
    """Who has settings and can take others: parts of a server, its core, its log."""

    @property
    def sections(self) -> Sequence[str]: ...

    @property
    def fixed(self) -> Sequence[str]: ...

    def reload(self, server: Any, configuration: Any) -> Prepared | None: ...


class Reloadable(Protocol):
    """What is reloaded: a server, a user agent."""

    configuration: Any
    reread: Callable[[], Any]
    reactor: Any
    reloads: DeferredLock

    @property
    def element(self) -> Any: ...

    def followers(self) -> Sequence[Follower]: ...


@attrs.frozen(slots=True, kw_only=True)
class Reload:
    """What a reload has changed, or would change.

    :ivar changed: what has another value from now on.
    :ivar needs_restart: what is written otherwise than it is, and stays as it is until the server is started anew.
    :ivar unused: what has changed in sections that this server does not use.
    :ivar opened: the sockets that were opened, as ``udp 192.0.2.1:5060``.
    :ivar closed: the sockets that are given up, once nothing needs them any more.
    """

    changed: tuple[Change, ...] = ()
    needs_restart: tuple[Change, ...] = ()
    unused: tuple[Change, ...] = ()
    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """True if there is anything to tell."""
        return any(attrs.astuple(self, recurse=False))

    def lines(self) -> list[str]:
        """Return all of it, one line each."""
        return [
            *[str(change) for change in self.changed],
            *[f"opened {name}" for name in self.opened],
            *[f"closed {name}" for name in self.closed],
            *[f"needs a restart: {change}" for change in self.needs_restart],
            *[f"not used by this server: {change}" for change in self.unused],
        ]


def reload(server: Reloadable, configuration: Any, *, dry_run: bool = False) -> Reload:
    """Give *server* the settings in *configuration*.

    :param dry_run: look whether all can be had, and give it back.
    :raises ConfigurationError: with every fault; nothing has changed then.
    """
    if server.element is None:
        raise ConfigurationError(["the server does not run, start it"])
    before = server.configuration
    followers = server.followers()
    # Who is given other settings says what stays; what stays is not among those that the others see.
    fixed = [key for follower in followers for key in follower.fixed]
    used = {section for follower in followers for section in follower.sections}
    effective = kept(before, configuration, fixed)
    prepared: list[Prepared] = []
    problems: list[str] = []
    for follower in followers:
        try:
            ready = follower.reload(server, effective)
        except ConfigurationError as error:
            problems += error.problems
            continue
        if ready is not None:
            prepared.append(ready)
        else:
            # It can take nothing while it runs.
            others = {section for each in followers if each is not follower for section in each.sections}
            stays = [section for section in follower.sections if section not in others]
            fixed += stays
            effective = kept(before, effective, stays)
    if problems or dry_run:
        for ready in reversed(prepared):
            ready.roll_back()
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
    report = _report(changes(before, configuration), fixed, used, prepared)
    if not dry_run:
        server.configuration = effective
        _commit(prepared)
    return report


def reread(server: Reloadable, dry_run: bool = False) -> Deferred[Reload]:
    """Give *server* the settings that its ``reread`` gives, read in a thread: requests go on meanwhile, however much
    there is to read. Reloads come one after the other.

    :returns: fires with what :func:`reload` returns, or fails as that does.
    """

    def turn() -> Deferred[Reload]:
        return _read(server).addCallback(lambda found: reload(server, found, dry_run=dry_run))

    return server.reloads.run(turn)


def _read(server: Reloadable) -> Deferred[Any]:
    """Return what fires with the configuration as it is written now, or fails with ConfigurationError."""
    followers = server.followers()
    found: list[Any] = []

    def read() -> None:
        configuration = server.reread()
        for follower in followers:
            ahead = getattr(follower, "read_ahead", None)
            if ahead is not None:
                ahead(configuration)
        found.append(configuration)

    done: Deferred[Any] = Deferred()
    thread = WriterThread(server.reactor, "settings")
    thread.submit(read, lambda failure: done.callback(found[0]) if failure is None else done.errback(failure))
    thread.stop()
    return done


def _commit(prepared: Iterable[Prepared]) -> None:
    for ready in prepared:
        try:
            ready.commit()
        except Exception:
            # There is no way back from here; the others get theirs all the same.
            _log.failure("new settings were not put in place everywhere", Failure())


def _report(found: Sequence[Change], fixed: Sequence[str], used: Iterable[str], prepared: Sequence[Prepared]) -> Reload:
    known = set(used)
    stays = [
        change
        for change in found
        if change.key in _SWITCHES or (change.section in known and is_below(change.key, fixed))
    ]
    unused = [change for change in found if change.section not in known and change not in stays]
    return Reload(
        changed=tuple(change for change in found if change not in unused and change not in stays),
        needs_restart=tuple(stays),
        unused=tuple(unused),
        opened=tuple(name for ready in prepared for name in ready.opened),
        closed=tuple(name for ready in prepared for name in ready.closed),
    )


def reload_logged(server: Reloadable) -> Deferred[bool]:
    """Reload *server* for an operator who reads the log; fires with False if nothing was changed: there are faults."""
    return reread(server).addCallbacks(_logged, _faults_logged)


def _logged(report: Reload) -> bool:
    for line in report.lines():
        _log.info("{line}", line=line)
    _log.info("configuration read anew" if report else "configuration read anew: nothing has changed")
    return True


def _faults_logged(failure: Failure) -> bool:
    error = failure.value
    if isinstance(error, ConfigurationError):
        for problem in error.problems:
            _log.error("{problem}", problem=problem)
    else:
        _log.failure("the configuration was not read", failure)
    _log.error("the configuration has faults: nothing was changed")
    return False
