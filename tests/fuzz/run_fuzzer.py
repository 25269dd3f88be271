"""Runs the coverage-guided fuzzer, or repeats what it found.

    python tests/fuzz/run_fuzzer.py --seconds 600        fuzz; inputs that fail are kept in tests/fuzz/failures
    python tests/fuzz/run_fuzzer.py FILE                 repeat one of them

Exit status 0: nothing was found, 77: a failure was kept, 3: atheris is not installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FAILURES = HERE / "failures"
sys.path.insert(0, str(HERE))


def repeat(path: Path) -> None:
    """Run the input in *path* once, with the traceback of what it raises."""
    from fuzz_properties import one_input

    one_input(path.read_bytes())
    print(f"{path}: nothing is wrong")


def fuzz(seconds: int, corpus: str) -> None:
    """Fuzz for *seconds*; does not return."""
    try:
        import atheris
    except ImportError as error:
        print(f"atheris cannot be imported: {error}")
        sys.exit(3)
    with atheris.instrument_imports(include=["twisted_sip"]):
        import fuzz_properties

        # Instrumented with the rest; the target imports it when it is first called.
        import torture_server  # noqa: F401
    from fuzz_seeds import seeds

    FAILURES.mkdir(exist_ok=True)
    for place, seed in enumerate(seeds()):
        (Path(corpus) / f"seed-{place:03}").write_bytes(seed)
    options = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={FAILURES}/",
        "-verbosity=0",
        "-print_final_stats=1",
        corpus,
    ]
    atheris.Setup(options, fuzz_properties.one_input)
    atheris.Fuzz()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Fuzz parser, framer and authentication header fields.")
    parser.add_argument("file", nargs="?", type=Path, help="an input to repeat")
    parser.add_argument("--seconds", type=int, default=10, help="how long to fuzz")
    parser.add_argument("--corpus", default="", help="a directory to keep what increases the coverage")
    arguments = parser.parse_args()
    if arguments.file is not None:
        repeat(arguments.file)
    elif arguments.corpus:
        Path(arguments.corpus).mkdir(exist_ok=True)
        fuzz(arguments.seconds, arguments.corpus)
    else:
        with tempfile.TemporaryDirectory() as corpus:
            fuzz(arguments.seconds, corpus)


if __name__ == "__main__":
    main()
