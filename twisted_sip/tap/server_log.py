"""The log of a server: where it goes and how it is written may change while it runs, and its file may be moved away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap import logs
from twisted_sip.tap.part import Prepared
from twisted_sip.tap.sections import LogSection
from twisted_sip.tap.startup import StartFailure

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.tap.configuration import Configuration

_log = Logger()


@implementer(ILogObserver)
class ServerLog:
    """Writes the log as ``[log]`` says: a follower of the settings (see :mod:`twisted_sip.tap.reload`).

    :param section: how to write.
    :param path: a file that counts more than that of the section, empty for none.
    :param default: the file where neither names one, empty for standard output.
    """

    sections: Sequence[str] = ("log",)
    fixed: Sequence[str] = ()

    def __init__(self, section: LogSection, path: str = "", default: str = "") -> None:
        """Open the file.

        :raises StartFailure: it cannot be opened.
        """
        self._section = section
        self._path = path
        self._default = default
        self._file: Any = None
        self._write: Any = None
        self._use(*self._open(section))

    def __call__(self, event: LogEvent) -> None:
        self._write(event)

    def _open(self, section: LogSection) -> tuple[Any, Any]:
        path = self._path or str(section.file or self._default)
        if not path or path == "-":
            return logs.observer(section), None
        file = logs.open_file(path)
        return logs.observer(section, file), file

    def _use(self, write: Any, file: Any) -> None:
        before, self._file = self._file, file
        self._write = write
        if before is not None:
            before.close()

    def reopen(self) -> None:
        """Go on in a new file, where the old one was moved away; if it cannot be opened the old one goes on."""
        if self._file is None:
            return
        try:
            self._use(*self._open(self._section))
        except StartFailure as error:
            _log.error("the log goes on in the old file: {reason}", reason=str(error))

    def reload(self, server: Server, configuration: Configuration) -> Prepared | None:
        """Open the file that the settings name.

        :raises ConfigurationError: it cannot be opened.
        """
        section = configuration.log
        if section == self._section:
            return Prepared(lambda: None)
        try:
            write, file = self._open(section)
        except StartFailure as error:
            raise ConfigurationError([f"log.file: {error}"]) from error

        def commit() -> None:
            self._section = section
            self._use(write, file)

        return Prepared(commit, lambda: file.close() if file is not None else None)
