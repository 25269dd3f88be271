"""Hypothesis on parser, framer, URIs, header fields and authentication: valid things, damaged in structured ways.

FUZZ_SECONDS (default 10) says how long all of fuzzing may take, half of it here.
"""

from __future__ import annotations

import os

from fuzz_properties import NAMES, TARGETS, auth, datagram, header_value, server, stream, uri
from fuzz_seeds import CHALLENGE, CREDENTIALS, OTHERS, URIS, VALUES, messages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))
#: About a thousand examples a second, five tests.
SETTINGS = settings(
    max_examples=max(50, 50 * SECONDS),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

#: What grammars are made of, and what breaks them.
# fmt: off
PIECES = st.one_of(
    st.sampled_from([
        b";", b",", b":", b'"', b"<", b">", b"=", b"@", b"?", b"%", b"%00", b"%zz", b"\\", b"(", b")", b"[", b"]", b"*",
        b" ",
        b"\t", b"\r", b"\n", b"\r\n", b"\r\n ", b"\r\n\r\n", b"\0", b"\x7f", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80",
        b"0", b"-1", b"4294967296", b"99999999999999999999", "٣".encode(), b"SIP/2.0", b"sip:", b"l: 5\r\n", b"ROUTE",
    ]),
    st.binary(max_size=8),
)
# fmt: on


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Something valid in which a few spans are replaced, doubled, dropped or swapped."""
    data = draw(valid)
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        span = data[start:end]
        what = draw(st.integers(0, 3))
        put = draw(PIECES) if what == 0 else span * 2 if what == 1 else b"" if what == 2 else span[::-1]
        data = data[:start] + put + data[end:]
    return data


@st.composite
def shuffled(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """A message whose header lines are doubled, left out, or in another order."""
    head, blank, body = draw(valid).partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    if lines:
        lines = draw(st.lists(st.sampled_from(lines), max_size=2 * len(lines)))
    return b"\r\n".join([start, *lines]) + blank + body


MESSAGES = st.sampled_from(messages())
ANY_MESSAGE = st.one_of(damaged(MESSAGES), shuffled(MESSAGES), damaged(shuffled(MESSAGES)), st.binary(max_size=300))
FIELD_VALUES = st.sampled_from(sorted(VALUES.items()))


@SETTINGS
@given(ANY_MESSAGE)
def test_datagrams(data: bytes) -> None:
    datagram(data)


@SETTINGS
@given(st.integers(0, 255), st.lists(st.one_of(ANY_MESSAGE, st.sampled_from([b"\r\n\r\n", b"\r\n"])), max_size=3))
def test_streams(step: int, parts: list[bytes]) -> None:
    stream(bytes([step]) + b"".join(parts))


@SETTINGS
@given(FIELD_VALUES.flatmap(lambda item: st.tuples(st.just(item[0]), damaged(st.just(item[1])))))
def test_header_values(case: tuple[str, bytes]) -> None:
    name, value = case
    header_value(bytes([NAMES.index(name)]) + value)


@SETTINGS
@given(st.sampled_from(range(len(NAMES))), st.one_of(st.binary(max_size=60), damaged(st.sampled_from(URIS))))
def test_any_value_of_any_header_field(place: int, value: bytes) -> None:
    header_value(bytes([place]) + value)


@SETTINGS
@given(damaged(st.sampled_from(URIS)))
def test_uris(data: bytes) -> None:
    uri(data)


@SETTINGS
@given(st.booleans(), damaged(st.sampled_from([CREDENTIALS, CHALLENGE, *OTHERS])))
def test_auth_header_fields(proxy: bool, data: bytes) -> None:
    auth(bytes([proxy]) + data)


@SETTINGS
@given(st.booleans(), ANY_MESSAGE)
def test_a_running_server(required: bool, data: bytes) -> None:
    server(bytes([128 * required]) + data)


def test_every_target_is_tried() -> None:
    assert list(TARGETS) == ["datagram", "stream", "header_value", "uri", "auth", "server"]
