"""What admission has to be told: who we are, and which tokens are ours."""

from __future__ import annotations

from typing import Protocol

from twisted_sip.message.request import Request
from twisted_sip.message.uri import URI


class Ownership(Protocol):
    """Tells what is ours (element.domains.Domains)."""

    def is_local(self, host: str, port: int | None = None) -> bool: ...

    def is_local_uri(self, uri: URI) -> bool: ...


class TokenCheck(Protocol):
    """Knows our dialog tokens again (element.tokens.DialogTokens)."""

    def dialog_valid(self, token: str, call_id: str, from_tag: str, to_tag: str) -> bool: ...

    def parties(self, request: Request) -> str: ...

    def between(self, token: str, parties: str) -> bool: ...

    def good(self, token: str, request: Request) -> bool: ...

    def renew(self, token: str) -> None: ...

    def leads_to_an_end(self, token: str, call_id: str, from_tag: str, to_tag: str) -> bool: ...


class ThirdPartyRule(Protocol):
    """Tells who may register contacts of others (registrar.settings.ThirdParty)."""

    def allows(self, registrant: str, aor: str) -> bool: ...
