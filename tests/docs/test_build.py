"""The documentation builds without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_documentation_builds_without_warnings(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            # All is read and every reference looked up; to write the pages as well takes as long again.
            "-b",
            "dummy",
            "-d",
            str(tmp_path / "doctrees"),
            "docs",
            str(tmp_path / "pages"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in ("index", "tutorial/first-call", "howto/nat", "reference/configuration", "reference/code/proxy"):
        assert (tmp_path / "doctrees" / f"{page}.doctree").exists()
    assert b"ProxyService" in (tmp_path / "doctrees" / "reference" / "code" / "proxy.doctree").read_bytes()
