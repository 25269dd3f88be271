"""A STUN client against servers of all kinds (RFC 8489 sections 6 and 9)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.stun.binding import encode_address
from twisted_sip.stun.credentials import (
    ShortTermCredentials,
)
from twisted_sip.stun.integrity import short_term_key
from twisted_sip.stun.message import (
    ALTERNATE_SERVER,
    BINDING,
    ERROR,
    ERROR_CODE,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    SOFTWARE,
    SUCCESS,
    STUNMessage,
    error_code,
    parse_stun,
)
from twisted_sip.stun.requester import STUNFailure
from twisted_sip.stun.server import (
    answer,
    check_short_term,
    error_response,
    unknown_response,
)
from twisted_sip.stun.transaction import Retransmission

from .conftest import Scene, failure, success


def test_retransmissions() -> None:
    scene = Scene()
    scene.ask()
    scene.pass_time(40)
    # RFC 8489 section 6.2.1.
    assert [at for at, _ in scene.sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert failure(scene.outcomes[0]) == (408, "no answer")
    assert len({data for _, data in scene.sent}) == 1
    assert Retransmission().limit == 39.5
    assert Retransmission(reliable=True).limit == 39.5
    scene.check_empty()


def test_once_over_a_stream() -> None:
    scene = Scene(reliable=True)
    scene.ask()
    scene.pass_time(39)
    assert len(scene.sent) == 1 and not scene.outcomes
    scene.pass_time(1)
    assert failure(scene.outcomes[0])[0] == 408
    scene.check_empty()


def test_success_and_software() -> None:
    scene = Scene(success)
    assert isinstance(scene.ask(), STUNMessage)
    assert parse_stun(scene.sent[0][1]).first(SOFTWARE) == b"tests"
    scene.check_empty()


def test_what_is_no_answer() -> None:
    scene = Scene()
    scene.ask()
    request = parse_stun(scene.sent[0][1])
    for data in (
        b"",
        b"\0" * 30,
        scene.sent[0][1],
        answer(STUNMessage(2, 0, request.transaction_id), SUCCESS, ()),
        answer(STUNMessage(BINDING, 0, bytes(12)), SUCCESS, ()),
        success(b"", request)[:-1],
    ):
        assert not scene.requester.datagram(data)
    assert scene.requester.waiting == 1
    scene.requester.close()
    scene.check_empty()
    assert not scene.outcomes


def test_limit() -> None:
    scene = Scene()
    for _ in range(3):
        scene.ask()
    with pytest.raises(LocalProtocolError):
        scene.ask()
    scene.requester.close()


@pytest.mark.parametrize("code", [300, 400, 420, 486, 508])
def test_error_codes_end_it(code: int) -> None:
    scene = Scene(lambda data, request: error_response(request, code))
    assert failure(scene.ask())[0] == code
    scene.check_empty()


def test_server_errors_are_tried_again() -> None:
    scene = Scene(lambda data, request: error_response(request, 500))
    scene.ask()
    scene.pass_time(60)
    # Section 6.3.4: four times.
    assert len(scene.sent) == 5
    assert len({data[8:20] for _, data in scene.sent}) == 5
    assert failure(scene.outcomes[0]) == (500, "Server Error")
    scene.check_empty()


def test_closed_during_the_pause() -> None:
    scene = Scene(lambda data, request: error_response(request, 500))
    scene.ask()
    scene.requester.close()
    scene.check_empty()


@pytest.mark.parametrize(
    ("value", "alternate"),
    [(encode_address("192.0.2.9", 99), ("192.0.2.9", 99)), (b"\0\1", None), (None, None)],
)
def test_alternate_server(value: bytes | None, alternate: tuple[str, int] | None) -> None:
    extra = () if value is None else ((ALTERNATE_SERVER, value),)
    scene = Scene(lambda data, request: error_response(request, 300, extra))
    outcome = scene.ask()
    assert isinstance(outcome, STUNFailure) and outcome.alternate == alternate


def test_answers_that_cannot_be_understood() -> None:
    scene = Scene(lambda data, request: answer(request, SUCCESS, ((0x7777, b""),)))
    assert failure(scene.ask())[0] == 0
    scene = Scene(lambda data, request: answer(request, ERROR, ()))
    assert failure(scene.ask()) == (0, "error response without ERROR-CODE")
    for value in (b"", b"\0\0\2\0", b"\0\0\7\0", b"\0\0\4\xff"):
        assert STUNMessage(1, ERROR, bytes(12), ((ERROR_CODE, value),)).error is None
    assert STUNMessage(1, ERROR, bytes(12), ((ERROR_CODE, error_code(401, "no")),)).error == (401, "no")
    assert parse_stun(unknown_response(STUNMessage(1, 0, bytes(12)), (7,))).error == (420, "Unknown Attribute")


# -- short-term credentials --------------------------------------------------------------


def short_term_server(data: bytes, request: STUNMessage) -> bytes:
    key = short_term_key("a secret of two")
    checked = check_short_term(data, request, lambda name: key if name == "alice" else None)
    if isinstance(checked, int):
        return error_response(request, checked)
    return answer(request, SUCCESS, (), checked)


def test_short_term() -> None:
    scene = Scene(short_term_server, ShortTermCredentials("alice", "a secret of two"))
    assert isinstance(scene.ask(), STUNMessage)
    # Section 9.1.5: only the attribute that was answered.
    scene.ask()
    first, second = (parse_stun(data) for _, data in scene.sent)
    assert first.first(MESSAGE_INTEGRITY) and first.first(MESSAGE_INTEGRITY_SHA256)
    assert second.first(MESSAGE_INTEGRITY) is None and second.first(MESSAGE_INTEGRITY_SHA256)


@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("bob", "a secret of two")])
def test_short_term_refused(name: str, password: str) -> None:
    # The 401 cannot be authentic: it is as if it had not come (section 9.1.4).
    scene = Scene(short_term_server, ShortTermCredentials(name, password))
    scene.ask()
    scene.pass_time(40)
    assert failure(scene.outcomes[0]) == (0, "the integrity protection was violated")
    scene.check_empty()


def test_forged_over_a_stream() -> None:
    scene = Scene(success, ShortTermCredentials("alice", "a secret of two"), reliable=True)
    assert failure(scene.ask())[0] == 0
    scene.check_empty()


def test_request_without_credentials_is_400() -> None:
    request = STUNMessage(BINDING, 0, bytes(12))
    assert parse_stun(short_term_server(request.to_bytes(), request)).error == (400, "Bad Request")
