"""Files and links that are replaced in one step, also across a power failure."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api_anomaly.errors import StorageFailed

#: Prefix of names that belong to an unfinished write. The next save deletes them.
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
    """Turns an OSError into StorageFailed: "`what` could not be stored: the disk is full."."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
        raise StorageFailed(f"{what} could not be stored: {reason}.") from error


def unfinished(folder: Path) -> Path:
    """A new temporary name in `folder`."""
    return folder / f"{UNFINISHED}{secrets.token_hex(8)}"


def part_of(path: Path) -> Path:
    """The temporary name for replacing `path`. It is always the same: one writer uses it, the part
    that a killed writer left is overwritten, and no save deletes it as unfinished."""
    return path.with_name(f".{path.name}.part")


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Create a file and flush it to disk. Not atomic: for names that nothing reads yet."""
    _write(path, data, mode, os.O_EXCL)


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` in one step, flushed to disk. One caller at a time."""
    part = part_of(path)
    _write(part, data, mode, os.O_TRUNC)
    os.replace(part, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_link(link: Path, target: str) -> None:
    """Make `link` a symlink to `target` in one step, whatever it was before."""
    if link.is_symlink() and os.readlink(link) == target:
        return
    new = unfinished(link.parent)
    os.symlink(target, new)
    os.replace(new, link)
    sync_folder(link.parent)


def _write(path: Path, data: bytes, mode: int, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
