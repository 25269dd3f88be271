"""What the registrar tells of why contacts were registered or not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registrar.conftest import Client
from twisted_sip.storage.location_memory import MemoryLocationStore

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
        (["<sip:x@example.com>"], {}, "403: Contact points back to this server", "registrar.local_contacts"),
    ],
)
def test_what_is_refused(make_service: Any, contacts: list[str], settings: Any, text: str, key: str) -> None:
    assert why(Client(make_service(**settings)), *contacts) == [(text, key)]


@pytest.mark.parametrize(
    ("how", "settings", "text", "key"),
    [
        ({"headers": [("Require", "outbound")]}, {"outbound": False}, "420: Bad Extension", "registrar.outbound"),
        ({"headers": [("Require", "x")]}, {"outbound": False}, "420: Bad Extension", ""),
        ({"headers": [("Path", "<sip:p.example.net;lr>")]}, {}, "420: Bad Extension", "registrar.path_without_support"),
        ({"aor": "sip:alice@example.net"}, {}, "404: Not Found", "server.domains"),
    ],
)
def test_what_is_refused_for_other_fields(make_service: Any, how: Any, settings: Any, text: str, key: str) -> None:
    assert why(Client(make_service(**settings)), "<sip:alice@192.0.2.7>", **how) == [(text, key)]


def test_nobody_is_known_by_that_name(make_service: Any) -> None:
    client = Client(make_service(user_known=lambda aor: False))
    assert why(client, "<sip:alice@192.0.2.7>") == [("404: Not Found", "auth.required")]


def test_no_room(make_service: Any, clock: Any) -> None:
    service = make_service(location=MemoryLocationStore(clock, max_bindings=0))
    assert why(Client(service), "<sip:alice@192.0.2.7>")[-1:] == [("503: Service Unavailable", "storage.max_bindings")]
