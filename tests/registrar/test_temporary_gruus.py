"""Temporary GRUUs as the registrar gives and ends them (RFC 5627 sections 5.1 to 5.3)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.element.temporary_gruu import TemporaryGRUUs
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.storage.location_memory import MemoryLocationStore

AOR = "sip:alice@example.com"
PHONE = "<sip:alice@192.0.2.7:5062>"
ONE = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000001>"'
TWO = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000002>"'
GRUU = [("supported", "gruu")]
FLOWS = [("supported", "gruu, outbound, path")]
GRUUS = TemporaryGRUUs(b"key")


@pytest.fixture
def phone(client: Any) -> Any:
    client.service.element = SimpleNamespace(temporary_gruus=GRUUS)
    return client


def given(response: Response) -> list[str]:
    assert response.status == 200
    return [contact.params.get("temp-gruu", "")[1:-1] for contact in response.contacts]


def valid(store: MemoryLocationStore, gruu: str) -> bool:
    meant = GRUUS.read(SIPURI.parse(gruu))
    assert meant is not None and meant[0] == AOR
    return any(GRUUS.belongs(binding, meant[1]) for binding in store.lookup(AOR))


def test_each_200_brings_a_new_one_and_all_are_good(phone: Any, store: MemoryLocationStore) -> None:
    """Section 5.1: they accumulate through refreshes."""
    all_of_them = [given(phone.register(PHONE + ONE, headers=GRUU))[0] for _ in range(5)]
    all_of_them += given(phone.register(headers=GRUU))
    assert len(set(all_of_them)) == 6
    assert all(valid(store, gruu) for gruu in all_of_them)
    (binding,) = store.lookup(AOR)
    assert binding.series.startswith("1."), "begun with the first REGISTER"


def test_another_call_id_ends_them(phone: Any, store: MemoryLocationStore) -> None:
    """Section 5.1: the device has restarted, or somebody else has its instance."""
    (before,) = given(phone.register(PHONE + ONE, headers=GRUU))
    (after,) = given(phone.register(PHONE + ONE, headers=GRUU, call_id="two", cseq=1))
    assert not valid(store, before)
    assert valid(store, after)


def test_the_end_of_the_last_contact_ends_them(phone: Any, store: MemoryLocationStore, clock: Clock) -> None:
    """Section 5.3."""
    (gruu,) = given(phone.register(PHONE + ONE, headers=GRUU))
    clock.advance(3601)
    assert not valid(store, gruu)
    (again,) = given(phone.register(PHONE + ONE, headers=GRUU))
    assert not valid(store, gruu), "the same Call-ID brings no dead one back"
    assert valid(store, again)
    phone.register(f"{PHONE}{ONE};expires=0", headers=GRUU)
    given(phone.register(PHONE + ONE, headers=GRUU))
    assert not valid(store, again)
    (last,) = given(phone.register(headers=GRUU))
    phone.register("*", headers=[*GRUU, ("expires", "0")])
    assert not valid(store, last)


def test_flows_of_one_instance_share_them(phone: Any, store: MemoryLocationStore) -> None:
    """Section 4.2: good as long as one flow is registered."""
    (gruu,) = given(phone.register(f"{PHONE}{ONE};reg-id=1", headers=FLOWS))
    both = given(phone.register(f"{PHONE}{ONE};reg-id=2", headers=FLOWS, call_id="second", cseq=1))
    assert both[0] == both[1], "section 5.2: the most recent one, with each contact"
    assert len({binding.series for binding in store.lookup(AOR)}) == 1
    phone.register(f"{PHONE}{ONE};reg-id=1;expires=0", headers=FLOWS)
    assert valid(store, gruu) and valid(store, both[0])
    phone.register(f"{PHONE}{ONE};reg-id=2;expires=0", headers=FLOWS, call_id="second", cseq=9)
    assert not valid(store, gruu)


def test_another_call_id_of_one_flow_ends_those_of_all(phone: Any, store: MemoryLocationStore) -> None:
    (gruu,) = given(phone.register(f"{PHONE}{ONE};reg-id=1", headers=FLOWS))
    phone.register(f"{PHONE}{ONE};reg-id=2", headers=FLOWS, call_id="second", cseq=1)
    fresh = given(phone.register(f"{PHONE}{ONE};reg-id=2", headers=FLOWS, call_id="third", cseq=1))
    assert not valid(store, gruu)
    assert fresh[0] == fresh[1] and valid(store, fresh[0])
    assert len({binding.series for binding in store.lookup(AOR)}) == 1


def test_of_contacts_without_reg_id_the_latest_counts(phone: Any, store: MemoryLocationStore, clock: Clock) -> None:
    phone.register(PHONE + ONE, headers=GRUU)
    clock.advance(1)
    (_, moved) = given(phone.register("<sip:alice@192.0.2.9:5062>" + ONE, headers=GRUU, call_id="two", cseq=1))
    clock.advance(1)
    phone.register("<sip:alice@192.0.2.9:5062>" + ONE, headers=GRUU, call_id="two", cseq=2)
    assert valid(store, moved)
    clock.advance(1)
    phone.register(PHONE + ONE, headers=GRUU)
    assert not valid(store, moved)


def test_devices_have_their_own(phone: Any, store: MemoryLocationStore) -> None:
    phone.register(PHONE + ONE, headers=GRUU)
    first, second = given(phone.register("<sip:alice@192.0.2.9>" + TWO, headers=GRUU, call_id="other", cseq=1))
    assert first and second and first != second
    assert len({binding.series for binding in store.lookup(AOR)}) == 2
    phone.register(f"{PHONE}{ONE};expires=0", headers=GRUU)
    assert not valid(store, first) and valid(store, second)


def test_nobody_gets_one_who_did_not_ask(phone: Any, store: MemoryLocationStore) -> None:
    assert given(phone.register(PHONE + ONE)) == [""]
    assert given(phone.register("<sip:alice@192.0.2.9>", headers=GRUU, call_id="two", cseq=1)) == ["", ""], "none of it"
    assert {binding.series for binding in store.lookup(AOR)} == {""}
    (gruu, _) = given(phone.register(PHONE + ONE, headers=GRUU, cseq=5))
    # A refresh that does not mention them ends none.
    phone.register(PHONE + ONE, cseq=6)
    assert valid(store, gruu)


@pytest.mark.parametrize("settings", [{"gruu": False}, {"temporary_gruus": False}])
def test_they_can_be_switched_off(make_client: Any, store: MemoryLocationStore, settings: Any) -> None:
    client = make_client(**settings)
    client.service.element = SimpleNamespace(temporary_gruus=GRUUS)
    assert given(client.register(PHONE + ONE, headers=GRUU)) == [""]
    assert [binding.series for binding in store.lookup(AOR)] == [""]


def test_what_a_client_proposes_is_ignored(phone: Any) -> None:
    """Section 5.1: a UA cannot suggest one."""
    (gruu,) = given(phone.register(f'{PHONE}{ONE};temp-gruu="sip:mine@example.com;gr"', headers=GRUU))
    assert gruu.startswith("sip:tgruu.")


def test_none_may_be_a_contact(make_client: Any) -> None:
    """Section 5.1: requests would go in circles; and whose it is nobody can see."""
    client = make_client(local_contacts=True)
    client.service.element = SimpleNamespace(temporary_gruus=GRUUS)
    (gruu,) = given(client.register(PHONE + ONE, headers=GRUU))
    assert client.register(f"<{gruu}>", headers=GRUU).status == 403
    assert client.register("<sip:bob@example.com;gr=urn:uuid:9>").status == 200
