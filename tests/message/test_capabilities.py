"""Feature parameters (RFC 3840 section 9)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.capabilities import Feature, features_of, is_feature_tag
from twisted_sip.message.grammar import parse_params


def test_features_of_a_contact() -> None:
    # RFC 3840 section 9, with what is no feature parameter in between.
    params = parse_params(
        ';audio;video;q=0.5;methods="INVITE,BYE,!ACK";+sip.newparam;+rangeparam="#-4:+5.125";+sip.instance="<urn:x>";'
        'mobility=fixed;+string="<a \\" b>";+n="#>=1"'
    )
    found = features_of(params)
    assert list(found) == ["audio", "video", "methods", "+sip.newparam", "+rangeparam", "mobility", "+string", "+n"]
    assert found["audio"].values == ("TRUE",)
    assert found["methods"].values == ("INVITE", "BYE", "!ACK")
    assert found["+rangeparam"].values == ("#-4:+5.125",)
    assert (found["+string"].values, found["+string"].string) == ((), 'a " b')
    for feature in found.values():
        name, mark, value = str(feature).partition("=")
        assert Feature.parse(name, value if mark else None) == feature


@pytest.mark.parametrize("value", ['"<a"', '"<a><b>"', '""', '"a,"', '"#5"', '"a!b"', '"!!a"', '"a b"'])
def test_malformed(value: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Contact header field"):
        Feature.parse("audio", value)


def test_tags() -> None:
    assert is_feature_tag("AUDIO")
    assert is_feature_tag("+sip.x")
    assert not is_feature_tag("expires")
    assert not is_feature_tag("+1")
    with pytest.raises(RemoteProtocolError, match="bad feature tag"):
        Feature.parse("expires", None)
    with pytest.raises(RemoteProtocolError, match="audio stands twice"):
        features_of(parse_params(";audio;Audio"))


def test_build() -> None:
    assert str(Feature.build("Audio")) == "audio"
    assert str(Feature.build("methods", "INVITE", "!BYE")) == 'methods="INVITE,!BYE"'
    assert str(Feature.build("description", string='<a"'[1:])) == 'description="<a\\">"'
    for build in (
        lambda: Feature.build("x"),
        lambda: Feature.build("audio", "a", string="b"),
        lambda: Feature.build("audio", "a b"),
        lambda: Feature.build("audio", string="<"),
        lambda: Feature.build("audio", string="\n"),
    ):
        with pytest.raises(LocalProtocolError):
            build()
