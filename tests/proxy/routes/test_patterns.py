"""Patterns whose wildcards are groups."""

from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.proxy.routes.patterns import wildcard_regex


@pytest.mark.parametrize(
    ("pattern", "text", "groups"),
    [
        ("bob", "bob", ()),
        ("bob", "bobo", None),
        ("0049*", "004930123", ("30123",)),
        ("*", "", ("",)),
        ("?1*2*", "x1ab2c2", ("x", "ab", "c2")),
        ("+1?", "+15", ("5",)),
        ("[0-2]*", "1x", ("x",)),
        ("[!0-2]", "1", None),
        ("[!0-2]", "3", ()),
        ("[^a]b", "^b", ()),
        ("[^a]b", "cb", None),
        ("[]x]", "]", ()),
        ("a[", "a[", ()),
        ("[\\d]", "\\", ()),
        ("a.b", "axb", None),
        ("**x", "aax", ("aa",)),
        ("*.example.com", "a.b.example.com", ("a.b",)),
        ("x*y", "x\ny", ("\n",)),
        ("x", "x\n", None),
    ],
)
def test_groups(pattern: str, text: str, groups: tuple[str, ...] | None) -> None:
    found = re.match(wildcard_regex(pattern), text)
    assert (None if found is None else found.groups()) == groups


@given(st.text("ab*?[]!^-", max_size=8), st.text("ab[]!^-*", max_size=8))
def test_as_fnmatch_reads_it(pattern: str, text: str) -> None:
    try:
        regex = re.compile(wildcard_regex(pattern))
    except re.error:
        # A range the wrong way round, as [b-a]: fnmatch takes it for one that nothing fits.
        return
    assert (regex.match(text) is not None) == fnmatch.fnmatchcase(text, pattern)


def test_no_text_takes_long() -> None:
    began = time.process_time()
    assert re.match(wildcard_regex("*a*a*a*a*a*a*a*a*b"), "a" * 5000) is None
    assert time.process_time() - began < 1.0
