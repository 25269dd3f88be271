"""What the control socket can say of presence and messages: who is where, who watches whom, what waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from twisted_sip.documents.pidf import Presence
from twisted_sip.events.notifier import Notifier
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage
from twisted_sip.presence.service import PresenceService
from twisted_sip.tap.control import Command, CommandError, Stream


def _aor(request: Mapping[str, Any]) -> str:
    value = request.get("aor", "")
    if not isinstance(value, str) or not value:
        raise CommandError("aor is missing")
    return value


def shown(aor: str, presence: Presence) -> dict[str, Any]:
    """Return *presence* as JSON can say it."""
    return {
        "aor": aor,
        "basic": presence.basic or "closed",
        "note": presence.note,
        "activities": list(presence.activities),
        "services": [
            {"id": service.id, "basic": service.basic, "contact": service.contact} for service in presence.services
        ],
        "document": presence.to_xml().decode(),
    }


def presence_commands(service: PresenceService, notifier: Notifier) -> dict[str, Command]:
    """Return the commands about presence."""

    def presence(request: Mapping[str, Any]) -> dict[str, Any]:
        aor = _aor(request)
        now = service.element.reactor.seconds()
        published = [
            {
                "publisher": each.publisher,
                "expires_in": max(0, round(each.expires_at - now)),
                "content_type": each.content_type,
            }
            for each in service.publications.of(aor, "presence")
        ]
        return {**shown(aor, service.presence_of(aor)), "publications": published}

    def watch(request: Mapping[str, Any]) -> Stream:
        aor = request.get("aor", "")

        def start(send: Callable[[Any], None]) -> Callable[[], None]:
            def changed(resource: str) -> None:
                if not aor or resource == aor:
                    send(shown(resource, service.presence_of(resource)))

            return service.observe(changed)

        return Stream(start)

    def everybody(request: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [shown(aor, service.presence_of(aor)) for aor in service.presentities()]

    def watchers(request: Mapping[str, Any]) -> list[dict[str, Any]]:
        aor = _aor(request)
        now = service.element.reactor.seconds()
        return [
            {
                "watcher": each.watcher,
                "event": each.event,
                "state": each.state,
                "expires_in": max(0, round(each.expires_at - now)),
            }
            for event in notifier.events
            for each in notifier.subscriptions(event, aor)
        ]

    return {
        "presence": presence,
        "presence-list": everybody,
        "presence-follow": watch,
        "watchers": watchers,
    }


def message_commands(store: IMessageStore) -> dict[str, Command]:
    """Return the command that lists what waits in *store*."""

    def line(message: StoredMessage) -> dict[str, Any]:
        content = dict(message.headers).get("Content-Type") or dict(message.headers).get("content-type") or ""
        return {
            "sender": message.sender,
            "received_at": message.received_at,
            "expires_at": message.expires_at,
            "content_type": content,
            "bytes": len(message.body),
        }

    def messages(request: Mapping[str, Any]) -> Deferred[list[dict[str, Any]]]:
        found: Deferred[Any] = maybeDeferred(store.waiting, _aor(request))
        return found.addCallback(lambda waiting: [line(message) for message in waiting])

    return {"messages": messages}
