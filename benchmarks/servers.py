"""The servers that are compared: how each is started for each workload."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
from typing import Any

#: A Python that has sippy, the b2bua to compare with; empty where there is none.
SIPPY = os.environ.get("BENCH_SIPPY", "")
HERE = pathlib.Path(__file__).resolve().parent


def program(name: str) -> str:
    """The path of a command of this environment."""
    beside = pathlib.Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else (shutil.which(name) or name)


def import_users(context: dict[str, Any]) -> None:
    """For the digest workload: users u0, u1 ... with passwords secret0, secret1 ..., by the operator's command."""
    if context["workload"] != "W2":
        return
    accounts = pathlib.Path(context["work"], "accounts.csv")
    lines = [f"u{n}@bench.test,secret{n}" for n in range(int(context["users"]))]
    accounts.write_text("\n".join(["aor,password", *lines, ""]))
    subprocess.run(
        [program("twisted-sip"), "user", "import", str(accounts), "--state-dir", f"{context['work']}/state"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def presence_database(context: dict[str, Any]) -> None:
    """For the presence workload: an empty database from the schema files that Kamailio ships."""
    if context["workload"] not in ("W5", "W8"):
        return
    share = pathlib.Path(shutil.which("kamailio") or "/usr/sbin/kamailio").resolve().parents[1]
    with contextlib.closing(sqlite3.connect(pathlib.Path(context["work"], "kamailio.db"))) as database:
        for part in ("standard", "presence"):
            database.executescript((share / f"share/kamailio/db_sqlite/{part}-create.sql").read_text())


#: cmd: a template for shlex; flags: more of it for a workload; prepare: called before the start.
SERVERS: dict[str, dict[str, Any]] = {
    "twisted-sip": {
        "cmd": program("twistd") + " -n --pidfile= sip-proxy --domain bench.test --state-dir {work}/state "
        "--listen udp:{port}:interface={ip}",
        "flags": {
            "W1": "--no-auth",
            "W3": "--no-auth",
            "W4": "--no-auth",
            "W5": "--no-auth --presence",
            "W6": "--no-auth",
            "W8": "--no-auth --presence",
        },
        "prepare": import_users,
    },
    "twisted-sip-b2bua": {
        "cmd": program("twistd") + " -n --pidfile= sip-b2bua --no-auth --domain bench.test --state-dir {work}/state "
        "--listen udp:{port}:interface={ip}",
    },
    # pip install sippy into an environment of its own, and name its Python in BENCH_SIPPY.
    "sippy-b2bua": {
        "cmd": f"{SIPPY} -m sippy.b2bua_simple -f -l {{ip}} -p {{port}} -n {{ip}}:{{uas_port}}",
        "env": {"SIPLOG_BEND": "none"},
        "registers": False,
    },
    "kamailio": {
        "cmd": "kamailio -DD -E -f {here}/kamailio.cfg -Y {work} -w {work} -m 2048 -M 32 -b 4194304 -l udp:{ip}:{port}",
        "flags": {
            "W2": "-A WITH_AUTH -A NUSERS={users}",
            **dict.fromkeys(("W5", "W8"), "-A WITH_PRESENCE -A 'DBURL=\"sqlite:///{work}/kamailio.db\"'"),
        },
        "prepare": presence_database,
    },
}
