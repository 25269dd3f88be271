"""The schemas of the RFCs, to check what is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="session")
def check_schema() -> Callable[[str, bytes], None]:
    """Return what fails unless a document is valid: ``check_schema("presence", body)``."""
    loaded: dict[str, etree.XMLSchema] = {}

    def check(name: str, body: bytes) -> None:
        if name not in loaded:
            loaded[name] = etree.XMLSchema(etree.parse(str(SCHEMAS / f"{name}.xsd")))
        loaded[name].assertValid(etree.ElementTree(etree.fromstring(body)))

    return check
