"""The state of a dialog and the requests in it (RFC 3261 section 12, RFC 6665 section 4.4.1)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from twisted_sip.dialog.dialog import Dialog, DialogID, record_route_of
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.transport_kind import TLS, UDP
from twisted_sip.message.builders import build_request, response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

ROUTES = [("record-route", "<sip:p1.example.com;lr>;x=1, <sip:p2.example.com;lr>"), ("record-route", "<sip:p3;lr>")]
ALICE = ("contact", "<sip:alice@192.0.2.1:5062;ob>")
BOB = ("contact", '"Bob" <sip:bob@192.0.2.2>;expires=60')


def subscribe(*headers: tuple[str, str], uri: str = "sip:bob@example.com", **how: Any) -> Request:
    """Alice's SUBSCRIBE."""
    how.setdefault("from_", '"Alice" <sip:alice@example.com>;tag=a1')
    how.setdefault("to", "<sip:bob@example.com>")
    how.setdefault("cseq", 7)
    return build_request(how.pop("method", "SUBSCRIBE"), uri, call_id="call-1", headers=headers, **how)


def notify(*headers: tuple[str, str], cseq: int = 30, **how: Any) -> Request:
    """Bob's NOTIFY."""
    how.setdefault("from_", "<sip:bob@example.com>;tag=b1")
    how.setdefault("to", '"Alice" <sip:alice@example.com>;tag=a1')
    return build_request(
        how.pop("method", "NOTIFY"), "sip:alice@192.0.2.1:5062", call_id="call-1", cseq=cseq, headers=headers, **how
    )


def accepted(request: Request, *headers: tuple[str, str], status: int = 200, tag: str = "b1") -> Response:
    """Bob's answer."""
    return response_to(request, status, headers=headers, to_tag=tag)


def uac_dialog(*headers: tuple[str, str]) -> Dialog:
    """Alice's dialog."""
    request = subscribe(ALICE)
    return Dialog.as_uac(request, accepted(request, *(headers or (BOB,))))


def uas_dialog() -> Dialog:
    """Bob's dialog."""
    return Dialog.as_uas(subscribe(ALICE, *ROUTES), "b1")


class TestEstablishment:
    def test_uas(self) -> None:
        dialog = uas_dialog()
        assert dialog.id == DialogID("call-1", "b1", "a1")
        assert (dialog.local_uri, dialog.remote_uri) == ("<sip:bob@example.com>", '"Alice" <sip:alice@example.com>')
        assert (dialog.local_cseq, dialog.remote_cseq) == (None, 7)
        assert dialog.route_set == ("<sip:p1.example.com;lr>;x=1", "<sip:p2.example.com;lr>", "<sip:p3;lr>")
        assert dialog.remote_target == "sip:alice@192.0.2.1:5062;ob"
        assert not dialog.secure and not dialog.early

    def test_uac(self) -> None:
        dialog = uac_dialog(BOB, *ROUTES)
        assert dialog.id == ("call-1", "a1", "b1")
        assert (dialog.local_uri, dialog.remote_uri) == ('"Alice" <sip:alice@example.com>', "<sip:bob@example.com>")
        assert (dialog.local_cseq, dialog.remote_cseq) == (7, None)
        assert dialog.route_set == ("<sip:p3;lr>", "<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>;x=1")
        assert dialog.remote_target == "sip:bob@192.0.2.2"

    def test_uac_whose_challenge_was_answered_on_the_way(self) -> None:
        """The sender took the next number for the request with credentials."""
        dialog = Dialog.as_uac(subscribe(ALICE), accepted(subscribe(ALICE, cseq=8), BOB))
        assert dialog.local_cseq == 8

    def test_notified(self) -> None:
        """RFC 6665 section 4.4.1: route set and remote target are those of the NOTIFY."""
        dialog = Dialog.as_notified(subscribe(ALICE), notify(BOB, *ROUTES, from_="<sip:bob@example.com>;tag=fork2"))
        assert dialog.id == ("call-1", "a1", "fork2")
        assert (dialog.local_cseq, dialog.remote_cseq) == (7, 30)
        assert dialog.route_set[0] == "<sip:p1.example.com;lr>;x=1"
        assert dialog.remote_target == "sip:bob@192.0.2.2"
        assert dialog.remote_uri == "<sip:bob@example.com>"

    def test_missing_tags_are_null(self) -> None:
        """Sections 12.1.1 and 12.1.2: peers of RFC 2543 have none, and get none."""
        dialog = Dialog.as_uas(subscribe(ALICE, from_="sip:alice@example.com"), "b1")
        assert dialog.id == ("call-1", "b1", "")
        assert str(dialog.request("NOTIFY").to) == "sip:alice@example.com"
        request = subscribe(ALICE)
        dialog = Dialog.as_uac(request, accepted(request, BOB, tag=""))
        assert dialog.remote_tag == ""
        assert dialog.request("SUBSCRIBE").to.tag == ""

    def test_early_then_confirmed_with_the_route_set_of_the_2xx(self) -> None:
        """RFC 3261 section 13.2.2.4."""
        invite = subscribe(ALICE, method="INVITE")
        dialog = Dialog.as_uac(invite, accepted(invite, BOB, *ROUTES, status=180))
        assert dialog.early
        dialog.confirm(accepted(invite, ("contact", "<sip:bob@192.0.2.9>")))
        assert not dialog.early
        assert (dialog.route_set, dialog.remote_target) == ((), "sip:bob@192.0.2.9")

    def test_a_2xx_that_cannot_be_read_confirms_nothing(self) -> None:
        invite = subscribe(ALICE, method="INVITE")
        dialog = Dialog.as_uac(invite, accepted(invite, BOB, *ROUTES, status=180))
        with pytest.raises(RemoteProtocolError):
            dialog.confirm(accepted(invite, ("contact", "<sip:bob@192.0.2.9>"), ("record-route", "<tel:1>")))
        assert dialog.early and len(dialog.route_set) == 3 and dialog.remote_target == "sip:bob@192.0.2.2"

    def test_early_at_the_uas(self) -> None:
        dialog = Dialog.as_uas(subscribe(ALICE), "b1", early=True)
        assert dialog.early
        dialog.confirm()
        assert not dialog.early

    def test_record_route_of_the_response(self) -> None:
        request = subscribe(ALICE, *ROUTES)
        assert record_route_of(request) == ROUTES

    def test_target_loses_what_a_request_uri_may_not_hold(self) -> None:
        dialog = Dialog.as_uas(subscribe(("contact", "<sip:a@192.0.2.1;method=INVITE;x=1?Subject=hi>")), "b1")
        assert dialog.remote_target == "sip:a@192.0.2.1;x=1"


