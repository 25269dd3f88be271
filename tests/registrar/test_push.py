"""Push parameters in REGISTER, and what the 200 says in return (RFC 8599 sections 5.4, 5.6.1 and 6.2.1)."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from twisted_sip.element.temporary_gruu import TemporaryGRUUs
from twisted_sip.errors import LocalProtocolError
from twisted_sip.registrar.settings import PushSettings
from twisted_sip.storage.location_memory import MemoryLocationStore

AOR = "sip:alice@example.com"
APNS = "pn-provider=apns;pn-param=DEF123GHIJ.com.example.app.voip;pn-prid=00fc13adff78512"
PHONE = f"<sip:alice@192.0.2.7:5062;{APNS}>"
GRUUS = TemporaryGRUUs(b"key")


@pytest.fixture
def phone(client: Any) -> Any:
    client.service.element = SimpleNamespace(temporary_gruus=GRUUS)
    client.service.push = PushSettings(providers=("apns", "webpush"))
    return client


def caps(response: Any) -> list[str]:
    assert response.status == 200, response
    return [re.sub('pnspurr="[^"]+"', "pnspurr", value) for value in response.headers.all("feature-caps")]


def test_the_device_is_woken_from_now_on(phone: Any, store: MemoryLocationStore) -> None:
    response = phone.register(PHONE)
    assert caps(response) == ['*;+sip.pns="apns";+sip.pnspurr']
    (binding,) = store.lookup(AOR)
    assert binding.push == "apns DEF123GHIJ.com.example.app.voip 00fc13adff78512"
    assert APNS in binding.contact, "requests go there with the parameters that were registered"
    (purr,) = re.findall('pnspurr="([^"]+)"', response.headers.first("feature-caps"))
    meant = GRUUS.read_purr(purr)
    assert meant is not None and GRUUS.of_purr([binding], meant[1]) == [binding]
    again = phone.register(PHONE).headers.first("feature-caps")
    assert purr not in again, "section 6.2.1: a new one each time"


@pytest.mark.parametrize("name", ["PN-Provider", "pn%2Dprovider"])
def test_names_in_other_letters(phone: Any, store: MemoryLocationStore, name: str) -> None:
    contact = PHONE.replace("pn-provider", name)
    assert caps(phone.register(contact))
    phone.service.push = PushSettings()
    assert caps(phone.register(contact)) == []
    assert [binding.push for binding in store.lookup(AOR)] == [""]


def test_without_purr(phone: Any) -> None:
    phone.service.push = PushSettings(providers=("apns",), in_dialog=False)
    assert caps(phone.register(PHONE)) == ['*;+sip.pns="apns"']


def test_a_service_that_needs_no_param(phone: Any, store: MemoryLocationStore) -> None:
    """Section 12."""
    assert caps(phone.register("<sip:alice@192.0.2.7;pn-provider=webpush;pn-prid=x%20y>"))
    assert [binding.push for binding in store.lookup(AOR)] == ["webpush  x%20y"]


@pytest.mark.parametrize("params", ["pn-provider=apns;pn-prid=1", "pn-provider=APNS;pn-param;pn-prid=1"])
def test_what_is_needed_is_missing(phone: Any, store: MemoryLocationStore, params: str) -> None:
    """Section 5.6.1.1: registered as without push."""
    assert caps(phone.register(f"<sip:alice@192.0.2.7;{params}>")) == []
    assert [binding.push for binding in store.lookup(AOR)] == [""]


def test_what_there_is(phone: Any, store: MemoryLocationStore) -> None:
    """Sections 4.1.5 and 5.6.1.2: without pn-prid it is a question."""
    assert caps(phone.register("<sip:alice@192.0.2.7;pn-provider>")) == ['*;+sip.pns="apns"', '*;+sip.pns="webpush"']
    assert caps(phone.register("<sip:alice@192.0.2.7;pn-provider=apns>")) == ['*;+sip.pns="apns"']
    assert phone.register("<sip:alice@192.0.2.7;pn-provider=fcm>").status == 555
    assert {binding.push for binding in store.lookup(AOR)} == {""}


def test_a_service_that_is_not_served(phone: Any, store: MemoryLocationStore) -> None:
    refused = phone.register("<sip:alice@192.0.2.7;pn-provider=fcm;pn-param=p;pn-prid=1>")
    assert (refused.status, refused.reason) == (555, "Push Notification Service Not Supported")
    assert store.lookup(AOR) == []
    phone.service.push = PushSettings(providers=("apns",), refuse_others=False)
    assert caps(phone.register("<sip:alice@192.0.2.7;pn-provider=fcm;pn-param=p;pn-prid=1>")) == []


def test_a_proxy_nearer_to_it_wakes_it(phone: Any, store: MemoryLocationStore) -> None:
    """Section 5.6.1.1: nothing is left to do here."""
    nearer = [("feature-caps", '*;+sip.pns="apns"')]
    assert caps(phone.register(PHONE, headers=nearer)) == []
    assert [binding.push for binding in store.lookup(AOR)] == [""]
    fcm = "<sip:alice@192.0.2.7;pn-provider=fcm;pn-prid=1>"
    assert phone.register(fcm, headers=[("feature-caps", '*;+sip.pns="fcm"')]).status == 200
    assert phone.register(fcm, headers=[("feature-caps", "*;+g.3gpp.atcf")]).status == 555


def test_too_short_to_be_renewed(phone: Any) -> None:
    refused = phone.register(PHONE, headers=[("expires", "200")])
    assert (refused.status, refused.headers.first("min-expires")) == (423, "300")
    assert phone.register(PHONE, headers=[("expires", "300")]).status == 200
    assert phone.register(f"{PHONE};expires=0").status == 200
    phone.service.push = PushSettings(providers=("apns",), refresh_before=0)
    assert phone.register(PHONE, headers=[("expires", "200")]).status == 200


def test_a_device_that_renews_by_itself(phone: Any) -> None:
    """Section 5.6.1.1: more than 120 seconds before the end, and before it would be woken."""
    assert caps(phone.register(f"{PHONE};+sip.pnsreg")) == ['*;+sip.pns="apns";+sip.pnsreg="180";+sip.pnspurr']
    phone.service.push = PushSettings(providers=("apns",), refresh_before=0)
    assert caps(phone.register(f"{PHONE};+sip.pnsreg")) == ['*;+sip.pns="apns";+sip.pnspurr']


def test_where_nobody_is_woken_it_means_nothing(client: Any, store: MemoryLocationStore) -> None:
    assert caps(client.register(PHONE)) == []
    assert [binding.push for binding in store.lookup(AOR)] == [""]


def test_a_registrar_without_an_element(client: Any) -> None:
    client.service.push = PushSettings(providers=("apns",))
    assert caps(client.register(PHONE)) == ['*;+sip.pns="apns"']


def test_what_settings_refuse() -> None:
    with pytest.raises(LocalProtocolError, match="providers: is missing"):
        PushSettings(url="https://push.example.com")
    with pytest.raises(LocalProtocolError, match='providers: "a b" is no pn-provider'):
        PushSettings(providers=("a b",))
    assert attrs.evolve(PushSettings(), providers=("FCM",)).serves("fcm")
