"""Where media go by name, and what is neither a name nor an address."""

import pytest
from twisted.internet.defer import succeed
from twisted.logger import globalLogPublisher

from twisted_sip.errors import MediaRefused

from .test_session_offers import AUDIO, sdp


@pytest.mark.parametrize(
    "host", ["999.1.1.1", "1.2.3", "1..2", "zz::1", "a..b", "<broadcast>", "a" * 64 + ".example", "a." * 130 + "b"]
)
def test_what_is_neither_name_nor_address_is_refused(pair, host):
    asked = []
    pair.planes[0].resolve = asked.append
    with pytest.raises(MediaRefused) as caught:
        pair.a.answer(sdp(AUDIO, f"c=IN IP4 {host}"))
    assert caught.value.status == 488 and not asked
    with pytest.raises(MediaRefused):
        pair.a.answer(sdp(AUDIO + f"a=rtcp:9 IN IP4 {host}\r\n"))


def test_leading_zeros_are_read_over(pair):
    pair.a.answer(sdp(AUDIO, "c=IN IP4 192.000.002.044"))
    assert pair.a.stream.terms.target == ("192.0.2.44", 4000)


@pytest.mark.parametrize("found", ["239.1.2.3", "255.255.255.255", "2001:db8::1"])
def test_a_name_leads_to_no_group_and_no_other_version_of_ip(pair, found):
    logged = []
    pair.planes[0].resolve = lambda host: succeed(found)
    globalLogPublisher.addObserver(logged.append)
    try:
        pair.a.answer(sdp(AUDIO, "c=IN IP4 phone.example.com"))
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert pair.a.stream.terms.target is None
    assert any("No address for media" in (one.get("log_format") or "") for one in logged)
