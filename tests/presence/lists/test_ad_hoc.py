"""Lists that come in the SUBSCRIBE (RFC 5367)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.multipart import parse_multipart
from twisted_sip.testing.peer import connect

RLS = "sip:rls@example.com"
LIST = """<?xml version="1.0" encoding="UTF-8"?>
<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">
  <list>
    <entry uri="sip:bill@example.com" />
    <entry uri="sip:joe@example.com" />
    <entry uri="tel:+1-201-555-0123" />
    <entry uri="sip:bill@example.com" />
    <entry-ref ref="resource-lists/users/sip:adam@example.com/index/~~/resource-lists/list/entry"/>
  </list>
</resource-lists>
"""
#: The request in section 7.
EXAMPLE = """SUBSCRIBE sip:rls@example.com SIP/2.0
Via: SIP/2.0/TCP terminal.example.com;branch=z9hG4bKwYb6QREiCL
Max-Forwards: 70
To: RLS <sip:rls@example.com>
From: <sip:adam@example.com>;tag=ie4hbb8t
Call-ID: cdB34qLToC@terminal.example.com
CSeq: 1 SUBSCRIBE
Contact: <sip:terminal.example.com>
Event: presence
Expires: 7200
Require: recipient-list-subscribe
Supported: eventlist
Accept: application/cpim-pidf+xml
Accept: application/rlmi+xml
Accept: multipart/related
Accept: multipart/signed
Accept: multipart/encrypted
Content-Type: application/resource-lists+xml
Content-Disposition: recipient-list

<?xml version="1.0" encoding="UTF-8"?>
<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"
               xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <list>
    <entry uri="sip:bill@example.com" />
    <entry uri="sip:joe@example.org" />
    <entry uri="sip:ted@example.net" />
  </list>
</resource-lists>
"""
HEADERS = {
    "require": "Require: recipient-list-subscribe",
    "content_type": "Content-Type: application/resource-lists+xml",
    "disposition": "Content-Disposition: recipient-list",
}


def test_a_list_in_the_request(site: Any) -> None:
    site.publish("joe")
    watcher = site.subscribed(RLS, body=LIST, **HEADERS)
    assert list(watcher.table.rows) == ["sip:bill@example.com", "sip:joe@example.com"]
    assert watcher.table.last.uri == RLS
    site.publish("bill")
    assert [resource.uri for resource in watcher.told().resources] == ["sip:bill@example.com"]
    # It lasts.
    assert watcher.subscribe().status == 200
    assert watcher.told().full and len(watcher.table.rows) == 2
    site.restart()
    watcher.peer = connect(site.network.node("192.0.2.99"), ("192.0.2.1", 5060))
    assert watcher.subscribe().status == 200
    assert watcher.told().full and watcher.table.basic("sip:joe@example.com") == "open"


def test_the_request_of_the_rfc(make_site: Any) -> None:
    site = make_site(remote=False)
    watcher = site.watcher("sip:adam@example.com")
    watcher.peer.send(EXAMPLE)
    response = watcher.peer.expect(200)
    assert list(response.typed("require")) == ["eventlist"]
    request = watcher.peer.expect("NOTIFY")
    watcher.peer.answer(request, 200)
    watcher.table.take(parse_multipart(request.headers.first("content-type"), request.body))
    assert watcher.table.rows["sip:bill@example.com"][1].content_type.key == "application/cpim-pidf+xml"
    assert watcher.table.state("sip:joe@example.org") == "terminated giveup"


@pytest.mark.parametrize(
    ("changes", "body", "status"),
    [
        # Nothing says that it is supported.
        ({"require": ""}, LIST, 415),
        ({}, "", 400),
        ({"disposition": "Content-Disposition: render"}, LIST, 400),
        ({"disposition": ""}, LIST, 200),
        ({}, "<resource-lists/>", 400),
        ({}, LIST.replace("<resource-lists", "<!DOCTYPE a><resource-lists"), 400),
        ({"content_type": "Content-Type: text/plain"}, "bill", 415),
        ({"supported": ""}, LIST, 421),
        ({"accept": "Accept: application/pidf+xml"}, LIST, 406),
        ({"require": "Require: recipient-list-subscribe, foo"}, LIST, 420),
        ({"content_type": "Content-Type: multipart/mixed;boundary=a"}, "no part", 400),
        ({"content_type": "Content-Type: multipart/mixed;boundary=a"}, "--a\n\nx\n--a--\n", 415),
    ],
)
def test_odd_requests(site: Any, changes: dict[str, str], body: str, status: int) -> None:
    watcher = site.watcher()
    assert watcher.subscribe(RLS, body=body, **{**HEADERS, **changes}).status == status
    if status == 200:
        watcher.told()


def test_a_list_beside_other_bodies(site: Any) -> None:
    body = f"""--a
Content-Type: application/simple-filter+xml
Content-Disposition: session;handling=optional

<filter/>
--a
Content-Type: application/resource-lists+xml
Content-Disposition: recipient-list

{LIST}
--a--
"""
    how = {**HEADERS, "content_type": 'Content-Type: multipart/mixed;boundary="a"', "disposition": ""}
    watcher = site.subscribed(RLS, body=body, **how)
    assert len(watcher.table.rows) == 2
    only_filter = body.replace("recipient-list", "render;handling=optional")
    watcher = site.watcher()
    assert watcher.subscribe(RLS, body=only_filter, **how).status == 400


def test_a_list_that_is_too_long(make_site: Any) -> None:
    site = make_site(max_request_body=100)
    assert site.watcher().subscribe(RLS, body=LIST, **HEADERS).status == 413
    site = make_site(max_resources=1)
    assert site.watcher().subscribe(RLS, body=LIST, **HEADERS).status == 403


def test_strangers_bring_no_lists(site: Any) -> None:
    watcher = site.watcher("sip:eve@example.net")
    assert watcher.subscribe(RLS, body=LIST, **HEADERS).status == 403


def test_other_resources_take_no_lists(site: Any) -> None:
    assert site.watcher().subscribe("sip:bob@example.com", body=LIST, **HEADERS).status == 420
    site.put_list("sip:bob@example.com")
    assert site.watcher().subscribe("sip:adam-buddies@example.com", body=LIST, **HEADERS).status == 415


def test_without_a_uri_for_lists(make_site: Any) -> None:
    site = make_site(ad_hoc_user="")
    assert site.watcher().subscribe(RLS, body=LIST, **HEADERS).status == 420


def test_the_uri_for_lists_is_nobody_else(site: Any) -> None:
    assert site.watcher().subscribe(RLS).status == 200


def test_a_list_in_a_refresh_means_nothing(site: Any) -> None:
    watcher = site.subscribed(RLS, body=LIST, **HEADERS)
    # RFC 5367 section 5.1.
    assert watcher.subscribe(body=LIST, **HEADERS).status == 415
    watcher.quiet()
    assert watcher.subscribe().status == 200
    watcher.told()
    # Nor for a further subscription of the dialog.
    assert watcher.subscribe(body=LIST, event="Event: presence;id=2", **HEADERS).status == 415
