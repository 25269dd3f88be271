"""What is kept of a published document."""

from __future__ import annotations

from twisted_sip.documents.pidf import Presence
from twisted_sip.presence.published_body import same_components

HEAD = '<?xml version="1.0" encoding="UTF-8"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:a@b">'


def document(*states: str, first: int = 1) -> bytes:
    tuples = [
        f'<tuple id="t{number}"><status><basic>{state}</basic></status></tuple>'
        for number, state in enumerate(states, first)
    ]
    return f"{HEAD}{''.join(tuples)}</presence>".encode()


def test_unknown_states_are_left_out(desk, alice) -> None:  # type: ignore[no-untyped-def]
    assert alice.publish(document("unknown", "open").decode()).status == 200
    kept = Presence.parse(desk.service.publications.of("sip:alice@example.com", "presence")[0].body)
    assert [service.basic for service in kept.services] == ["", "open"]
    assert alice.publish(document("open").decode()).status == 200
    assert desk.service.publications.of("sip:alice@example.com", "presence")[0].body == document("open")


def test_same_components() -> None:
    assert same_components(document("open", "closed"), document("closed", "open"))
    assert not same_components(document("open"), document("open", "open"))
    assert not same_components(document("open"), document("open", first=2))
    assert not same_components(document(), document().replace(b"><", b"> <")), "nothing is like nothing"
    assert not same_components(document("open"), b"no document")
    assert not same_components(document("open"), document("closed").replace(b"sip:a@b", b"sip:c@d"))
    assert same_components(document(), document()), "but what is the same is the same"
