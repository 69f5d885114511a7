from __future__ import annotations

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smcs.cli.app import app
from smcs.cli.serve import _NEEDED, has_studio, run
from smcs.config import FoundConfig, find_config
from smcs.errors import MissingExtraError
from smcs.gateway.serving import Serving
from smcs.studio.mounting import add_studio

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


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Return what would be served, how often."""
    calls: list[Mapping[str, Any]] = []
    monkeypatch.setattr("smcs.gateway.serve.serve", lambda *_, **how: calls.append(how))
    monkeypatch.setattr("smcs.gateway.annex.keeper.Keeper", lambda *_, **__: nullcontext("a keeper"))
    return calls


def test_otherwise_it_is_served_with_the_studio(served: list[Mapping[str, Any]], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["studio", "--no-browser", "-c", config(tmp_path, 0)])
    assert done.exit_code == 0, done.output
    assert served == [{"keeper": "a keeper", "extension": None, "note": ""}]


@pytest.mark.parametrize(("flags", "has_pages"), [([], True), (["--no-studio"], False), (["--studio"], True)])
def test_serving_with_and_without_pages(
    flags: list[str], has_pages: bool, served: list[Mapping[str, Any]], tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["serve", "-c", config(tmp_path, 0), *flags])
    assert done.exit_code == 0, done.output
    assert [each["keeper"] is not None for each in served] == [has_pages]


@pytest.mark.parametrize(("workers", "said"), [(1, ""), (2, "the studio is off")])
def test_where_connections_cannot_be_handed_over_one_process_makes_pages_too(
    workers: int, said: str, served: list[Mapping[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("socket.send_fds")
    serving = Serving(config=config(tmp_path, 0), workers=workers)
    run(serving, serving.found(), studio=True)
    [how] = served
    assert how["keeper"] is None
    assert how["extension"] is (add_studio if workers == 1 else None)
    assert how["note"].startswith(said)


@pytest.mark.parametrize("command", [["serve"], ["studio", "--no-browser"]])
def test_the_config_is_read_once(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[FoundConfig] = []

    def reading(path: str | None) -> FoundConfig:
        read.append(find_config(path))
        return read[-1]

    monkeypatch.setattr("smcs.gateway.serving.find_config", reading)
    monkeypatch.setattr("smcs.gateway.serve._run", lambda *_: None)
    monkeypatch.setattr("smcs.gateway.annex.keeper.Keeper", lambda *_, **__: nullcontext())
    done = CliRunner().invoke(app, [*command, "-c", config(tmp_path, 0)])
    assert done.exit_code == 0, done.output
    assert len(read) == 1


def test_the_missing_extra_is_named(
    served: list[Mapping[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has_studio(required=True)
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert not has_studio(required=False)
    done = CliRunner().invoke(app, ["serve", "-c", config(tmp_path, 0)])
    assert done.exit_code == 0, done.output
    assert served[0]["keeper"] is None
    assert "smcs[studio]" in served[0]["note"]
    with pytest.raises(MissingExtraError, match=r"smcs\[studio\]"):
        has_studio(required=True)


def test_all_that_the_extra_installs_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[^\w-]", line)[0] for line in project["optional-dependencies"]["studio"]} - {"smcs"}
    by_module = packages_distributions()
    known = {name.lower().replace("_", "-") for module in _NEEDED for name in by_module[module]}
    assert known & wanted == wanted


def test_whoever_answers_the_api_does_not_import_the_pages() -> None:
    script = "import sys, smcs.gateway.serve; from smcs.cli.serve import has_studio; print(has_studio(required=True)); "
    script += "print([name for name in sys.modules if name.startswith(('nicegui', 'smcs.studio'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n[]\n"
