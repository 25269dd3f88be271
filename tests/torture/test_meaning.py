"""What the torture messages mean to a server that runs: what is kept, what is forwarded, what its answers say."""

from __future__ import annotations

import re

from torture_server import SERVER, Answer, Rig
from verdicts import BY_NAME

from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI


def send(rig: Rig, name: str) -> Answer:
    (answer,) = rig.datagram(BY_NAME[name].data)
    return answer


def contacts(rig: Rig, aor: str) -> list[str]:
    """Return the Contact values of the answer to a REGISTER that asks for those of *aor*."""
    peer = rig.peer()
    peer.skip()
    mark = len(peer.arrivals)
    peer.send(
        f"REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.99;rport;branch=z9hG4bKfetch{mark}\n"
        f"Max-Forwards: 70\n"
        f"From: <{aor}>;tag=fetch\nTo: <{aor}>\nCall-ID: fetch\nCSeq: 1 REGISTER\n",
        SERVER,
    )
    response = peer.expect(200)
    return [re.sub(r";expires=\d+", "", value) for value in response.headers.elements("contact")]


def forwarded(rig: Rig, name: str) -> Request:
    """Return the request that reaches the phone when *name* is sent."""
    data = BY_NAME[name].data
    rig.register(data.split(b" ", 2)[1].decode())
    answer = send(rig, name)
    assert answer.status == 200
    (request,) = rig.callee.requests
    return request


def test_a_contact_header_parameter_is_no_uri_parameter() -> None:
    with Rig() as rig:
        answer = send(rig, "cparam01")
        assert b"<sip:+19725552222@gw1.example.net>;" in answer.data
        assert contacts(rig, "sip:watson@example.com") == ["<sip:+19725552222@gw1.example.net>;unknownparam"]


def test_a_uri_parameter_stays_one() -> None:
    with Rig() as rig:
        send(rig, "cparam02")
        assert contacts(rig, "sip:watson@example.com") == ["<sip:+19725552222@gw1.example.net;unknownparam>"]


def test_an_escaped_header_stays_in_the_contact_and_is_not_followed_back_here() -> None:
    with Rig() as rig:
        send(rig, "regescrt")
        assert contacts(rig, "sip:user@example.com") == ["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"]
        assert send(rig, "invut").status == 480


def test_escaped_headers_of_a_contact_do_not_come_into_a_request_uri() -> None:
    with Rig() as rig:
        contact = b"<sip:phone@192.0.2.99;method=INVITE?Route=%3Csip:192.0.2.77%3Blr%3E>"
        data = re.sub(rb"M: [^\r]*", b"M: " + contact, BY_NAME["regescrt"].data)
        (answer,) = rig.datagram(data)
        assert answer.status == 200, answer
        assert contacts(rig, "sip:user@example.com") == [contact.decode()]
        rig.peer().send(BY_NAME["invut"].data, SERVER)
        request = rig.peer().expect("INVITE")
        assert request.uri_text == "sip:phone@192.0.2.99"
        assert "route" not in request.headers


def test_escaped_nulls_make_two_contacts_of_the_whole_user() -> None:
    with Rig() as rig:
        send(rig, "escnull")
        expected = ["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"]
        assert contacts(rig, "sip:null-%00-null@example.com") == expected
        assert contacts(rig, "sip:null-@example.com") == []


def test_an_unknown_scheme_is_challenged_anew() -> None:
    with Rig({"j.user": "secret"}) as rig:
        assert re.search(rb'\r\nWWW-Authenticate: Digest realm="example.com", nonce="', send(rig, "regaut01").data)


def test_what_no_proxy_supports_is_listed() -> None:
    with Rig() as rig:
        answer = send(rig, "bext01")
        assert b"\r\nUnsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\n" in answer.data


def test_a_tortuous_invite_goes_on_with_what_nobody_knows_unchanged() -> None:
    with Rig() as rig:
        request = forwarded(rig, "wsinv")
        lines = request.headers.lines
        assert "UnknownHeaderWithUnusualValue: ;;,,;;,;" in lines
        assert "NewFangledHeader:   newfangled value\r\n continued newfangled value" in lines
        assert request.max_forwards == 67
        assert (request.from_.display_name, request.to.tag, request.cseq) == (
            'J Rosenberg \\"',
            "1918181833n",
            (9, "INVITE"),
        )
        sent_by = [via.sent_by for via in request.vias[1:]]
        assert sent_by == ["192.0.2.2", "spindle.example.com", "192.168.255.111"]
        assert "route" not in request.headers
        assert request.body == BY_NAME["wsinv"].data[-150:]


