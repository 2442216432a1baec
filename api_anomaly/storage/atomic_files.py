"""Files and links that are wholly there or not there at all, also after a power cut."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api_anomaly.errors import StorageFailed

#: Names that begin so belong to a write that has not ended; a sweep may delete them.
UNFINISHED = ".unfinished-"

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "the operation is not permitted",
}


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn an OSError inside the block into StorageFailed: "`what` could not be stored: the disk is
    full.".
    """
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
        raise StorageFailed(f"{what} could not be stored: {reason}.") from error


def unfinished(folder: Path) -> Path:
    """A fresh temporary name in `folder`."""
    return folder / f"{UNFINISHED}{secrets.token_hex(8)}"


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file and flush it to the disk. It is not atomic: use it on names nobody reads
    yet.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` in the place of `path` in one step, flushed to the disk. One caller at a time."""
    # One name, not a fresh one: no sweep can take it away, and a killed writer's rest is written
    # over.
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_link(link: Path, target: str) -> None:
    """Make `link` a symlink to `target` in one step, whatever was there before."""
    if link.is_symlink() and os.readlink(link) == target:
        return
    fresh = unfinished(link.parent)
    os.symlink(target, fresh)
    os.replace(fresh, link)
    sync_folder(link.parent)