class TestSecure:
    def test_sips_over_tls_at_the_uas(self) -> None:
        request = subscribe(("contact", "<sips:alice@192.0.2.1>"), uri="sips:bob@example.com")
        assert not Dialog.as_uas(request, "b1").secure
        request.flow = SimpleNamespace(kind=UDP)
        assert not Dialog.as_uas(request, "b1").secure
        request.flow = SimpleNamespace(kind=TLS)
        assert Dialog.as_uas(request, "b1").secure

    def test_sip_over_tls_is_not_secure(self) -> None:
        request = subscribe(ALICE)
        request.flow = SimpleNamespace(kind=TLS)
        assert not Dialog.as_uas(request, "b1").secure

    def test_sips_at_the_uac(self) -> None:
        request = subscribe(ALICE, uri="SIPS:bob@example.com")
        contact = ("contact", "<sips:bob@192.0.2.2>")
        assert Dialog.as_uac(request, accepted(request, contact)).secure
        assert Dialog.as_notified(request, notify(contact)).secure

    def test_no_insecure_contact_in_a_secure_dialog(self) -> None:
        """RFC 5630 section 5.2."""
        request = subscribe(ALICE, uri="sips:bob@example.com")
        with pytest.raises(RemoteProtocolError) as caught:
            Dialog.as_uac(request, accepted(request, BOB))
        assert (caught.value.status, caught.value.header) == (400, "Contact")
        dialog = Dialog.as_uac(request, accepted(request, ("contact", "<sips:bob@192.0.2.2>")))
        with pytest.raises(RemoteProtocolError):
            dialog.receive(notify(BOB))
        assert dialog.remote_target == "sips:bob@192.0.2.2"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Contact", "*"),
        ("Contact", "<sip:alice@192.0.2.1>, *"),
        ("Contact", "<sip:>"),
        ("Contact", "Alice <sip:alice@192.0.2.1"),
        ("Contact", "<tel:+15551234>"),
        ("Contact", ""),
        ("Record-Route", "<sip:p1;lr>, <sip:>"),
        ("Record-Route", "<http://p1>"),
        ("Record-Route", "<sip:p1"),
    ],
)
def test_malformed(header: str, value: str) -> None:
    """Neither side makes a dialog of it; the error names the header field."""
    headers = [(header, value)] if header == "Contact" else [ALICE, (header, value)]
    request = subscribe(ALICE)
    for make in (
        lambda: Dialog.as_uas(subscribe(*headers), "b1"),
        lambda: Dialog.as_uac(request, accepted(request, *headers)),
        lambda: Dialog.as_notified(request, notify(*headers)),
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            make()
        assert (caught.value.status, caught.value.header) == (400, header)


def test_missing_contact() -> None:
    with pytest.raises(RemoteProtocolError, match="Missing Contact"):
        Dialog.as_uas(subscribe(), "b1")


def test_malformed_from() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Dialog.as_uas(subscribe(ALICE, from_="<sip:>;tag=x"), "b1")
    assert caught.value.header == "From"


class TestRequests:
    def test_request_of_the_uas(self) -> None:
        dialog = uas_dialog()
        request = dialog.request("NOTIFY", [("event", "presence")], b"body")
        assert request.uri_text == "sip:alice@192.0.2.1:5062;ob"
        assert request.headers.first("from") == "<sip:bob@example.com>;tag=b1"
        assert request.headers.first("to") == '"Alice" <sip:alice@example.com>;tag=a1'
        assert request.call_id == "call-1"
        assert request.cseq == (1, "NOTIFY")
        assert request.max_forwards == 70
        assert request.headers.elements("route") == list(dialog.route_set)
        assert (request.headers.first("event"), request.body) == ("presence", b"body")

    def test_numbers_are_contiguous(self) -> None:
        dialog = uac_dialog()
        assert [dialog.request("SUBSCRIBE").cseq.number for _ in range(3)] == [8, 9, 10]

    def test_no_route_set(self) -> None:
        assert "route" not in uac_dialog().request("SUBSCRIBE").headers

    def test_strict_router(self) -> None:
        """The example of section 12.2.1.1."""
        routes = ("record-route", "<sip:proxy1>,<sip:proxy2>,<sip:proxy3;lr>,<sip:proxy4>")
        dialog = Dialog.as_uas(subscribe(("contact", "<sip:user@remoteua>"), routes), "b1")
        request = dialog.request("NOTIFY")
        assert request.uri_text == "sip:proxy1"
        assert request.headers.first("route") == "<sip:proxy2>, <sip:proxy3;lr>, <sip:proxy4>, <sip:user@remoteua>"

    def test_ack_has_the_number_of_its_invite(self) -> None:
        dialog = uac_dialog()
        dialog.request("INVITE")
        dialog.request("INFO")
        assert dialog.request("ACK", cseq=8).cseq == (8, "ACK")
        assert dialog.local_cseq == 9
        with pytest.raises(LocalProtocolError, match="ACK"):
            dialog.request("ACK")

    def test_numbers_do_not_wrap_around(self) -> None:
        dialog = uac_dialog()
        dialog.local_cseq = 2**32 - 2
        assert dialog.request("SUBSCRIBE").cseq.number == 2**32 - 1
        with pytest.raises(LocalProtocolError, match="no CSeq number"):
            dialog.request("SUBSCRIBE")

    def test_a_request_that_cannot_be_made_takes_no_number(self) -> None:
        dialog = uac_dialog()
        with pytest.raises(LocalProtocolError):
            dialog.request("SUBSCRIBE", [("event", "a\r\nb")])
        assert dialog.local_cseq == 7

    def test_responses(self) -> None:
        """Section 12.2.1.2: a 2xx to a target refresh request sets the target; a challenge has used a number."""
        dialog = uac_dialog()
        request = dialog.request("SUBSCRIBE")
        request.headers.set("cseq", "9 SUBSCRIBE")
        moved = ("contact", "<sip:bob@192.0.2.77>")
        dialog.response_received(accepted(request, moved, status=500))
        assert dialog.remote_target == "sip:bob@192.0.2.2"
        assert dialog.local_cseq == 9
        dialog.response_received(accepted(request, moved))
        assert dialog.remote_target == "sip:bob@192.0.2.77"
        dialog.response_received(accepted(request))
        dialog.response_received(accepted(dialog.request("INFO"), BOB))
        assert dialog.remote_target == "sip:bob@192.0.2.77"
        assert dialog.local_cseq == 10
        with pytest.raises(RemoteProtocolError):
            dialog.response_received(accepted(dialog.request("UPDATE"), ("contact", "*")))
        assert dialog.remote_target == "sip:bob@192.0.2.77"

    def test_response_to_the_uas_first_request(self) -> None:
        dialog = uas_dialog()
        response = accepted(dialog.request("NOTIFY"))
        dialog.local_cseq = None
        dialog.response_received(response)
        assert dialog.local_cseq == 1


class TestReceiving:
    def test_first_number_is_taken_as_it_is(self) -> None:
        dialog = uac_dialog()
        dialog.receive(notify(cseq=0))
        assert dialog.remote_cseq == 0

    def test_gaps_are_fine(self) -> None:
        dialog = uas_dialog()
        dialog.receive(subscribe(cseq=9))
        dialog.receive(subscribe(cseq=2**32 - 1))
        assert dialog.remote_cseq == 2**32 - 1

    @pytest.mark.parametrize("number", [0, 6, 7])
    def test_lower_or_equal_numbers_are_refused(self, number: int) -> None:
        dialog = uas_dialog()
        with pytest.raises(RemoteProtocolError) as caught:
            dialog.receive(subscribe(("contact", "<sip:eve@192.0.2.66>"), cseq=number))
        assert (caught.value.status, caught.value.header) == (500, "CSeq")
        assert (dialog.remote_cseq, dialog.remote_target) == (7, "sip:alice@192.0.2.1:5062;ob")

    @pytest.mark.parametrize("method", ["ACK", "CANCEL"])
    def test_ack_and_cancel_change_nothing(self, method: str) -> None:
        dialog = uas_dialog()
        dialog.receive(subscribe(BOB, method=method, cseq=3))
        assert (dialog.remote_cseq, dialog.remote_target) == (7, "sip:alice@192.0.2.1:5062;ob")

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"])
    def test_target_refresh(self, method: str) -> None:
        dialog = uas_dialog()
        dialog.receive(subscribe(("contact", "<sip:alice@192.0.2.50>"), *ROUTES[:1], method=method, cseq=8))
        assert dialog.remote_target == "sip:alice@192.0.2.50"
        assert len(dialog.route_set) == 3

    def test_no_target_refresh(self) -> None:
        dialog = uas_dialog()
        dialog.receive(subscribe(BOB, method="MESSAGE", cseq=8))
        dialog.receive(subscribe(method="SUBSCRIBE", cseq=9))
        assert dialog.remote_target == "sip:alice@192.0.2.1:5062;ob"
        assert dialog.remote_cseq == 9

    def test_target_refresh_once_it_is_accepted(self) -> None:
        dialog = uas_dialog()
        request = subscribe(BOB, cseq=8)
        dialog.receive(request, refresh=False)
        assert dialog.remote_target == "sip:alice@192.0.2.1:5062;ob"
        assert dialog.refresh_target(request)
        assert dialog.remote_target == "sip:bob@192.0.2.2"
        assert not dialog.refresh_target(request)

    def test_malformed_contact_changes_nothing(self) -> None:
        dialog = uas_dialog()
        with pytest.raises(RemoteProtocolError) as caught:
            dialog.receive(subscribe(("contact", "*"), cseq=8))
        assert caught.value.status == 400
        assert dialog.remote_cseq == 7


class TestRestart:
    @pytest.mark.parametrize("make", [uas_dialog, uac_dialog])
    def test_snapshot(self, make: Any) -> None:
        dialog = make()
        restored = Dialog.restore(json.loads(json.dumps(dialog.snapshot())))
        assert restored.snapshot() == dialog.snapshot()
        assert isinstance(restored.route_set, tuple)
        assert bytes(restored.request("NOTIFY")) == bytes(dialog.request("NOTIFY"))

    def test_texts_that_are_no_utf8(self) -> None:
        dialog = Dialog.as_uas(subscribe(ALICE, from_='"\udce9" <sip:a@b>;tag=1'), "t")
        restored = Dialog.restore(json.loads(json.dumps(dialog.snapshot())))
        assert restored.remote_uri == dialog.remote_uri

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("call_id", 1),
            ("local_cseq", -1),
            ("local_cseq", True),
            ("remote_cseq", 2**32),
            ("route_set", "x"),
            ("route_set", [1]),
            ("secure", 1),
        ],
    )
    def test_damaged(self, name: str, value: Any) -> None:
        state = uas_dialog().snapshot()
        state[name] = value
        with pytest.raises(LocalProtocolError, match=name):
            Dialog.restore(state)

    def test_incomplete(self) -> None:
        with pytest.raises(LocalProtocolError, match="call_id is missing"):
            Dialog.restore({})

    def test_repr(self) -> None:
        assert repr(uas_dialog()) == "<Dialog call-1 b1 a1>"
