"""The lines of ``twistd sip-ua``: passwords, instance identifiers, answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from twisted_sip.auth.credentials import user_of
from twisted_sip.errors import ConfigurationError
from twisted_sip.message.uri import SIPURI
from twisted_sip.tap.answer_texts import AnswerWords
from twisted_sip.tap.answering import Answer, Echo, Player, Refuser
from twisted_sip.tap.answering_machine import AnsweringMachine
from twisted_sip.tap.mailboxes import Mailbox
from twisted_sip.tap.registration_log import LineCredentials
from twisted_sip.tap.startup import StartFailure, os_error_words
from twisted_sip.tap.state import write_private
from twisted_sip.tap.ua_sections import AnswerSection, LineSection, TURNSection, VoicemailSection
from twisted_sip.tap.voice_menu import load_menu
from twisted_sip.tap.voice_menu_call import MenuAnswer

#: The file of the instance identifiers in the state directory.
INSTANCES_NAME = "instances.json"


def line_password(line: LineSection | TURNSection) -> str:
    """Return the password of *line*, or of a TURN server, empty without one.

    :raises ConfigurationError: its file is empty or cannot be read.
    """
    if line.password_file is None:
        return line.password
    try:
        text = line.password_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{line.password_file}: cannot be read ({os_error_words(error)})"]) from error
    password = text.partition("\n")[0].removesuffix("\r")
    if not password:
        raise ConfigurationError([f"{line.password_file}: is empty, write the password in its first line"])
    return password


def line_credentials(line: LineSection, password: str, token: Callable[[], str]) -> LineCredentials | None:
    """Return what answers challenges to *line*, None without a password.

    :param token: gives random text.
    """
    if not password:
        return None
    uri = SIPURI.parse(line.aor)
    return LineCredentials(line.user or user_of(uri), password, realms=line.realms or None, strongest=True, token=token)


def line_instances(directory: Path, aors: Iterable[str]) -> dict[str, str]:
    """Return the instance identifier of each of *aors*: the same after a restart (RFC 5626 section 4.1).

    :raises StartFailure: they cannot be read or written.
    """
    path = directory / INSTANCES_NAME
    try:
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
            raise ValueError
        wanted = {aor: known.get(aor) or f"urn:uuid:{uuid.uuid4()}" for aor in aors}
        if not wanted.items() <= known.items():
            write_private(path, json.dumps({**known, **wanted}).encode())
    except OSError as error:
        raise StartFailure(f"{path}: {os_error_words(error)}, make it readable for this user") from error
    except ValueError as error:
        raise StartFailure(f"{path}: is damaged, remove it") from error
    return wanted


class Answers:
    """Makes the answers of lines.

    :ivar machines: what takes messages, by directory.
    """

    def __init__(self, section: AnswerSection, voicemail: VoicemailSection, now: Callable[[], float]) -> None:
        """Make none yet.

        :param now: seconds since the epoch.
        """
        self.machines: dict[Path, AnsweringMachine] = {}
        self.changed: Callable[[], object] = lambda: None
        self._section = section
        self._voicemail = voicemail
        self._now = now

    def machine(self, directory: Path) -> AnsweringMachine:
        """Return what takes messages into *directory*."""
        machine = self.machines.get(directory)
        if machine is None:
            mailbox = Mailbox(directory, self._now, lambda: self.changed())
            machine = self.machines[directory] = AnsweringMachine(mailbox, self._voicemail)
        return machine

    def prepare(self) -> None:
        """See whether messages can be taken: their directories are made.

        :raises StartFailure: with one line for each directory that cannot be used.
        """
        faults: list[str] = []
        for directory, machine in self.machines.items():
            try:
                machine.mailbox.prepare()
            except OSError as error:
                words = os_error_words(error)
                faults.append(f"{directory}: no messages can be kept there ({words}), choose another directory")
        if faults:
            raise StartFailure("\n".join(faults))

    def make(self, words: AnswerWords) -> Answer:
        """Return what *words* say.

        :raises ConfigurationError: the file of a menu has faults.
        """
        if words.kind == "play":
            return Player(words.path, repeat=self._section.repeat)
        if words.kind == "record":
            return self.machine(words.path)
        if words.kind == "dtmf-menu":
            menus = load_menu(words.path)
            for menu in menus.menu.values():
                for action in menu.key.values():
                    if action.record is not None:
                        self.machine(action.record)
            return MenuAnswer(menus, self.machine)
        if words.kind == "reject":
            return Refuser(words.status)
        return Echo()
