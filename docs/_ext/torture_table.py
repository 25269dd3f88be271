"""Writes the table of docs/torture.md from the one behind the tests, tests/torture/verdicts.py.

``python docs/_ext/torture_table.py`` writes it between the marks of the page.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "torture.md"
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"


def _verdicts() -> Any:
    spec = importlib.util.spec_from_file_location("verdicts", ROOT / "tests" / "torture" / "verdicts.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["verdicts"] = module
    spec.loader.exec_module(module)
    return module.VERDICTS


def table() -> str:
    """Return the table as Markdown."""
    lines = [
        "| message | RFC, section | the RFC says | parser | every field read | UDP | TCP | UDP, auth | TCP, auth |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for verdict in _verdicts():
        rfc = verdict.message.partition("/")[0].removeprefix("rfc")
        cells = (
            f"`{verdict.name}`", f"{rfc}, {verdict.section}", verdict.says, verdict.parser, verdict.full,
            verdict.udp, verdict.tcp, verdict.auth_udp, verdict.auth_tcp,
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page *text* with the table between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
