"""What callers wish of the servers and devices on the way: Accept-Contact, Reject-Contact, Request-Disposition.

RFC 3841 sections 7.2, 8, 9 and 10. Features are those of RFC 3840 (:mod:`capabilities`); matching is that of predicates
(RFC 2533), as section 8 maps features to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.capabilities import Feature, features_of
from twisted_sip.message.grammar import Params, parse_params
from twisted_sip.message.parameterized import refuse

Features = Mapping[str, Feature]


class ContactPreference(NamedTuple):
    """One element of Accept-Contact or Reject-Contact (section 9.2).

    :ivar features: the features asked for, by tag.
    :ivar require: contacts without them are left out (Accept-Contact).
    :ivar explicit: contacts that do not say so count as being without them (Accept-Contact).
    """

    features: Features
    require: bool = False
    explicit: bool = False

    @classmethod
    def parse(cls, text: str, header: str = "Accept-Contact") -> ContactPreference:
        """Return the value in *text*; parameters that are no features are left out.

        :param header: the name of the header field.
        :raises RemoteProtocolError: it is malformed, or a feature stands twice.
        """
        star, semicolon, rest = text.partition(";")
        if star.strip(" \t") != "*":
            refuse(header, "it begins with *")
        try:
            params = parse_params(semicolon + rest) if semicolon else Params()
            return cls(features_of(params), "require" in params, "explicit" in params)
        except RemoteProtocolError as error:
            why = error.reason.rpartition(": ")[2]
            raise RemoteProtocolError(f"Malformed {header} header field: {why}", header=header) from error

    @classmethod
    def build(cls, features: Iterable[Feature], *, require: bool = False, explicit: bool = False) -> ContactPreference:
        """Return a value to send.

        :raises LocalProtocolError: a feature stands twice.
        """
        made: dict[str, Feature] = {}
        for feature in features:
            if feature.tag in made:
                raise LocalProtocolError(f"{feature.tag} stands twice")
            made[feature.tag] = feature
        return cls(made, require, explicit)

    def matches(self, others: Features) -> bool:
        """Tell whether the features *others* of a contact match: no feature that both speak of differs (RFC 2533)."""
        return all(tag not in others or agree(feature, others[tag]) for tag, feature in self.features.items())

    def score(self, others: Features) -> Fraction:
        """Return how much of what is asked for the contact speaks of, from 0 to 1 (section 7.2.4)."""
        if not self.features:
            return Fraction(1)
        return Fraction(sum(tag in others for tag in self.features), len(self.features))

    def __str__(self) -> str:
        words = [str(feature) for feature in self.features.values()]
        words += ["require"] * self.require + ["explicit"] * self.explicit
        return ";".join(["*", *words])


#: Longer values are no numbers that somebody means.
_MOST_DIGITS = 40

#: The numbers that a value of a feature stands for, both ends included; None for no end.
_Range = tuple[Fraction | None, Fraction | None]


@lru_cache(maxsize=1024)
def _numbers(value: str) -> _Range | None:
    """Return the numbers that *value*, without ``!``, stands for; None if it stands for a token."""
    if not value.startswith("#") or len(value) > _MOST_DIGITS:
        return None
    text = value[1:]
    if text.startswith(">="):
        return Fraction(text[2:]), None
    if text.startswith("<="):
        return None, Fraction(text[2:])
    if text.startswith("="):
        return Fraction(text[1:]), Fraction(text[1:])
    low, _, high = text.partition(":")
    return Fraction(low), Fraction(high)


def _overlap(one: _Range, other: _Range) -> bool:
    (low, high), (least, most) = one, other
    return (low is None or most is None or low <= most) and (high is None or least is None or least <= high)


def _within(one: _Range, other: _Range) -> bool:
    """Tell whether all of *one* is in *other*."""
    (low, high), (least, most) = one, other
    lower = least is None or (low is not None and least <= low)
    return lower and (most is None or (high is not None and high <= most))


def _values_agree(one: str, other: str) -> bool:
    """Tell whether something is both *one* and *other*, two values of a feature."""
    not_one, not_other = one.startswith("!"), other.startswith("!")
    a, b = one.removeprefix("!"), other.removeprefix("!")
    if not_one and not_other:
        # There is always a third.
        return True
    left, right = _numbers(a), _numbers(b)
    if left is None or right is None:
        same = left is right and a.lower() == b.lower()
        return same is not (not_one or not_other)
    if not_one:
        return not _within(right, left)
    if not_other:
        return not _within(left, right)
    return _overlap(left, right)


def agree(one: Feature, other: Feature) -> bool:
    """Tell whether something has both of two features with the same tag (section 8; strings count by case)."""
    if one.string is not None or other.string is not None:
        return one.string == other.string
    return any(_values_agree(value, given) for value in one.values for given in other.values)


#: The directives of each type (section 10): what is asked for, and its contrary.
_TYPES = (
    ("proxy", "redirect"),
    ("cancel", "no-cancel"),
    ("fork", "no-fork"),
    ("recurse", "no-recurse"),
    ("parallel", "sequential"),
    ("queue", "no-queue"),
)
_DIRECTIVES = frozenset(word for pair in _TYPES for word in pair)


class RequestDisposition:
    """Request-Disposition: what the caller wishes servers to do with a request (section 9.1).

    :ivar directives: the directives, in lower case and in order; of each type the first one.
    """

    __slots__ = ("directives",)

    def __init__(self, directives: Iterable[str]) -> None:
        """Make a value to send.

        :raises LocalProtocolError: an unknown directive, or two of one type.
        """
        self.directives = tuple(directives)
        for word in self.directives:
            if word not in _DIRECTIVES:
                raise LocalProtocolError(f"{word!r} is no directive of Request-Disposition")
        for pair in _TYPES:
            if sum(word in pair for word in self.directives) > 1:
                raise LocalProtocolError(f"Request-Disposition has one of {' and '.join(pair)}")

    @classmethod
    def read(cls, elements: Iterable[str]) -> RequestDisposition:
        """Return what *elements* of the header field say; lenient, what is unknown or contradicts is left out."""
        kept: list[str] = []
        for element in elements:
            word = element.strip(" \t").lower()
            pair = next((pair for pair in _TYPES if word in pair), None)
            if pair is not None and not any(each in pair for each in kept):
                kept.append(word)
        return cls(kept)

    def __contains__(self, directive: object) -> bool:
        return directive in self.directives

    def __str__(self) -> str:
        return ", ".join(self.directives)

    def __repr__(self) -> str:
        return f"<RequestDisposition {self}>"
