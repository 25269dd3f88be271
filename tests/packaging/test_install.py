"""What a user gets who installs it: from the wheel and editable, in an environment of its own."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from twisted_sip import __version__


def run(environment: Path, where: Path, *command: str) -> str:
    """Run *command* of *environment* in the directory *where*, without any other Python settings."""
    done = subprocess.run(
        [str(environment / "bin" / command[0]), *command[1:]],
        cwd=where,
        env={"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "HOME": str(where)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_twistd_lists_the_plugins_from_another_directory(environment: Path, tmp_path: Path) -> None:
    listed = run(environment, tmp_path, "twistd", "--help")
    assert "sip-proxy " in listed
    assert "sip-registrar " in listed


@pytest.mark.parametrize("command", ["sip-proxy", "sip-registrar"])
def test_each_plugin_loads(environment: Path, tmp_path: Path, command: str) -> None:
    assert "--state-dir" in run(environment, tmp_path, "twistd", command, "--help")


def test_the_command_knows_its_version(environment: Path, tmp_path: Path) -> None:
    assert __version__ in run(environment, tmp_path, "twisted-sip", "--version")


def test_every_command_loads_with_what_is_declared(environment: Path, tmp_path: Path) -> None:
    script = "from twisted_sip.cli.main import cli; [cli.get_command(None, name) for name in cli.list_commands(None)]"
    run(environment, tmp_path, "python", "-c", script)


def test_it_is_the_installed_one_that_runs(environment: Path, tmp_path: Path) -> None:
    where = run(environment, tmp_path, "python", "-c", "import twisted_sip; print(twisted_sip.__file__)").strip()
    assert str(Path(__file__).parents[2]) not in where


def test_the_wheel_has_types_and_plugins_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("dist-info/METADATA"))).decode()
    assert "twisted_sip/py.typed" in names
    assert [name for name in names if name.startswith("twisted/")] == ["twisted/plugins/twisted_sip_plugins.py"]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"twisted", "twisted_sip"}
    assert f"Version: {__version__}" in metadata
    assert "License-Expression: MIT" in metadata or "License: MIT" in metadata
    assert "Requires-Python: >=3.11" in metadata
