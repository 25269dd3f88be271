"""What a subscriber asks for, and when it asks again (RFC 6665 section 4.1, RFC 6446)."""

from __future__ import annotations

import pytest

from twisted_sip.dialog.rates import Rates
from twisted_sip.dialog.subscription_terms import (
    DEFAULT_PATIENCE,
    SubscriptionTerms,
    expires_granted,
    min_expires_of,
    refresh_delay,
    resubscription_delay,
    retry_after_of,
    retry_delay,
)
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.event_fields import Event, SubscriptionState
from twisted_sip.message.response import Response


def test_fields() -> None:
    terms = SubscriptionTerms(
        event=Event.parse("presence;id=4;max-rate=9"), headers=(("accept", "a/b"),), rates=Rates(max_rate=0.1)
    )
    assert terms.fields(60) == [("event", "presence;id=4;max-rate=0.1"), ("expires", "60"), ("accept", "a/b")]
    assert terms.fields(0, "etag")[-1] == ("suppress-if-match", "etag")


class TestRates:
    """RFC 6446 section 9.2."""

    def test_read(self) -> None:
        told = SubscriptionState.parse("active;max-rate=0.5;min-rate=0.01;adaptive-min-rate=99.9999999999")
        assert Rates.of(told.params) == Rates(max_rate=0.5, min_rate=0.01, adaptive_min_rate=99.9999999999)

    @pytest.mark.parametrize("text", ["0", "0.0", "-1", "100", "1.", "1e3", "x", '"1"'])
    def test_nonsense_is_left_out(self, text: str) -> None:
        assert not Rates.of(SubscriptionState.parse(f"active;max-rate={text}").params)

    def test_written(self) -> None:
        assert Rates(max_rate=10, min_rate=1e-10).params() == [("max-rate", "10"), ("min-rate", "0.0000000001")]
        assert Rates(adaptive_min_rate=0.25).params() == [("adaptive-min-rate", "0.25")]

    @pytest.mark.parametrize("rate", [0, -1, 100])
    def test_out_of_range(self, rate: float) -> None:
        with pytest.raises(LocalProtocolError, match="min_rate"):
            Rates(min_rate=rate)


@pytest.mark.parametrize(("expires", "delay"), [(3600, 3240), (600, 540), (120, 83), (60, 30), (10, 5), (1, 1), (0, 1)])
def test_refresh_before_the_end(expires: int, delay: int) -> None:
    assert refresh_delay(expires) == delay


@pytest.mark.parametrize(
    ("reason", "retry_after", "delay"),
    [
        ("deactivated", None, 0),
        ("deactivated", 60, 0),
        ("probation", None, DEFAULT_PATIENCE),
        ("probation", 5, 5),
        ("rejected", 5, None),
        ("timeout", 5, 0),
        ("giveup", None, DEFAULT_PATIENCE),
        ("giveup", 7, 7),
        ("noresource", 5, None),
        ("invariant", 31536000, None),
        ("", None, 0),
        ("", 9, 9),
        ("frobnicated", 9, 9),
    ],
)
def test_after_a_notify(reason: str, retry_after: int | None, delay: float | None) -> None:
    """RFC 6665 section 4.1.3, one by one."""
    assert resubscription_delay(reason, retry_after) == delay


@pytest.mark.parametrize(
    ("status", "retry_after", "delay"),
    [
        (481, 30, 0),
        (408, None, 0),
        (503, 30, 30),
        (480, None, 0),
        (403, None, None),
        (404, 30, None),
        (489, None, None),
        (301, None, None),
    ],
)
def test_after_a_response(status: int, retry_after: int | None, delay: float | None) -> None:
    assert retry_delay(status, retry_after) == delay


def test_header_fields_of_responses() -> None:
    assert expires_granted(Response(200, headers=[("expires", "60")]), 3600) == 60
    assert expires_granted(Response(200, headers=[("expires", "9999")]), 3600) == 3600
    assert expires_granted(Response(200), 3600) == 3600
    assert expires_granted(Response(200, headers=[("expires", "soon")]), 3600) == 3600
    assert min_expires_of(Response(423, headers=[("min-expires", "90")]), 60) == 90
    assert min_expires_of(Response(423, headers=[("min-expires", "60")]), 60) is None
    assert min_expires_of(Response(423, headers=[("min-expires", "604801")]), 60) is None
    assert min_expires_of(Response(423, headers=[("min-expires", "x")]), 60) is None
    assert min_expires_of(Response(423), 60) is None
    assert retry_after_of(Response(503, headers=[("retry-after", "5 (busy)")])) == 5
    assert retry_after_of(Response(503, headers=[("retry-after", "x")])) is None
    assert retry_after_of(Response(503)) is None
