"""A STUN client against servers of all kinds (RFC 8489 sections 6 and 9)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import LocalProtocolError
from twisted_sip.stun.binding import encode_address
from twisted_sip.stun.credentials import (
    Credentials,
    LongTermCredentials,
    ShortTermCredentials,
    algorithm_list,
    cookie_nonce,
    nonce_features,
    password_algorithms,
)
from twisted_sip.stun.integrity import MD5, SHA256, long_term_key, opaque_string, short_term_key, sign
from twisted_sip.stun.message import (
    ALTERNATE_SERVER,
    BINDING,
    ERROR,
    ERROR_CODE,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    REALM,
    SOFTWARE,
    SUCCESS,
    USERHASH,
    USERNAME,
    STUNMessage,
    error_code,
    parse_stun,
)
from twisted_sip.stun.requester import Requester, STUNFailure
from twisted_sip.stun.server import (
    LongTermServer,
    Signature,
    answer,
    check_short_term,
    error_response,
    unknown_response,
)
from twisted_sip.stun.transaction import Retransmission
from twisted_sip.transaction.timers import TimerQueue

SOURCE = ("192.0.2.1", 5000)
Reply = Callable[[bytes, STUNMessage], bytes | None]


class Scene:
    """A requester whose octets go to *reply*, at once."""

    def __init__(
        self, reply: Reply | None = None, credentials: Credentials | None = None, *, reliable: bool = False
    ) -> None:
        self.clock = Clock()
        self.timers = TimerQueue(self.clock)
        self.sent: list[tuple[float, bytes]] = []
        self.outcomes: list[STUNMessage | STUNFailure] = []
        self.reply = reply
        self.requester = Requester(
            self.timers,
            Random(1).randbytes,
            self._send,
            credentials,
            Retransmission(reliable=reliable),
            software="tests",
            limit=3,
        )

    def _send(self, data: bytes) -> None:
        self.sent.append((self.clock.seconds(), data))
        if self.reply is not None:
            response = self.reply(data, parse_stun(data))
            if response is not None:
                self.requester.datagram(response)

    def ask(self) -> Any:
        self.requester.request(BINDING, lambda _: (), self.outcomes.append)
        return self.outcomes[-1] if self.outcomes else None

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.125] * int(seconds * 8))

    def check_empty(self) -> None:
        assert not self.requester.waiting
        assert not self.timers.pending


def success(data: bytes, request: STUNMessage) -> bytes:
    return answer(request, SUCCESS, ())


def failure(outcome: object) -> tuple[int, str]:
    assert isinstance(outcome, STUNFailure)
    return outcome.code, outcome.reason


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


# -- long-term credentials -----------------------------------------------------------------


class LongTerm:
    def __init__(self, now: float = 0.0, **options: Any) -> None:
        self.now = now
        self.verifier = LongTermServer(
            "example.org", {"alice": "secret", "bob": "other"}, b"key", lambda: self.now, **options
        )
        self.codes: list[int] = []

    def __call__(self, data: bytes, request: STUNMessage) -> bytes:
        checked = self.verifier.check(data, request, SOURCE)
        if isinstance(checked, Signature):
            self.codes.append(0)
            return answer(request, SUCCESS, (), checked)
        error = parse_stun(checked).error
        assert error is not None
        self.codes.append(error[0])
        return checked


@pytest.mark.parametrize("algorithms", [(), (MD5,), (SHA256, MD5), (SHA256,), (9, SHA256)])
@pytest.mark.parametrize("anonymous", [False, True])
def test_long_term(algorithms: tuple[int, ...], anonymous: bool) -> None:
    server = LongTerm(algorithms=algorithms, anonymous=anonymous)
    scene = Scene(server, LongTermCredentials("alice", "secret"))
    assert isinstance(scene.ask(), STUNMessage)
    assert isinstance(scene.ask(), STUNMessage)
    assert server.codes == [401, 0, 0]
    last = parse_stun(scene.sent[-1][1])
    assert (last.first(USERHASH) is not None) is anonymous
    assert (last.first(USERNAME) is not None) is not anonymous
    assert (last.first(MESSAGE_INTEGRITY_SHA256) is not None) is bool(algorithms)
    # The nonce gets stale.
    server.now = 4000
    assert isinstance(scene.ask(), STUNMessage)
    assert server.codes[3:] == [438, 0]
    scene.check_empty()


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("eve", "secret")])
def test_long_term_refused(name: str, password: str, anonymous: bool) -> None:
    server = LongTerm(anonymous=anonymous)
    scene = Scene(server, LongTermCredentials(name, password))
    assert failure(scene.ask()) == (401, "Unauthenticated")
    assert server.codes == [401, 401]
    scene.check_empty()


def challenge(code: int = 401, **changed: bytes | None) -> Reply:
    values: dict[str, bytes | None] = {"nonce": b"plain", "realm": b"example.org", "algorithms": None, **changed}
    kinds = {"nonce": NONCE, "realm": REALM, "algorithms": PASSWORD_ALGORITHMS}
    extra = tuple((kinds[name], value) for name, value in values.items() if value is not None)
    return lambda data, request: error_response(request, code, extra)


@pytest.mark.parametrize(
    "reply",
    [
        challenge(nonce=None),
        challenge(nonce=b""),
        challenge(realm=None),
        challenge(realm=b"\xff"),
        challenge(realm=b"a\nb"),
        challenge(realm=b"x" * 800),
        challenge(nonce=b"x" * 800),
        # Section 9.2.5: somebody has taken the algorithms out; none of them is known.
        challenge(nonce=cookie_nonce(1 << 23, b"rest")),
        challenge(algorithms=algorithm_list((77,)), nonce=cookie_nonce(1 << 23, b"rest")),
    ],
)
def test_challenges_not_to_answer(reply: Reply) -> None:
    scene = Scene(reply, LongTermCredentials("alice", "secret"))
    assert failure(scene.ask())[0] == 401
    assert len(scene.sent) == 1
    scene.check_empty()


def test_endless_challenges() -> None:
    realms = iter(range(100))

    def reply(data: bytes, request: STUNMessage) -> bytes | None:
        return challenge(realm=b"realm %d" % next(realms))(data, request)

    scene = Scene(reply, LongTermCredentials("alice", "secret"))
    assert failure(scene.ask())[0] == 401
    assert len(scene.sent) == 4
    stale = Scene(challenge(438), LongTermCredentials("alice", "secret"))
    assert failure(stale.ask())[0] == 438
    assert len(stale.sent) == 4


def test_bare_400_is_discarded() -> None:
    scene = Scene(lambda data, request: error_response(request, 400), LongTermCredentials("alice", "secret"))
    scene.ask()
    scene.pass_time(40)
    assert failure(scene.outcomes[0])[0] == 0


def test_bid_down_in_a_success_is_ignored() -> None:
    nonce = cookie_nonce(1 << 23, b"rest")
    scene = Scene(lambda data, request: answer(request, SUCCESS, ((NONCE, nonce),)), LongTermCredentials("a", "b"))
    assert scene.ask() is None
    scene.requester.close()


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({}, 400),
        ({REALM: b"example.org"}, 400),
        ({REALM: b"example.org", USERNAME: b"alice"}, 400),
        ({REALM: b"example.org", USERNAME: b"eve", NONCE: b"x"}, 401),
        ({REALM: b"example.org", USERHASH: b"eve", NONCE: b"x"}, 401),
        ({REALM: b"example.org", USERNAME: b"alice", NONCE: b"x"}, 438),
        ({REALM: b"example.org", USERNAME: b"alice", NONCE: b"0123456789abc-rest"}, 438),
        ({REALM: b"example.org", USERNAME: b"alice", NONCE: b"0123456789abc12-rest"}, 438),
        ({REALM: b"example.org", USERNAME: b"alice", NONCE: b"good", PASSWORD_ALGORITHMS: b""}, 400),
        ({REALM: b"example.org", USERNAME: b"alice", NONCE: b"good", PASSWORD_ALGORITHM: b""}, 400),
        (
            {
                REALM: b"example.org",
                USERNAME: b"alice",
                NONCE: b"good",
                PASSWORD_ALGORITHMS: algorithm_list((MD5,)),
                PASSWORD_ALGORITHM: algorithm_list((MD5,)),
            },
            400,
        ),
        (
            {
                REALM: b"example.org",
                USERNAME: b"alice",
                NONCE: b"good",
                PASSWORD_ALGORITHMS: algorithm_list((SHA256, MD5)),
                PASSWORD_ALGORITHM: algorithm_list((5,)),
            },
            400,
        ),
        # A client of RFC 5389 knows nothing of algorithms.
        ({REALM: b"example.org", USERNAME: b"alice", NONCE: b"good"}, 0),
    ],
)
def test_requests_that_a_server_refuses(attributes: dict[int, bytes], code: int) -> None:
    server = LongTerm(now=1.0)
    if attributes.get(NONCE) == b"good":
        attributes = {**attributes, NONCE: server.verifier.nonce(SOURCE)}
    request = STUNMessage(BINDING, 0, bytes(12), tuple(attributes.items()))
    data = sign(request, long_term_key("alice", "example.org", "secret"), (MESSAGE_INTEGRITY,))
    server(data, parse_stun(data))
    assert server.codes == [code]


def test_nonces_differ_by_source() -> None:
    verifier = LongTerm().verifier
    assert verifier.nonce(SOURCE) != verifier.nonce(("192.0.2.1", 5001))


def test_features_and_algorithms() -> None:
    assert nonce_features(b"obMatJos2") == nonce_features(b"other") == 0
    assert nonce_features(b"obMatJos2***!rest") == 0
    assert nonce_features(cookie_nonce(5, b"rest")) == 5
    assert password_algorithms(b"\0\1\0\0\0\2\0\3abc\0\0\3") == (1,)


def test_texts_that_cannot_be() -> None:
    for text in ("", "a\nb", "\ud800"):
        with pytest.raises(LocalProtocolError):
            opaque_string(text)
    assert opaque_string("a\u00a0b\u0065\u0301") == "a b\u00e9"
    with pytest.raises(LocalProtocolError):
        long_term_key("a", "b", "c", 77)
