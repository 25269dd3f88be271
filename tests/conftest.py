"""What takes longest begins first, so that it does not run on alone when all the rest is over."""

from __future__ import annotations

import pytest

#: Tests that take minutes, most of them waiting.
_LONGEST = ("tests/soak/test_soak_load.py",)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))
