"""The reference of the configuration file is complete."""

from __future__ import annotations

import attrs

from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.constraints import bare_type, is_list, item_type
from twisted_sip.tap.keys import help_of, key_fields
from twisted_sip.tap.reference import reference


def test_every_key_stands_in_the_reference_with_a_meaning() -> None:
    text = reference()
    for section in key_fields(Configuration):
        type_ = bare_type(section.type)
        cls = item_type(type_) if is_list(type_) else type_
        assert f"[{section.name}]" in text
        for field in key_fields(cls):
            kind = bare_type(field.type)
            if attrs.has(item_type(kind) if is_list(kind) else kind):
                # A table of its own.
                continue
            meaning = help_of(cls, field)
            assert len(meaning) > 10, (section.name, field.name)
            row = next(line for line in text.splitlines() if line.startswith(f"| `{field.name}` |") and meaning in line)
            assert row.count(" | ") == 3


def test_the_reference_gives_types_ranges_and_defaults() -> None:
    text = reference()
    assert '| `fork` | one of "parallel", "serial", "none" | `"parallel"` |' in text
    assert "| `max_forwards` | a whole number from 1 to 255 | `70` |" in text
    assert "| `domains` | a list of domains or addresses in quotes | the names and addresses of the host |" in text
    assert "## `[[route]]`" in text
    assert "## `[transport.messages]`" in text
