"""Get one URL into one file: resumed after a cut, checked against its hash, storage errors made clear."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from smcs._network import check_request_allowed
from smcs.errors import ModelFileError

__all__ = ("BytesSink", "check_space", "fetch", "sha256_of", "storage_errors")

BytesSink = Callable[[int], None]
"""Called with the bytes of the file that are in place so far."""

_CHUNK = 1 << 20
_SOCKET_SECONDS = 60.0
_TRIES_WITHOUT_PROGRESS = 5
_FIRST_PAUSE_SECONDS = 0.5
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CUTS = (http.client.HTTPException, TimeoutError, ConnectionError)


def fetch(url: str, target: Path, *, sha256: str | None, on_bytes: BytesSink = lambda _: None) -> None:
    """Download a URL into `target`, going on where an earlier try stopped.

    What was received is kept when the connection is cut or the process is killed, and a server without byte ranges
    (RFC 9110, section 14) starts again from the first byte.

    Args:
        url: http, https or file.
        target: May hold the beginning of the file.
        sha256: Expected hash (hex); `None` checks nothing.
        on_bytes: Told of progress.

    Raises:
        ConfigError: Requests to other machines are switched off.
        ModelFileError: The server refuses, the connection keeps breaking, the hash differs, or storage gave way.
    """
    resumed = target.exists() and target.stat().st_size > 0
    if resumed and sha256 is not None and sha256_of(target) == sha256:
        on_bytes(target.stat().st_size)
        return
    _download(url, target, on_bytes)
    if sha256 is None:
        return
    got = sha256_of(target)
    if got != sha256 and resumed:
        target.unlink()
        _download(url, target, on_bytes)
        got = sha256_of(target)
    if got != sha256:
        target.unlink()
        raise ModelFileError(
            f"{_shown(url)} is not the expected file: its SHA-256 should be {sha256}, got {got}. It was deleted. "
            "Try again; if it stays so, the file was changed at its source or by a proxy, and must not be used."
        )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_space(folder: Path, needed: int) -> None:
    """Make sure that a folder's disk has room.

    Raises:
        ModelFileError: It has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _full(folder, needed, free)


@contextmanager
def storage_errors(folder: Path, needed: int | None = None) -> Iterator[None]:
    """Turn a full disk, or any other failure to write, into a `ModelFileError` that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(folder, needed, shutil.disk_usage(folder).free) from error
        raise ModelFileError(f"Cannot write to {folder}: {error}.") from error


def _full(folder: Path, needed: int | None, free: int) -> ModelFileError:
    need = "more" if needed is None else f"{needed / 1e6:,.0f} MB"
    return ModelFileError(
        f"Not enough disk space in {folder}: {need} needed, {free / 1e6:,.0f} MB free. Free some space, or set "
        "SMCS_CACHE_DIR to a folder on another disk, and try again; what is already there is kept."
    )


def _download(url: str, target: Path, on_bytes: BytesSink) -> None:
    failures = 0
    while True:
        before = target.stat().st_size if target.exists() else 0
        try:
            if _receive(url, target, on_bytes):
                return
            problem: Exception | str = "the connection was closed early"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _PASSING_STATUS:
                raise ModelFileError(f"{_shown(url)} answered HTTP {error.code} {error.reason}.") from error
            problem = error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise ModelFileError(
                    f"The certificate of {_shown(url)} cannot be verified: {error.reason}. Behind a proxy with its own "
                    "certificate, name its file in SSL_CERT_FILE."
                ) from error
            problem = error
        except _CUTS as error:
            problem = error
        progressed = target.exists() and target.stat().st_size > before
        failures = 1 if progressed else failures + 1
        if failures >= _TRIES_WITHOUT_PROGRESS:
            raise ModelFileError(
                f"{_shown(url)} cannot be downloaded: {problem}. What was received is kept; try again."
            )
        time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (failures - 1))


def _receive(url: str, target: Path, on_bytes: BytesSink) -> bool:
    """Receive what is missing; return whether the file is complete."""
    have = target.stat().st_size if target.exists() else 0
    try:
        response = _open(url, have)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        if (error.headers.get("Content-Range") or "") == f"bytes */{have}":
            return True
        target.unlink()
        response = _open(url, 0)
    with response:
        start = have if response.status == 206 and _range_start(response) == have else 0
        if response.status == 206 and start != have:
            target.unlink()
            return False
        length = response.headers.get("Content-Length")
        with storage_errors(target.parent), target.open("r+b" if start else "wb") as file:
            file.seek(start)
            size = start + _copy(response, file, lambda copied: on_bytes(start + copied))
    return length is None or size == start + int(length)


def _copy(response: IO[bytes], file: IO[bytes], on_bytes: BytesSink) -> int:
    copied = 0
    while chunk := _read(response):
        file.write(chunk)
        copied += len(chunk)
        on_bytes(copied)
    return copied


def _read(response: IO[bytes]) -> bytes:
    try:
        return response.read(_CHUNK)
    except http.client.IncompleteRead as error:
        return error.partial
    except OSError as error:  # must not be taken for a failure to write
        raise ConnectionResetError(str(error)) from error


def _open(url: str, have: int) -> Any:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https", "file"):
        raise ModelFileError(f"{_shown(url)}: only http, https and file URLs can be downloaded.")
    if parts.scheme != "file":
        check_request_allowed(parts.hostname or "")
    headers = {"User-Agent": "smcs", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    tls = _tls() if parts.scheme == "https" else None
    return urllib.request.urlopen(request, timeout=_SOCKET_SECONDS, context=tls)  # noqa: S310


def _tls() -> ssl.SSLContext:
    """Trust what the system trusts (SSL_CERT_FILE included), and the certificates that pip was told to trust."""
    context = ssl.create_default_context()
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE"):
        file = os.environ.get(variable)
        if file and Path(file).is_file():
            context.load_verify_locations(cafile=file)
    return context


def _range_start(response: Any) -> int | None:
    unit, _, rest = (response.headers.get("Content-Range") or "").partition(" ")
    start = rest.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdigit() else None


def _shown(url: str) -> str:
    """Return a URL without user name, password and query, which may be secret."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
