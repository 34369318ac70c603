"""Files that are written and read as a whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from typing import Any, BinaryIO

#: Seconds after which a part file is taken for the remainder of a killed process.
_ABANDONED = 3600

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class NotAFileError(OSError):
    """A path leads to something that is not a regular file; the message says to what."""


def write_whole(path: Any, data: bytes) -> None:
    """Write a file so that its name stands for the old or the new content at every moment.

    The data are written to a file beside it, flushed to the disk, and renamed.  When the
    process is killed on the way, or the disk is full, the old file is untouched.

    Parameters
    ----------
    path : str or path-like
        File to write.  A file that exists keeps its permissions; a symbolic link is followed and
        kept, a hard link is not.  A device or a FIFO is written to directly.
    data : bytes
        The new content.

    Raises
    ------
    OSError
        If the file cannot be written; the message says so, and the old file is as it was.
    """
    old = None
    with contextlib.suppress(FileNotFoundError):
        old = os.stat(path)
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(path, "wb") as file:
            file.write(data)
        return
    # What a link leads to is replaced, not the link.
    target = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(target)
    # Not the name itself, which with an ending may be too long for a name.
    mark = f".sklearn_mabprune-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}-"
    part = os.path.join(folder, f"{mark}{secrets.token_hex(8)}.part")
    try:
        try:
            if old is not None and not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            _write(part, data, old)
            os.replace(part, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        state = "no file was made" if old is None else "the file that was there is unchanged"
        if not os.path.isdir(folder):
            state += f", the folder {os.path.dirname(os.fsdecode(path))} does not exist"
        reason = (
            f"{error.strerror or error}: nothing was written, {state}. Write to a folder with "
            "space and write permission"
        )
        raise OSError(error.errno, reason, os.fspath(path)) from error
    _remember_name(folder)
    _remove_abandoned(folder, mark)


def _write(part: str, data: bytes, old: os.stat_result | None) -> None:
    """Write and flush a new file with the permissions and owner of the one it will replace."""
    mode = 0o666 if old is None else stat.S_IMODE(old.st_mode)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(part, flags, mode), "wb") as file:
        if old is not None and hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            # After the owner, whose change clears bits of the mode; the umask took others.
            os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remember_name(folder: str) -> None:
    """Flush the new name to the disk, where a folder can be opened."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _remove_abandoned(folder: str, mark: str) -> None:
    """Remove the part files that killed processes left of this file."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(mark) and entry.name.endswith(".part"):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _ABANDONED:
                        os.unlink(entry.path)


def open_regular(path: Any) -> BinaryIO:
    """Open a regular file for reading, without waiting for the writer of a FIFO.

    Parameters
    ----------
    path : str or path-like
        The file; symbolic links are followed.

    Returns
    -------
    file object

    Raises
    ------
    NotAFileError
        If the path leads to a FIFO, a socket or a device, which is not opened.
    OSError
        If the file does not exist, is a directory or cannot be opened.
    """
    _check_regular(os.stat(path))
    # Another process may have put a FIFO in place since: opening that must not wait either.
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    try:
        _check_regular(os.fstat(file.fileno()))
    except NotAFileError:
        file.close()
        raise
    return file


def _open_at_once(name: str, flags: int) -> int:
    """An opener that does not wait."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(found: os.stat_result) -> None:
    """Raise NotAFileError for what is neither a regular file nor a directory."""
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise NotAFileError(f"it is {kind}, not a regular file")
