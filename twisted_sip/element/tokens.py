"""The tokens that let a proxy know its own dialogs again (RFC 3261 section 16.6 step 4).

A dialog token stands in the user part of a Record-Route URI. It is a MAC over the Call-ID, the tag of the side that
sent the first request and the flow token that follows it, so it cannot be moved to another call or point elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

#: Characters of a MAC in a token: 12 bytes, so that guessing one is hopeless.
_MAC_BYTES = 12
_MAC_CHARS = 16

#: The length of a token that no flow token follows.
TOKEN_WITHOUT_FLOW = _MAC_CHARS


class DialogTokens:
    """Makes and checks the tokens in our Record-Route URIs.

    :param key: the secret, kept in the state directory so that calls outlive a restart.
    """

    __slots__ = ("_keyed", "_last_mac", "_last_text")

    def __init__(self, key: bytes) -> None:
        # Keyed once: a copy of it is cheaper than to give the key each time.
        self._keyed = hashlib.blake2s(digest_size=_MAC_BYTES, key=hashlib.blake2s(key).digest())
        # Of one request the same token is looked at by several links of the chain.
        self._last_text = self._last_mac = ""

    def _mac(self, call_id: str, tag: str, flow: str) -> str:
        text = f"{call_id}\n{tag}\n{flow}"
        if text == self._last_text:
            return self._last_mac
        keyed = self._keyed.copy()
        keyed.update(text.encode("utf-8", "surrogateescape"))
        mac = binascii.b2a_base64(keyed.digest(), newline=False).translate(_URL_SAFE).decode("ascii")
        self._last_text, self._last_mac = text, mac
        return mac

    def make(self, call_id: str, tag: str, flow: str = "") -> str:
        """Return the token for a dialog.

        :param tag: the From tag of the request that set it up.
        :param flow: the token of the flow to this side's peer (Flow.token), empty if its Contact is reachable.
        """
        if not flow:
            return self._mac(call_id, tag, "")
        packed = base64.urlsafe_b64encode(flow.encode("utf-8")).decode("ascii").rstrip("=")
        return self._mac(call_id, tag, packed) + packed

    def dialog_valid(self, token: str, call_id: str, from_tag: str, to_tag: str) -> bool:
        """Tell whether *token* was made here for the dialog that a request with these identifiers is in."""
        if len(token) < _MAC_CHARS or not token.isascii():
            return False
        mac, packed = token[:_MAC_CHARS], token[_MAC_CHARS:]
        return hmac.compare_digest(mac, self._mac(call_id, from_tag, packed)) or hmac.compare_digest(
            mac, self._mac(call_id, to_tag, packed)
        )

    @staticmethod
    def flow_of(token: str) -> str:
        """Return the flow token in *token*, which :meth:`dialog_valid` has found right, or an empty text."""
        packed = token[_MAC_CHARS:]
        if not packed:
            return ""
        try:
            return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-8")
        except ValueError:
            return ""


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
