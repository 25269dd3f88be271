"""From the tables of a TOML file to settings classes, with every fault found in one pass.

cattrs does the walk and collects; here stand the strict conversions (TOML has types, so ``"5"`` is no number) and the
words of the faults: which key, what is wrong, what would be right.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from twisted_sip.errors import LocalProtocolError
from twisted_sip.tap.constraints import (
    Domain,
    ListenDescriptor,
    bare_type,
    bounds,
    choices,
    is_list,
    item_type,
    quoted,
    type_words,
    words_for,
)
from twisted_sip.tap.faults import WrongSetting, WrongSettings, did_you_mean
from twisted_sip.tap.hosts import domain, listen_descriptor
from twisted_sip.tap.keys import key_fields, one_or_many

T = TypeVar("T")

#: Settings class -> what looks at a whole object of it.
Checks = Mapping[type[Any], Callable[[Any], None]]


#: A kind of text -> what makes a value of it and of the directory that relative paths count from.
Kinds = Mapping[Any, Callable[[str, Path], Any]]


def structure(
    cls: type[T], table: Mapping[str, Any], base: Path, checks: Checks | None = None, kinds: Kinds | None = None
) -> tuple[T | None, list[tuple[str, str]]]:
    """Make a *cls* of *table*.

    :param base: the directory that relative paths count from.
    :param checks: settings class -> what looks at a whole object of it and raises WrongSetting.
    :param kinds: kinds of texts beside those that every file may have.
    :returns: the object (None if there are faults) and the faults, each a key and what is wrong and right with it.
    """
    try:
        return _converter(base, checks or {}, kinds or {}).structure(table, cls), []
    except Exception as error:
        faults = list(_faults(error, ""))
        if not faults:
            raise
        return None, faults


def _converter(base: Path, checks: Checks, kinds: Kinds) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True, forbid_extra_keys=True)
    for type_ in (bool, int, float, str):
        converter.register_structure_hook(type_, _scalar)
    converter.register_structure_hook_func(
        lambda type_: type_ is Domain, lambda value, type_: domain(_scalar(value, str))
    )
    converter.register_structure_hook_func(
        lambda type_: type_ is ListenDescriptor, lambda value, type_: listen_descriptor(_scalar(value, str), base)
    )
    converter.register_structure_hook_func(
        lambda type_: type_ in kinds, lambda value, type_: kinds[type_](_scalar(value, str), base)
    )
    converter.register_structure_hook(Path, lambda value, type_: base / Path(_scalar(value, str)).expanduser())
    converter.register_structure_hook_func(_is_choice, _choice)
    converter.register_structure_hook_factory(attrs.has, lambda cls: _table_hook(cls, converter, checks))
    return converter


def _scalar(value: Any, type_: Any) -> Any:
    if type_ is float and type(value) is int:
        return float(value)
    if type(value) is not type_:
        raise WrongSetting(f"{quoted(value)} is not {type_words(type_)}")
    if type_ is float and not math.isfinite(value):  # TOML knows inf and nan
        raise WrongSetting(f"{quoted(value)} is out of range")
    if type_ is str and any(mark in value for mark in "\r\n\0"):
        raise WrongSetting(f"{quoted(value)} is not one line", "write one line, without control characters")
    return value


def _is_choice(type_: Any) -> bool:
    return typing.get_origin(type_) is typing.Literal


def _choice(value: Any, type_: Any) -> Any:
    choices = typing.get_args(type_)
    if value not in choices:
        raise WrongSetting(f"{quoted(value)} is unknown{did_you_mean(value, choices)}")
    return value


def _table_hook(cls: type[Any], converter: cattrs.Converter, checks: Checks) -> Callable[[Any, Any], Any]:
    keys = {field.name for field in key_fields(cls)}
    overrides: Any = {
        field.name: override(struct_hook=_field_hook(cls, field, converter))
        if field.name in keys
        else override(omit=True)
        for field in attrs.fields(cls)
    }
    fill = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **overrides)

    def hook(value: Any, type_: Any) -> Any:
        if not isinstance(value, dict):
            raise WrongSetting(f"{quoted(value)} is not a table", "write its keys below a [header]")
        result = fill(value, type_)
        if cls in checks:
            checks[cls](result)
        return result

    return hook


def _field_hook(cls: type[Any], field: attrs.Attribute[Any], converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Convert and check one field, so that the faults of all fields are found and not the first alone."""
    type_ = bare_type(field.type)
    single = one_or_many(cls, field)

    def hook(value: Any, _: Any) -> Any:
        if single and isinstance(value, str):
            value = [value]
        if is_list(type_) and not isinstance(value, list):
            wrong = f"{type_words(item_type(type_))} or a list" if single else "a list"
            raise WrongSetting(f"{quoted(value)} is not {wrong}", f"write {words_for(field, single)}")
        count = _fixed_length(type_)
        if count and len(value) != count:
            raise WrongSetting(f"{quoted(value)} has {len(value)} of {count}", f"write {words_for(field, single)}")
        if typing.get_origin(type_) is dict and not isinstance(value, dict):
            raise WrongSetting(f"{quoted(value)} is not a table", "write its keys below a [header]")
        try:
            result = converter.structure(value, type_)
            _validate(field, result)
        except WrongSetting as wrong:
            if not wrong.complete:
                wrong.right = f"write {words_for(field, single)}"
            raise
        except IterableValidationError as error:
            for item in error.exceptions:
                if isinstance(item, WrongSetting) and not item.complete:
                    item.right = f"write {type_words(item_type(type_))}"
            raise
        return result

    return hook


