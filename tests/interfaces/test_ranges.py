"""What numbers in settings may be, and how that is told."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.ranges import above, at_least, between, more_than
from twisted_sip.tap.constraints import words_for


@attrs.frozen
class Settings:
    least: int = attrs.field(default=1, validator=at_least(1))
    more: float = attrs.field(default=1.0, validator=more_than(0.5))
    within: int = attrs.field(default=1, validator=between(0, 10))
    above: float = attrs.field(default=1.0, validator=above(0, 10))


@pytest.mark.parametrize(
    "wrong",
    [
        {"least": 0},
        {"more": 0.5},
        {"within": -1},
        {"within": 11},
        {"above": 0},
        {"above": 10.5},
        {"above": math.nan},
        {"least": math.nan},
    ],
)
def test_what_is_out_of_range(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(LocalProtocolError, match=f"^{name}: .* is out of range"):
        Settings(**wrong)


def test_bounds_themselves() -> None:
    assert Settings(least=1, more=0.6, within=0, above=10) != Settings(within=10)


def test_the_words_for_them() -> None:
    attrs.resolve_types(Settings)
    assert [words_for(field) for field in attrs.fields(Settings)] == [
        "a whole number, at least 1",
        "a number, more than 0.5",
        "a whole number from 0 to 10",
        "a number, more than 0, at most 10",
    ]
