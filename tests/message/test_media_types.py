"""Content-Type, Accept and their like."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.media_types import Coding, ContentDisposition, LanguageRange, MediaRange, MediaType


def test_media_type() -> None:
    found = MediaType.parse('Multipart / Mixed ; Boundary="a b"; charset=ISO-8859-4')
    assert (found.type, found.subtype, found.key) == ("multipart", "mixed", "multipart/mixed")
    assert (found.boundary, found.charset) == ("a b", "iso-8859-4")
    assert str(found) == 'Multipart/Mixed;Boundary="a b";charset=ISO-8859-4'
    assert found == MediaType("multipart/mixed", [("boundary", "a b"), ("charset", "ISO-8859-4")])
    plain = MediaType.parse("application/sdp")
    assert (plain.charset, plain.boundary) == ("utf-8", "")
    assert str(plain) == "application/sdp"
    assert plain == MediaType("Application/SDP")


@pytest.mark.parametrize("text", ["", "text", "text/", "/plain", "text/*", "*/*", "a/b/c", "a b/c", "text/plain;"])
def test_malformed_media_type(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Content-Type header field"):
        MediaType.parse(text)


@pytest.mark.parametrize("token", ["text", "text/*", "text / plain", "text/plain\r\n", ""])
def test_media_type_that_cannot_be_sent(token: str) -> None:
    with pytest.raises(LocalProtocolError):
        MediaType(token)


def test_media_ranges() -> None:
    sdp = MediaType("application/sdp")
    assert MediaRange.parse("*/*").matches(sdp)
    assert MediaRange.parse("Application/*;q=0.3").matches(sdp)
    assert MediaRange.parse("application/SDP;level=1").matches(sdp)
    assert not MediaRange.parse("application/cpl").matches(sdp)
    assert not MediaRange.parse("text/*").matches(sdp)
    assert MediaRange.parse("text/*; q=0.3").q == 300
    assert MediaRange("text/*").q == 1000
    with pytest.raises(RemoteProtocolError, match="Malformed Accept header field"):
        MediaRange.parse("*/plain")


def test_codings_and_languages() -> None:
    assert Coding.parse("*;q=0").q == 0
    assert LanguageRange.parse("en-gb;q=0.8").key == "en-gb"
    with pytest.raises(RemoteProtocolError, match="Accept-Language"):
        LanguageRange.parse("")
    with pytest.raises(RemoteProtocolError, match="Accept-Encoding"):
        Coding.parse("a b")


def test_content_disposition() -> None:
    assert ContentDisposition.parse("session").required
    assert ContentDisposition.parse("icon; handling=REQUIRED").required
    assert not ContentDisposition.parse("icon; handling=Optional").required
