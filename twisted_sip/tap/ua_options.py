"""The options of ``twistd sip-ua``: the command line wins over the file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.python import usage

from twisted_sip import __version__
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.answer_texts import ANSWERS
from twisted_sip.tap.configuration import load_as
from twisted_sip.tap.startup import stop_with
from twisted_sip.tap.structuring import structure
from twisted_sip.tap.ua_sections import KINDS, UA_CHECKS, AnswerSection, LineSection, UAConfiguration, UAServerSection

#: What the options are called that stand for keys of the file.
_SHOWN = {"aor": "--register", "proxies": "--proxy", "realms": "--realm", "state_dir": "--state-dir"}


class UAOptions(usage.Options):
    """What the command takes."""

    command = "sip-ua"
    synopsis = "[options]"
    longdesc = (
        "A telephone that answers by itself: echo, announcement, answering machine, menu of keys. "
        "It registers with any registrar, or takes direct calls."
    )
    optParameters = [
        ["config", "c", None, "Configuration file in TOML."],
        ["register", "r", None, "Register this address-of-record, as sip:bob@example.com."],
        ["user", None, None, "Digest user name [default: the user of --register]."],
        ["password-file", None, None, "File whose first line is the password."],
        ["password", None, None, "The password. Others on this machine can see it: better use --password-file."],
        ["registrar", None, None, "Where to register [default: the domain of --register]."],
        ["expires", None, None, "Seconds to register for [default: 3600]."],
        ["answer", "a", None, 'What to do with calls: echo, "play FILE", "record DIR", "dtmf-menu FILE" or '
         '"reject STATUS" [default: echo].'],
        ["ring", None, None, "Seconds to ring before a call is answered [default: 0]."],
        ["advertise", None, None, "Name or address that peers are to use for signalling (behind NAT)."],
        ["state-dir", None, None, "Directory for state [default: ./twisted-sip-ua-state]."],
    ]  # fmt: skip
    optFlags = [["password-stdin", None, "Read the password from standard input, its first line."]]
    compData = usage.Completions(
        optActions={
            "config": usage.CompleteFiles("*.toml"),
            "password-file": usage.CompleteFiles(),
            "state-dir": usage.CompleteDirs(),
        }
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.listen: list[str] = []
        self.proxies: list[str] = []
        self.realms: list[str] = []
        self._base = Path.cwd()
        self._typed: str | None = None
        self._warned = False

    def opt_listen(self, descriptor: str) -> None:
        """Where to listen, as udp:5060:interface=127.0.0.1; may be given again
        [default: any free port if it registers, else udp:5060 and tcp:5060]."""
        self.listen.append(descriptor)

    def opt_proxy(self, uri: str) -> None:
        """The SIP URI of the proxy that everything is sent to; may be given again, for several flows."""
        self.proxies.append(uri)

    def opt_realm(self, realm: str) -> None:
        """A realm that may ask for the password; may be given again [default: the domain of --register]."""
        self.realms.append(realm)

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"twisted-sip {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse *options*; a fault ends the process with one line rather than with the whole help text."""
        given = with_answer(sys.argv[1:] if options is None else options)
        try:
            super().parseOptions(given)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            stop_with([f"twistd {self.command}: {error} (see twistd {self.command} --help)"])

    def parseArgs(self, *arguments: str) -> None:
        """Refuse what is no option."""
        if arguments:
            raise usage.UsageError(f'"{arguments[0]}" is not an option')

    def postOptions(self) -> None:
        """Refuse options that say nothing without others."""
        passwords = [name for name in ("password-file", "password", "password-stdin") if self[name]]
        if len(passwords) > 1:
            raise usage.UsageError(f"--{passwords[0]} and --{passwords[1]} are one too many")
        for name in ("user", "registrar", "expires", *passwords):
            if self[name] and not self["register"]:
                raise usage.UsageError(f"--{name} goes with --register")
        for name, values in (("proxy", self.proxies), ("realm", self.realms)):
            if values and not self["register"]:
                raise usage.UsageError(f"--{name} goes with --register")

    def configuration(self) -> UAConfiguration:
        """Return the settings of the file with those of the command line in their place.

        :raises ConfigurationError: with every fault of both.
        """
        path = self["config"]
        # Read again later, by a daemon that may work in another directory.
        read = load_as(UAConfiguration, Path(path), UA_CHECKS, KINDS, self._base) if path else UAConfiguration()
        faults: list[str] = []
        server = _changed(
            UAServerSection,
            self._base,
            faults,
            listen=self.listen,
            advertise=self["advertise"],
            state_dir=self["state-dir"],
        )
        ring = self._number("ring", float, faults)
        answer = _changed(AnswerSection, self._base, faults, answer=self["answer"], ring=ring)
        lines = read.line
        if self["register"] is not None:
            line, wrong = structure(LineSection, self._line(faults), self._base, UA_CHECKS, KINDS)
            faults += [_fault(key, text) for key, text in wrong]
            # What stands on the command line is one more line, or the line of the file with that address.
            if line is not None:
                lines = (*(one for one in lines if one.aor != line.aor), line)
        if faults:
            raise ConfigurationError(faults)
        section = attrs.evolve(read.server, **server)
        return attrs.evolve(
            read,
            server=attrs.evolve(section, state_dir=self._base / section.state_dir),
            answer=attrs.evolve(read.answer, **answer),
            line=lines,
        )

    def _line(self, faults: list[str]) -> Mapping[str, Any]:
        given: dict[str, Any] = {
            "aor": self["register"],
            "user": self["user"],
            "password_file": self["password-file"],
            "password": self["password"],
            "realms": self.realms,
            "registrar": self["registrar"],
            "proxies": self.proxies,
            "expires": self._number("expires", int, faults),
        }
        if self["password-stdin"]:
            if self._typed is None:
                self._typed = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
            given["password"] = self._typed
            if not given["password"]:
                faults.append("command line: --password-stdin: the password is empty, write it to standard input")
        elif self["password"] and not self._warned:
            self._warned = True
            print(
                "WARNING: everybody on this machine can see the password on the command line; use --password-file or "
                "--password-stdin.",
                file=sys.stderr,
            )
        if not given["aor"].lower().startswith(("sip:", "sips:")):
            given["aor"] = f"sip:{given['aor']}"
        # A zero is a wrong number and not none.
        return {key: value for key, value in given.items() if value or value == 0}

    def _number(self, name: str, kind: type[Any], faults: list[str]) -> Any:
        text = self[name]
        if text is None:
            return None
        try:
            return kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            faults.append(f'command line: --{name}: "{text}" is not {wanted}, write seconds')
            return None


def with_answer(options: Sequence[str]) -> list[str]:
    """Return *options* with ``--answer play FILE`` made one: who forgets the quotes means the same."""
    found: list[str] = []
    rest = list(options)
    while rest:
        word = rest.pop(0)
        found.append(word)
        if word in ("--answer", "-a") and rest:
            answer = rest.pop(0)
            if ANSWERS.get(answer) and rest and not rest[0].startswith("-"):
                answer = f"{answer} {rest.pop(0)}"
            found.append(answer)
    return found


def _changed(cls: type[Any], base: Path, faults: list[str], **values: Any) -> dict[str, Any]:
    given = {key: value for key, value in values.items() if value is not None and value != []}
    section, wrong = structure(cls, given, base, UA_CHECKS, KINDS)
    faults += [_fault(key, text) for key, text in wrong]
    return {} if section is None else {key: getattr(section, key) for key in given}


def _fault(key: str, text: str) -> str:
    name = key.partition("[")[0]
    return f"command line: {_SHOWN.get(name, '--' + name.replace('_', '-'))}: {text}"
