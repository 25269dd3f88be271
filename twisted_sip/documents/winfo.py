"""Watcher information, application/watcherinfo+xml: who watches a resource (RFC 3858)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs
from lxml import etree

from twisted_sip.documents.values import LANG, fit, text_of
from twisted_sip.documents.xml import Element, know, make_element, parse_xml, serialize
from twisted_sip.errors import DocumentError, LocalProtocolError

NAMESPACE: Final = "urn:ietf:params:xml:ns:watcherinfo"
MEDIA_TYPE: Final = "application/watcherinfo+xml"

#: The states of a watcher (RFC 3858 section 6).
STATUSES: Final = ("pending", "active", "waiting", "terminated")
#: What brings a watcher into its state (RFC 3858 section 6).
EVENTS: Final = (
    "subscribe",
    "approved",
    "deactivated",
    "probation",
    "rejected",
    "timeout",
    "giveup",
    "noresource",
)
#: Documents of a presentity with many watchers are longer than others.
SIZE_LIMIT: Final = 1 << 20

_ROOT = f"{{{NAMESPACE}}}watcherinfo"
_LIST = f"{{{NAMESPACE}}}watcher-list"
_WATCHER = f"{{{NAMESPACE}}}watcher"

know(NAMESPACE, "watcherinfo", "watcher-list", "watcher", "version", "state", "resource", "package", "status", "event")
know("display-name", "expiration", "duration-subscribed", "id")


@attrs.frozen(slots=True, kw_only=True)
class Watcher:
    """One subscription (RFC 3858 section 3).

    :ivar id: names it among all watchers of one subscription to watcher information.
    :ivar uri: the address-of-record of who watches.
    :ivar status: one of :data:`STATUSES`.
    :ivar event: one of :data:`EVENTS`.
    :ivar display_name: the name of who watches, or empty.
    :ivar lang: the language of the name, or empty.
    :ivar expiration: seconds until it expires, or None.
    :ivar duration_subscribed: seconds since it was made, or None.
    """

    id: str
    uri: str
    status: str
    event: str
    display_name: str = ""
    lang: str = ""
    expiration: int | None = None
    duration_subscribed: int | None = None


@attrs.frozen(slots=True, kw_only=True)
class WatcherList:
    """The watchers of one resource.

    :ivar resource: the URI that they watch.
    :ivar package: the event package: ``presence``.
    :ivar watchers: them.
    """

    resource: str
    package: str
    watchers: tuple[Watcher, ...] = ()


@attrs.frozen(slots=True, kw_only=True)
class WinfoDocument:
    """One document of watcher information.

    :ivar version: 0, 1, 2 ... within a subscription.
    :ivar full: whether it tells of all watchers, or of those that changed.
    :ivar lists: the watchers by resource.
    """

    version: int
    full: bool
    lists: tuple[WatcherList, ...] = ()

    @classmethod
    def parse(cls, body: bytes, *, limit: int = SIZE_LIMIT) -> WinfoDocument:
        """Return the document in *body*; elements of other namespaces are ignored (RFC 3858 section 3).

        :param limit: the most bytes.
        :raises DocumentError: it is no such document, lacks an attribute that it must have, or is beyond a limit.
        """
        root = parse_xml(body, root=(NAMESPACE, "watcherinfo"), limit=limit)
        version, state = _required(root, "version"), _required(root, "state")
        if state not in ("full", "partial") or (number := _number(version)) is None:
            raise DocumentError(f"XML watcherinfo has state {state[:20]!a} and version {version[:20]!a}")
        return cls(
            version=number,
            full=state == "full",
            lists=tuple(
                [
                    WatcherList(
                        resource=_required(each, "resource"),
                        package=_required(each, "package"),
                        watchers=tuple([_read_watcher(child) for child in each.iterchildren(_WATCHER)]),
                    )
                    for each in root.iterchildren(_LIST)
                ]
            ),
        )

    def to_xml(self) -> bytes:
        """Return the document in UTF-8.

        :raises LocalProtocolError: a status or an event is none.
        """
        root = make_element(
            _ROOT,
            {"version": str(self.version), "state": "full" if self.full else "partial"},
            namespaces={None: NAMESPACE},
        )
        for each in self.lists:
            element = etree.SubElement(root, _LIST, {"resource": each.resource, "package": each.package})
            _add_watchers(element, each.watchers)
        return serialize(root)


def _add_watchers(element: Element, watchers: Iterable[Watcher]) -> None:
    for watcher in watchers:
        if watcher.status not in STATUSES or watcher.event not in EVENTS:
            raise LocalProtocolError(f"no watcher is {watcher.status!r} by {watcher.event!r}")
        made = etree.SubElement(element, _WATCHER, {"id": watcher.id, "status": watcher.status, "event": watcher.event})
        made.text = fit(watcher.uri)
        for name, value in (
            ("display-name", watcher.display_name),
            (LANG, watcher.lang),
            ("expiration", watcher.expiration),
            ("duration-subscribed", watcher.duration_subscribed),
        ):
            if value not in ("", None):
                made.set(name, fit(str(value)))


def _read_watcher(element: Element) -> Watcher:
    return Watcher(
        id=_required(element, "id"),
        uri=text_of(element),
        status=_required(element, "status"),
        event=_required(element, "event"),
        display_name=element.get("display-name", ""),
        lang=element.get(LANG, ""),
        expiration=_number(element.get("expiration", "")),
        duration_subscribed=_number(element.get("duration-subscribed", "")),
    )


def _required(element: Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise DocumentError(f"XML {etree.QName(element).localname} has no attribute {name}")
    return value


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


class WatcherTable:
    """What a subscriber knows of the watchers, put together from full and partial documents (RFC 3858 section 4).

    :ivar version: the version of the last document, None before the first.
    :ivar watchers: by resource and package, then by id; those terminated are left out.
    """

    __slots__ = ("version", "watchers")

    def __init__(self) -> None:
        """Know nothing."""
        self.version: int | None = None
        self.watchers: dict[tuple[str, str], dict[str, Watcher]] = {}

    def receive(self, document: WinfoDocument) -> bool:
        """Take one document.

        :return: False where one was missed before it: the subscription is to be refreshed, for that brings full state.
        """
        version = self.version
        if version is not None and document.version <= version:
            # Discarded without processing.
            return True
        self.version = document.version
        if document.full:
            self.watchers.clear()
        for each in document.lists:
            rows = self.watchers.setdefault((each.resource, each.package), {})
            for watcher in each.watchers:
                if watcher.status == "terminated":
                    rows.pop(watcher.id, None)
                else:
                    rows[watcher.id] = watcher
        return document.full or version is None or document.version == version + 1
