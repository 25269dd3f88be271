"""Reads the code blocks of the documentation and runs them: a page is one session in one temporary directory.

What a block is follows from its language:

- ``console``: lines that begin with ``$`` are commands and must succeed; lines after a command are its output, where
  ``...`` stands for anything. Output that asks for a password is answered.
- ``python``: a program of its own that must run.
- any language below ``<!-- file: NAME -->``: a file that the commands after it find.

Other comments above a block: ``<!-- runs on -->`` (the last command stays while the rest of the page is run),
``<!-- exit status: N -->``, and ``<!-- tested by: FILE::TEST -->`` for what cannot be run as it stands.

Ports are changed to free ones wherever the page names them, but in programs.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(`{3,})([^`]*)$")
_COMMENT = re.compile(r"^<!-- ([a-z ]+)(?:: (.*?))? -->$")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STYLES = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[hl]")
#: What a live line has shown last, and before.
_TAKEN_BACK = re.compile(r"[^\n]*\n\r\x1b\[1A\x1b\[2K")
_WRITTEN_OVER = re.compile(r"[^\n]*\r(?=[^\n])")
_QUESTION = re.compile(r"(?i)(password|confirmation): ?$")
#: Seconds for one command.
_PATIENCE = 90.0
_PORTS = re.compile(r"(?<![\d.])(5060|5061|5070|8080)(?![\d])")


class Block(NamedTuple):
    """A code block: where it stands, what it is, and what the comments above say."""

    page: str
    line: int
    language: str
    text: str
    notes: dict[str, str]

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[tuple[str, str]]:
        """Return the commands of a console block with the output that is shown of each."""
        found: list[tuple[str, str]] = []
        continued = False
        for line in self.text.splitlines():
            if continued:
                found[-1] = (found[-1][0] + "\n" + line.removeprefix("> "), "")
            elif line.startswith("$ "):
                found.append((line[2:], ""))
            else:
                assert found, f"{self.place}: output without a command, write the command after a $"
                found[-1] = (found[-1][0], found[-1][1] + line + "\n")
            continued = (continued or line.startswith("$ ")) and line.endswith("\\")
        return found


def pages() -> list[str]:
    """Return every page that people read, as paths from the root of the project."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found += [path for path in sorted((ROOT / "docs").rglob("*.md")) if not {"_build", "code"} & set(path.parts)]
    return [str(path.relative_to(ROOT)) for path in found]


def blocks_of(page: str) -> list[Block]:
    """Return the code blocks of *page* in order."""
    found: list[Block] = []
    notes: dict[str, str] = {}
    fence = ""
    language = ""
    start = 0
    body: list[str] = []
    for number, line in enumerate((ROOT / page).read_text("utf-8").splitlines(), 1):
        mark = _FENCE.match(line.strip())
        if fence:
            if mark and mark[1] == fence and not mark[2]:
                found.append(Block(page, start, language, "\n".join(body) + "\n", notes))
                fence, notes = "", {}
            else:
                body.append(line)
        elif mark:
            fence, language, start, body = mark[1], mark[2].partition(" ")[0], number, []
        elif comment := _COMMENT.match(line.strip()):
            notes[comment[1]] = comment[2] or ""
        elif line.strip():
            notes = {}
    assert not fence, f"{page}:{start}: a code block that does not end"
    return found


def _free_ports(count: int) -> list[int]:
    """Return ports that are free over UDP and TCP on every address."""
    held: list[socket.socket] = []
    ports: list[int] = []
    while len(ports) < count:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        tcp.bind(("", 0))
        try:
            udp.bind(("", tcp.getsockname()[1]))
        except OSError:
            continue
        ports.append(tcp.getsockname()[1])
    for one in held:
        one.close()
    return ports


class Usual:
    """Changes the usual ports in a text to free ones, the same ones throughout a test."""

    def __init__(self) -> None:
        self._ports = dict(zip(("5060", "5061", "5070", "8080"), _free_ports(4), strict=True))

    def changed(self, text: str) -> str:
        return _PORTS.sub(lambda match: str(self._ports[match[1]]), text)

    def listening(self, command: str) -> str:
        """Let a server that would listen on the usual ports of every address listen on those of loopback."""
        command = self.changed(command)
        if re.search(r"\bsip-ua\b", command) and not re.search(r"--(config|help|listen|register)\b", command):
            return command + "".join(
                f" --listen {kind}:{self._ports['5060']}:interface=127.0.0.1" for kind in ("udp", "tcp")
            )
        if not re.search(r"\bsip-(proxy|presence|registrar)\b", command) or re.search(r"--(config|help)\b", command):
            return command
        if "--listen" not in command:
            command += "".join(
                f" --listen {kind}:{self._ports[port]}:interface=127.0.0.1"
                for kind, port in (("udp", "5060"), ("tcp", "5060"), ("tls", "5061"))
            )
        if re.search(r"\bsip-presence\b|--presence\b", command) and "--xcap" not in command:
            command += f" --xcap tcp:{self._ports['8080']}:interface=127.0.0.1"
        return command


