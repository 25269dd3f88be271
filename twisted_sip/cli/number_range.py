"""Numbers that options take, between two bounds: ``nan`` is below nothing and above nothing, and no number."""

from __future__ import annotations

import math
from typing import Any

import click


class NumberRange(click.FloatRange):
    """A click.FloatRange without ``nan``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return *value* as a number.

        :raises click.BadParameter: it is none, or out of range.
        """
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found
