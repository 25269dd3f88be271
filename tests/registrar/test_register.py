"""REGISTER step by step (RFC 3261 section 10.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.location import Binding, make_binding
from twisted_sip.message.response import Response
from twisted_sip.storage.location_memory import MemoryLocationStore

AOR = "sip:alice@example.com"
PHONE = "sip:alice@192.0.2.7:5062"
NOW = 1_800_000_000.0


def contacts(response: Response) -> list[str]:
    return response.headers.all("contact")


def test_a_binding_is_made_kept_and_listed(client: Any, store: MemoryLocationStore) -> None:
    response = client.register(
        f'"Alice" <{PHONE};transport=udp>;q=0.7;audio;expires=600', headers=[("user-agent", "p")]
    )
    assert (response.status, response.to.tag) == (200, "totag")
    assert contacts(response) == [f"<{PHONE};transport=udp>;audio;expires=600;q=0.7"]
    assert response.headers.first("date") == "Fri, 15 Jan 2027 08:00:00 GMT"
    (binding,) = store.lookup(AOR)
    assert binding.key == f"{PHONE};transport=udp"
    assert binding.contact == f"{PHONE};transport=udp"
    assert (binding.q, binding.params, binding.expires_at) == (700, ";audio", NOW + 600)
    assert (binding.call_id, binding.cseq, binding.user_agent, binding.node) == ("one", 1, "p", "n1")
    assert (binding.flow, binding.received) == ("flow-1", "UDP:192.0.2.7:5062")


@pytest.mark.parametrize(
    ("parameter", "header", "granted"),
    [
        (";expires=100", "200", 100),
        ("", "200", 200),
        ("", None, 3600),
        (";expires=100000", None, 7200),
        (";expires=never", "200", 3600),
        (";expires", "200", 3600),
        ("", "Thu, 01 Dec 2094 16:00:00 GMT", 3600),
        (";expires=99999999999999999999", None, 7200),
    ],
)
def test_the_expires_parameter_goes_before_the_header_field(
    client: Any, parameter: str, header: str | None, granted: int
) -> None:
    headers = [] if header is None else [("expires", header)]
    assert contacts(client.register(f"<{PHONE}>{parameter}", headers=headers)) == [f"<{PHONE}>;expires={granted}"]


def test_too_short_an_interval_is_refused_with_the_least_one(client: Any, store: MemoryLocationStore) -> None:
    response = client.register(f"<{PHONE}>", f"<{PHONE}1>;expires=59")
    assert (response.status, response.headers.first("min-expires")) == (423, "60")
    assert not store.lookup(AOR), "all or nothing"
    assert client.register(f"<{PHONE}>;expires=60").status == 200
    assert client.register(f"<{PHONE}>;expires=0").status == 200, "to leave is never too brief"


def test_an_hour_is_never_too_brief(make_client: Callable[..., Any]) -> None:
    client = make_client(min_expires=5000, max_expires=9000)
    assert client.register(f"<{PHONE}>;expires=3599").status == 423
    assert contacts(client.register(f"<{PHONE}>;expires=3600")) == [f"<{PHONE}>;expires=3600"]


def test_a_query_lists_what_is_left_and_changes_nothing(client: Any, clock: Clock, store: MemoryLocationStore) -> None:
    client.register(f"<{PHONE}>")
    client.register("<sip:alice@192.0.2.8>;expires=100", call_id="two")
    clock.advance(40)
    before = store.lookup(AOR)
    assert contacts(client.register(cseq=1)) == [f"<{PHONE}>;expires=3560", "<sip:alice@192.0.2.8>;expires=60"]
    assert store.lookup(AOR) == before
    clock.advance(60)
    assert contacts(client.register()) == [f"<{PHONE}>;expires=3500"]


def test_several_contacts_are_bound_and_unbound_in_one_go(client: Any) -> None:
    one, two, three = (f"<sip:alice@192.0.2.{n}>" for n in (1, 2, 3))
    client.register(one.replace("192.0.2.1", "192.0.2.10"), two, headers=[("expires", "300")])
    response = client.register(f"{two};expires=0, {three};expires=900")
    assert contacts(response) == ["<sip:alice@192.0.2.10>;expires=300", f"{three};expires=900"]


def test_a_refresh_keeps_one_binding_however_the_uri_is_written(client: Any, store: MemoryLocationStore) -> None:
    client.register("<sip:al%69ce@Phone.example.org;Transport=UDP>")
    response = client.register("<sip:alice@phone.EXAMPLE.org;transport=udp;new=1>")
    assert contacts(response) == ["<sip:alice@phone.EXAMPLE.org;transport=udp;new=1>;expires=3600"]
    assert len(store.lookup(AOR)) == 1


def test_contacts_that_only_look_alike_are_two(client: Any) -> None:
    one, two = "<sip:alice@192.0.2.7;line=abc>", "<sip:alice@192.0.2.7;line=def>"
    client.register(one)
    assert len(contacts(client.register(two))) == 2
    assert len(contacts(client.register(two))) == 2
    assert contacts(client.register(f"{one};expires=0")) == [f"{two};expires=3600"]
    assert contacts(client.register(f"{two};expires=0")) == []


def test_star_removes_all(client: Any, store: MemoryLocationStore) -> None:
    client.register(f"<{PHONE}>", "<sip:alice@192.0.2.8>")
    client.register("<sip:alice@192.0.2.9>", call_id="other", cseq=77)
    response = client.register("*", headers=[("expires", "0")])
    assert (response.status, contacts(response), store.lookup(AOR)) == (200, [], [])


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        (("*",), []),
        (("*",), [("expires", "1")]),
        (("*",), [("expires", "nonsense")]),
        (("*", f"<{PHONE}>"), [("expires", "0")]),
        ((f"*, <{PHONE}>",), [("expires", "0")]),
        (("*", "*"), [("expires", "0")]),
    ],
)
def test_star_stands_alone_with_expires_0(
    client: Any, store: MemoryLocationStore, sent: tuple[str, ...], headers: list[tuple[str, str]]
) -> None:
    client.register(f"<{PHONE}>")
    assert client.register(*sent, headers=headers).status == 400
    assert len(store.lookup(AOR)) == 1


def test_star_out_of_order_is_refused_whole(client: Any, store: MemoryLocationStore) -> None:
    client.register("<sip:alice@192.0.2.8>", call_id="other", cseq=1)
    client.register(f"<{PHONE}>", cseq=5)
    assert client.register("*", cseq=5, headers=[("expires", "0")]).status == 500
    assert len(store.lookup(AOR)) == 2
    assert client.register("*", cseq=6, headers=[("expires", "0")]).status == 200


def test_an_old_cseq_of_the_same_call_fails_the_whole_request(client: Any, store: MemoryLocationStore) -> None:
    client.register(f"<{PHONE}>;expires=600", cseq=9)
    before = store.lookup(AOR)
    for cseq in (8, 9):
        assert client.register("<sip:alice@192.0.2.8>", f"<{PHONE}>", cseq=cseq).status == 500
        assert client.register(f"<{PHONE}>;expires=0", cseq=cseq).status == 500
    assert store.lookup(AOR) == before
    assert client.register(f"<{PHONE}>", cseq=1, call_id="after a restart").status == 200
    assert store.lookup(AOR)[0].cseq == 1


def test_unbinding_what_is_not_bound_is_no_mistake(client: Any) -> None:
    assert client.register(f"<{PHONE}>;expires=0").status == 200


def test_the_number_of_contacts_is_limited(make_client: Callable[..., Any], store: MemoryLocationStore) -> None:
    client = make_client(max_contacts=2)
    one, two, three = (f"<sip:alice@192.0.2.{n}>" for n in (11, 12, 13))
    assert client.register(one, two, three).status == 403
    assert client.register(one, two).status == 200
    assert client.register(three).status == 403
    assert client.register(one, two).status == 200, "a refresh is no new one"
    assert client.register(f"{one};expires=0", three).status == 200, "nor is a replacement"
    assert len(store.lookup(AOR)) == 2


def test_required_extensions_that_are_unknown(client: Any) -> None:
    response = client.register(f"<{PHONE}>", headers=[("require", "path, 100rel"), ("require", "foo")])
    assert (response.status, response.headers.first("unsupported")) == (420, "100rel, foo")
    assert client.register(f"<{PHONE}>", headers=[("require", "PATH, gruu, outbound, pref")]).status == 200


def test_other_methods_and_other_domains_are_passed_on(client: Any) -> None:
    assert client.send(method="OPTIONS") is None
    assert client.send(uri="sip:elsewhere.example.org") is None
    assert client.send(uri="tel:+15551234") is None


@pytest.mark.parametrize("aor", ["sip:alice@elsewhere.example.org", "sip:example.com"])
def test_an_address_of_record_that_is_not_ours(client: Any, aor: str) -> None:
    assert client.register(f"<{PHONE}>", aor=aor).status == 404


@pytest.mark.parametrize("aor", ["tel:+15551234", "mailto:a@example.com"])
def test_an_address_of_record_that_is_no_sip_uri(client: Any, aor: str) -> None:
    response = client.register(f"<{PHONE}>", aor=aor)
    assert (response.status, response.reason) == (400, "Malformed To header field: no SIP URI")


def test_the_address_of_record_is_canonical(client: Any, store: MemoryLocationStore) -> None:
    client.register(f"<{PHONE}>", aor="sips:al%69ce@EXAMPLE.com:5060;user=phone", uri="sip:EXAMPLE.com")
    assert [binding.aor for binding in store.lookup(AOR)] == [AOR]


def test_users_that_are_not_there(make_client: Callable[..., Any]) -> None:
    client = make_client(user_known=lambda aor: aor == AOR)
    assert client.register(f"<{PHONE}>").status == 200
    assert client.register(f"<{PHONE}>", aor="sip:bob@example.com").status == 404


def test_who_has_proved_to_be_somebody_else_is_forbidden(make_client: Callable[..., Any]) -> None:
    asked: list[str] = []
    client = make_client(user_known=lambda aor: asked.append(aor) or False)
    client.user = "sip:mallory@example.com"
    assert client.register(f"<{PHONE}>").status == 403
    assert not asked, "who there is is not for strangers"


@pytest.mark.parametrize("uri", [AOR, "sip:bob@example.com", "sip:alice@192.0.2.1", f"{AOR};gr=urn:uuid:1"])
def test_contacts_that_point_back_here_are_forbidden(client: Any, uri: str) -> None:
    assert client.register(f"<{uri}>").status == 403
    assert client.register(f"<{uri}>;expires=0").status == 200


def test_contacts_of_our_own_may_be_allowed_but_not_oneself(make_client: Callable[..., Any]) -> None:
    client = make_client(local_contacts=True)
    assert client.register("<sip:bob@example.com>").status == 200
    assert client.register(f"<{AOR}>").status == 403


def test_other_schemes_are_kept_but_not_as_instances(client: Any) -> None:
    assert contacts(client.register("<mailto:alice@example.org>")) == ["<mailto:alice@example.org>;expires=3600"]
    assert len(contacts(client.register("<mailto:alice@example.org>"))) == 1
    assert client.register('<tel:+15551234>;+sip.instance="<urn:uuid:1>"').status == 403


def test_a_sips_contact_wants_sips_all_the_way(client: Any) -> None:
    contact = "<sips:alice@192.0.2.7>"
    path = [("supported", "path"), ("path", "<sips:edge.example.net;lr>")]
    assert client.register(contact).status == 400
    assert client.register(contact, uri="sips:example.com").status == 200
    assert client.register(contact, uri="sips:example.com", headers=path).status == 200
    path.append(("path", "<sip:other.example.net;lr>"))
    assert client.register(contact, uri="sips:example.com", headers=path).status == 400


def test_sip_and_sips_versions_of_a_contact_replace_each_other(client: Any) -> None:
    client.register("<sip:alice@192.0.2.7>")
    response = client.register("<sips:alice@192.0.2.7>", uri="sips:example.com")
    assert contacts(response) == ["<sips:alice@192.0.2.7>;expires=3600"]
    assert contacts(client.register("<sip:alice@192.0.2.7>")) == ["<sip:alice@192.0.2.7>;expires=3600"]


@pytest.mark.parametrize("contact", ["<sip:>", 'sip:alice@192.0.2.7;q=x;reg-id=0;+sip.instance="<u>"', "<sip:a@b"])
def test_a_malformed_contact_is_a_mistake_of_the_peer(client: Any, contact: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        client.register(contact)
    assert raised.value.status == 400


def test_record_route_is_ignored(client: Any) -> None:
    response = client.register(f"<{PHONE}>", headers=[("record-route", "<sip:p.example.net;lr>")])
    assert "record-route" not in response.headers


def test_a_binding_made_the_short_way_is_one_like_any_other() -> None:
    fields = (
        "sip:a@example.com", "k", "sip:a@192.0.2.7", "c", 1, NOW + 60, 500, ";x=y",
        ("<sip:p@example.com;lr>",), "<urn:i>", 2, "f", "udp:192.0.2.7:5060", "phone", NOW, "n1",
        "3.0123456789abcdef", "apns a.b.voip 00fc13",
    )  # fmt: skip
    made = make_binding(*fields)
    names = [field.name for field in attrs.fields(Binding)]
    usual = Binding(**dict(zip(names, fields, strict=True)))
    assert type(made) is Binding and made == usual and hash(made) == hash(usual) and repr(made) == repr(usual)
    assert attrs.evolve(made, q=1000) == attrs.evolve(usual, q=1000)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.q = 1  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del made.q
