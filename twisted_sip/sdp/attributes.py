"""Attributes, bandwidths and keys as lines carry them: ``a=``, ``b=``, ``k=`` (RFC 8866 sections 5.8, 5.12, 5.13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.hosts import printable
from twisted_sip.sdp.lines import check_range, check_text, check_word, number

_MOST_BANDWIDTH = 10**18


@attrs.frozen(slots=True)
class Attribute:
    """One attribute; names are compared exactly (RFC 8866 section 5.13).

    :ivar name: its name: ``rtpmap``.
    :ivar value: what stands behind the colon, None for a property: ``rtcp-mux``.
    """

    name: str
    value: str | None = None

    def __attrs_post_init__(self) -> None:
        check_text(self.name, "an attribute name")
        if not self.name or ":" in self.name:
            raise LocalProtocolError(f"{self.name[:40]!r} is no name of an attribute")
        if self.value is not None:
            check_text(self.value, "an attribute")

    @classmethod
    def parse(cls, line: str) -> Attribute | None:
        """Return the value of an ``a=`` line, None where it names nothing."""
        name, colon, value = line.partition(":")
        name = name.strip(" \t")
        return cls(name, value if colon else None) if name else None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


@attrs.frozen(slots=True)
class Bandwidth:
    """A proposed bandwidth (RFC 8866 section 5.8).

    :ivar kind: ``CT``, ``AS`` (kilobits per second), ``TIAS`` (bits per second, RFC 3890), ``RS``, ``RR`` (bits per
        second of RTCP, RFC 3556), or another one.
    :ivar value: the number.
    """

    kind: str
    value: int

    def __attrs_post_init__(self) -> None:
        check_word(self.kind, "bandwidth type")
        check_range(self.value, "bandwidth", _MOST_BANDWIDTH)

    @classmethod
    def parse(cls, line: str) -> Bandwidth:
        """Return the value of a ``b=`` line.

        :raises RemoteProtocolError: it is malformed.
        """
        kind, _, value = line.partition(":")
        kind = kind.strip()
        if not kind or any(letter <= " " or letter == "\x7f" for letter in kind):
            raise RemoteProtocolError(f"Malformed b= {printable(line)}")
        return cls(kind, number(value, "bandwidth", _MOST_BANDWIDTH))

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def attribute_value(attributes: Iterable[Attribute], name: str) -> str | None:
    """Return the value of the first attribute called *name* without white space around it.

    :returns: None where there is none; empty for one without a value.
    """
    for attribute in attributes:
        if attribute.name == name:
            return (attribute.value or "").strip(" \t")
    return None


def attribute_values(attributes: Iterable[Attribute], name: str) -> Iterator[str]:
    """Yield the values of all attributes called *name*, in order, without white space around them."""
    for attribute in attributes:
        if attribute.name == name:
            yield (attribute.value or "").strip(" \t")


def without_attributes(attributes: Iterable[Attribute], *names: str) -> tuple[Attribute, ...]:
    """Return *attributes* less those of *names*."""
    return tuple([attribute for attribute in attributes if attribute.name not in names])


def replace_attribute(attributes: Iterable[Attribute], *new: Attribute) -> tuple[Attribute, ...]:
    """Return *attributes* with the *new* ones in place of those of their names; they stand where the first one stood.

    Where none stood, they are appended.
    """
    names = {attribute.name for attribute in new}
    kept: list[Attribute] = []
    placed = False
    for attribute in attributes:
        if attribute.name not in names:
            kept.append(attribute)
        elif not placed:
            kept.extend(new)
            placed = True
    return tuple(kept if placed else [*kept, *new])
