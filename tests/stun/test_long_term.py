"""Long-term credentials, on both sides (RFC 8489 section 9.2)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.stun.credentials import (
    LongTermCredentials,
    algorithm_list,
    cookie_nonce,
    nonce_features,
    password_algorithms,
)
from twisted_sip.stun.integrity import MD5, SHA256, long_term_key, opaque_string, sign
from twisted_sip.stun.message import (
    BINDING,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    REALM,
    SUCCESS,
    USERHASH,
    USERNAME,
    STUNMessage,
    parse_stun,
)
from twisted_sip.stun.server import (
    LongTermServer,
    Signature,
    answer,
    error_response,
)

from .conftest import SOURCE, Reply, Scene, failure


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
