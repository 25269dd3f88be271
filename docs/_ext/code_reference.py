"""Makes a page of the reference for each room of the package, from the docstrings in it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import twisted_sip

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PACKAGE = Path(twisted_sip.__file__).parent

#: The rooms, from the floor up, as in docs/architecture.md.
ROOMS = (
    "errors",
    "message",
    "stun",
    "sdp",
    "documents",
    "interfaces",
    "transaction",
    "dialog",
    "transport",
    "auth",
    "media",
    "storage",
    "element",
    "events",
    "calls",
    "registrar",
    "proxy",
    "redirect",
    "presence",
    "messaging",
    "xcap",
    "agent",
    "b2bua",
    "console",
    "tap",
    "cli",
    "testing",
)


def modules(room: str) -> list[Path]:
    """Return the modules of *room*, the package itself aside."""
    if (PACKAGE / f"{room}.py").exists():
        return [PACKAGE / f"{room}.py"]
    return [path for path in sorted((PACKAGE / room).rglob("*.py")) if path.name != "__init__.py"]


def dotted(path: Path) -> str:
    """Return the name under which the module at *path* is imported."""
    return ".".join(["twisted_sip", *path.relative_to(PACKAGE).with_suffix("").parts])


def summary(path: Path) -> str:
    """Return the first line of the docstring of the module at *path*."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def page(room: str) -> str:
    """Return the page of *room* as Markdown."""
    package = PACKAGE / room / "__init__.py"
    lines = [f"# twisted_sip.{room}", "", summary(package) if package.exists() else "", ""]
    for path in modules(room):
        name = dotted(path)
        heading = name.removeprefix(f"twisted_sip.{room}.") if package.exists() else path.stem
        lines += [f"## {heading}", "", "```{eval-rst}", f".. automodule:: {name}", "```", ""]
    return "\n".join(lines)


def write_pages(app: Sphinx) -> None:
    """Write the pages; those that have not changed stay as they are, so that they are not built anew."""
    place = Path(app.srcdir) / "reference" / "code"
    place.mkdir(exist_ok=True)
    for room in ROOMS:
        text = page(room)
        file = place / f"{room}.md"
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
