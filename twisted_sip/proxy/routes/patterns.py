"""Patterns with ``*``, ``?`` and ``[...]`` whose wildcards can be referred to by number."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\*+|\?|\[[!]?\]?[^\]]*\]|.", re.DOTALL)
#: What would mean something else within the brackets of a regular expression.
_SPECIAL = re.compile(r"[\\\[&|~]")


def wildcard_regex(pattern: str) -> str:
    """Return the regular expression for the whole of a text that fits *pattern*; each ``*`` and ``?`` is a group.

    As fnmatch reads it, and made so that no text takes long: what a ``*`` has taken is not tried again, but for the
    last one.
    """
    fixed: list[str] = [""]
    for piece in _PIECE.findall(pattern):
        if piece[0] == "*":
            fixed.append("")
        elif piece == "?":
            fixed[-1] += "(.)"
        elif piece[0] == "[" and len(piece) > 2:
            inside = _SPECIAL.sub(r"\\\g<0>", piece[1:-1])
            fixed[-1] += f"[^{inside[1:]}]" if inside[0] == "!" else f"[{_plain(inside)}]"
        else:
            fixed[-1] += re.escape(piece)
    first, *rest = fixed
    if not rest:
        return rf"(?s:{first})\Z"
    *middle, last = rest
    return rf"(?s:{first}{''.join(f'(?>(.*?){one})' for one in middle)}(.*){last})\Z"


def _plain(inside: str) -> str:
    return "\\" + inside if inside[0] == "^" else inside
