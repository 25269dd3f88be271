#!/usr/bin/env python3
"""twistd whose INVITEs ring for ``SOAK_TIMER_C`` seconds at most, so that a short soak has a short wait at its end.

RFC 3261 section 16.6 step 11 wants more than three minutes, and so do the settings; nothing else differs.
"""

from __future__ import annotations

import os
from typing import Any

import attrs
from twisted.scripts.twistd import run

from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration

_made = Server.__init__


def _make(self: Server, reactor: Any, configuration: Configuration, **how: Any) -> None:
    with attrs.validators.disabled():
        proxy = attrs.evolve(configuration.proxy, timer_c=float(os.environ["SOAK_TIMER_C"]))
        configuration = attrs.evolve(configuration, proxy=proxy)
    _made(self, reactor, configuration, **how)


if __name__ == "__main__":
    Server.__init__ = _make  # type: ignore[method-assign,assignment]
    run()
