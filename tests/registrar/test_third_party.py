"""Registration for others (RFC 3261 sections 10.2 and 10.3)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.registrar.settings import PushSettings, ThirdParty
from twisted_sip.storage.location_memory import MemoryLocationStore

from .conftest import NOW

AOR = "sip:alice@example.com"
DESK = "sip:desk@example.com"
RULE = ThirdParty(registrants=(DESK, "sip:boss*@example.com"), users=("sip:a*@example.com",))


def test_nobody_may(client: Any, store: MemoryLocationStore) -> None:
    """Section 10.3 step 4."""
    client.user = DESK
    assert client.register("<sip:alice@192.0.2.7>").status == 403
    assert store.lookup(AOR) == []


@pytest.mark.parametrize(
    ("user", "aor", "status"),
    [
        (DESK, AOR, 200),
        ("sip:boss7@example.com", AOR, 200),
        (AOR, AOR, 200),
        (DESK, "sip:bob@example.com", 403),
        ("sip:desk2@example.com", AOR, 403),
        ("sip:desk@example.net", AOR, 403),
        ("sip:bob@example.com", "sip:bob@example.com", 200),
    ],
)
def test_who_may_for_whom(make_client: Any, user: str, aor: str, status: int) -> None:
    client = make_client(third_party=(RULE,))
    client.user = user
    assert client.register("<sip:x@192.0.2.7>", aor=aor).status == status


def test_the_flow_is_that_of_who_registers(make_client: Any, store: MemoryLocationStore) -> None:
    """It leads to contacts of the very host alone, and to those that are bound to it (RFC 5626)."""
    client = make_client(third_party=(RULE,))
    client.user = DESK
    client.register("<sip:alice@192.0.2.99>")
    client.register("<sip:alice@192.0.2.7:9999>")
    outbound = [("supported", "outbound, path")]
    client.register('<sip:alice@10.0.0.1>;+sip.instance="<urn:uuid:1>";reg-id=1', headers=outbound)
    assert [binding.flow for binding in store.lookup(AOR)] == ["", "flow-1", "flow-1"]


PUSH = "sip:alice@192.0.2.7;pn-provider=apns;pn-param=T.app;PN-prid=00fc;ob"


def test_how_devices_are_woken_is_for_their_user_alone(make_client: Any) -> None:
    """RFC 8599 section 13: with it anybody could wake them."""
    client = make_client(third_party=(RULE,))
    client.service.push = PushSettings(providers=("apns",))
    client.user = AOR
    assert f"<{PUSH}>" in client.register(f"<{PUSH}>").headers.first("contact")
    client.user = DESK
    seen = client.register("<sip:alice@192.0.2.9;pn-provider=apns;pn-param=T.app;pn-prid=01>", call_id="two")
    first, second = (value.partition(">")[0] + ">" for value in seen.headers.elements("contact"))
    # What it says itself is no secret.
    assert {first, second} == {
        "<sip:alice@192.0.2.7;ob>", "<sip:alice@192.0.2.9;pn-provider=apns;pn-param=T.app;pn-prid=01>"
    }  # fmt: skip
    fetched = client.register(call_id="three")
    assert len(fetched.headers.elements("contact")) == 2 and "pn-p" not in str(fetched.headers.all("contact")).lower()
    client.user = AOR
    assert str(client.register(call_id="four").headers.all("contact")).lower().count("pn-prid") == 2


def test_contacts_that_nobody_could_have_registered(make_client: Any, store: MemoryLocationStore) -> None:
    client = make_client(third_party=(RULE,))
    made = Binding(
        aor=AOR, key="x", contact="sip:[;pn-prid=1", call_id="r", cseq=1, expires_at=NOW + 60, registered_at=NOW
    )
    store.commit(LocationChange(AOR, put=(made,)))
    client.user = DESK
    assert client.register().headers.first("contact") == "<sip:[>;expires=60"


def test_stars_alone_have_a_meaning() -> None:
    rule = ThirdParty(registrants=("sip:*@example.com",), users=("sip:[ab]?@example.com",))
    assert rule.allows(DESK, "sip:[ab]?@example.com")
    assert not rule.allows(DESK, "sip:a1@example.com")


@pytest.mark.parametrize("text", ["desk", "sip:example.com", "sips:desk@example.com"])
def test_what_is_nobody(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="write sip:user@domain"):
        ThirdParty(registrants=(text,), users=(AOR,))
