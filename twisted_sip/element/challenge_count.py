"""How often a challenge is answered: once for each realm, and once more if the nonce was stale (RFC 3261 section 22.2).

A server that goes on asking has refused the password; answering for ever would be a loop.
"""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.auth_params import Challenge
from twisted_sip.message.response import Response

_FIELDS = ("www-authenticate", "proxy-authenticate")

#: A chain of proxies may have a realm each; more than this many rounds are nobody's honest wish.
_MAX_ROUNDS = 8


class ChallengeCount:
    """The challenges that one request has met."""

    __slots__ = ("_rounds", "_seen")

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}
        self._rounds = 0

    def may_answer(self, response: Response) -> bool:
        """Tell whether to answer the challenges of *response*, and count them."""
        self._rounds += 1
        if self._rounds > _MAX_ROUNDS:
            return False
        stale: dict[tuple[str, str], bool] = {}
        for field in _FIELDS:
            for text in response.headers.all(field):
                try:
                    challenge = Challenge.parse(text)
                except RemoteProtocolError:
                    # One that cannot be read is none; another one beside it may do.
                    continue
                key = (field, challenge.realm)
                stale[key] = stale.get(key, False) or (challenge.get("stale") or "").lower() == "true"
        allowed = False
        for key, is_stale in stale.items():
            seen = self._seen.get(key, 0)
            if seen == 0 or (seen == 1 and is_stale):
                allowed = True
            self._seen[key] = seen + 1
        return allowed
