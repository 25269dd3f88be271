"""Telephone numbers as people dial them to E.164, with the library phonenumbers (extra ``numbers``)."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import attrs

#: What is missing where the library is.
NEEDS = "phonenumbers"

#: Digits of an E.164 number at most, and characters of what is asked about.
_MOST_DIGITS = 15
_MOST_CHARS = 40


@attrs.frozen(slots=True, kw_only=True)
class NumberSettings:
    """The ``[numbers]`` section.

    :ivar region: the country in whose way numbers are dialled, ISO 3166-1.
    """

    region: str = attrs.field(
        default="",
        metadata={
            "help": "the country as it dials, as DE or US; needs the library phonenumbers",
            "shown_default": "none: numbers that begin with + alone are taken for E.164",
        },
    )


def region_fault(region: str) -> tuple[str, str]:
    """Return what is wrong with a *region* that is not empty, and what would be right; nothing if it can be used."""
    try:
        known = importlib.import_module(NEEDS).SUPPORTED_REGIONS
    except ImportError:
        return "needs the library phonenumbers", "install twisted-sip[numbers]"
    return ("", "") if region in known else (f'"{region}" is no country', "write two capital letters, as DE")


class E164:
    """Makes E.164 numbers of what is dialled.

    :param region: the country that numbers without a country code are from, empty for none.
    """

    def __init__(self, region: str = "") -> None:
        self._region = region
        # Loaded when it is needed: it is large.
        self._library: Any = importlib.import_module(NEEDS) if region else None
        self._known = lru_cache(maxsize=4096)(self._read)

    def __call__(self, number: str) -> str:
        """Return *number*, without separators, in E.164 with its ``+``; an empty text where that cannot be told."""
        if number[:1] == "+":
            digits = number[1:]
            return number if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else ""
        if self._library is None or not number.isascii() or not number.isdigit() or len(number) > _MOST_CHARS:
            return ""
        return self._known(number)

    def _read(self, number: str) -> str:
        library = self._library
        try:
            read = library.parse(number, self._region)
        except library.NumberParseException:
            return ""
        if not library.is_valid_number(read):
            # Short numbers and extensions are valid here and nowhere else.
            return ""
        return str(library.format_number(read, library.PhoneNumberFormat.E164))
