"""What others see of a Contact URI that says how its device is woken (RFC 8599 section 13)."""

from __future__ import annotations

import pytest

from twisted_sip.message.push_uri import text_without_push, without_push
from twisted_sip.message.uri import parse_uri


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("sip:a@192.0.2.1", "sip:a@192.0.2.1"),
        ("sip:a@192.0.2.1;pn-provider=x;pn-param=y;pn-prid=z;ob", "sip:a@192.0.2.1;ob"),
        ("sip:a@192.0.2.1;PN-Prid=z;ob", "sip:a@192.0.2.1;ob"),
        # RFC 3261 section 19.1.4: escaped, it is the same.
        ("sip:a@192.0.2.1;%70n-prid=z;%50N-param=y", "sip:a@192.0.2.1"),
        ("sip:a%41@192.0.2.1;pn-purr=x", "sip:a%41@192.0.2.1;pn-purr=x"),
        ("tel:+1;pn-prid=z", "tel:+1;pn-prid=z"),
    ],
)
def test_what_others_see(text: str, seen: str) -> None:
    assert text_without_push(text) == str(without_push(parse_uri(text))) == seen


def test_what_is_no_uri() -> None:
    assert text_without_push("sip:;pn-prid=z") == "sip:"
