"""Message summaries, application/simple-message-summary: how many messages wait (RFC 3842 sections 3.5 and 5.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from twisted_sip.errors import DocumentError, LocalProtocolError, RemoteProtocolError
from twisted_sip.message.uri import parse_uri

MEDIA_TYPE: Final = "application/simple-message-summary"

#: No count is greater (section 3.5).
MAX_COUNT: Final = (1 << 32) - 1
#: The most bytes of a body.
SIZE_LIMIT: Final = 65536
#: The most summary lines of a body that is read.
MAX_CLASSES: Final = 64
#: The most header fields about single messages that are read.
MAX_HEADERS: Final = 1024

VOICE: Final = "voice-message"
FAX: Final = "fax-message"
PAGER: Final = "pager-message"
MULTIMEDIA: Final = "multimedia-message"
TEXT: Final = "text-message"
NONE: Final = "none"

#: message-context-class as people spell it (RFC 3842 section 3.5); others go out as they are.
_SPELLING = {
    VOICE: "Voice-Message",
    FAX: "Fax-Message",
    PAGER: "Pager-Message",
    MULTIMEDIA: "Multimedia-Message",
    TEXT: "Text-Message",
    NONE: "None",
}
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+").fullmatch
_COUNTS = re.compile(r"(\d+)\s*/\s*(\d+)\s*(?:\(\s*(\d+)\s*/\s*(\d+)\s*\))?.*", re.ASCII | re.DOTALL).fullmatch
_FOLD = re.compile(r"\n[ \t]+")


@attrs.frozen(slots=True)
class Counts:
    """How many messages of one kind there are.

    :ivar new: new ones.
    :ivar old: old ones.
    :ivar new_urgent: how many of the new ones are urgent.
    :ivar old_urgent: how many of the old ones are.
    """

    new: int = 0
    old: int = 0
    new_urgent: int = 0
    old_urgent: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return both together, each number at most :data:`MAX_COUNT`."""
        return Counts(
            min(self.new + other.new, MAX_COUNT),
            min(self.old + other.old, MAX_COUNT),
            min(self.new_urgent + other.new_urgent, MAX_COUNT),
            min(self.old_urgent + other.old_urgent, MAX_COUNT),
        )


def _classes(given: Mapping[str, Counts]) -> Mapping[str, Counts]:
    return MappingProxyType({name.lower(): counts for name, counts in given.items()})


@attrs.frozen(slots=True, kw_only=True, eq=True, hash=False)
class Summary:
    """What waits for an account.

    :ivar waiting: messages wait. Left out (None), they do if a count of new ones says so.
    :ivar account: the URI of the account, or empty.
    :ivar counts: by message-context-class in lower case: :data:`VOICE`, :data:`TEXT` ...
    :ivar messages: header fields of messages that are new, (name, value), by message. Must not stand in the first
        NOTIFY (section 3.5).
    """

    waiting: bool | None = None
    account: str = ""
    counts: Mapping[str, Counts] = attrs.field(factory=dict, converter=_classes)
    messages: tuple[tuple[tuple[str, str], ...], ...] = ()

    @property
    def messages_waiting(self) -> bool:
        """Messages wait."""
        if self.waiting is not None:
            return self.waiting
        return any(counts.new for counts in self.counts.values())

    @classmethod
    def parse(cls, body: bytes, *, limit: int = SIZE_LIMIT) -> Summary:
        """Return the summary in *body*. Lines that make no sense are passed over, but the status must be there.

        :param limit: the most bytes.
        :raises DocumentError: it does not say whether messages wait, or is beyond a limit.
        """
        if len(body) > limit:
            raise DocumentError(f"Message summary is longer than {limit} bytes", too_large=True)
        text = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        head, *rest = _FOLD.sub(" ", text.lstrip("\n")).split("\n\n")
        fields = _fields(head)
        status = next((value for name, value in fields if name.lower() == "messages-waiting"), "").lower()
        if status not in ("yes", "no"):
            raise DocumentError("Message summary does not say whether messages wait")
        account = next((value for name, value in fields if name.lower() == "message-account"), "")
        counts: dict[str, Counts] = {}
        for name, value in fields:
            numbers = _COUNTS(value)
            if numbers is not None and len(counts) < MAX_CLASSES:
                # More than 32 bits are read as 2^32-1 (section 3.5).
                counts[name.lower()] = Counts(*[_count(each) for each in numbers.groups("0")])
        messages = [tuple(_fields(block)) for block in rest[:MAX_HEADERS]]
        return cls(
            waiting=status == "yes",
            account=account.strip("<>"),
            counts=counts,
            messages=tuple([message for message in messages if message]),
        )

    def to_bytes(self) -> bytes:
        """Return the body.

        :raises LocalProtocolError: a count is out of range, or a name, a value or the account cannot stand there.
        """
        lines = [f"Messages-Waiting: {'yes' if self.messages_waiting else 'no'}"]
        if self.account:
            lines.append(f"Message-Account: {_checked_account(self.account)}")
        for name, counts in self.counts.items():
            for each in (counts.new, counts.old, counts.new_urgent, counts.old_urgent):
                if not 0 <= each <= MAX_COUNT:
                    raise LocalProtocolError(f"{name}: {each} is no count of messages")
            urgent = f" ({counts.new_urgent}/{counts.old_urgent})" if counts.new_urgent or counts.old_urgent else ""
            lines.append(f"{_SPELLING.get(name) or _checked_name(name)}: {counts.new}/{counts.old}{urgent}")
        for message in self.messages:
            lines.append("")
            lines += [f"{_checked_name(name)}: {_checked_value(value)}" for name, value in message]
        return "\r\n".join([*lines, ""]).encode("utf-8", "surrogateescape")


def _fields(block: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in block.split("\n"):
        name, colon, value = line.partition(":")
        name = name.strip(" \t")
        if colon and _TOKEN(name) is not None and len(found) < MAX_HEADERS:
            found.append((name, value.strip(" \t")))
    return found


def _count(digits: str) -> int:
    return MAX_COUNT if len(digits) > 10 else min(int(digits), MAX_COUNT)


def _checked_account(text: str) -> str:
    # Section 3.5: without angle brackets.
    try:
        parse_uri(text)
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"Message-Account: {error.reason}") from error
    return _checked_value(text)


def _checked_name(name: str) -> str:
    if _TOKEN(name) is None:
        raise LocalProtocolError(f"{name!r} cannot stand before a colon")
    return name


def _checked_value(value: str) -> str:
    if any(character in value for character in "\r\n\0"):
        raise LocalProtocolError("a value must not hold CR, LF or NUL")
    return value
