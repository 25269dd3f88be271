"""Feature parameters of Contact: what a user agent can do (RFC 3840 section 9)."""

from __future__ import annotations

import re
from typing import NamedTuple

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import Params, quote, unquote
from twisted_sip.message.parameterized import refuse

_BASE_TAG_NAMES = (
    "audio automata class duplex data control mobility description events priority methods schemes application video"
    " language type isfocus actor text extensions"
)
#: The feature tags that stand without a plus sign (RFC 3840 section 9).
BASE_TAGS = frozenset(_BASE_TAG_NAMES.split())

_OTHER_TAG = re.compile(r"\+[A-Za-z][A-Za-z0-9!'.\-%]*").fullmatch
_NUMBER = r"[+\-]?[0-9]+(?:\.[0-9]*)?"
_NUMERIC = re.compile(rf"#(?:(?:>=|<=|=){_NUMBER}|{_NUMBER}:{_NUMBER})").fullmatch
_TOKEN_NOBANG = re.compile(r"[A-Za-z0-9\-.%*_+`'~]+").fullmatch


def is_feature_tag(name: str) -> bool:
    """Tell whether the Contact parameter *name* is a feature parameter: a base tag or one with a plus sign."""
    return name.lower() in BASE_TAGS or _OTHER_TAG(name) is not None


class Feature(NamedTuple):
    """What one feature parameter says.

    :ivar tag: the tag in lower case.
    :ivar values: the values of a list, each as written (``!`` in front negates); ``("TRUE",)`` for a tag alone.
    :ivar string: the string between ``<`` and ``>``, None where there is a list.
    """

    tag: str
    values: tuple[str, ...]
    string: str | None = None

    @classmethod
    def parse(cls, tag: str, value: str | None) -> Feature:
        """Return the feature of a Contact parameter: its name, and its value as written.

        :raises RemoteProtocolError: it is malformed.
        """
        tag = tag.lower()
        if not is_feature_tag(tag):
            refuse("Contact", "bad feature tag")
        if value is None:
            return cls(tag, ("TRUE",))
        text = unquote(value)
        if text.startswith("<"):
            if not text.endswith(">") or ">" in text[:-1] or "<" in text[1:]:
                refuse("Contact", f"bad string in {tag}")
            return cls(tag, (), text[1:-1])
        values = tuple(part.strip(" \t") for part in text.split(","))
        if not all(map(_is_tag_value, values)):
            refuse("Contact", f"bad value in {tag}")
        return cls(tag, values)

    @classmethod
    def build(cls, tag: str, *values: str, string: str | None = None) -> Feature:
        """Return a feature to send; neither values nor string means true.

        :raises LocalProtocolError: it cannot be sent.
        """
        if not is_feature_tag(tag) or (values and string is not None):
            raise LocalProtocolError(f"{tag!r} is no feature tag, or has both values and a string")
        if string is not None:
            if "<" in string or ">" in string:
                raise LocalProtocolError(f"{string!r} must not hold angle brackets")
            quote(string)
            return cls(tag.lower(), (), string)
        for value in values:
            if not _is_tag_value(value):
                raise LocalProtocolError(f"{value!r} is no value of a feature")
        return cls(tag.lower(), values or ("TRUE",))

    def __str__(self) -> str:
        """The parameter as it stands in a Contact, without its semicolon."""
        if self.string is not None:
            return f"{self.tag}={quote(f'<{self.string}>')}"
        return self.tag if self.values == ("TRUE",) else f'{self.tag}="{",".join(self.values)}"'


def _is_tag_value(text: str) -> bool:
    text = text[1:] if text.startswith("!") else text
    return _TOKEN_NOBANG(text) is not None or _NUMERIC(text) is not None


def features_of(params: Params) -> dict[str, Feature]:
    """Return the feature parameters among *params* by tag.

    ``+sip.instance`` (RFC 5626) has the form of one and is left out.

    :raises RemoteProtocolError: one is malformed, or stands twice (RFC 3840 section 9).
    """
    found: dict[str, Feature] = {}
    for name, value in params.items():
        tag = name.lower()
        if tag == "+sip.instance" or not is_feature_tag(tag):
            continue
        if tag in found:
            refuse("Contact", f"{tag} stands twice")
        found[tag] = Feature.parse(tag, value)
    return found
