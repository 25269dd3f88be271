"""A whole configuration file with one thing changed, eighty times: every fault is one line that names key and mend.

``twisted-sip check`` and ``twistd sip-proxy --config`` both say so, with no traceback and an exit status that is not 0.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import twisted_sip
from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.configuration import Configuration, load, read
from twisted_sip.tap.constraints import bare_type, is_list, item_type
from twisted_sip.tap.keys import key_fields

ROOT = Path(twisted_sip.__file__).parent.parent

HERE = Path(__file__).parent / "mutations"
FULL = (HERE / "full.toml").read_text()

#: Twists of the file as a whole: its bytes, and the faults.
FILES: dict[str, tuple[bytes, list[str]]] = {
    "encoding": (
        FULL.replace('reason = "Gone"', 'reason = "Dépassé"').encode("latin-1"),
        ["line 49: is not UTF-8, save the file as UTF-8"],
    ),
    "utf-16": (FULL.encode("utf-16"), ["line 1: is not UTF-8, save the file as UTF-8"]),
    "binary": (b"\x00\x01\x02", ["line 1, column 1: invalid statement, correct the TOML there"]),
    "json": (b'{"server": {}}', ["line 1, column 1: invalid statement, correct the TOML there"]),
}


def texts() -> dict[str, tuple[bytes, list[str]]]:
    """Return every file that is wrong: name -> bytes and faults."""
    found = dict(FILES)
    for number, one in enumerate(tomllib.loads((HERE / "mutations.toml").read_text())["mutation"]):
        assert one["replace"] in FULL, one
        key = re.sub(r"\W+", "-", one["faults"][0].partition(": ")[0])
        found[f"{number:02}-{key}"] = (FULL.replace(one["replace"], one["by"], 1).encode(), one["faults"])
    return found


TEXTS = texts()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all files; those that the configuration names are there."""
    place = tmp_path_factory.mktemp("mutated")
    for name in ("certificate.pem", "key.pem"):
        (place / name).write_text("x")
    (place / "right.toml").write_text(FULL)
    for name, (data, _) in TEXTS.items():
        (place / f"{name}.toml").write_bytes(data)
    return place


def check_told(lines: list[str], directory: Path, name: str) -> None:
    """Look whether *lines* tell the faults of the file *name*."""
    wanted = [f"{directory}/{name}.toml: {fault}".replace("{directory}", str(directory)) for fault in TEXTS[name][1]]
    assert len(lines) == len(wanted), lines
    for line, fault in zip(lines, wanted, strict=True):
        begins = fault.removesuffix("...")
        assert line.startswith(begins) if begins != fault else line == fault


def test_what_is_changed_is_right(directory: Path) -> None:
    assert load(directory / "right.toml").auth.realm == "example.com"
    (directory / "marked.toml").write_bytes(b"\xef\xbb\xbf" + FULL.encode())
    assert load(directory / "marked.toml") == load(directory / "right.toml")
    assert len(TEXTS) >= 50


@pytest.mark.parametrize("name", TEXTS)
def test_every_fault_is_one_precise_line(directory: Path, name: str) -> None:
    path = directory / f"{name}.toml"
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    shown = list(caught.value.problems)
    check_told(shown, directory, name)
    for line in shown:
        # What is wrong, then what would be right.
        assert ", " in line or line.endswith("?")


#: Runs a command for each file in one process: an interpreter for each would take minutes.
MANY = """
import contextlib, io, json, sys
{setup}
found = {{}}
for path in sys.argv[1:]:
    out, err, status = io.StringIO(), io.StringIO(), "none"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            {run}
        except SystemExit as end:
            status = end.code
    found[path] = [status, out.getvalue(), err.getvalue()]
print(json.dumps(found))
"""
CHECK = MANY.format(
    setup="from twisted_sip.cli.main import cli",
    run="cli(['check', path, '--no-dns'], prog_name='twisted-sip')",
)
TWISTD = MANY.format(
    setup="from twisted.scripts.twistd import run",
    run="sys.argv = ['twistd', '-n', '--pidfile=', 'sip-proxy', '--config', path]; run()",
)


def results(program: str, directory: Path) -> dict[str, tuple[int, str, str]]:
    """Return exit status, standard output and standard error of *program* for each file."""
    paths = [str(directory / f"{name}.toml") for name in TEXTS]
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], cwd=directory, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {Path(path).stem: result for path, result in found.items()}


def test_check_says_so(directory: Path) -> None:
    for name, (status, out, err) in results(CHECK, directory).items():
        faults = TEXTS[name][1]
        wrong = [line for line in out.splitlines() if line.startswith("error")]
        assert (status, len(wrong), err) == (1, len(faults), ""), (name, out)
        for fault, line in zip(faults, wrong, strict=True):
            assert f"{directory}/{name}.toml: {fault.partition(': ')[0]}: " in line


def test_twistd_says_so(directory: Path) -> None:
    for name, (status, _, err) in results(TWISTD, directory).items():
        assert status == 1, name
        check_told(err.splitlines(), directory, name)
    assert not list(directory.glob("state*"))


@pytest.mark.parametrize("what", ["missing", "directory"])
def test_a_file_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    path = tmp_path / "sip.toml"
    if what == "directory":
        path.mkdir()
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    [line] = caught.value.problems
    assert line.startswith(f"{path}: cannot be read (") and line.endswith("write the path of a TOML file")


def keys(cls: type[Any], header: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield header, key and path in faults of every setting in a file: ``[proxy]``, ``fork``, ``proxy.fork``."""
    for field in key_fields(cls):
        type_ = bare_type(field.type)
        below = f"{header}.{field.name}" if header else field.name
        many = is_list(type_) and attrs.has(bare_type(item_type(type_)))
        if attrs.has(type_):
            yield from keys(type_, below)
        elif not many:
            yield (f"[{header}]" if header else ""), field.name, below


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, "sip.toml", Path())
    return list(caught.value.problems)


def test_no_key_takes_what_no_key_can_be() -> None:
    known = list(keys(Configuration))
    assert len(known) > 150
    for header, key, path in known:
        [line] = faults(f"{header}\n{key} = 1979-05-27\n")
        assert line.startswith(f"sip.toml: {path}: ") and ", write " in line, line


def test_every_key_is_known_again_by_its_beginning() -> None:
    for header, key, path in keys(Configuration):
        if len(key) > 4:
            [line] = faults(f"{header}\n{key}x = 1\n")
            assert line == f"sip.toml: {path}x: unknown key, did you mean {key}?"
