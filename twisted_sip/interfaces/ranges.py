"""What the numbers in settings may be: attrs validators that say so in a way that a reference can be made of.

They look like those of attrs (``bound``, ``compare_op``, ``validators``), and raise what this library raises where a
caller is mistaken.
"""

from __future__ import annotations

from typing import Any

import attrs

from twisted_sip.errors import LocalProtocolError


class Bound:
    """One bound of a number.

    :ivar bound: the bound.
    :ivar compare_op: how the number has to stand to it: ``>=``, ``>`` or ``<=``.
    """

    __slots__ = ("bound", "compare_op")

    def __init__(self, compare_op: str, bound: float) -> None:
        self.compare_op = compare_op
        self.bound = bound

    def holds(self, value: float) -> bool:
        """Tell whether *value* is within the bound; nothing that is no number is."""
        if self.compare_op == ">=":
            return value >= self.bound
        return value > self.bound if self.compare_op == ">" else value <= self.bound

    def __call__(self, instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
        """Check *value*, as attrs asks for it.

        :raises LocalProtocolError: it is out of range; the text begins with the name of the field.
        """
        if not self.holds(value):
            raise LocalProtocolError(
                f"{attribute.name}: {value} is out of range, {self.compare_op} {self.bound} is right"
            )


class Within:
    """Several bounds of a number.

    :ivar validators: these bounds.
    """

    __slots__ = ("validators",)

    def __init__(self, *bounds: Bound) -> None:
        self.validators = bounds

    def __call__(self, instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
        """Check *value*, as attrs asks for it.

        :raises LocalProtocolError: it is out of range.
        """
        for bound in self.validators:
            bound(instance, attribute, value)


def at_least(bound: float) -> Bound:
    """Return what refuses numbers below *bound*."""
    return Bound(">=", bound)


def more_than(bound: float) -> Bound:
    """Return what refuses *bound* and numbers below it."""
    return Bound(">", bound)


def between(low: float, high: float) -> Within:
    """Return what refuses numbers below *low* and above *high*."""
    return Within(Bound(">=", low), Bound("<=", high))


def above(low: float, high: float) -> Within:
    """Return what refuses *low*, numbers below it, and numbers above *high*."""
    return Within(Bound(">", low), Bound("<=", high))
