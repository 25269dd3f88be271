"""Menus of keys, as a TOML file describes them: what is played, and what each key does.

::

    start = "main"

    [menu.main]
    prompt = "welcome.wav"
    [menu.main.key.1]
    play = "opening-hours.wav"
    [menu.main.key.2]
    transfer = "sip:sales@example.com"
"""

# ruff: noqa: RUF009  (a field, not a shared default)
from __future__ import annotations

from pathlib import Path

import attrs

from twisted_sip.agent.dtmf import KEYS
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI
from twisted_sip.tap.configuration import load_as
from twisted_sip.tap.faults import WrongSetting, did_you_mean
from twisted_sip.tap.sections import setting
from twisted_sip.tap.structuring import Checks
from twisted_sip.tap.voice_prompts import Prompt, prompt_text

#: What a key may do, by the name of its key in the file.
_DEEDS = ("play", "transfer", "record", "menu", "hangup")


@attrs.frozen(kw_only=True)
class KeyAction:
    """What one key does: one of these."""

    play: Prompt = setting(Prompt(""), "A prompt to play; then the menu goes on.")
    transfer: str = setting("", "The SIP URI to transfer the caller to.")
    record: Path | None = setting(None, "The directory to leave a message in; then the menu goes on.")
    menu: str = setting("", "The menu to go on with.")
    hangup: bool = setting(False, "End the call.")


@attrs.frozen(kw_only=True)
class Menu:
    """``[menu.NAME]``: what is played, and what each key does."""

    prompt: Prompt = setting(Prompt(""), "What is played: a WAV file, `tone:busy`, `tone:busy:de` or `keys:123`.")
    wait: float = setting(
        5.0, "Seconds to wait for a key.", attrs.validators.and_(attrs.validators.gt(0.0), attrs.validators.le(300.0))
    )
    times: int = setting(
        3, "How often the prompt is played until the call is ended.",
        attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(100)),
    )  # fmt: skip
    wrong: Prompt = setting(Prompt(""), "What is played after a key that does nothing here.")
    key: dict[str, KeyAction] = attrs.field(
        factory=dict, metadata={"help": "By key (0 to 9, *, #, A to D), what it does."}
    )


@attrs.frozen(kw_only=True)
class VoiceMenu:
    """The menus of one file."""

    start: str = setting("main", "The menu that a call begins with.")
    failed: Prompt = setting(Prompt(""), "What is played when a transfer has failed.")
    menu: dict[str, Menu] = attrs.field(factory=dict, metadata={"help": "The menus by name."})


def _check_action(action: KeyAction) -> None:
    given = [name for name in _DEEDS if getattr(action, name)]
    if len(given) != 1:
        wrong = f"has both {' and '.join(given)}" if given else "does nothing"
        raise WrongSetting(wrong, f"write one of {', '.join(_DEEDS)}")
    if action.transfer:
        try:
            SIPURI.parse(action.transfer)
        except RemoteProtocolError as error:
            raise WrongSetting(
                f'"{action.transfer}" is not a SIP URI', "write one like sip:sales@example.com", "transfer"
            ) from error
    if action.record is not None and action.record.exists() and not action.record.is_dir():
        raise WrongSetting(f"{action.record} is not a directory", "write the path of a directory", "record")


def _check_menu(menu: Menu) -> None:
    for key in menu.key:
        if key not in KEYS:
            raise WrongSetting("is not a key", "write one of 0 to 9, *, #, A to D", f"key.{key}")


def _check_menus(menus: VoiceMenu) -> None:
    if not menus.menu:
        raise WrongSetting("there is no menu", "write [menu.main]", "menu")
    _check_name(menus, menus.start, "start")
    for name, menu in menus.menu.items():
        for key, action in menu.key.items():
            if action.menu:
                _check_name(menus, action.menu, f"menu.{name}.key.{key}.menu")


def _check_name(menus: VoiceMenu, name: str, key: str) -> None:
    if name not in menus.menu:
        near = did_you_mean(name, menus.menu)
        raise WrongSetting(
            f'"{name}" is not a menu{near}', "" if near else f"write one of {', '.join(sorted(menus.menu))}", key
        )


MENU_CHECKS: Checks = {KeyAction: _check_action, Menu: _check_menu, VoiceMenu: _check_menus}


def load_menu(path: Path) -> VoiceMenu:
    """Read the menus in the file at *path*; relative paths in it count from its directory.

    :raises ConfigurationError: with every fault of the file.
    """
    return load_as(VoiceMenu, path, MENU_CHECKS, {Prompt: prompt_text})
