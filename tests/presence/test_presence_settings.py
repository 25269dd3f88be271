"""What may stand in the section [presence]."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.errors import LocalProtocolError
from twisted_sip.presence.settings import PresenceSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"default_expires": 0},
        {"max_body": -1},
        {"max_publications": 0},
        {"min_expires": -1},
        {"min_interval": -0.5},
        {"min_expires": 100, "max_expires": 99},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(wrong))):
        PresenceSettings(**wrong)


def test_bounds_themselves_are_right() -> None:
    assert PresenceSettings(min_expires=0, max_expires=1, min_interval=0.0).max_expires == 1
