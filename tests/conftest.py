"""Safety for every test: nothing leaves this machine, nothing touches the user's cache, no clock is waited for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from smcs.llms import allow_requests

# A busy machine is no defect of the code: examples are counted, not timed. And who runs the suite again gets the same
# examples, so that what fails is what was changed; `--hypothesis-profile explore` looks for others.
settings.register_profile("smcs", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("smcs")


@pytest.fixture(autouse=True)
def _safety(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real requests are off; caches are the test's own, except where local models are what is tested."""
    if "local" not in request.keywords:
        monkeypatch.setenv("SMCS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SMCS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SMCS_CONFIG", raising=False)
    with allow_requests(False):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of local LLMs on one worker: two servers at once would fight over the cores."""
    for item in items:
        if "local" in item.keywords:
            item.add_marker(pytest.mark.xdist_group("local"))


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that runs in the background ignores Ctrl-C, and so would every process that a test starts to interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
