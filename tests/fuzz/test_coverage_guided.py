"""The coverage-guided fuzzer for FUZZ_SECONDS / 2 seconds (default 5), and what it once found, forever.

It ends its process, so it has one of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_properties import one_input
from fuzz_seeds import seeds

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FAILURES = HERE / "failures"
RUN = HERE / "run_fuzzer.py"
SECONDS = max(1, int(os.environ.get("FUZZ_SECONDS", "10")) // 2)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(RUN), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=SECONDS + 120,
        check=False,
    )


def command(path: Path) -> str:
    return shlex.join([os.path.relpath(sys.executable, ROOT), str(RUN.relative_to(ROOT)), str(path.relative_to(ROOT))])


def test_fuzzing() -> None:
    before = set(FAILURES.glob("*"))
    done = run("--seconds", str(SECONDS))
    if done.returncode == 3:
        pytest.skip(done.stdout.strip())
    found = sorted(set(FAILURES.glob("*")) - before)
    if done.returncode or found:
        again = "\n".join(f"repeat it with: {command(path)}" for path in found)
        pytest.fail(f"status {done.returncode}\n{done.stdout[-4000:]}\n{again}", pytrace=False)


@pytest.mark.parametrize("path", sorted(FAILURES.glob("*-*")), ids=lambda path: path.name)
def test_what_was_found_before(path: Path) -> None:
    one_input(path.read_bytes())


def test_the_seeds_are_all_right() -> None:
    for seed in seeds():
        one_input(seed)


def test_a_stored_input_is_repeated_by_one_command(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(seeds()[0])
    done = run(str(tmp_path / "input"))
    assert done.returncode == 0 and "nothing is wrong" in done.stdout, done.stdout
