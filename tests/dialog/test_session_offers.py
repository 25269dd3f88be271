"""Which body is an offer, which an answer, and when either is possible (RFC 3261 section 13.2.1, RFC 6337)."""

from __future__ import annotations

import pytest

from twisted_sip.dialog.session_offers import OFFERED, OWED, STABLE, OfferTracker, session_body_of
from twisted_sip.dialog.session_peer import Peer
from twisted_sip.dialog.session_terms import SessionBody, SessionTerms, reasons_of
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.request import Request

A, B = SessionBody("application/sdp", b"a"), SessionBody("application/sdp", b"b")
MIXED = (
    b"--x\r\nContent-Type: image/png\r\nContent-Disposition: render\r\n\r\npng\r\n"
    b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--\r\n"
)


def message(*headers: tuple[str, str], body: bytes = b"v=0") -> Request:
    return Request("INVITE", "sip:bob", headers, body)


class TestBodies:
    @pytest.mark.parametrize(
        ("headers", "body", "found"),
        [
            ([], b"", None),
            ([], b"x", None),
            ([("content-type", "application/sdp")], b"v=0", ("application/sdp", b"v=0")),
            ([("content-type", "application/sdp"), ("content-encoding", "identity")], b"v", ("application/sdp", b"v")),
            ([("content-type", "application/sdp"), ("content-disposition", "render")], b"v=0", None),
            ([("content-type", "application/sdp"), ("content-disposition", "early-session")], b"v=0", None),
            (
                [("content-type", "text/x"), ("content-disposition", "Session;handling=required")],
                b"x",
                ("text/x", b"x"),
            ),
            ([("content-type", "text/x")], b"x", None),
            ([("content-type", "multipart/mixed;boundary=x")], MIXED, ("application/sdp", b"v=0")),
            ([("content-type", "multipart/mixed;boundary=x")], MIXED.replace(b"application/sdp", b"text/a"), None),
        ],
    )
    def test_found(self, headers: list[tuple[str, str]], body: bytes, found: object) -> None:
        assert session_body_of(message(*headers, body=body)) == found

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ([("content-type", "?")], 400),
            ([("content-type", "multipart/mixed;boundary=x")], 400),
            ([("content-type", "application/sdp"), ("content-encoding", "gzip")], 415),
        ],
    )
    def test_refused(self, headers: list[tuple[str, str]], status: int) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            session_body_of(message(*headers))
        assert caught.value.status == status

    def test_fields(self) -> None:
        assert A.fields() == [("content-type", "application/sdp")]
        assert SessionBody("text/x", b"").fields() == [("content-type", "text/x"), ("content-disposition", "session")]


class TestTracker:
    def test_exchanges(self) -> None:
        offers = OfferTracker()
        assert offers.state is STABLE and not offers.established
        offers.offer_sent(A, "one")
        assert offers.state is OFFERED and offers.awaits("one") and not offers.awaits("two")
        assert offers.answer_received(B) is B
        assert (offers.local, offers.remote, offers.stable, offers.established) == (A, B, True, True)
        offers.offer_received(A, "two")
        assert offers.state is OWED and offers.owes("two") and not offers.owes("one")
        offers.answer_sent(B)
        assert (offers.local, offers.remote, offers.exchanges) == (B, A, 2)

    def test_one_at_a_time(self) -> None:
        offers = OfferTracker()
        with pytest.raises(LocalProtocolError):
            offers.answer_sent(A)
        for requested, status in ((True, 491), (False, 500)):
            offers.offer_sent(A, "one", requested=requested)
            with pytest.raises(LocalProtocolError):
                offers.offer_sent(A, "two")
            with pytest.raises(RemoteProtocolError) as caught:
                offers.offer_received(B, "two")
            assert caught.value.status == status
            offers.abandon("one")
        offers.offer_received(B, "three")
        with pytest.raises(RemoteProtocolError) as caught:
            offers.offer_received(B, "four")
        assert caught.value.status == 500

    def test_preview(self) -> None:
        """RFC 6337 section 3.1.1: the first one counts."""
        offers = OfferTracker()
        offers.offer_sent(A, "one")
        assert offers.preview(B) and not offers.preview(A) and offers.previewed == B
        assert offers.answer_received(A) is None
        assert offers.remote == B and offers.previewed is None

    def test_abandon(self) -> None:
        offers = OfferTracker()
        assert not offers.abandon("one")
        offers.offer_sent(A, "one")
        assert not offers.abandon("two") and offers.abandon("one")
        assert offers.stable and not offers.established and offers.local is None


class TestWords:
    def test_peer(self) -> None:
        peer = Peer()
        assert peer.allows("UPDATE") is None and not peer.supports("timer") and peer.packages is None
        peer.learn(message(("allow", "INVITE, UPDATE"), ("supported", "Timer"), ("recv-info", "foo;a=b, bar")))
        assert peer.allows("UPDATE") and not peer.allows("INFO") and peer.supports("TIMER")
        assert peer.packages == ("foo", "bar")
        peer.learn(message())
        assert peer.allows("UPDATE") and peer.packages == ("foo", "bar")
        peer.forbid("UPDATE")
        assert peer.allows("UPDATE") is False
        peer.learn(message(("allow", "x" * 200), ("recv-info", "")))
        assert peer.allows("x" * 200) is False and peer.packages == ()

    def test_reasons(self) -> None:
        assert [reason.cause for reason in reasons_of(message(("reason", "SIP;cause=1, Q.850;cause=2")))] == [1, 2]
        assert reasons_of(message(("reason", "?;"))) == ()

    def test_capabilities(self) -> None:
        assert [name for name, _ in SessionTerms(accept=()).capabilities()] == ["allow", "supported"]
        assert SessionTerms(recv_info=()).recv_info_field() == [("recv-info", "")]
