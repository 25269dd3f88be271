"""Canonical names, compact forms and spellings (RFC 3261 sections 7.3.1 and 7.3.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.message.header_names import CANONICAL, COMPACT_FORMS, DISPLAY, REGISTERED, canonical, display


@pytest.mark.parametrize("name", REGISTERED)
def test_every_spelling_of_a_registered_name_is_one_object(name: str) -> None:
    key = canonical(name)
    assert key == name.lower()
    for spelling in (name.lower(), name.upper(), name.swapcase(), name.title(), name + " ", name + " \t"):
        assert canonical(spelling) is key
    assert display(key) == name


@pytest.mark.parametrize(("short", "name"), COMPACT_FORMS.items())
def test_compact_forms(short: str, name: str) -> None:
    assert canonical(short) is canonical(short.upper()) is canonical(short + " ") is canonical(name)
    assert display(name) in REGISTERED


def test_unknown_names_are_lower_case_and_title_case() -> None:
    assert canonical("X-Foo-BAR ") == "x-foo-bar"
    assert display("x-foo-bar") == "X-Foo-Bar"
    assert display("x--3a") == "X--3a"


def test_letters_of_other_scripts_do_not_fold_into_ascii() -> None:
    # The Kelvin sign's lower case is k, the compact form of Supported.
    assert canonical("\u212a") == "\u212a"
    assert display("\u00df-x") == "\u00df-x"


def test_peers_cannot_make_the_tables_grow() -> None:
    before = len(CANONICAL), len(DISPLAY)
    for number in range(100):
        display(canonical(f"X-{number}"))
    assert (len(CANONICAL), len(DISPLAY)) == before


@given(st.from_regex(r"[A-Za-z0-9\-.!%*_+`'~]+", fullmatch=True))
def test_display_keeps_the_canonical_name(name: str) -> None:
    assert canonical(display(canonical(name))) == canonical(name)
