"""Temporary."""

from __future__ import annotations

import attrs

from twisted_sip.tap.sections import setting


@attrs.frozen(kw_only=True)
class RegistrarSettings:
    min_expires: int = setting(60, "x", attrs.validators.ge(1))
