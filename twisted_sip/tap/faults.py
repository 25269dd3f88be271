"""A fault in a configuration: what is wrong and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs


class WrongSetting(ValueError):
    """A setting that cannot be used.

    :ivar wrong: what is wrong.
    :ivar right: what would be right, or empty.
    :ivar key: the key at fault below the one being read, or empty.
    :ivar complete: nothing need be added to say what would be right.
    """

    def __init__(self, wrong: str, right: str = "", key: str = "", complete: bool = False) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.right = right
        self.key = key
        self.complete = complete or bool(right) or wrong.endswith("?")

    def __str__(self) -> str:
        return f"{self.wrong}, {self.right}" if self.right else self.wrong


class WrongSettings(ValueError):
    """Several settings that cannot be used.

    :ivar faults: one for each.
    """

    def __init__(self, faults: Sequence[WrongSetting]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


def checked(words: str) -> Callable[[Callable[[Any], None]], Callable[..., None]]:
    """Make an attrs validator of a function of the value that raises :class:`WrongSetting`.

    :param words: what the validator demands, for the reference; empty if the meaning says it.
    """

    def wrap(check: Callable[[Any], None]) -> Callable[..., None]:
        def validator(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
            check(value)

        validator.words = words  # type: ignore[attr-defined]
        return validator

    return wrap


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """Return ``, did you mean x?`` for the nearest of *known*, or an empty text if none is near."""
    near = difflib.get_close_matches(str(value), list(known), 1, 0.7)
    return f", did you mean {near[0]}?" if near else ""
