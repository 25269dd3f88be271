"""The tokens that let a proxy know its own dialogs again (RFC 3261 section 16.6 step 4).

A dialog token stands in the user part of a Record-Route URI. It is a MAC over the Call-ID, the tag of the side that
sent the first request, the hour in which that was, a mark of both sides' identities and the flow token at its end, so
it cannot be moved to another call or point elsewhere, and tells how old it is.

The hour and the identities bound what a token is good for long after its dialog is over, in the hands of one of its two
ends. Both stay with it for the life of a dialog: a route set never changes (section 12.2), and neither do the URIs in
From and To but by RFC 4916. What is too old, or between others, is not refused: its sender has to prove who it is, and
the dialog is good for another day then.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.limits import SHORT
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, parse_uri

#: Characters of a MAC in a token: 12 bytes, so that guessing one is hopeless.
_MAC_BYTES = 12
_MAC_CHARS = 16
#: Characters of the hour since the epoch, and of the mark of the identities.
_HOUR_CHARS = 4
_PARTIES_CHARS = 8
_FLOW_AT = _MAC_CHARS + _HOUR_CHARS + _PARTIES_CHARS
_HOUR = 3600
#: Stands for the hour in tokens that do not age.
_NEVER = "." * _HOUR_CHARS

#: The length of a token that no flow token follows.
TOKEN_WITHOUT_FLOW = _FLOW_AT

#: Seconds for which a token lets requests pass, and for which proof of identity renews it.
LIFETIME = 86_400.0
#: The most dialogs that are known to have been renewed.
_MOST_RENEWED = 10_000


class DialogTokens:
    """Makes and checks the tokens in our Record-Route URIs.

    :param key: the secret, kept in the state directory so that calls outlive a restart.
    :param now: gives the time in seconds since the epoch; without it no token grows old.
    """

    __slots__ = ("_hour", "_hour_text", "_keyed", "_last_mac", "_last_text", "_marks", "_now", "_renewed")

    def __init__(self, key: bytes, now: Callable[[], float] = lambda: 0.0) -> None:
        # Keyed once: a copy of it is cheaper than to give the key each time.
        self._keyed = hashlib.blake2s(digest_size=_MAC_BYTES, key=hashlib.blake2s(key).digest())
        # Of one request the same token is looked at by several links of the chain.
        self._last_text = self._last_mac = ""
        self._now = now
        self._hour, self._hour_text = -1, ""
        # The INVITE and the BYE of a call, and calls between the same two, ask for the same.
        self._marks = lru_cache(maxsize=4096)(self._mark_of)
        self._renewed: OrderedDict[str, float] = OrderedDict()

    def _mac(self, call_id: str, tag: str, rest: str) -> str:
        text = f"{call_id}\n{tag}\n{rest}"
        if text == self._last_text:
            return self._last_mac
        keyed = self._keyed.copy()
        keyed.update(text.encode("utf-8", "surrogateescape"))
        mac = binascii.b2a_base64(keyed.digest(), newline=False).translate(_URL_SAFE).decode("ascii")
        self._last_text, self._last_mac = text, mac
        return mac

    def make(self, call_id: str, tag: str, flow: str = "", parties: str = "", *, ages: bool = True) -> str:
        """Return the token for a dialog.

        :param tag: the From tag of the request that set it up.
        :param flow: the token of the flow to this side's peer (Flow.token), empty if its Contact is reachable.
        :param parties: what :meth:`parties` says of that request.
        :param ages: False for one that is good for ever.
        """
        rest = (self._this_hour() if ages else _NEVER) + (parties or _NO_PARTIES)
        if flow:
            rest += base64.urlsafe_b64encode(flow.encode("utf-8")).decode("ascii").rstrip("=")
        return self._mac(call_id, tag, rest) + rest

    def _this_hour(self) -> str:
        hour = self._now() // _HOUR
        if hour != self._hour:
            self._hour = hour = int(hour)
            self._hour_text = base64.urlsafe_b64encode((hour & 0xFFFFFF).to_bytes(3, "big")).decode("ascii")
        return self._hour_text

    def parties(self, request: Request) -> str:
        """Return the mark of who *request* is from and to, in either direction."""
        parsed = request.headers.parsed
        one = (parsed.get("from") or request.from_).uri_text
        other = (parsed.get("to") or request.to).uri_text
        return self._marks(one, other) if len(one) + len(other) <= SHORT else self._mark_of(one, other)

    def _mark_of(self, one: str, other: str) -> str:
        one, other = sorted((_party(one), _party(other)))
        keyed = self._keyed.copy()
        keyed.update(f"parties\n{one}\n{other}".encode("utf-8", "surrogateescape"))
        return base64.urlsafe_b64encode(keyed.digest()).decode("ascii")[:_PARTIES_CHARS]

    def dialog_valid(self, token: str, call_id: str, from_tag: str, to_tag: str) -> bool:
        """Tell whether *token* was made here for the dialog that a request with these identifiers is in."""
        if len(token) < _FLOW_AT or not token.isascii():
            return False
        mac, rest = token[:_MAC_CHARS], token[_MAC_CHARS:]
        return hmac.compare_digest(mac, self._mac(call_id, from_tag, rest)) or hmac.compare_digest(
            mac, self._mac(call_id, to_tag, rest)
        )

    def good(self, token: str, request: Request) -> bool:
        """Tell whether *token*, which :meth:`dialog_valid` has found right, is recent and made for *request*."""
        if token[_MAC_CHARS:_FLOW_AT] == self._this_hour() + self.parties(request):
            # Most calls are over within the hour.
            return True
        return self.recent(token) and self.between(token, self.parties(request))

    def between(self, token: str, parties: str) -> bool:
        """Tell whether *token*, which :meth:`dialog_valid` has found right, was made for a dialog of these
        *parties*."""
        mark = token[_MAC_CHARS + _HOUR_CHARS : _FLOW_AT]
        return mark in (parties, _NO_PARTIES)

    def recent(self, token: str) -> bool:
        """Tell whether *token*, which :meth:`dialog_valid` has found right, was made or renewed within LIFETIME."""
        text = token[_MAC_CHARS : _MAC_CHARS + _HOUR_CHARS]
        if text in (self._this_hour(), _NEVER):
            return True
        now = self._now()
        hour = int.from_bytes(base64.urlsafe_b64decode(text), "big")
        if int(now) // _HOUR - hour <= LIFETIME // _HOUR:
            return True
        return self._renewed.get(token[:_MAC_CHARS], 0.0) > now

    def renew(self, token: str) -> None:
        """Let *token*, of whose dialog one side has proved its identity, count as recent for LIFETIME from now on."""
        now = self._now()
        renewed = self._renewed
        renewed[token[:_MAC_CHARS]] = now + LIFETIME
        renewed.move_to_end(token[:_MAC_CHARS])
        while len(renewed) > _MOST_RENEWED or next(iter(renewed.values())) <= now:
            renewed.popitem(last=False)

    def leads_to_an_end(self, token: str, call_id: str, from_tag: str, to_tag: str) -> bool:
        """Tell whether a request with these identifiers goes over the flow in *token*, which is right, to the other end
        of the dialog, whatever its Request-URI says (proxy.record_route)."""
        side = self.flow_of(token)[:1]
        if side in ("a", "A"):
            return hmac.compare_digest(token[:_MAC_CHARS], self._mac(call_id, to_tag, token[_MAC_CHARS:]))
        if side in ("b", "B"):
            return hmac.compare_digest(token[:_MAC_CHARS], self._mac(call_id, from_tag, token[_MAC_CHARS:]))
        return False

    @staticmethod
    def flow_of(token: str) -> str:
        """Return the flow token in *token*, which :meth:`dialog_valid` has found right, or an empty text."""
        packed = token[_FLOW_AT:]
        if not packed:
            return ""
        try:
            return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-8")
        except ValueError:
            return ""


#: The mark of a token that was made without any.
_NO_PARTIES = "." * _PARTIES_CHARS


def _party(text: str) -> str:
    """Return the address-of-record in the URI *text*, or the text."""
    return _kept_party(text) if len(text) <= SHORT else _read_party(text)


def _read_party(text: str) -> str:
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return text
    return uri.address_of_record if isinstance(uri, SIPURI) else str(uri)


_kept_party = lru_cache(maxsize=4096)(_read_party)

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
