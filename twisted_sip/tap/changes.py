"""What is different between two configurations, key by key, in words for people and without secrets.

Values are written as TOML writes them; what is a secret is masked, and so are passwords in URLs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from twisted_sip.tap.keys import key_fields

T = TypeVar("T")

#: What is told in place of a secret, and of a value that is not there.
MASKED = "***"
NOTHING = "nothing"

_SECRET = re.compile(r"password|secret|passphrase|token|api_key|auth_key|ha1")
_URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)[^/@\s]*@")
_QUERY = re.compile(r"(?P<url>https?://[^?\s]*\?)\S+")


@attrs.frozen(slots=True)
class Change:
    """One key that has another value.

    :ivar key: the key, as in ``route[2].to``.
    :ivar before: its value until now, in words.
    :ivar after: its value from now on.
    """

    key: str
    before: str
    after: str

    @property
    def section(self) -> str:
        """The section that the key stands in."""
        return re.split(r"[.\[]", self.key, maxsplit=1)[0]

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


def changes(before: Any, after: Any) -> list[Change]:
    """Return what is different in *after*, two objects of the same settings class."""
    return list(_of_class(before, after, ""))


def _of_class(before: Any, after: Any, above: str) -> Iterator[Change]:
    for field in key_fields(type(after)):
        key = f"{above}.{field.name}" if above else field.name
        old, new = getattr(before, field.name), getattr(after, field.name)
        yield from _of_value(old, new, key, bool(field.metadata.get("secret")))


def _of_value(old: Any, new: Any, key: str, secret: bool) -> Iterator[Change]:
    if old == new:
        return
    if attrs.has(type(old)) and type(old) is type(new):
        yield from _of_class(old, new, key)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(name for name in new if name not in old)]:
            if name not in old or name not in new or old[name] != new[name]:
                yield from _of_value(old.get(name), new.get(name), f"{key}.{name}", secret)
    elif _of_tables(old) or _of_tables(new):
        yield from _of_lists(old, new, key, secret)
    else:
        secret = secret or _is_secret(key)
        yield Change(key, words(old, secret), words(new, secret))


def _of_tables(value: Any) -> bool:
    return isinstance(value, tuple) and any(attrs.has(type(item)) for item in value)


def _of_lists(old: Sequence[Any], new: Sequence[Any], key: str, secret: bool) -> Iterator[Change]:
    """Compare two arrays of tables: what is the same at either end has not changed."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    gone, come = old[start : len(old) - end], new[start : len(new) - end]
    for place in range(max(len(gone), len(come))):
        name = f"{key}[{start + place}]"
        if place >= len(gone):
            yield Change(name, NOTHING, words(come[place], secret))
        elif place >= len(come):
            yield Change(name, words(gone[place], secret), NOTHING)
        else:
            yield from _of_value(gone[place], come[place], name, secret)


def _is_secret(key: str) -> bool:
    return bool(_SECRET.search(key.rpartition(".")[2]))


def words(value: Any, secret: bool = False) -> str:
    """Return *value* as TOML would write it."""
    if value is None or value == ():
        return NOTHING if value is None else "[]"
    if secret:
        return MASKED if value != "" else '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, Path)):
        text = _QUERY.sub(r"\g<url>" + MASKED, _URL.sub(r"\g<scheme>" + MASKED + "@", str(value)))
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (tuple, list, frozenset, set)):
        return "[" + ", ".join(words(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return _table((name, item, _is_secret(str(name))) for name, item in value.items())
    if attrs.has(type(value)):
        fields = [field for field in key_fields(type(value)) if getattr(value, field.name) != _default(field)]
        return _table(
            (field.name, getattr(value, field.name), bool(field.metadata.get("secret")) or _is_secret(field.name))
            for field in fields
        )
    return str(value)


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    return default.factory() if hasattr(default, "factory") else default


def _table(items: Iterator[tuple[Any, Any, bool]]) -> str:
    inner = ", ".join(f"{name} = {words(value, secret)}" for name, value, secret in items)
    return f"{{ {inner} }}" if inner else "{}"


def is_below(key: str, names: Collection[str]) -> bool:
    """Tell whether *key* is one of *names*, or stands below one of them."""
    return any(key == name or key.startswith((f"{name}.", f"{name}[")) for name in names)


def kept(before: T, after: T, names: Collection[str], above: str = "") -> T:
    """Return *after* with the values that *before* has for the keys in *names*, and below them."""
    values: dict[str, Any] = {}
    for field in key_fields(type(after)):
        key = f"{above}.{field.name}" if above else field.name
        old, new = getattr(before, field.name), getattr(after, field.name)
        if is_below(key, names):
            values[field.name] = old
        elif attrs.has(type(new)) and type(old) is type(new):
            stays = kept(old, new, names, key)
            if stays is not new:
                values[field.name] = stays
    return attrs.evolve(after, **values) if values else after  # type: ignore[misc]
