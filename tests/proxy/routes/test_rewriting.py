"""What becomes of the user part, and where it goes then."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import RemoteProtocolError

GATEWAY = {"to": ("gateway:munich",)}


@pytest.mark.parametrize(
    ("how", "user", "becomes"),
    [
        ({}, "0123", "0123"),
        ({"strip": 1}, "0123", "123"),
        ({"strip": 1, "add_prefix": "+49"}, "0123", "+49123"),
        ({"strip_prefix": "00", "add_prefix": "+"}, "0049123", "+49123"),
        ({"strip_prefix": "00", "add_prefix": "+"}, "123", "+123"),
        ({"user": "00*", "rewrite": "+{1}"}, "0049123", "+49123"),
        ({"user_matches": "(..)(.*)", "rewrite": "{2}{1}"}, "abcd", "cdab"),
        ({"rewrite": "{dialled}.{user}.{host}"}, "1", "1.1.example.com"),
        ({"add_prefix": "#31#"}, "1", "%2331%231"),
        ({}, "a%20b", "a%20b"),
    ],
)
def test_the_user_part(desk: Any, how: dict[str, Any], user: str, becomes: str) -> None:
    made = desk({**how, **GATEWAY})
    assert made.ask(f"sip:{user}@example.com") == [f"sip:{becomes}@m1.example.net"]
    assert made.keys == (["route[0].to"] if becomes == user else ["route[0]", "route[0].to"])
    uris = desk({**how, "to": ("sip:{user}@192.0.2.9;d={host}",)})
    assert uris.ask(f"sip:{user}@example.com") == [f"sip:{becomes}@192.0.2.9;d=example.com"]


def test_nothing_is_left(desk: Any) -> None:
    made = desk({"strip": 3, **GATEWAY})
    assert made.ask("sip:123@example.com") == 484 and made.keys == ["route[0]"]
    assert made.ask("sip:example.com") == ["sip:m1.example.net"]


@pytest.mark.parametrize("user", ["evil.example;x=", "a/b", "x?y"])
def test_nobody_writes_a_host_of_his_own_into_a_template(desk: Any, user: str) -> None:
    made = desk({"to": ("sip:desk@gw-{user}.example.net",)})
    assert made.ask("sip:7@example.com") == ["sip:desk@gw-7.example.net"]
    with pytest.raises(RemoteProtocolError) as caught:
        made.ask(f"sip:{user}@example.com")
    assert caught.value.status == 404


def test_gateways_and_uris_are_tried_one_after_the_other(desk: Any) -> None:
    made = desk({"to": ("gateway:berlin", "sip:last@192.0.2.9", "gateway:munich"), "no_answer": 7.0})
    assert made.ask("sip:1@example.com") == [
        "sip:1@b1.example.net", "sip:1@b2.example.net", "sip:last@192.0.2.9", "sip:1@m1.example.net",
    ]  # fmt: skip
    targets = made.router.route(made.incoming)
    assert [target.q for target in targets] == [1000, 999, 998, 997]
    assert {target.no_answer for target in targets} == {7.0}
    assert [target.failover is None for target in targets] == [False, False, True, False]


def test_strangers_do_not_call_at_our_cost(desk: Any) -> None:
    made = desk(GATEWAY)
    assert made.ask("sip:1@example.com", user="") == 403 and made.keys == ["route[0].strangers"]
    assert desk({"strangers": True, **GATEWAY}).ask("sip:1@example.com", user="") == ["sip:1@m1.example.net"]
    assert desk({"to": ("gateway:berlin", "sip:x@example.com")}).ask("sip:1@example.com", user="") == 403


def test_routes_are_passed_over_where_nothing_is_found(desk: Any) -> None:
    made = desk({"to": ("least-cost",)}, {"to": ("enum",)}, {"e164": True, **GATEWAY}, {"to": ("sip:9@192.0.2.9",)})
    assert made.ask("sip:123@example.com") == ["sip:9@192.0.2.9"]
    assert made.keys == ["route[3].to"]
    # What begins with + is E.164 as it is.
    assert made.ask("sip:+123@example.com") == ["sip:+123@m1.example.net"]
    assert desk({"to": ("enum",)}).ask("sip:123@example.com") == []
