"""Unix sockets on which the two processes meet."""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ("listen",)


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path.

    Raises:
        OSError: The path is too long (about 100 bytes, unix(7)), or cannot be written.
    """
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(path))
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    return listening
