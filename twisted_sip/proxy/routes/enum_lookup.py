"""ENUM: the SIP URIs of a telephone number, from the DNS (RFC 6116; the service is that of RFC 3764)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.proxy.routes.naptr_regexp import substituted
from twisted_sip.transport.resolver_selection import Answer, NAPTRRecord, Question, QuestionType

#: URIs of one number that are tried.
_MOST = 4


@attrs.frozen(slots=True, kw_only=True)
class ENUMSettings:
    """The ``[enum]`` section.

    :ivar suffixes: the domains to look in, one after the other.
    """

    suffixes: tuple[str, ...] = attrs.field(
        default=("e164.arpa",), metadata={"help": "the domains in which numbers are looked up, in this order"}
    )


class Questions(Protocol):
    """Asks the DNS and remembers (transport.resolver_dns.DNSQuestions)."""

    def ask(self, question: Question) -> Answer | Deferred[Answer]: ...


class ENUMLookup:
    """Looks numbers up.

    :param questions: gives what asks the DNS; answers are kept there for their TTL.
    :ivar suffixes: the domains to look in.
    """

    def __init__(self, questions: Callable[[], Questions], suffixes: Sequence[str]) -> None:
        self._questions = questions
        self.suffixes = tuple(suffixes)

    async def find(self, number: str) -> list[SIPURI]:
        """Return the SIP URIs of *number*, the preferred ones first; none if there are none.

        :param number: in E.164: ``+`` and digits.
        """
        for suffix in self.suffixes:
            answer = self._questions().ask(Question(QuestionType.NAPTR, domain_of(number, suffix)))
            records = (await answer if isinstance(answer, Deferred) else answer).naptr
            found = uris_of(records, number)
            if found:
                return found
        return []


def domain_of(number: str, suffix: str) -> str:
    """Return the domain of *number* below *suffix* (RFC 6116 section 3.2)."""
    return ".".join([*reversed(number.removeprefix("+")), suffix.strip(".")]).lower()


def uris_of(records: Sequence[NAPTRRecord], number: str) -> list[SIPURI]:
    """Return the SIP URIs that *records* give *number*, in their order.

    Rules that are not terminal are left out: RFC 6116 section 5.2.1 says that clients may.
    """
    found: list[SIPURI] = []
    for record in sorted(records, key=lambda record: (record.order, record.preference)):
        if record.flags.lower() != "u" or not _is_sip(record.service):
            continue
        text = substituted(record.regexp, number)
        if text is None or not text.isascii() or not text.isprintable():
            continue
        try:
            uri = parse_uri(text)
        except RemoteProtocolError:
            continue
        if isinstance(uri, SIPURI) and uri not in found:
            found.append(uri.replace(headers="") if uri.headers else uri)
        if len(found) >= _MOST:
            break
    return found


def _is_sip(service: str) -> bool:
    """Tell whether *service* is ``E2U`` with ``sip`` among its enumservices; also in the old order of RFC 2916."""
    parts = service.lower().split("+")
    return "e2u" in (parts[0], parts[-1]) and "sip" in parts
