"""The two set-up commands of the README, and the other targets of the Makefile."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: What the checks are, as commands of the virtual environment.
CHECKS = {"ruff check", "ruff format --check", "lint-imports", "mypy", "coverage run", "coverage report"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that make looks at, with a virtual environment that is ready."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for stamp in ("installed", "installed-dev"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


def test_make_run_starts_a_proxy_with_two_users(checkout: Path, start: Callable[..., Any], usual_ports: Any) -> None:
    options = usual_ports.listening("sip-proxy").removeprefix("sip-proxy ")
    running = start("make run", checkout, RUN_OPTIONS=f"{options} --domain example.com")
    assert running.until(lambda output: "Then call sip:bob@example.com" in output), running.output
    for user in ("alice", "bob"):
        assert re.search(rf"address +sip:{user}@example\.com\n(?:.*\n)+? +password +\S{{10,}}\n", running.output)
    assert (checkout / "twisted-sip-state").is_dir()
    running.interrupt()
    assert "Traceback" not in running.output


def test_make_run_takes_the_usual_ports() -> None:
    said = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "twistd -n --pidfile= sip-proxy --demo" in said.stdout
    assert "--listen" not in said.stdout


def stub_commands(checkout: Path, failing: str = "") -> Path:
    """Put commands into the environment that write down how they are called, and of which one fails."""
    (checkout / ".venv" / "bin").unlink()
    (checkout / ".venv" / "bin").mkdir()
    log = checkout / "called"
    for name in ("ruff", "mypy", "lint-imports", "coverage", "pytest", "python", "pip"):
        command = checkout / ".venv" / "bin" / name
        command.write_text(
            f'#!/bin/sh\necho "{name} $*" >> {log}\ncase "{name} $*" in {failing or "-"}*) exit 3;; esac\n'
        )
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    os.utime(checkout / ".venv" / "installed")
    os.utime(checkout / ".venv" / "installed-dev")
    return log


def test_make_test_runs_every_check(checkout: Path, environment: dict[str, str]) -> None:
    log = stub_commands(checkout)
    done = subprocess.run(["make", "test"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    called = log.read_text().splitlines()
    for check in CHECKS:
        assert any(f"{line} ".startswith(f"{check} ") for line in called), check
    assert any("-m pytest" in line and "tests" in line for line in called)


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_make_test_fails_if_a_check_does(checkout: Path, environment: dict[str, str], check: str) -> None:
    stub_commands(checkout, f'"{check}"')
    done = subprocess.run(["make", "test"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode != 0


def test_an_old_python_is_refused_with_a_reason(tmp_path: Path, environment: dict[str, str]) -> None:
    shutil.copy2(ROOT / "Makefile", tmp_path)
    shutil.copy2(ROOT / "setup.cfg", tmp_path)
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    old = tmp_path / "old-python"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "run", f"PYTHON={old}"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or later" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("target", ["run", "test", "soak", "bench", "docs", "clean"])
def test_targets_that_are_written_about_exist(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_has_exactly_two_set_up_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert re.findall(r"^\$ (.*)$", text, re.MULTILINE) == ["make run", "make test"]
