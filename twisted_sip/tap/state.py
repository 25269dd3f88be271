"""The state directory: who may look into it, and the secrets that live there across restarts."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from twisted_sip.tap.startup import StartFailure, os_error_words

#: The file of the key with which dialog tokens are made.
KEY_NAME = "dialog-tokens.key"

_KEY_BYTES = 32


def prepare(directory: Path) -> None:
    """Make *directory*, for its owner alone, if it is not there.

    :raises StartFailure: it cannot be made or written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartFailure(
            f"{directory}: the state directory cannot be made ({os_error_words(error)}), choose another --state-dir"
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StartFailure(
            f"{directory}: the state directory cannot be written (permission denied), choose another --state-dir"
        )


def give_to(directory: Path, uid: int, gid: int | None) -> None:
    """Give *directory* and the files in it to the user and group as whom the server goes on.

    :raises StartFailure: it cannot be done.
    """
    try:
        for path in (directory, *directory.iterdir()):
            os.chown(path, uid, -1 if gid is None else gid, follow_symlinks=False)
    except OSError as error:
        raise StartFailure(
            f"{directory}: cannot be given to user {uid} ({os_error_words(error)}), choose a directory of that user"
        ) from error


def secret_key(directory: Path) -> bytes:
    """Return the key in *directory*, made now if there is none.

    :raises StartFailure: it cannot be read or written.
    """
    path = directory / KEY_NAME
    try:
        if not path.exists():
            write_private(path, secrets.token_bytes(_KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise StartFailure(f"{path}: {os_error_words(error)}, make it readable for this user") from error
    if len(key) != _KEY_BYTES:
        raise StartFailure(f"{path}: is damaged, remove it (calls that are up cannot be ended through us then)")
    return key


def write_private(path: Path, data: bytes) -> None:
    """Write *data* to *path*, whole or not at all, readable for its owner alone.

    :raises OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
