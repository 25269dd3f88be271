"""From the list of a service to the resources that are watched: the flat list (RFC 4826 section 4.5)."""

from __future__ import annotations

import attrs

from twisted_sip.documents.resource_lists import DisplayName, Entry, EntryRef, External, ResourceList
from twisted_sip.documents.values import Note
from twisted_sip.errors import DocumentError, RemoteProtocolError, SIPError
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.presence.lists.references import References
from twisted_sip.presence.lists.settings import ListSettings


class ListRefused(SIPError):
    """A list that cannot be served.

    :ivar status: the response to a SUBSCRIBE for it: 403, 502.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@attrs.frozen(slots=True)
class ListedResource:
    """A resource of a list.

    :ivar uri: its URI as the list has it, by which the watcher knows it.
    :ivar names: what people call it.
    """

    uri: str
    names: tuple[Note, ...] = ()


@attrs.frozen(slots=True)
class FlatList:
    """What a list comes to.

    :ivar owner: the canonical address-of-record of its user, empty for a list that came in a request.
    :ivar names: what people call it.
    :ivar resources: its resources, each once, in order.
    """

    owner: str
    names: tuple[Note, ...] = ()
    resources: tuple[ListedResource, ...] = ()


async def flatten(
    found: ResourceList, owner: str, settings: ListSettings, references: References | None = None
) -> FlatList:
    """Return the resources of *found*, of lists in it, and of those that it refers to.

    Entries that nobody could subscribe to are left out; so are references that lead nowhere: one of them must not hide
    all the other buddies.

    :param references: follows references; without it they are left out.
    :raises ListRefused: a reference leads back to where it stands (502), or there is too much of something (403).
    :raises StoreError: documents cannot be read.
    """
    resources: dict[str, ListedResource] = {}
    # The "traversed list" of section 4.5.
    traversed: set[str] = set()
    followed = 0
    # Not recursive: (member, how deep it stands).
    waiting: list[tuple[Entry | EntryRef | External | ResourceList, int]] = [(found, 0)]
    while waiting:
        member, depth = waiting.pop()
        if isinstance(member, ResourceList):
            if depth > settings.max_depth:
                raise ListRefused(403, "the list is nested too deep")
            waiting += [(each, depth + 1) for each in reversed(member.members)]
            continue
        if not isinstance(member, Entry):
            if references is None:
                continue
            followed += 1
            if followed > settings.max_references:
                raise ListRefused(403, "the list has too many references")
            try:
                if isinstance(member, External):
                    if member.anchor in traversed:
                        raise ListRefused(502, "the list refers to itself, or twice to the same")
                    traversed.add(member.anchor)
                    waiting.append((await references.list_at(owner, member.anchor), depth))
                    continue
                entry = await references.entry_at(owner, member.ref)
            except DocumentError:
                continue
            member = attrs.evolve(entry, display_name=member.display_name or entry.display_name)
        if member.uri not in resources and subscribable(member.uri) is not None:
            if len(resources) >= settings.max_resources:
                raise ListRefused(403, "the list has too many resources")
            resources[member.uri] = ListedResource(member.uri, _names(member.display_name))
    return FlatList(owner, _names(found.display_name), tuple(resources.values()))


def _names(name: DisplayName | None) -> tuple[Note, ...]:
    return () if name is None or not name.text else (Note(name.text, name.lang),)


def subscribable(uri: str) -> SIPURI | None:
    """Return the SIP URI that a SUBSCRIBE for *uri* goes to, None if there is none.

    Of a ``pres`` URI that is the SIP URI of the same user (RFC 3856 section 5).
    """
    text = uri.strip()
    if text[:5].lower() == "pres:":
        text = f"sip:{text[5:].partition('?')[0]}"
    try:
        parsed = parse_uri(text)
    except RemoteProtocolError:
        return None
    return parsed if isinstance(parsed, SIPURI) and parsed.user else None
