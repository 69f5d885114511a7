from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

import smcs
from smcs.cli.app import app
from smcs.cli.serve import find_studio
from smcs.config import FoundConfig, find_config
from smcs.errors import MissingExtraError

CONFIG = """
pool:
  - {{name: alpha, kind: scripted}}
aggregators: [alpha]
embedder: {{kind: hashing}}
gateway: {{port: {port}, database: ledger.db}}
"""


class Healthy(BaseHTTPRequestHandler):
    """Answers as a gateway does when it is asked for its health."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status":"ok","version":"0"}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def running() -> Iterator[int]:
    """Return the port of what looks like a gateway."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config(folder: Path, port: int) -> str:
    file = folder / "smcs.yaml"
    file.write_text(CONFIG.format(port=port))
    return str(file)


def test_a_gateway_that_runs_already_is_only_opened(
    running: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("smcs.gateway.serve.serve", lambda *_, **__: pytest.fail("a second server was started"))
    done = CliRunner().invoke(app, ["studio", "-c", config(tmp_path, running)])
    assert done.exit_code == 0, done.output
    assert f"http://localhost:{running}/" in done.output
    assert opened == [f"http://localhost:{running}/"]


def test_otherwise_it_is_served_with_the_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[object] = []
    monkeypatch.setattr("smcs.gateway.serve.serve", lambda *arguments, **_: served.append(arguments[2]))
    done = CliRunner().invoke(app, ["studio", "--no-browser", "-c", config(tmp_path, 0)])
    assert done.exit_code == 0, done.output
    assert served == [find_studio(required=True)]


@pytest.mark.parametrize(("flags", "has_pages"), [([], True), (["--no-studio"], False), (["--studio"], True)])
def test_serving_with_and_without_pages(
    flags: list[str], has_pages: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[object] = []
    monkeypatch.setattr("smcs.gateway.serve.serve", lambda *arguments, **_: served.append(arguments[2]))
    done = CliRunner().invoke(app, ["serve", "-c", config(tmp_path, 0), *flags])
    assert done.exit_code == 0, done.output
    assert [each is not None for each in served] == [has_pages]


@pytest.mark.parametrize("command", [["serve"], ["studio", "--no-browser"]])
def test_the_config_is_read_once(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[FoundConfig] = []

    def reading(path: str | None) -> FoundConfig:
        read.append(find_config(path))
        return read[-1]

    monkeypatch.setattr("smcs.gateway.serve.find_config", reading)
    monkeypatch.setattr("smcs.gateway.serve._run", lambda *_: None)
    done = CliRunner().invoke(app, [*command, "-c", config(tmp_path, 0)])
    assert done.exit_code == 0, done.output
    assert len(read) == 1


def _studio_modules() -> list[str]:
    return [name for name in sys.modules if name.startswith("smcs.studio")]


@contextmanager
def without(module: str) -> Iterator[None]:
    """Have a module missing and the studio not imported yet; afterwards all is as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smcs, "studio", None, raising=False)
        for name in _studio_modules():
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, module, None)
        try:
            yield
        finally:
            for name in _studio_modules():
                del sys.modules[name]


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[object, str]] = []
    monkeypatch.setattr("smcs.gateway.serve.serve", lambda _, __, pages, *, note: served.append((pages, note)))
    with without("nicegui"):
        assert find_studio(required=False) is None
        CliRunner().invoke(app, ["serve", "-c", config(tmp_path, 0)])
        with pytest.raises(MissingExtraError, match=r"smcs\[studio\]"):
            find_studio(required=True)
    assert served[0][0] is None
    assert "smcs[studio]" in served[0][1]


def test_a_broken_studio_is_not_taken_for_a_missing_one() -> None:
    with without("smcs.studio.door"), pytest.raises(ModuleNotFoundError, match="door"):
        find_studio(required=False)
