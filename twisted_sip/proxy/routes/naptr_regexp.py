"""The regexp field of NAPTR records: a substitution that a stranger writes and we carry out (RFC 3402 section 3.2).

Such an expression must not keep us busy: it is taken only in a form whose matching ends soon, which those that are in
use have. RFC 6116 sections 3.1.3 and 5.1 say what clients must put up with.
"""

from __future__ import annotations

import re
from string import digits

#: Quantifiers and alternatives of one expression: a number of 16 characters can be taken apart in some thousand ways.
_MOST_QUANTIFIERS = 3
_MOST_ALTERNATIVES = 3
_MOST_GROUPS = 9

# Python warns of what may be operators within brackets one day.
_ATOM = r"(?:\\[^\w\s]|\[\^?\]?(?:(?!--|&&|~~|\|\|)[^\]\\\[])*\]|[^\\\[\](){}*+?|^$]|\(|\)|\^|\$)"
_TOKEN = re.compile(rf"({_ATOM})(\*|\+|\?|\{{\d{{1,2}}(?:,\d{{0,2}})?\}})?|(\|)")
_REFERENCE = re.compile(r"\\(.)", re.DOTALL)


def substituted(field: str, number: str) -> str | None:
    """Return what the regexp *field* of a record makes of *number*, None where it does not fit or cannot be used.

    :param number: ``+`` and digits.
    """
    parts = _split(field)
    if parts is None:
        return None
    pattern, replacement, flags = parts
    pattern = pattern.replace("[:digit:]", "0-9")
    if flags not in ("", "i") or not _is_harmless(pattern):
        return None
    try:
        # Matching ignores case (RFC 6116 section 3.1.3): digits have none.
        found = re.search(pattern, number, re.IGNORECASE)
    except re.error:
        return None
    if found is None:
        return None
    groups = [found[0], *found.groups("")]

    def filled(reference: re.Match[str]) -> str:
        what = reference[1]
        if what not in digits:
            return what
        return groups[int(what)] if 0 < int(what) < len(groups) else ""

    return _REFERENCE.sub(filled, replacement)


def _split(field: str) -> tuple[str, str, str] | None:
    """Return expression, replacement and flags of *field*; the first character parts them."""
    if not field:
        return None
    delimiter = field[0]
    if delimiter.isdigit() or delimiter in "\\i":
        return None
    parts = [""]
    place = 1
    while place < len(field):
        char = field[place]
        if char == "\\" and place + 1 < len(field):
            escaped = field[place + 1]
            # An escaped delimiter is a plain one (RFC 6116 section 3.1.3).
            parts[-1] += escaped if escaped == delimiter else char + escaped
            place += 2
            continue
        if char == delimiter:
            parts.append("")
        else:
            parts[-1] += char
        place += 1
    return (parts[0], parts[1], parts[2].lower()) if len(parts) == 3 else None


def _is_harmless(pattern: str) -> bool:
    """Tell whether *pattern* is of single characters, classes and groups, with few quantifiers, none of them on a
    group."""
    place = quantifiers = alternatives = groups = 0
    while place < len(pattern):
        found = _TOKEN.match(pattern, place)
        if found is None:
            return False
        place = found.end()
        atom, quantifier, alternative = found.groups()
        if quantifier:
            quantifiers += 1
            if atom in ("(", ")", "^", "$"):
                return False
        groups += atom == "("
        alternatives += alternative is not None
    return quantifiers <= _MOST_QUANTIFIERS and alternatives <= _MOST_ALTERNATIVES and groups <= _MOST_GROUPS
