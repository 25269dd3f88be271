"""What ``twisted-sip check`` looks at in a configuration of ``twistd sip-ua``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import attrs

from twisted_sip.cli.findings import Finding, split_words, surroundings
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.answer_texts import read_answer
from twisted_sip.tap.configuration import Configuration, load_as
from twisted_sip.tap.sections import ServerSection
from twisted_sip.tap.ua_lines import Answers, line_password
from twisted_sip.tap.ua_sections import KINDS, UA_CHECKS, UAConfiguration, listened_on


def is_for_ua(path: Path) -> bool:
    """Tell whether the file at *path* has sections that ``twistd sip-ua`` alone has."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        # What is wrong with it is told where it is read.
        return False
    alone = set(attrs.fields_dict(UAConfiguration)) - set(attrs.fields_dict(Configuration))
    return not alone.isdisjoint(found)


def ua_configuration(path: Path) -> UAConfiguration:
    """Read the file at *path*.

    :raises ConfigurationError: with every fault of the file.
    """
    return load_as(UAConfiguration, path, UA_CHECKS, KINDS)


def ua_findings(configuration: UAConfiguration) -> Iterator[Finding]:
    """Yield what is found on this host."""
    given = configuration.server
    server = ServerSection(listen=listened_on(configuration), advertise=given.advertise, state_dir=given.state_dir)
    yield from surroundings(
        Configuration(
            server=server, tls=configuration.tls, transport=configuration.transport, limits=configuration.limits
        )
    )
    yield from _lines(configuration)
    yield from _answers(configuration)


def _lines(configuration: UAConfiguration) -> Iterator[Finding]:
    for line in configuration.line:
        subject = f"line {line.aor}"
        try:
            password = line_password(line)
        except ConfigurationError as error:
            for problem in error.problems:
                yield Finding("error", subject, *split_words(problem))
            continue
        if password:
            yield Finding("ok", subject, "has a password")
        else:
            yield Finding("warning", subject, "has no password, few registrars do without", "set password_file")


def _answers(configuration: UAConfiguration) -> Iterator[Finding]:
    answers = Answers(configuration.answer, configuration.voicemail, lambda: 0.0)
    for text in dict.fromkeys([configuration.answer.answer, *(line.answer for line in configuration.line)]):
        if not text:
            continue
        try:
            answers.make(read_answer(text, Path()))
        except ConfigurationError as error:
            for problem in error.problems:
                yield Finding("error", f"answer {text}", *split_words(problem))
        else:
            yield Finding("ok", f"answer {text}", "has no faults")
    for directory in answers.machines:
        subject = f"messages in {directory}"
        there = next(path for path in (directory, *directory.parents) if path.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            yield Finding("ok", subject, "can be written" if there == directory else "the first start makes it")
        else:
            wrong = "cannot be written" if there.is_dir() else "is no directory"
            yield Finding("error", subject, f"{there} {wrong}", "choose another directory")
