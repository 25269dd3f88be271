"""What the registrar tells of why contacts were registered or not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registrar.conftest import Client

ALICE = "sip:alice@example.com"
TWO = ["<sip:a@192.0.2.7>", "<sip:a@192.0.2.8>"]


def why(client: Client, *contacts: str, **how: Any) -> list[tuple[str, str]]:
    incoming = client.incoming(*contacts, **how)
    client.service.process(incoming)
    told = []
    for room, text, key, first, *second in incoming.notes:
        assert room == "registrar"
        told.append((text.replace("{0}", first).replace("{1}", "".join(second)), key))
    return told


def test_what_has_become_of_contacts(make_service: Any) -> None:
    client = Client(make_service())
    assert why(client, "<sip:alice@192.0.2.7>") == [(f"contacts of {ALICE} are registered", "")]
    assert why(client) == [(f"{ALICE} asks for the contacts, nothing changes", "")]
    assert why(client, "<sip:alice@192.0.2.7>;expires=0") == [(f"contacts of {ALICE} are removed", "")]


@pytest.mark.parametrize(
    ("contacts", "settings", "text", "key"),
    [
        (["<sip:a@192.0.2.7>;expires=5"], {}, "423: Interval Too Brief", "registrar.min_expires"),
        (TWO, {"max_contacts": 1}, "403: More than 1 contacts", "registrar.max_contacts"),
        ([f"<{ALICE}>"], {}, "403: Contact points back to this server", ""),
    ],
)
def test_what_is_refused(make_service: Any, contacts: list[str], settings: Any, text: str, key: str) -> None:
    assert why(Client(make_service(**settings)), *contacts) == [(text, key)]
