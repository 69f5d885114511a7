from __future__ import annotations

import pytest

from smcs._network import allow_requests, check_request_allowed, is_loopback
from smcs.errors import ConfigError


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.test", "10.0.0.1", "localhost.evil.test", "127.0.0.1.evil.test"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_blocks_nest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMCS_NO_NETWORK", raising=False)
    with allow_requests(False):
        with allow_requests(True):
            check_request_allowed("example.test")
        with pytest.raises(ConfigError, match="stopped"):
            check_request_allowed("example.test")
        check_request_allowed("127.0.0.1")
