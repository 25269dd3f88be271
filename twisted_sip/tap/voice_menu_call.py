"""A caller in a menu of keys: prompts, keys, transfers, messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.logger import Logger

from twisted_sip.errors import LocalProtocolError, RequestRefused, SIPError
from twisted_sip.tap.answering import play_prompt
from twisted_sip.tap.answering_machine import AnsweringMachine
from twisted_sip.tap.call_keys import CallKeys
from twisted_sip.tap.voice_menu import KeyAction, Menu, VoiceMenu

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call

_log = Logger()

#: The most menus and actions of one call, so that none goes on for ever.
_MOST_STEPS = 500


class MenuAnswer:
    """Leads callers through menus."""

    def __init__(self, menus: VoiceMenu, machine: Callable[[Path], AnsweringMachine]) -> None:
        """Make one.

        :param machine: returns what takes messages into a directory.
        """
        self._menus = menus
        self._machine = machine

    def refusal(self) -> int:
        return 0

    async def talk(self, call: Call) -> None:
        """Go on until the caller or a key ends it."""
        keys = CallKeys(call)
        try:
            name = self._menus.start
            for _ in range(_MOST_STEPS):
                menu = self._menus.menu[name]
                action = await self._choice(call, menu, keys)
                if action is None or not call.established:
                    break
                if action.menu:
                    name = action.menu
                elif not await self._do(call, action, keys):
                    return
        finally:
            keys.close()
        call.hangup()

    async def _choice(self, call: Call, menu: Menu, keys: CallKeys) -> KeyAction | None:
        """Play the prompt until a key is pressed that does something; None where none was."""
        for _ in range(menu.times):
            if not len(keys):
                await play_prompt(call, menu.prompt)
            if not call.established:
                return None
            key = await keys.next(menu.wait)
            if key in menu.key:
                return menu.key[key]
            if key:
                keys.clear()
                await play_prompt(call, menu.wrong)
        return None

    async def _do(self, call: Call, action: KeyAction, keys: CallKeys) -> bool:
        """Do what a key says; tell whether the menu goes on."""
        if action.hangup:
            call.hangup()
            return False
        if action.transfer:
            if await self._transferred(call, action.transfer):
                return False
            await play_prompt(call, self._menus.failed)
        elif action.record is not None:
            await self._machine(action.record).take_message(call)
            keys.clear()
        else:
            await play_prompt(call, action.play)
        return call.established

    async def _transferred(self, call: Call, target: str) -> bool:
        """Transfer the caller; by a call of our own where the peer does not take REFER."""
        try:
            status = await call.transfer(target).done
        except (LocalProtocolError, RequestRefused) as error:
            if call.over:
                return True
            _log.info("no REFER to {caller} ({reason})", caller=call.remote.uri_text, reason=str(error))
            return await self._connected(call, target)
        _log.info(
            "transfer of {caller} to {target}: {status}", caller=call.remote.uri_text, target=target, status=status
        )
        return status < 300 or call.over

    async def _connected(self, call: Call, target: str) -> bool:
        """Call *target* and join the sound of both calls."""
        try:
            other = call.agent.call(target, account=call.account)
            call.ended.addCallback(lambda _: other.hangup())
            await other.answered
        except SIPError as error:
            _log.info("{target}: {reason}", target=target, reason=str(error))
            return call.over
        call.bridge(other)
        other.ended.addCallback(lambda _: call.hangup())
        return True
