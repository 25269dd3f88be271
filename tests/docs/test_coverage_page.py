"""docs/rfc-coverage.md: every row has a state, and what is done has a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rfc-coverage.md"


def rows() -> list[list[str]]:
    """Return the cells of every row, headings and rules left out."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("section", "RFC") and not row[0].startswith("---")]


def test_every_row_has_a_state() -> None:
    assert len(rows()) > 40
    for row in rows():
        assert len(row) == 4, row
        assert re.match(r"(done|partial|not yet)(: |$)", row[2]), row
        assert not row[2].startswith("partial") or ":" in row[2], f"say what is missing: {row}"


def test_what_is_done_is_shown_by_tests_that_exist() -> None:
    for row in rows():
        named = re.findall(r"`(tests/[^`]+)`", row[3])
        assert named or row[2].startswith("not yet"), row
        for name in named:
            assert "def test_" in (ROOT / name).read_text("utf-8") or "Contract" in (ROOT / name).read_text("utf-8"), (
                name
            )
