"""Media sessions whose plane is set to ICE, with protection and without (RFC 8445, RFC 8839)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.media.secured import SecureCall
from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import ICESettings, TURNServer
from twisted_sip.media.settings import MediaSettings
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction

FULL: dict[str, Any] = {"ice": "full"}
DTLS = {"srtp": "required", "keying": ("dtls",)}
SDES = {"srtp": "required", "sdes_in_clear": True}

Make = Callable[..., SecureCall]


@pytest.fixture
def calls() -> Iterator[Make]:
    made: list[SecureCall] = []

    def make(*args: Any, **more: Any) -> SecureCall:
        made.append(SecureCall(*args, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("keys", [{}, SDES, DTLS], ids=["plain", "sdes", "dtls"])
@pytest.mark.parametrize("mux", [False, True])
def test_both_have_ice(calls: Make, keys: dict[str, Any], mux: bool) -> None:
    call = calls({**FULL, **keys, "rtcp_mux": mux})
    offer, answer = call.agree()
    assert offer.media[0].candidates and answer.media[0].candidates and "ice2" in offer.media[0].ice_options
    # RFC 5761 section 5.1.3: the offer has candidates for both ports, an answer with one port for that alone.
    assert {one.component for one in offer.media[0].candidates} == {1, 2}
    assert {one.component for one in answer.media[0].candidates} == ({1} if answer.media[0].rtcp_mux else {1, 2})
    assert answer.media[0].rtcp_mux is offer.media[0].rtcp_mux
    call.run(2)
    assert min(call.heard(8)) > 390
    assert call.a.ice is not None and call.a.ice.stream is not None and call.a.ice.stream.state == "completed"
    if keys:
        assert call.secure
    assert call.failures == [] and call.a.statistics().round_trip is not None
    # Later offers go on.
    call.agree(call.b, call.a)
    call.run(0.1)
    assert min(call.heard()) > 45


@pytest.mark.parametrize("keys", [{}, DTLS], ids=["plain", "dtls"])
def test_one_is_lite(calls: Make, keys: dict[str, Any]) -> None:
    call = calls({"ice": "lite", **keys}, {**FULL, **keys})
    offer, answer = call.agree()
    assert offer.media[0].ice_lite and not answer.media[0].ice_lite
    call.run(2)
    assert min(call.heard()) > 45


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("keys", [{}, SDES, DTLS], ids=["plain", "sdes", "dtls"])
def test_a_peer_without_ice(calls: Make, first: bool, keys: dict[str, Any]) -> None:
    sides = [{**FULL, **keys}, keys]
    call = calls(*(sides if first else sides[::-1]))
    call.agree()
    call.run(1)
    assert min(call.heard()) > 45
    call.agree()
    assert min(call.heard()) > 45


def test_handshakes_do_not_wait_for_their_timers_once_there_is_a_way(calls: Make) -> None:
    call = calls({**FULL, **DTLS})
    call.agree()
    call.run(0.8)
    assert call.secure


def test_no_way_is_told(calls: Make) -> None:
    call = calls({**FULL, "ice_settings": ICESettings(patience=2.0, check_limit=5.0)})
    call.drop = lambda data: data[0] < 4
    call.agree()
    call.run(10)
    assert call.failures and all("no way to the peer" in one for one in call.failures)


def test_servers_that_do_not_answer_are_given_up(calls: Make) -> None:
    nowhere = Address("192.0.2.99", 3478)
    settings = ICESettings(stun_servers=(nowhere,), turn_servers=(TURNServer(nowhere, "user", "secret"),))
    call = calls({**FULL, "ice_settings": settings})
    offer, _ = call.agree()
    assert {one.type for one in offer.media[0].candidates} == {"host"}
    call.run(2)
    assert min(call.heard()) > 45


def test_closed_while_it_gathers(calls: Make) -> None:
    nowhere = Address("192.0.2.99", 3478)
    call = calls({**FULL, "ice_settings": ICESettings(stun_servers=(nowhere,))})
    failed: list[Any] = []
    call.a.offer().addErrback(failed.append)  # type: ignore[union-attr]
    call.a.close()
    assert failed[0].check(LocalProtocolError)


def test_hold_over_ice(calls: Make) -> None:
    call = calls({**FULL, **DTLS})
    call.agree()
    call.run(2)
    call.a.hold(True)
    offer, answer = call.agree()
    assert offer.media[0].direction is Direction.SENDONLY and answer.media[0].direction is Direction.RECVONLY
    one, other = call.heard()
    assert one <= 1 and other > 45
    call.a.hold(False)
    call.agree()
    call.run(0.1)
    assert min(call.heard()) > 45


def test_settings_are_looked_at() -> None:
    for wrong in (
        {"srtp": "maybe"},
        {"ice": "half"},
        {"keying": ()},
        {"keying": ("mikey",)},
        {"suites": ("NULL",)},
        {"certificates": "never"},
    ):
        with pytest.raises(LocalProtocolError):
            MediaSettings(**wrong)  # type: ignore[arg-type]


def test_what_ice_refuses_changes_no_keys(calls: Make) -> None:
    call = calls({**FULL, **SDES})
    call.agree()
    call.run(2)
    for answers in (False, True):
        call.a.renew_keys()
        call.b.renew_keys()
        offer = call.made(call.a.offer())
        if answers:
            answer = re.sub("a=ice-ufrag:.*", "a=ice-ufrag:a!", str(call.made(call.b.answer(offer))))
            with pytest.raises(MediaRefused):
                call.a.answered(SessionDescription.parse(answer))
            call.b.rolled_back()
        else:
            with pytest.raises(MediaRefused):
                call.b.answer(SessionDescription.parse(re.sub("a=ice-ufrag:.*", "a=ice-ufrag:a!", str(offer))))
        call.a.rolled_back()
        # Packets under the keys before are taken for ten seconds in any case.
        call.run(12)
        assert min(call.heard()) > 45
    call.agree()
    assert min(call.heard()) > 45
