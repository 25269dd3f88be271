"""What the control socket can do for ``twisted-sip reload``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.changes import Change
from twisted_sip.tap.control import Command
from twisted_sip.tap.reload import Reload

_log = Logger()


def reload_commands(reload: Callable[[bool], Deferred[Reload]]) -> dict[str, Command]:
    """Return the command that calls *reload* with True where it is to look and change nothing; fails with
    ConfigurationError.

    The result has the key ``faults``; where that is empty, what has changed too.
    """

    def command(request: Mapping[str, Any]) -> Deferred[dict[str, Any]]:
        dry_run = request.get("dry_run") is True
        return reload(dry_run).addCallbacks(_done, _faults, callbackArgs=(dry_run,))

    return {"reload": command}


def _done(report: Reload, dry_run: bool) -> dict[str, Any]:
    if not dry_run:
        for line in report.lines():
            _log.info("{line}", line=line)
        _log.info("configuration read anew")
    return {
        "faults": [],
        "dry_run": dry_run,
        "changed": _told(report.changed),
        "needs_restart": _told(report.needs_restart),
        "unused": _told(report.unused),
        "opened": list(report.opened),
        "closed": list(report.closed),
    }


def _faults(failure: Failure) -> dict[str, Any]:
    failure.trap(ConfigurationError)
    assert isinstance(failure.value, ConfigurationError)
    return {"faults": list(failure.value.problems)}


def _told(changes: Iterable[Change]) -> list[dict[str, str]]:
    return [attrs.asdict(change) for change in changes]
