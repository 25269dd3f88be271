"""Messages of programs on this server (RFC 3428 section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError

BOB = "sip:bob@example.com"


def result_of(deferred: Any) -> list[Any]:
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


def test_a_program_sends_the_same_way(house: Any) -> None:
    bob = house.peer("192.0.2.3")
    kept = result_of(house.service.send("Robot <sip:robot@example.com>", BOB, "one"))
    assert [found.status for found in kept] == [202]
    house.bind("bob", f"sip:bob@{bob.address}")
    message = bob.expect("MESSAGE")
    assert message.from_.display_name == "Robot" and message.from_.tag and message.body == b"one"
    bob.answer(message, 200)
    house.network.advance(1)
    sent = result_of(
        house.service.send(
            "sip:robot@example.com",
            f"<{BOB}>",
            b"<p>",
            content_type="text/html",
            expires=60,
            headers=[("Subject", "s")],
        )
    )
    message = bob.expect("MESSAGE")
    for line in ("Content-Type: text/html", "Expires: 60", "Subject: s"):
        assert line in [f"{name}: {value}" for name, value in message.headers]
    assert sent == []
    bob.answer(message, 200)
    house.network.advance(1)
    assert [found.status for found in sent] == [200]
    house.settle()


def test_the_messages_of_programs_go_one_after_the_other(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_sip.messaging.service._MOST_WAITING", 2)
    bob = house.peer("192.0.2.3")
    house.bind("bob", f"sip:bob@{bob.address}")
    results = [result_of(house.service.send("sip:robot@example.com", BOB, str(number))) for number in range(4)]
    assert [found.status for found in results[3]] == [503]
    for number in range(3):
        message = bob.expect("MESSAGE")
        assert message.body == str(number).encode()
        bob.expect_nothing(within=0.3)
        bob.answer(message, 200)
    house.network.advance(1)
    assert [found[0].status for found in results[:3]] == [200, 200, 200]
    house.settle()


def test_a_program_sends_to_others_straight(house: Any) -> None:
    carol = house.peer("192.0.2.9")
    sent = result_of(house.service.send("sip:robot@example.com", "sip:carol@192.0.2.9", "x"))
    carol.answer(carol.expect("MESSAGE"), 486)
    house.network.advance(1)
    assert [found.status for found in sent] == [486]
    nobody = result_of(house.service.send("sip:robot@example.com", "sip:carol@192.0.2.10", "x"))
    nowhere = result_of(house.service.send("sip:robot@example.com", "sip:carol@nowhere.invalid", "x"))
    strange = result_of(house.service.send("sip:robot@example.com", "tel:+1234", "x"))
    house.network.advance(40)
    assert [found[0].status for found in (nobody, nowhere, strange)] == [408, 503, 503]
    house.settle()


def test_what_a_program_cannot_send(house: Any) -> None:
    for from_, to, headers in [
        ("no uri", BOB, []),
        ("sip:robot@example.com", "<sip:", []),
        ("sip:robot@example.com", BOB, [("x", "a\nb")]),
    ]:
        with pytest.raises(LocalProtocolError):
            house.service.send(from_, to, "x", headers=headers)
    for seconds in (-1, 1 << 32):
        with pytest.raises(LocalProtocolError):
            house.service.send("sip:robot@example.com", BOB, "x", expires=seconds)
    large = result_of(house.service.send("sip:robot@example.com", BOB, "x" * 2000))
    assert [found.status for found in large] == [513]
    house.settle()
