"""What a setting may be, in words: from the type and the attrs validator of its field.

The same words stand in the error for a wrong value and in the generated reference.
"""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any, NewType

import attrs

#: A domain or an address for whose users we are responsible.
Domain = NewType("Domain", str)

#: Where to listen, as transport.descriptors reads it.
ListenDescriptor = NewType("ListenDescriptor", str)

_TYPE_WORDS: dict[Any, str] = {
    Domain: "a domain or an address in quotes",
    ListenDescriptor: "a listen descriptor in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    Path: "a path in quotes",
}

_LIST_WORDS: dict[Any, str] = {
    Domain: "domains or addresses in quotes",
    ListenDescriptor: "listen descriptors in quotes",
    int: "whole numbers",
    str: "texts in quotes",
    Path: "paths in quotes",
}


def bare_type(type_: Any) -> Any:
    """Return *type_* without ``| None``."""
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(type_) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return type_


def is_list(type_: Any) -> bool:
    """Tell whether *type_* is written as a TOML array."""
    return typing.get_origin(type_) in (tuple, list, frozenset, set)


def item_type(type_: Any) -> Any:
    """Return the type of the elements of a list type."""
    return typing.get_args(type_)[0]


def type_words(type_: Any) -> str:
    """Return what may be written for *type_*: ``a whole number``."""
    type_ = bare_type(type_)
    if typing.get_origin(type_) is typing.Literal:
        return "one of " + ", ".join(quoted(choice) for choice in typing.get_args(type_))
    if is_list(type_):
        item = item_type(type_)
        words = _LIST_WORDS.get(item)
        return f"a list of {words}" if words else "a list, each " + type_words(item)
    if attrs.has(type_) or typing.get_origin(type_) is dict:
        return "a table"
    if type_ not in _TYPE_WORDS and hasattr(type_, "__supertype__"):
        return type_words(type_.__supertype__)
    return _TYPE_WORDS.get(type_, getattr(type_, "__name__", str(type_)))


def quoted(value: Any) -> str:
    """Return *value* as TOML writes it, for short values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, Path)):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, (list, tuple, frozenset, set)):
        return "[" + ", ".join(quoted(item) for item in value) + "]"
    if isinstance(value, dict):
        return "a table"
    return f"{value:g}" if isinstance(value, float) else str(value)


def bounds(validator: Any) -> list[str]:
    """Return what an attrs *validator* demands, in words, as far as it is one of those that attrs ships."""
    if validator is None:
        return []
    for inner in ("_validators", "validators"):
        parts = getattr(validator, inner, None)
        if isinstance(parts, (tuple, list)):
            return _merge_range([word for part in parts for word in bounds(part)])
    for inner in ("member_validator", "validator"):
        part = getattr(validator, inner, None)
        if part is not None:
            return bounds(part)
    if hasattr(validator, "bound"):
        words = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}[validator.compare_op]
        return [f"{words} {quoted(validator.bound)}"]
    if hasattr(validator, "options"):
        return ["one of " + ", ".join(quoted(option) for option in validator.options)]
    if hasattr(validator, "min_length"):
        return ["not empty"]
    words_of = getattr(validator, "words", "")
    return [words_of] if words_of else []


def choices(validator: Any) -> list[str]:
    """Return the texts out of which an attrs *validator* demands one, none if it demands something else."""
    for inner in ("_validators", "validators"):
        parts = getattr(validator, inner, None)
        if isinstance(parts, (tuple, list)):
            return [option for part in parts for option in choices(part)]
    part = getattr(validator, "validator", None)
    if part is not None:
        return choices(part)
    return [option for option in getattr(validator, "options", ()) if isinstance(option, str)]


def _merge_range(words: list[str]) -> list[str]:
    low = next((word for word in words if word.startswith("at least ")), None)
    high = next((word for word in words if word.startswith("at most ")), None)
    if low and high:
        rest = [word for word in words if word not in (low, high)]
        return [f"from {low[9:]} to {high[8:]}", *rest]
    return words


def words_for(field: attrs.Attribute[Any], single: bool = False) -> str:
    """Return what may be written for *field*, type and range: ``a whole number from 1 to 65535``.

    :param single: one element may stand for a list.
    """
    type_ = bare_type(field.type)
    demands = bounds(field.validator)
    words = type_words(type_)
    if single:
        words = f"{type_words(item_type(type_))}, or {words}"
    for demand in demands:
        if demand.startswith("one of ") and not is_list(type_):
            words = demand
        elif demand.startswith("one of "):
            # A list of literals has said so.
            words += "" if demand in words else f" out of {demand[7:]}"
        else:
            words += f" {demand}" if demand.startswith("from ") else f", {demand}"
    return words