def test_a_wide_range_of_characters_goes_on() -> None:
    with Rig() as rig:
        request = forwarded(rig, "intmeth")
        came = BY_NAME["intmeth"].data
        assert request.method.encode() == came.split(b" ")[0]
        for name in (b"To", b"From", b"Call-ID", b"CSeq", b"extensionHeader"):
            line = re.search(rb"(?m)^" + name + rb".*", came)
            assert line and line.group() in request.to_bytes()
        assert request.to.display_name == "BEL:\a NUL:\0 DEL:\x7f"


def test_escapes_in_a_request_uri() -> None:
    with Rig(domains=("example.net",)) as rig:
        request = forwarded(rig, "esc01")
        assert isinstance(request.to.uri, SIPURI)
        assert request.to.uri.equivalent(SIPURI.parse("sip:user@example.com"))
        contact = request.contacts[0].uri
        assert isinstance(contact, SIPURI)
        assert "lr" in contact.params
        assert contact.params.get("name") == "v%61lue%25%34%31"
        assert contact.equivalent(SIPURI.parse("sip:caller@host5.example.net;lr;name=value%2541"))
        assert not contact.equivalent(SIPURI.parse("sip:caller@host5.example.net;lr;name=valueA"))


def test_the_user_part_has_a_semicolon() -> None:
    with Rig() as rig:
        rig.register("sip:user;par=u%40example.net@example.com")
        assert send(rig, "semiuri").status == 200
        rig.register("sip:user@example.com")
        assert len(rig.callee.requests) == 1


def test_a_multipart_body_goes_on_bit_by_bit() -> None:
    with Rig(domains=("example.org", "127.0.0.1")) as rig:
        # Let the Route be that of this server, and the sender nobody it knows.
        data = BY_NAME["mpart01"].data.replace(b"127.0.0.1:5080", b"192.0.2.1")
        rig.register("sip:kumiko@example.org")
        (answer,) = rig.datagram(data)
        assert answer.status == 200
        (request,) = rig.callee.requests
        assert request.body == data.partition(b"\r\n\r\n")[2]
        assert b"\0" in request.body


def test_the_octets_behind_a_datagram_are_noise() -> None:
    with Rig() as rig:
        rig.register("sip:joe@example.com")
        assert send(rig, "dblreq").status == 200
        assert not rig.callee.requests


def test_other_transports_in_vias_below() -> None:
    with Rig() as rig:
        request = forwarded(rig, "transports")
        assert [via.transport for via in request.vias[1:]] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_a_bare_cookie_identifies_nothing() -> None:
    with Rig() as rig:
        forwarded(rig, "badbranch")
        other = BY_NAME["badbranch"].data.replace(b"CSeq: 8", b"CSeq: 9")
        assert [answer.status for answer in rig.datagram(other)] == [200]
        assert len(rig.callee.requests) == 2


def test_a_date_of_another_time_zone_goes_on() -> None:
    with Rig() as rig:
        assert forwarded(rig, "baddate").headers.first("date") == "Fri, 01 Jan 2010 16:00:00 EST"


def test_old_syntax_is_forwarded_in_new_syntax() -> None:
    with Rig() as rig:
        request = forwarded(rig, "inv2543")
        assert request.max_forwards == 70
        assert request.headers.first("content-length") == "105"
        assert request.top_via.branch.startswith("z9hG4bK")


def test_responses_to_nothing_are_sent_nowhere() -> None:
    for name in ("bcast", "unreason", "noreason", "bigcode", "scalarlg"):
        with Rig() as rig:
            rig.network._keep_trace = True
            rig.peer()
            # As if its topmost Via were ours.
            data = re.sub(rb"192\.0\.2\.(198|105)|host129.example.com", b"192.0.2.1", BY_NAME[name].data, count=1)
            assert rig.datagram(data) == []
            rig.peer().send(data, SERVER)
            rig.network.advance(5)
            assert {source.host for _, source, _, _, _ in rig.network.trace} == {"192.0.2.99"}


def test_received_is_ours_to_write() -> None:
    for name in ("via-received-param-with-delim", "via-received-param-no-delim"):
        with Rig() as rig:
            answer = send(rig, name)
            assert b"2001:db8::9:255" not in answer.data
            assert b";received=192.0.2.99" in answer.data


def test_an_answer_says_what_is_missing_and_has_no_more_than_there_is() -> None:
    with Rig() as rig:
        answer = send(rig, "insuf")
        assert answer.data == (
            b"SIP/2.0 400 Missing From header field\r\nCSeq: 193942 INVITE\r\n"
            b"Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf;received=192.0.2.99\r\nContent-Length: 0\r\n\r\n"
        )