class Running:
    """A command in a terminal of its own, as a reader would run it."""

    def __init__(self, command: str, where: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.output = ""
        self._raw = ""
        self.status: int | None = None
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            try:
                # Whoever runs the tests in the background has it ignored, which is inherited; a reader has not.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.chdir(where)
                os.execvpe("bash", ["bash", "-c", command], environment)
            finally:
                os._exit(127)
        self._answered = 0

    def until(self, done: Callable[[str], bool], seconds: float = _PATIENCE) -> bool:
        """Read output, and answer questions for a password, until *done* says so or the command ends."""
        deadline = time.monotonic() + seconds
        while not done(self.output):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
                return False
            try:
                read = os.read(self._terminal, 65536)
            except OSError:
                # How Linux tells that nobody holds the other end any more.
                read = b""
            if not read:
                self._wait()
                return done(self.output)
            self._raw += _STYLES.sub("", read.decode("utf-8", "replace"))
            self.output = _ESCAPES.sub("", _TAKEN_BACK.sub("", self._raw)).replace("\r\n", "\n")
            self.output = _WRITTEN_OVER.sub("", self.output)
            if _QUESTION.search(self.output[self._answered :]):
                self._answered = len(self.output)
                os.write(self._terminal, b"correct-horse-battery\n")
        return True

    def _wait(self) -> None:
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def end(self) -> int:
        """Wait for the end of the command and return its exit status."""
        self.until(lambda output: False)
        if self.status is None:
            os.killpg(self._pid, signal.SIGKILL)
            self._wait()
            raise AssertionError(f"{self.command} does not end:\n{self.output}")
        os.close(self._terminal)
        return self.status

    def interrupt(self) -> None:
        """Press Control-C and wait for the end."""
        if self.status is None:
            os.write(self._terminal, b"\x03")
        self.end()


# Between two spaces anything may stand, also nothing: an empty column is one run of spaces.
COLUMN, ANYTHING = r"\ (?:[^\n]*?\ )?", r"[^\n]*?"


class Shown:
    """What a page shows of an output.

    ``...`` is anything, on a line or between lines; columns may be wider or narrower.
    """

    def __init__(self, text: str) -> None:
        lines = []
        for line in text.rstrip("\n").split("\n"):
            if line.strip() == "...":
                lines.append(r"(?:.*\n)*?")
            else:
                fixed = [re.escape(one_space(part)) for part in line.rstrip().split("...")]
                lines.append(ANYTHING.join(fixed).replace(rf"\ {ANYTHING}\ ", COLUMN) + r"[ \t]*\n")
        self._pattern = re.compile(r"\n*" + "".join(lines), re.MULTILINE)

    def is_all_of(self, output: str) -> bool:
        """Whether *output* is this and no more."""
        return self._pattern.fullmatch(one_space(output)) is not None

    def is_in(self, output: str) -> bool:
        """Whether this is a part of *output*."""
        return self._pattern.search(one_space(output)) is not None


def one_space(text: str) -> str:
    """Return *text* with one space where there are several: more could be matched in too many ways."""
    return re.sub(" +", " ", text)


class Session:
    """One page at work."""

    def __init__(self, where: Path, environment: dict[str, str], ports: Usual) -> None:
        self._where = where
        self._environment = environment
        self._ports = ports
        self._staying: list[Running] = []

    def take(self, block: Block) -> None:
        """Run *block*, or write it into the file that it is."""
        if "tested by" in block.notes:
            return
        if "file" in block.notes:
            text = self._ports.changed(block.text)
            (self._where / block.notes["file"]).write_text(text, "utf-8")
        elif block.language == "console":
            for command, shown in block.commands():
                self._run(block, command, shown)
        elif block.language == "python":
            script = self._where / f"line_{block.line}.py"
            script.write_text(block.text, "utf-8")
            self._run(block, f"python {script.name}", "")

    def _run(self, block: Block, command: str, shown: str) -> None:
        running = Running(self._ports.listening(command), self._where, self._environment)
        expected = Shown(self._ports.changed(shown)) if shown.strip() else None
        if "runs on" in block.notes and command == block.commands()[-1][0]:
            self._staying.append(running)
            assert expected is not None, f"{block.place}: show the output that tells that it runs"
            found = running.until(expected.is_in)
            assert found, f"{block.place}: {running.command}\n{running.output}"
            return
        status = running.end()
        said = f"{block.place}: {running.command}\n{running.output}"
        assert status == int(block.notes.get("exit status", 0)), said
        assert expected is None or expected.is_all_of(running.output.rstrip() + "\n"), said

    def end(self) -> None:
        """Stop what still runs."""
        for running in reversed(self._staying):
            running.interrupt()
            assert "Traceback" not in running.output, running.output


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that wants a page once for each."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", pages())


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory with a short name: the path of a control socket in it must fit into 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="sip") as name:
        yield Path(name)


@pytest.fixture
def blocks(page: str) -> list[Block]:
    """The code blocks of the page."""
    return blocks_of(page)


@pytest.fixture
def usual_ports() -> Usual:
    """Changes the usual ports to free ones."""
    return Usual()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a reader: the commands of this virtual environment first in the path, nothing of the tests."""
    kept = {name: os.environ[name] for name in ("TMPDIR", "COVERAGE_PROCESS_CONFIG") if name in os.environ}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "COLUMNS": "140",
    }


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., Running]]:
    """Starts commands that end with the test."""
    begun: list[Running] = []

    def begin(command: str, where: Path = tmp_path, **more: str) -> Running:
        begun.append(Running(command, where, {**environment, **more}))
        return begun[-1]

    yield begin
    for running in begun:
        if running.status is None:
            running.interrupt()


@pytest.fixture
def session(tmp_path: Path, environment: dict[str, str], usual_ports: Usual) -> Iterator[Session]:
    """A page at work; what it leaves running is stopped."""
    made = Session(tmp_path, environment, usual_ports)
    yield made
    made.end()


@pytest.fixture
def shown() -> type[Shown]:
    """What a page shows of an output."""
    return Shown
