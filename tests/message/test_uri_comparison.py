"""URI comparison (RFC 3261 section 19.1.4, RFC 5954 section 4.2)."""

from __future__ import annotations

import pytest

from twisted_sip.message.uri import SIPURI, parse_uri

EQUIVALENT = [
    # RFC 3261 section 19.1.4
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=off"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
    # RFC 5954 section 4.2
    ("sip:bob@[::ffff:192.0.2.128]", "sip:bob@[::ffff:c000:280]"),
    ("sip:bob@[2001:db8::9:1]", "sip:bob@[2001:db8::9:01]"),
    ("sip:bob@[0:0:0:0:0:FFFF:129.144.52.38]", "sip:bob@[::FFFF:129.144.52.38]"),
    ("sip:bob@192.0.2.128", "sip:bob@192.00.02.128"),
    # the rules one by one
    ("SIP:bob@h", "sip:bob@h"),
    ("sip:bob@h", "sip:bob@h"),
    ("sip:bo%3ab@h", "sip:bo%3Ab@h"),
    ("sip:a%23b@h", "sip:a#b@h"),
    ("sip:b@h;user=phone", "sip:b@h;user=PHONE"),
    ("sip:b@h;maddr=[2001:db8::1]", "sip:b@h;MADDR=[2001:DB8:0::1]"),
    ("sip:b@h;lr", "sip:b@h"),
    ("sip:b@h;%6Cr;x=%41", "sip:b@h;LR;X=a"),
    ("sip:b@h;x", "sip:b@h;x"),
    ("sip:b@h?Subject=Hello", "sip:b@h?s=hELLO"),
    ("sip:b@h?t=sip:Carol%40X", "sip:b@h?To=sip:Carol%40x"),
    ("sip:b@h?Route=%3Csip:A%40x%3E;Q=1", "sip:b@h?route=%3Csip:A%40X%3E;q=1"),
    ("sip:b@h?Call-ID=Ab", "sip:b@h?i=Ab"),
    ("sip:b@h?a=%31&a=2&b=3", "sip:b@h?b=3&a=1&a=2"),
    ("tel:+1-201-555-0123", "tel:+12015550123"),
    ("HTTP://x/Y", "http://x/Y"),
]

DIFFERENT = [
    # RFC 3261 section 19.1.4
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    # RFC 4475 section 3.1.1.3: "value%41" is not "valueA"; section 3.1.1.4: two distinct contacts
    ("sip:a@h;name=v%61lue%25%34%31", "sip:a@h;name=valueA"),
    ("sip:%00@host5.example.com", "sip:%00%00@host5.example.com"),
    # the rules one by one
    ("sip:bob@h", "sips:bob@h"),
    ("sip:bob@h", "sip:h"),
    ("sip:bob@h", "sip:bob:@h"),
    ("sip:bob:a@h", "sip:bob:A@h"),
    ("sip:a%3Bb@h", "sip:a;b@h"),
    ("sip:a%253Bb@h", "sip:a%3Bb@h"),
    ("sip:bob@h;user=phone", "sip:bob@h"),
    ("sip:bob@h;ttl=1", "sip:bob@h"),
    ("sip:bob@h;method=INVITE", "sip:bob@h"),
    ("sip:bob@h;maddr=x", "sip:bob@h"),
    ("sip:bob@h;maddr=x", "sip:bob@h;maddr=y"),
    ("sip:bob@h;transport=udp", "sip:bob@h;transport=tcp"),
    ("sip:bob@h;x", "sip:bob@h;x=1"),
    ("sip:bob@192.0.2.1", "sip:bob@[::ffff:192.0.2.1]"),
    ("sip:+1-201@h;user=phone", "sip:+1201@h;user=phone"),
    ("sip:b@h?Subject=a", "sip:b@h?Subject=b"),
    ("sip:b@h?Subject=a", "sip:b@h?Subject=a&Subject=a"),
    ("sip:b@h?to=sip:Carol%40x", "sip:b@h?to=sip:carol%40x"),
    ("sip:b@h?Route=%3Csip:A%40x%3E", "sip:b@h?Route=%3Csip:a%40x%3E"),
    ("sip:b@h?Route=%3Csip:a%40x%3E", "sip:b@h?Route=sip:a%40x"),
    ("sip:b@h?Call-ID=Ab", "sip:b@h?Call-ID=aB"),
    ("sip:b@h?x=%22A%22", "sip:b@h?x=%22a%22"),
    ("sip:b@h?a=1&a=2", "sip:b@h?a=2&a=1"),
    # URIs inside URIs are looked into one level deep
    ("sip:b@h?to=sip:c@d?to=sip:e@F", "sip:b@h?to=sip:c@d?to=sip:e@f"),
    ("tel:+1", "sip:+1@h"),
    ("sip:h", "tel:+1"),
    ("http://x", "sip:x"),
    ("http://x/Y", "http://x/y"),
]


@pytest.mark.parametrize(("one", "other"), EQUIVALENT)
def test_equivalent(one: str, other: str) -> None:
    left, right = parse_uri(one), parse_uri(other)
    assert left.equivalent(right)
    assert right.equivalent(left)
    assert left.canonical() == right.canonical()


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different(one: str, other: str) -> None:
    left, right = parse_uri(one), parse_uri(other)
    assert not left.equivalent(right)
    assert not right.equivalent(left)


def test_canonical_tells_apart_what_is_never_ignored() -> None:
    keys = {
        SIPURI.parse(text).canonical()
        for text in (
            "sip:b@h",
            "sip:b@h:5060",
            "sip:b@h;transport=tcp",
            "sip:b@h;user=ip",
            "sip:b@h;ttl=1",
            "sip:b@h;method=BYE",
            "sip:b@h;maddr=x",
            "sip:b@h?x=y",
            "sip:b:p@h",
            "sips:b@h",
            "sip:h",
        )
    }
    assert len(keys) == 11


def test_deeply_nested_headers_do_not_go_deep() -> None:
    nested = "sip:a@b" + "?to=sip:c@d" * 5000
    assert not SIPURI.parse(nested + "?x=y").equivalent(SIPURI.parse(nested + "?x=z"))
