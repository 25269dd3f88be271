"""What may stand in the section [events]."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.notifier_settings import NotifierSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_expires": 100, "max_expires": 99},
        {"max_subscriptions": 0},
        {"notify_rate": 0.0},
        {"notify_burst": 0},
        {"notify_few": -1},
        {"answer_timeout": 0.0},
        {"cseq_block": 0},
        {"contact_user": ""},
        {"contact_user": "a@b"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(wrong))):
        NotifierSettings(**wrong)
