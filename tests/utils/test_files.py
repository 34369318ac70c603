"""Files written as a whole: killed, refused or full, the old content stays."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from full_disk import size_limit

from sklearn_mabprune.utils import files
from sklearn_mabprune.utils.files import NotAFileError, open_regular, write_whole

# The module alone, which takes no time to import.
SCRIPT = f"""
import os, runpy, signal, sys
found = runpy.run_path({files.__file__!r})
def die(*args): os.kill(os.getpid(), signal.SIGKILL)
path, where = sys.argv[1:]
if where == "anywhere":
    print(flush=True)
    while True:
        for letter in (b"a", b"b"):
            found["write_whole"](path, letter * 3_000_000)
old = getattr(os, where)
setattr(os, where, (lambda *args: (old(*args), die())) if where == "replace" else die)
found["write_whole"](path, b"new")
"""


def run(path, where):
    command = [sys.executable, "-S", "-c", SCRIPT, os.fspath(path), where]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.parametrize(
    ("where", "content"), [("open", b"old"), ("fsync", b"old"), ("replace", b"new")]
)
def test_killed_at_a_step(where, content, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with run(path, where) as process:
        assert process.wait() == -signal.SIGKILL
    assert path.read_bytes() == content


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"a" * 3_000_000)
    draw = random.Random(0)
    for _ in range(8):
        with run(path, "anywhere") as process:
            process.stdout.readline()
            time.sleep(draw.uniform(0, 0.05))
            process.kill()
        content = path.read_bytes()
        assert len(content) == 3_000_000
        assert len(set(content)) == 1


def test_what_killed_writers_left_is_removed_after_an_hour(tmp_path):
    path = tmp_path / "model"
    for _ in range(2):
        with run(path, "fsync") as process:
            process.wait()
    old, young = parts = list(tmp_path.glob(".*.part"))
    os.utime(old, (0, time.time() - 4000))
    write_whole(tmp_path / "another", b"x")
    assert all(part.exists() for part in parts)
    write_whole(path, b"x")
    assert not old.exists()
    assert young.exists()


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nodir does not exist"):
        write_whole(tmp_path / "nodir" / "model", b"x")


def test_full_disk(tmp_path):
    path = tmp_path / "model"
    with size_limit(5000):
        with pytest.raises(OSError, match=r"nothing was written, no file was made.*model") as new:
            write_whole(path, bytes(9000))
        assert list(tmp_path.iterdir()) == []
        path.write_bytes(b"old")
        with pytest.raises(OSError, match="the file that was there is unchanged") as caught:
            write_whole(path, bytes(9000))
    assert new.value.errno == caught.value.errno == errno.EFBIG
    assert os.fspath(path) == caught.value.filename
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_step_that_fails(step, error, tmp_path, monkeypatch):
    def fail(*args):
        raise error

    path = tmp_path / "model"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o640])
def test_permissions_are_kept(mode, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


def test_permissions_of_a_new_file_are_those_of_any_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "one", b"x")
        (tmp_path / "other").write_bytes(b"x")
    finally:
        os.umask(before)
    one, other = ((tmp_path / name).stat().st_mode for name in ("one", "other"))
    assert one == other


def test_a_file_that_may_not_be_written(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    # Root may write anything.
    monkeypatch.setattr(os, "access", lambda target, mode: False)
    with pytest.raises(PermissionError, match="Permission denied: nothing was written"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


def test_links_are_followed_and_kept(tmp_path):
    (tmp_path / "folder").mkdir()
    path, link = tmp_path / "folder" / "model", tmp_path / "link"
    link.symlink_to(path)
    for content in (b"old", b"new"):
        write_whole(link, content)
        assert link.is_symlink()
        assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["model"]


def test_paths_of_all_kinds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a", Path("b"), b"c", "d" * 255, "é" * 127, tmp_path / "e"):
        write_whole(path, b"x")
        assert Path(os.fsdecode(path)).read_bytes() == b"x"
    assert len(list(tmp_path.iterdir())) == 6
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"x")
    with pytest.raises(FileNotFoundError, match="no file was made"):
        write_whole(tmp_path / "nowhere" / "model", b"x")


def test_devices_are_written_to():
    write_whole(os.devnull, b"x")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(tmp_path / "socket"))
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for path, kind in [
        (tmp_path / "fifo", "a FIFO"),
        (tmp_path / "link", "a FIFO"),
        (tmp_path / "socket", "a socket"),
        (os.devnull, "a character device"),
    ]:
        with pytest.raises(NotAFileError, match=f"it is {kind}, not a regular file"):
            open_regular(path)


def test_a_fifo_put_in_the_place_of_a_file(tmp_path, monkeypatch):
    """Between the look at the path and its opening: it is not waited for either."""
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(os, "stat", lambda path: os.lstat(__file__))
    with pytest.raises(NotAFileError, match="a FIFO"):
        open_regular(tmp_path / "fifo")
