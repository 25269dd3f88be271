"""A clean environment: a new virtual environment with what twisted-sip declares to need, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
#: What the build needs; everything else must not matter.
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "twisted", "twisted_sip")


def needed(name: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """Return the distributions that *name* requires, those that they require and so on; itself too."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in {"", *extras}]
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        one, extra = place
        dist = found[one] = distribution(one)
        for text in dist.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(requirement.name.lower(), wanted) for wanted in {"", *requirement.extras}]
    return found


def link(dist: Distribution, target: Path) -> None:
    """Put the files of *dist* into the environment at *target*, its commands with the right interpreter."""
    library = site_packages(target)
    for file in dist.files or ():
        source = Path(str(dist.locate_file(file)))
        if not source.is_file() or file.suffix == ".pyc":
            continue
        if ".." in file.parts:
            if "bin" in file.parts:
                command = target / "bin" / file.name
                lines = source.read_text("utf-8").split("\n")
                command.write_text("\n".join([f"#!{target / 'bin' / 'python'}", *lines[1:]]), "utf-8")
                command.chmod(0o755)
            continue
        place = library / file
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            try:
                os.link(source, place)
            except OSError:
                shutil.copy2(source, place)


def site_packages(environment: Path) -> Path:
    """Return where an environment keeps its packages."""
    return environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Gives fresh copies of what is shipped, since builds leave things behind."""

    def copy() -> Path:
        place = tmp_path_factory.mktemp("sources")
        for name in SOURCES:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
                shutil.copytree(ROOT / name, place / name, ignore=ignored)
            else:
                shutil.copy2(ROOT / name, place / name)
        return place

    return copy


@pytest.fixture(scope="session")
def wheel(sources: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as a release would be."""
    place = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(place), str(sources()))
    (built,) = place.glob("*.whl")
    return built


def pip(*arguments: str) -> None:
    """Run pip; what it says is shown if it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session", params=["wheel", "editable"])
def environment(
    request: pytest.FixtureRequest, sources: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A clean virtual environment with twisted-sip installed from its wheel, and one with an editable install."""
    place = tmp_path_factory.mktemp(request.param)
    venv.create(place, with_pip=False)
    dists = needed("twisted-sip")
    del dists["twisted-sip"]
    for dist in dists.values():
        link(dist, place)
    python = str(place / "bin" / "python")
    if request.param == "wheel":
        built = str(request.getfixturevalue("wheel"))
        pip("--python", python, "install", "--no-deps", "--no-index", built)
    else:
        link(distribution("setuptools"), place)
        pip(
            "--python",
            python,
            "install",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "--editable",
            str(sources()),
        )
    return place
