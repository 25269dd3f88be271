"""What the control socket can do: show the trace, the contacts, the bans and the state of a server, lift a ban."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred

from twisted_sip.auth.bans import Bans
from twisted_sip.element.trace import Trace, TracedMessage
from twisted_sip.interfaces.location import Binding, ILocationStore
from twisted_sip.tap.control import Command, CommandError, Stream
from twisted_sip.tap.control_rows import Rows


def read_text(request: Mapping[str, Any], key: str) -> str:
    value = request.get(key, "")
    if not isinstance(value, str):
        raise CommandError(f"{key} is not a text")
    return value


def _count(request: Mapping[str, Any], key: str, default: int) -> int:
    value = request.get(key, default)
    if type(value) is not int or value < 1:
        raise CommandError(f"{key} is not a whole number above 0")
    return value


def trace_commands(trace: Trace | None) -> dict[str, Command]:
    """Return the commands that show *trace*; None means that it is off."""

    def on() -> Trace:
        if trace is None:
            raise CommandError("the trace is off: set [trace] enabled = true")
        return trace

    def show(request: Mapping[str, Any]) -> Any:
        call_id = read_text(request, "call_id")
        if request.get("last"):
            newest = on().calls(1)
            if not newest:
                raise CommandError("no call is in the trace yet")
            call_id = newest[0].call_id
        messages = on().call(call_id)
        if not messages:
            found = list(dict.fromkeys(on().find(call_id))) if call_id else []
            if len(found) != 1:
                raise CommandError(
                    f"{len(found)} Call-IDs begin with {call_id}" if found else f"no call {call_id} is in the trace"
                )
            call_id = found[0]
            messages = on().call(call_id)
        return {"call_id": call_id, "messages": [attrs.asdict(message) for message in messages]}

    def calls(request: Mapping[str, Any]) -> Any:
        method = read_text(request, "method").upper()
        limit = _count(request, "count", 20)
        newest = on().calls(limit if not method else 1_000_000)
        chosen = [call for call in newest if not method or call.start_line.startswith(method + " ")]
        return [attrs.asdict(call) for call in chosen[:limit]]

    def follow(request: Mapping[str, Any]) -> Stream:
        wanted = read_text(request, "call_id")
        trace_on = on()

        def start(send: Callable[[Any], None]) -> Callable[[], None]:
            def message(call_id: str, message: TracedMessage) -> None:
                if not wanted or call_id.startswith(wanted):
                    send({"call_id": call_id, "message": attrs.asdict(message)})

            return trace_on.follow(message)

        return Stream(start)

    return {"trace": show, "trace-list": calls, "trace-follow": follow}


def contact_row(binding: Binding, now: float) -> dict[str, Any]:
    """Return *binding* as JSON can say it.

    :param now: seconds since the epoch.
    """
    return {**attrs.asdict(binding), "expires_in": max(0, round(binding.expires_at - now))}


def contact_commands(store: ILocationStore, clock: Callable[[], float]) -> dict[str, Command]:
    """Return the command that lists the bindings in *store*, in no order; *clock* gives seconds since the epoch."""

    def contacts(request: Mapping[str, Any]) -> Deferred[Rows]:
        aor = read_text(request, "aor")
        found: Deferred[Any] = maybeDeferred(store.lookup, aor) if aor else maybeDeferred(store.bindings)

        def listed(bindings: Iterable[Binding]) -> Rows:
            return Rows(contact_row(binding, clock()) for binding in bindings if not aor or binding.aor == aor)

        return found.addCallback(listed)

    return {"contacts": contacts}


def ban_commands(bans: Bans, clock: Callable[[], float]) -> dict[str, Command]:
    """Return the commands that list and lift *bans*; *clock* is the one they end by."""

    def listed(request: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = clock()
        return [
            {"source": ban.source, "user": ban.user, "failures": ban.failures, "ends_in": round(ban.until - now)}
            for ban in bans.list()
        ]

    def lift(request: Mapping[str, Any]) -> dict[str, int]:
        source = read_text(request, "source")
        if not source:
            raise CommandError("source is missing")
        return {"lifted": bans.lift(source, read_text(request, "user"))}

    return {"bans-list": listed, "bans-lift": lift}
