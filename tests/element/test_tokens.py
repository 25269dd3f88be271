"""Random texts and dialog tokens (RFC 3261 sections 8.1.1.7 and 19.3, RFC 5626 section 5.2)."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.auth.random_text import RandomText
from twisted_sip.element.tokens import DialogTokens
from twisted_sip.message.uri import SIPURI

ids = st.text(max_size=40)


def test_random_texts_differ() -> None:
    new = RandomText()
    texts = [new() for _ in range(10_000)]
    assert len(set(texts)) == len(texts)
    assert all(len(text) == 16 and set(text) <= set(string.hexdigits) for text in texts)


def test_random_texts_are_drawn_in_bulk() -> None:
    draws: list[int] = []

    def draw(size: int) -> bytes:
        draws.append(size)
        return bytes(range(256)) * (size // 256)

    new = RandomText(draw)
    assert [new() for _ in range(3)] == ["0001020304050607", "08090a0b0c0d0e0f", "1011121314151617"]
    for _ in range(300):
        new()
    assert len(draws) == 2


@given(call_id=ids, tag=ids, flow=st.text(max_size=60))
def test_a_token_is_good_for_its_dialog(call_id: str, tag: str, flow: str) -> None:
    tokens = DialogTokens(b"key")
    token = tokens.make(call_id, tag, flow)
    # Either side may be the sender of a later request.
    assert tokens.dialog_valid(token, call_id, tag, "other")
    assert tokens.dialog_valid(token, call_id, "other", tag)
    assert tokens.flow_of(token) == flow
    assert not tokens.dialog_valid(token, call_id + "x", tag, tag)
    assert not tokens.dialog_valid(token, call_id, tag + "x", "y" + tag)
    assert SIPURI.parse(f"sip:{token}@192.0.2.1").user == token


@given(token=st.text(max_size=60))
def test_anything_else_is_not(token: str) -> None:
    tokens = DialogTokens(b"key")
    assert not tokens.dialog_valid(token, "c", "a", "b")
    assert isinstance(tokens.flow_of(token), str)


def test_a_changed_token_is_not() -> None:
    tokens = DialogTokens(b"key")
    token = tokens.make("c", "a", "flow")
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert not tokens.dialog_valid(changed, "c", "a", "b")
    assert not tokens.dialog_valid(token[:-1], "c", "a", "b")
    assert not tokens.dialog_valid(token + "A", "c", "a", "b")


def test_tokens_survive_a_restart_with_the_key_alone() -> None:
    token = DialogTokens(b"key").make("c", "a")
    assert DialogTokens(b"key").dialog_valid(token, "c", "a", "b")
    assert not DialogTokens(b"other").dialog_valid(token, "c", "a", "b")


def test_damaged_flows_are_none() -> None:
    tokens = DialogTokens(b"key")
    mac = "A" * 16
    assert tokens.flow_of(mac) == ""
    assert tokens.flow_of(mac + "_w") == ""
    assert tokens.flow_of(mac + "A") == ""
