"""What the control socket can say of presence and messages: who is where, who watches whom, what waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from twisted_sip.documents.pidf import Presence
from twisted_sip.events.notifier import Notifier
from twisted_sip.interfaces.location import Binding, ILocationStore
from twisted_sip.interfaces.message_store import IMessageStore, StoredMessage
from twisted_sip.presence.service import PresenceService
from twisted_sip.tap.control import Command, CommandError, Stream
from twisted_sip.tap.control_rows import Rows


def _aor(request: Mapping[str, Any], default: str | None = None) -> str:
    value = request.get("aor", default)
    if not isinstance(value, str) or (not value and default is None):
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
            {
                "id": service.id,
                "basic": service.basic,
                "contact": service.contact,
                "note": service.notes[0].text if service.notes else "",
            }
            for service in presence.services
        ],
        "devices": [
            {"id": device.id, "device_id": device.device_id, "note": device.notes[0].text if device.notes else ""}
            for device in presence.devices
        ],
    }


def presence_commands(
    service: PresenceService, notifier: Notifier, location: ILocationStore | None = None
) -> dict[str, Command]:
    """Return the commands about presence.

    :param location: the bindings of our users, who are present too where the settings say so; None for none.
    """

    def state(aor: str) -> dict[str, Any]:
        published = service.publications.of(aor, "presence")
        now = service.element.reactor.seconds()
        return {
            **shown(aor, service.presence_of(aor)),
            "since": max((each.published_at for each in published), default=None),
            "expires_in": max((max(0, round(each.expires_at - now)) for each in published), default=None),
        }

    def presence(request: Mapping[str, Any]) -> dict[str, Any]:
        aor = _aor(request)
        now = service.element.reactor.seconds()
        published = [
            {
                "publisher": each.publisher,
                "since": each.published_at,
                "expires_in": max(0, round(each.expires_at - now)),
                "content_type": each.content_type,
            }
            for each in service.publications.of(aor, "presence")
        ]
        document = service.presence_of(aor).to_xml().decode()
        return {**state(aor), "publications": published, "document": document}

    def watch(request: Mapping[str, Any]) -> Stream:
        aor = _aor(request, "")

        def start(send: Callable[[Any], None]) -> Callable[[], None]:
            def changed(resource: str) -> None:
                if not aor or resource == aor:
                    send(state(resource))

            return service.observe(changed)

        return Stream(start)

    def everybody(request: Mapping[str, Any]) -> Deferred[Rows]:
        registered: Deferred[Any] = succeed(())
        if location is not None and service.settings.registration_fallback:
            found: Callable[[], Any] = location.bindings
            registered = maybeDeferred(found)

        def listed(bindings: Iterable[Binding]) -> Rows:
            return Rows(map(state, {*service.presentities(), *(each.aor for each in bindings)}))

        return registered.addCallback(listed)

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


def listed_messages(waiting: Iterable[StoredMessage]) -> list[dict[str, Any]]:
    """Return *waiting* as JSON can say it."""
    return [
        {
            "sender": message.sender,
            "received_at": message.received_at,
            "expires_at": message.expires_at,
            "content_type": next((text for name, text in message.headers if name.lower() == "content-type"), ""),
            "bytes": len(message.body),
        }
        for message in waiting
    ]


def message_commands(store: IMessageStore) -> dict[str, Command]:
    """Return the commands that list and drop what waits in *store*."""

    def messages(request: Mapping[str, Any]) -> Deferred[list[dict[str, Any]]]:
        found: Deferred[Any] = maybeDeferred(store.waiting, _aor(request))
        return found.addCallback(listed_messages)

    async def dropped(aor: str) -> dict[str, int]:
        find: Callable[[str], Any] = store.waiting
        waiting = await maybeDeferred(find, aor)
        await store.remove([message.key for message in waiting])
        return {"dropped": len(waiting)}

    def purge(request: Mapping[str, Any]) -> Deferred[dict[str, int]]:
        return Deferred.fromCoroutine(dropped(_aor(request)))

    return {"messages": messages, "messages-purge": purge}