def _validate(field: attrs.Attribute[Any], value: Any) -> None:
    if field.validator is None:
        if isinstance(value, (int, float)) and value < 0:  # nothing that is counted or measured here can be
            raise WrongSetting(f"{quoted(value)} is below 0", "write 0 or more")
        return
    try:
        field.validator(None, field, value)
    except WrongSetting:
        raise
    except (ValueError, TypeError) as error:
        if not is_list(bare_type(field.type)):
            if not bounds(field.validator):
                raise _as_told(field, error) from error
            wrong = "is out of range"
            if not isinstance(value, (int, float)):
                wrong = f"is unknown{did_you_mean(value, choices(field.validator))}"
            raise WrongSetting(f"{quoted(value)} {wrong}") from error
        if not bounds(field.validator):
            raise _as_told(field, error) from error
        if _fixed_length(bare_type(field.type)):
            raise WrongSetting(f"{quoted(value)} is out of range") from error
        odd = next((item for item in value if not _item_valid(field, item)), None)
        if odd is None:
            # Each is right by itself, but not all of them together.
            raise WrongSetting(f"{quoted(value)}: {_as_told(field, error)}") from error
        raise WrongSetting(f"{quoted(odd)} is not allowed") from error


def _as_told(field: attrs.Attribute[Any], error: Exception) -> WrongSetting:
    """Return what a validator that has words of its own says; some say what would be right as well."""
    text = str(error).removeprefix(f"{field.name}: ")
    return WrongSetting(text, complete=", write " in text)


def _fixed_length(type_: Any) -> int:
    """Return how many elements *type_* has, 0 where there may be any number."""
    items = typing.get_args(type_)
    return len(items) if typing.get_origin(type_) is tuple and Ellipsis not in items else 0


def _item_valid(field: attrs.Attribute[Any], item: Any) -> bool:
    assert field.validator is not None
    try:
        field.validator(None, field, (item,))
    except (ValueError, TypeError):
        return False
    return True


def _faults(error: BaseException, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(error, ClassValidationError):
        noted, others = error.group_exceptions()
        for part, note in noted:
            yield from _faults(part, _below(key, note.name))
        for part in others:
            # A settings class that compares its fields begins with the name of one of them.
            name, _, rest = str(part).partition(": ")
            if isinstance(part, LocalProtocolError) and rest and name in attrs.fields_dict(error.cl):
                yield _below(key, name), rest
            else:
                yield from _faults(part, key)
    elif isinstance(error, IterableValidationError):
        items, others = error.group_exceptions()
        for part, item_note in items:
            index = item_note.index
            yield from _faults(part, _below(key, index) if isinstance(index, str) else f"{key}[{index}]")
        for part in others:
            yield from _faults(part, key)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in key_fields(error.cl)]
        for name in sorted(error.extra_fields):
            near = did_you_mean(name, known)
            yield _below(key, name), "unknown key" + (near or ", known here: " + ", ".join(sorted(known)))
    elif isinstance(error, WrongSettings):
        for wrong in error.faults:
            yield from _faults(wrong, key)
    elif isinstance(error, WrongSetting):
        yield _below(key, error.key), str(error)
    elif isinstance(error, KeyError):
        name = str(error.args[0])
        yield (key if key.rpartition(".")[2] == name else _below(key, name)), "is missing, write it"
    elif isinstance(error, (ValueError, TypeError)):
        yield key, str(error)


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name
