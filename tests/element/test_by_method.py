"""Who cares for requests of which methods."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from twisted_sip.element.by_method import ByMethod, cares


class Calls:
    for_methods = frozenset(("INVITE", "BYE"))

    def process(self, incoming: Any) -> None:
        """Pass on."""


class Calmer(Calls):
    def later(self) -> None:
        """Nothing that is called for requests."""


class Watchful(Calls):
    def process(self, incoming: Any) -> None:
        """Look at all."""


class Narrow(Watchful):
    for_methods = frozenset(("INVITE",))


@pytest.mark.parametrize(
    ("one", "methods"),
    [
        (Calls(), ["INVITE", "BYE"]),
        (Calmer(), ["INVITE", "BYE"]),
        (Watchful(), ["INVITE", "BYE", "MESSAGE"]),
        (Narrow(), ["INVITE"]),
        (SimpleNamespace(process=print), ["INVITE", "BYE", "MESSAGE"]),
        (Watchful.process, ["INVITE", "BYE", "MESSAGE"]),
    ],
)
def test_who_overrides_cares_for_all(one: object, methods: list[str]) -> None:
    assert [method for method in ("INVITE", "BYE", "MESSAGE") if cares(one, method, ("process",))] == methods


def test_other_names_override_nothing() -> None:
    assert not cares(Watchful(), "MESSAGE", ("branch", "response"))


def test_a_list_by_method() -> None:
    calls, watchful = Calls(), Watchful()
    those: list[Any] = [calls, watchful]
    by_method: ByMethod[Any] = ByMethod("process")
    assert by_method.seen != those
    by_method.follow(those)
    assert by_method.seen == those
    assert by_method["INVITE"] == (calls, watchful)
    assert by_method["MESSAGE"] == (watchful,)
    those.remove(watchful)
    assert by_method.seen != those
    by_method.follow(those)
    assert by_method["MESSAGE"] == ()


def test_made_up_methods_are_not_remembered() -> None:
    calls, watchful = Calls(), Watchful()
    by_method: ByMethod[Any] = ByMethod("process")
    by_method.follow([calls, watchful])
    for number in range(100):
        assert by_method[f"M{number}"] == (watchful,)
    assert by_method["INFO"] == (watchful,)
    assert list(by_method) == ["INFO"]
