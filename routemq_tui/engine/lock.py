"""One engine a project and node: an flock on `.routemq/<node>.lock`, which holds the pid of its owner.

The kernel lets go of the lock when its owner dies, however it dies, so a left-over file is no obstacle.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from routemq_tui.errors import ExitCode, RoutemqError

STATE_FOLDER = ".routemq"


class AlreadyRunningError(RoutemqError):
    """Another engine runs this project under the same node name."""

    exit_code = ExitCode.ALREADY_RUNNING

    def __init__(self, root: Path, node: str, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{root}: already running as node {node!r} ({who}); quit that one, or start with --node NAME"
        )
        self.pid = pid


class StateFolderError(RoutemqError):
    """The folder for the engine's own files cannot be written."""

    exit_code = ExitCode.CONFIGURATION


def state_folder(root: Path) -> Path:
    """`.routemq/` beside the configuration, made if need be; then git does not look into it."""
    folder = root / STATE_FOLDER
    try:
        is_new = not folder.exists()
        folder.mkdir(mode=0o700, exist_ok=True)
        if is_new:
            (folder / ".gitignore").write_text("*\n")
        found = folder.stat()
        if found.st_mode & 0o077 and found.st_uid == os.geteuid():  # a mounted volume is somebody else's
            folder.chmod(0o700)  # it holds payloads and the control socket
    except OSError as error:
        raise StateFolderError(f"{folder}: cannot be made: {error.strerror}; make {root} writable") from error
    return folder


class NodeLock:
    def __init__(self, root: Path, node: str) -> None:
        self._root = root
        self._node = node
        self._fd: int | None = None

    def acquire(self) -> None:
        """Raises AlreadyRunningError when another engine holds it."""
        path = state_folder(self._root) / f"{re.sub(r'[^A-Za-z0-9._-]', '_', self._node)}.lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StateFolderError(f"{path}: {error.strerror}; make it writable") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _read_pid(fd)
            os.close(fd)
            raise AlreadyRunningError(self._root, self._node, pid) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Leaves the file: removing it could take it away under a newcomer's lock."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else None
