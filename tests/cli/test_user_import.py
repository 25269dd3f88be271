"""Importing users: all or none, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from twisted_sip.cli.main import cli
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.passwords import ha1_of


def run(tmp_path: Path, data: bytes | str, *options: str) -> Result:
    path = tmp_path / "users.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    result = CliRunner().invoke(cli, ["user", "import", str(path), "--state-dir", str(tmp_path / "s"), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def stored(tmp_path: Path) -> dict[tuple[str, str], str]:
    store = SQLiteCredentialStore(tmp_path / "s" / "users.db")
    try:
        return {(one.user, one.realm): one.ha1["MD5"] for one in store.users()}
    finally:
        store.close()


@pytest.mark.parametrize(
    "text",
    [
        "aor,password\nalice@example.com,pw\nbob@example.org,p w\n",
        "password,aor\npw,alice@example.com\np w,bob@example.org\n",
        "alice@example.com,pw\r\nbob@example.org,p w",
        '\ufeffAOR, Password\nsip:alice@EXAMPLE.com,pw\n\nbob@example.org,"p w"\n',
    ],
)
def test_users_are_imported(tmp_path: Path, text: str) -> None:
    result = run(tmp_path, text)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "2 users imported\n"
    assert stored(tmp_path) == {
        ("alice", "example.com"): ha1_of("MD5", "alice", "example.com", "pw"),
        ("bob", "example.org"): ha1_of("MD5", "bob", "example.org", "p w"),
    }


def test_known_users_get_the_new_password_and_algorithm(tmp_path: Path) -> None:
    run(tmp_path, "alice@example.com,old")
    run(tmp_path, 'alice@example.com,"new,with comma"', "--algorithm", "SHA-256")
    assert stored(tmp_path) == {("alice", "example.com"): ha1_of("MD5", "alice", "example.com", "new,with comma")}


def test_many(tmp_path: Path) -> None:
    lines = "".join(f"u{number}@example.com,pw{number}\n" for number in range(1000))
    result = run(tmp_path, "aor,password\n" + lines)
    assert result.stdout == "1000 users imported\n"
    assert "1000/1000" in result.stderr
    assert len(stored(tmp_path)) == 1000


def test_every_fault_is_named_with_its_line_and_nobody_is_imported(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "aor,password\n"
        "good@example.com,pw\n"
        "nonsense,pw\n"
        "x@example.com\n"
        "y@example.com,\n"
        '"z@example.com","two\nlines"\n'
        "good@EXAMPLE.com,again\n"
        "w@example.com,a,b\n",
    )
    assert result.exit_code == 1
    found = [line.partition("users.csv: ")[2] for line in result.stderr.splitlines()]
    assert [line.partition(": ")[0] for line in found[:-1]] == [f"line {number}" for number in (3, 4, 5, 6, 8, 9)]
    assert "is not an address-of-record" in found[0]
    assert "has 1 column, write aor,password" in found[1]
    assert "the password is empty" in found[2]
    assert "holds a control character" in found[3]
    assert "good@example.com stands in line 2 already" in found[4]
    assert "has 3 columns" in found[5]
    assert found[-1] == "nobody was imported, correct the file first"
    assert stored(tmp_path) == {}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "holds no users"),
        (b"aor,password\n", "holds no users"),
        (b"alice@example.com,pw\nbob@example.com,\xff\n", "line 2: is not UTF-8"),
        (b'alice@example.com,"open', "is no CSV"),
    ],
)
def test_what_is_no_list_of_users(tmp_path: Path, data: bytes, text: str) -> None:
    result = run(tmp_path, data)
    assert result.exit_code == 1
    assert text in result.stderr


def test_many_faults_are_counted(tmp_path: Path) -> None:
    result = run(tmp_path, "x\n" * 100)
    assert len(result.stderr.splitlines()) == 22
    assert "and 80 more faults" in result.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["user", "import", str(tmp_path / "none.csv"), "--state-dir", str(tmp_path / "s")])
    assert result.exit_code == 1
    assert result.stderr == f"twisted-sip: {tmp_path}/none.csv: cannot be read (no such file or directory)\n"
