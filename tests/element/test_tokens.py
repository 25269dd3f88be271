"""Random texts and dialog tokens (RFC 3261 sections 8.1.1.7 and 19.3, RFC 5626 section 5.2)."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from twisted_sip.auth.random_text import random_texts
from twisted_sip.element.tokens import DialogTokens
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

ids = st.text(max_size=40)


def test_random_texts_differ() -> None:
    new = random_texts()
    texts = [new() for _ in range(10_000)]
    assert len(set(texts)) == len(texts)
    assert all(len(text) == 16 and set(text) <= set(string.hexdigits) for text in texts)


def test_random_texts_are_drawn_in_bulk() -> None:
    draws: list[int] = []

    def draw(size: int) -> bytes:
        draws.append(size)
        return bytes(range(256)) * (size // 256)

    new = random_texts(draw)
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


# -- age and parties ---------------------------------------------------------------------------


def named(from_: str, to: str) -> Request:
    return Request("BYE", "sip:x", [("From", f"<{from_}>;tag=a"), ("To", f"<{to}>;tag=b")])


def test_a_token_is_recent_for_a_day() -> None:
    clock = Clock()
    clock.advance(1_800_000_000)
    tokens = DialogTokens(b"key", clock.seconds)
    token, lasting = tokens.make("c", "a", "flow"), tokens.make("c", "a", ages=False)
    assert tokens.recent(token)
    clock.advance(86_400)
    assert tokens.recent(token)
    clock.advance(3600)
    assert not tokens.recent(token) and tokens.recent(lasting)
    assert tokens.dialog_valid(token, "c", "a", "b"), "it is old, not wrong"
    again = DialogTokens(b"key", clock.seconds)
    assert not again.recent(token), "after a restart too"
    tokens.make("other", "a")
    assert not tokens.recent(token)


def test_a_clock_that_was_wrong_ages_nothing() -> None:
    clock = Clock()
    clock.advance(1_800_000_000)
    token = DialogTokens(b"key", clock.seconds).make("c", "a")
    earlier = Clock()
    earlier.advance(1_700_000_000)
    assert DialogTokens(b"key", earlier.seconds).recent(token)


def test_proof_renews_for_another_day() -> None:
    clock = Clock()
    clock.advance(1_800_000_000)
    tokens = DialogTokens(b"key", clock.seconds)
    token, other = tokens.make("c", "a"), tokens.make("d", "a")
    clock.advance(100_000)
    tokens.renew(token)
    assert tokens.recent(token) and not tokens.recent(other)
    clock.advance(86_399)
    assert tokens.recent(token)
    tokens.renew(token)
    clock.advance(86_399)
    assert tokens.recent(token)
    clock.advance(2)
    assert not tokens.recent(token)


def test_renewals_are_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr("twisted_sip.element.tokens._MOST_RENEWED", 3)
    clock = Clock()
    clock.advance(1_800_000_000)
    tokens = DialogTokens(b"key", clock.seconds)
    made = [tokens.make(str(number), "a") for number in range(6)]
    clock.advance(100_000)
    for token in made[:5]:
        tokens.renew(token)
    assert [tokens.recent(token) for token in made] == [False, False, True, True, True, False]
    clock.advance(86_401)
    tokens.renew(made[5])
    assert len(tokens._renewed) == 1


def test_a_token_tells_whom_it_was_made_for() -> None:
    tokens = DialogTokens(b"key")
    parties = tokens.parties(named("sip:alice@example.com", "sip:bob@EXAMPLE.net;x=y"))
    token = tokens.make("c", "a", "flow", parties)
    assert tokens.flow_of(token) == "flow"
    for one, other in [
        ("sip:alice@example.com", "sip:bob@example.net"),
        ("sips:bob@example.net", "sip:%61lice@Example.com"),
    ]:
        assert tokens.between(token, tokens.parties(named(one, other)))
    for one, other in [
        ("sip:carol@example.com", "sip:bob@example.net"),
        ("sip:alice@example.com", "sip:alice@example.com"),
        ("sip:alice@example.com", "tel:+15550100"),
        ("sip:alice@example.com", "sip:" + "x" * 400 + "@example.net"),
        ("sip:alice@example.com", "sip:@@"),
    ]:
        assert not tokens.between(token, tokens.parties(named(one, other))), other
    assert tokens.between(tokens.make("c", "a"), parties), "one made for nobody in particular"


def test_which_tokens_lead_to_an_end() -> None:
    """By the flow in it, in the direction of the request."""
    tokens = DialogTokens(b"key")
    for side in "aA":
        token = tokens.make("c", "caller", f"{side}flow")
        assert tokens.leads_to_an_end(token, "c", "callee", "caller")
        assert not tokens.leads_to_an_end(token, "c", "caller", "callee")
    for side in "bB":
        token = tokens.make("c", "caller", f"{side}flow")
        assert tokens.leads_to_an_end(token, "c", "caller", "callee")
        assert not tokens.leads_to_an_end(token, "c", "callee", "caller")
    for flow in ("", "Cflow"):
        assert not tokens.leads_to_an_end(tokens.make("c", "caller", flow), "c", "caller", "callee")
