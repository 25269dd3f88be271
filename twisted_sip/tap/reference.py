"""Makes the reference of the configuration file from the settings classes: every key, its default and its meaning.

``python -m twisted_sip.tap.reference`` prints it as Markdown; ``docs/reference/configuration.md`` is what it prints.
With the word ``user-agent`` it is that of ``twistd sip-ua``, in ``docs/reference/user-agent.md``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import attrs

from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.constraints import bare_type, is_list, item_type, quoted, words_for
from twisted_sip.tap.keys import help_of, key_fields, one_or_many

_OPENING = """\
# Configuration file

The file that `twistd sip-proxy`, `twistd sip-presence` and `twistd sip-registrar` read with `--config FILE` is
[TOML](https://toml.io). Every key may be left out. What stands on the command line wins over the file, and relative
paths in the file count from its directory. `twisted-sip check FILE` reports every fault of a file in one go, each as
`file: key: what is wrong, what would be right`; elements of arrays are counted from 0, so `route[2].to` is in the
third `[[route]]`. The sections `[presence]`, `[lists]`, `[messaging]`, `[events]` and `[xcap]` matter where presence is
served: by `twistd sip-presence`, and by `twistd sip-proxy --presence`.
"""


_OPENING_UA = """\
# Configuration file of a user agent

The file that `twistd sip-ua` reads with `--config FILE` is [TOML](https://toml.io), as that of the
[servers](configuration.md). Every key may be left out but the `aor` of a `[[line]]`. What stands on the command line
wins over the file, and relative paths in the file count from its directory. Faults are told at the start, all of them.
"""

_OPENING_MENU = """\
# Menus of keys

What `dtmf-menu FILE` reads is a TOML file of its own.
"""


def reference() -> str:
    """Return the reference of the servers as Markdown."""
    return "\n".join([_OPENING, *_sections(Configuration)])


def user_agent_reference() -> str:
    """Return the reference of the user agent as Markdown."""
    from twisted_sip.tap.ua_sections import UAConfiguration
    from twisted_sip.tap.voice_menu import KeyAction, Menu, VoiceMenu

    menus = [
        *_section("the file itself", VoiceMenu, "Which menus there are."),
        *_section("[menu.NAME]", Menu, "One menu."),
        *_section("[menu.NAME.key.KEY]", KeyAction, "What a key does: one of these."),
    ]
    return "\n".join([_OPENING_UA, *_sections(UAConfiguration), _OPENING_MENU.replace("# Menus", "## Menus"), *menus])


def _sections(configuration: type[Any]) -> Iterator[str]:
    for section in key_fields(configuration):
        type_ = bare_type(section.type)
        many = is_list(type_)
        cls = item_type(type_) if many else type_
        title = f"[[{section.name}]]" if many else f"[{section.name}]"
        yield from _section(title, cls, help_of(configuration, section), many)


def _section(title: str, cls: type[Any], meaning: str, many: bool = False) -> Iterator[str]:
    yield f"## `{title}`\n"
    yield meaning + "\n"
    if many:
        paragraphs = (inspect.getdoc(cls) or "").split("\n\n")[1:]
        # The fields are in the table.
        yield from (paragraph + "\n" for paragraph in paragraphs if not paragraph.startswith(":"))
    tables = []
    yield "| key | what may be written | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for field in key_fields(cls):
        type_ = bare_type(field.type)
        rows = is_list(type_) and attrs.has(item_type(type_))
        if rows or attrs.has(type_):
            tables.append((field, item_type(type_) if rows else type_, rows))
            continue
        cells = (f"`{field.name}`", words_for(field, one_or_many(cls, field)), _default(field), help_of(cls, field))
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"
    yield ""
    for field, type_, rows in tables:
        name = f"{title.strip('[]')}.{field.name}"
        yield from _section(f"[[{name}]]" if rows else f"[{name}]", type_, help_of(cls, field), rows)


def _default(field: attrs.Attribute[Any]) -> str:
    shown = field.metadata.get("shown_default")
    if shown is not None:
        return str(shown)
    default: Any = field.default
    if hasattr(default, "factory"):
        default = default.factory()
    if default is attrs.NOTHING or default is None:
        return ""
    return f"`{quoted(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    print(user_agent_reference() if sys.argv[1:] == ["user-agent"] else reference(), end="")
