"""The targets that a request has had, for History-Info of requests and responses (RFC 7044 sections 7 to 10).

What is hidden of it where it leaves our domain is the privacy service's (section 10.1.2).
"""

from __future__ import annotations

from bisect import insort
from typing import Any

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.escapes import escape_header_value
from twisted_sip.message.history import HistoryEntry, Index
from twisted_sip.message.history import Target as How
from twisted_sip.message.push_uri import without_push
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI, TelURI

#: The most entries that a request may bring; more are passed on as they are.
_MOST_ENTRIES = 50


def history_of(incoming: IncomingRequest, mode: str, believed: bool = True) -> RequestHistory | None:
    """Return the history of a request, None where nothing is to be written.

    :param believed: what the sender says of it counts; else it begins here.
    :param mode: ``asked``: only where the sender supports it or has sent some; ``always``; ``never``.
    """
    if mode == "never":
        return None
    headers = incoming.request.headers
    names = headers.names
    wanted = "history-info" in names
    if not wanted and "supported" in names:
        # One line, as a rule, which need not be taken apart.
        wanted = "histinfo" in headers.lines[names.index("supported")].lower() or (
            names.count("supported") > 1 and any("histinfo" in text.lower() for text in headers.all("supported"))
        )
    if not wanted and mode == "asked":
        return None
    try:
        entries: list[HistoryEntry] = incoming.request.typed("history-info")
    except RemoteProtocolError:
        # It is nobody's but the next one's to make something of.
        return None
    if not believed:
        entries = []
    return RequestHistory(incoming, entries, wanted) if len(entries) <= _MOST_ENTRIES else None


class RequestHistory:
    """The entries of one request (the cache of section 9.1).

    :ivar index: the index of the Request-URI.
    :ivar answered: the sender wants to see it in responses (section 9.4).

    :param entries: what the request has brought.
    """

    __slots__ = ("_cached", "_count", "_domain", "_entries", "_sent", "answered", "index")

    def __init__(self, incoming: IncomingRequest, entries: list[HistoryEntry], answered: bool) -> None:
        request = incoming.request
        self.answered = answered
        self._entries = list(entries)
        self._domain = str(incoming.flow.local.host)
        last = entries[-1] if entries else None
        if last is None:
            self.index: Index = (1,)
        else:
            self.index = last.index or (1,)
            if not _same(last.address.uri, request.uri):
                # Section 10.3 rule 6: the one who sent the request has not said where.
                self.index = (*self.index, 0)
                last = None
        if last is None:
            self._entries.append(HistoryEntry.build(self._sip(request.uri), self.index))
        # Branches and retargetings made here, and the entries of branches that were sent.
        self._count = 0
        self._sent: dict[Any, HistoryEntry] = {}
        self._cached: set[Any] = set()

    def _sip(self, uri: URI) -> URI:
        """Return *uri* as a SIP URI (section 9.1, RFC 3261 section 19.1.6)."""
        if isinstance(uri, TelURI):
            return SIPURI(self._domain, uri.number, params=[("user", "phone")])
        return without_push(uri.replace(headers="") if isinstance(uri, SIPURI) and uri.headers else uri)

    # -- requests ----------------------------------------------------------------------------

    def sent(self, request: Request, target: Target, branch: Any) -> None:
        """Put the history into *request*, which is about to be sent to *target* as *branch* (section 9.2)."""
        at = self.index
        how: How | None = None
        steps = target.steps
        for place, step in enumerate(steps):
            at = self._index_of(step.uri, at)
            how = step.how if step.how in ("rc", "mp") else None  # type: ignore[assignment]
            if place == len(steps) - 1 and _same(step.to, target.uri):
                break
            known = self._index_of(step.to, ())
            if not known:
                # Section 7: targets within this server have entries of their own.
                known = self._next()
                self._add(HistoryEntry.build(self._sip(step.to), known, how, at if how else ()))
            at, how = known, None
        else:
            if request.uri_text == str(self._entry_uri(at)):
                how = "np"
            else:
                how = "rc" if target.aor else "mp"
        made = HistoryEntry.build(self._sip(request.uri), self._next(), how, at if how else ())
        self._sent[branch] = made
        headers = request.headers
        headers.remove("history-info")
        for entry in self._with(made):
            headers.append("history-info", str(entry))

    def _next(self) -> Index:
        # Section 10.3 rules 2, 3 and 5.
        self._count += 1
        return (*self.index, self._count)

    def _index_of(self, uri: URI, otherwise: Index) -> Index:
        for entry in reversed(self._entries):
            if _same(entry.address.uri, uri):
                return entry.index
        return otherwise

    def _entry_uri(self, index: Index) -> URI | None:
        return next((entry.address.uri for entry in reversed(self._entries) if entry.index == index), None)

    def _add(self, entry: HistoryEntry) -> None:
        insort(self._entries, entry, key=_index)

    def _with(self, entry: HistoryEntry) -> list[HistoryEntry]:
        made = list(self._entries)
        insort(made, entry, key=_index)
        return made

    # -- responses ---------------------------------------------------------------------------

    def heard(self, branch: Any, response: Response) -> None:
        """Take in a *response* to *branch*, not a 100 (section 9.3)."""
        entry = self._sent.get(branch)
        if entry is None:
            return
        if response.status >= 300:
            self._sent.pop(branch)
            if branch in self._cached:
                self._entries.remove(entry)
            self._add(_with_reason(entry, response))
        elif branch not in self._cached:
            self._cached.add(branch)
            self._add(entry)
        if "history-info" not in response.headers.names:
            return
        try:
            theirs: list[HistoryEntry] = response.typed("history-info")
        except RemoteProtocolError:
            return
        known = {(each.index, _plain(each.address.uri)) for each in self._entries}
        for each in theirs[: max(0, _MOST_ENTRIES - len(self._entries))]:
            if (each.index, _plain(each.address.uri)) not in known:
                self._add(each)

    def over(self) -> None:
        """Let go of the branches: no failure is heard of any more."""
        self._sent.clear()

    def answer(self, response: Response) -> None:
        """Put the history into *response*, about to go upstream (section 9.4)."""
        headers = response.headers
        headers.remove("history-info")
        if self.answered:
            for entry in self._entries:
                headers.append("history-info", str(entry))


def _index(entry: HistoryEntry) -> Index:
    return entry.index


def _plain(uri: URI) -> str:
    uri = without_push(uri)
    return uri.text.partition("?")[0] if isinstance(uri, SIPURI) else str(uri)


def _same(one: URI, other: URI) -> bool:
    """Tell whether two URIs are the same but for header fields in them."""
    return _plain(one) == _plain(other)


def _with_reason(entry: HistoryEntry, response: Response) -> HistoryEntry:
    """Return *entry* with why it has failed (section 10.2)."""
    uri = entry.address.uri
    if not isinstance(uri, SIPURI):
        return entry
    reasons = [str(Reason.build("SIP", response.status)), *response.headers.all("reason")]
    fields = "&".join(f"Reason={escape_header_value(reason)}" for reason in reasons[:4])
    kept = f"{uri.headers}&{fields}" if uri.headers else fields
    return HistoryEntry(entry.address.with_uri(uri.replace(headers=kept)))
