"""examples/file_location_store.py passes the contract suite, and forgets what was only half written."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from twisted.internet.task import Clock

from twisted_sip.interfaces.location import Binding, LocationChange

SOURCE = Path(__file__).parents[2] / "examples" / "file_location_store.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("file_location_store", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_passes_the_suite_without_skipping(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SOURCE), "-v"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.rstrip().endswith("OK")
    assert done.stderr.count("... ok") > 15


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    module = load()
    path = tmp_path / "location.jsonl"
    clock = Clock()
    bindings = [
        Binding(aor="sip:ü@example.com", key=key, contact=key, call_id="1", cseq=1, expires_at=60.0) for key in "ab"
    ]
    store = module.FileLocationStore(clock, path)
    store.commit(LocationChange(bindings[0].aor, (bindings[0],)))
    store.commit(LocationChange(bindings[1].aor, (bindings[1],)))
    store.close()
    path.write_bytes(path.read_bytes()[:-20])
    store = module.FileLocationStore(clock, path)
    assert list(store.bindings()) == bindings[:1]
    store.commit(LocationChange(bindings[1].aor, (bindings[1],)))
    store.close()
    store = module.FileLocationStore(clock, path)
    assert list(store.bindings()) == bindings
    store.close()
