"""Values of n and lambda that nobody ran: the recorded answers of an experiment are chosen from again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from smcs.bench.experiment import run_experiment
from smcs.bench.results import ResultFile, read_results
from smcs.bench.running import RunRequest, prepared
from smcs.errors import InputError
from smcs.strategies import Settings
from smcs.types import Sampling

__all__ = ("BALANCES", "SUBSETS", "Recording", "replay_candidates")

SUBSETS: Final = (2, 3, 4, 5, 6, 8, 10, 12, 16)
BALANCES: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""What is tried, as far as the recorded runs drew that many subsets; the present values are always tried too."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An experiment with SMCS, and the store that holds its answers."""

    results: ResultFile
    store: Path
    _: KW_ONLY
    config: Path | None = None
    """Config file with the pool and bank of that experiment; found as always when `None`."""
    profile: str = "paper"
    bank: str | None = None
    """Another bank than the config's."""
    data: Path | None = None
    """Folder of local data; else SMCS_DATA."""


async def replay_candidates(recording: Recording, settings: Settings) -> ResultFile:
    """Run SMCS with many n and lambda on an experiment's questions, from its store alone.

    The subsets of a smaller n are the first ones of a larger n, and lambda only weighs what was merged, so that nothing
    new has to be asked. What the store lacks all the same is a row marked missing.

    Args:
        recording: What is replayed.
        settings: The present parameters.

    Raises:
        ConfigError: The config, a task or the store cannot be used.
        InputError: The result file has no SMCS arm, or was not written by `smcs bench run`.
    """
    header = recording.results.header
    said = _Said(header.config)
    arms = [arm for arm in header.arms if arm.strategy == "smcs"]
    if not arms:
        raise InputError(f"The result file {header.name!r} has no arm of strategy smcs to replay.")
    recorded = [arm.settings.get("n", said.settings.get("n")) for arm in arms]
    largest = max((n for n in recorded if isinstance(n, int)), default=settings.n)
    subsets = sorted({settings.n, *(n for n in SUBSETS if n <= largest)})
    balances = sorted({settings.balance, *BALANCES})
    with TemporaryDirectory() as folder:
        request = RunRequest(
            tasks=said.tasks or header.tasks,
            arms=tuple(f"smcs:n={n},balance={balance}" for n in subsets for balance in balances),
            store=recording.store,
            mode="replay",
            out=Path(folder) / "tuning.jsonl",
            config=recording.config,
            profile=recording.profile,
            bank=recording.bank,
            data=recording.data,
            split=said.split,
            limit=said.limit,
            seeds=header.seeds,
            sampling=said.sampling,
        )
        async with prepared(request) as ready:
            await run_experiment(ready.experiment, ready.writer)
            return read_results(ready.writer.finish())


class _Said:
    """What a header says beyond its fields; an imported file is not trusted to say it rightly."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.split = str(config.get("split", ""))
        tasks, limit = config.get("tasks", []), config.get("limit")
        sampling, settings = config.get("sampling", {}), config.get("settings", {})
        if not (
            self.split
            and isinstance(tasks, list)
            and (limit is None or isinstance(limit, int))
            and isinstance(sampling, dict)
            and isinstance(settings, dict)
            and set(sampling) <= {field.name for field in fields(Sampling)}
        ):
            raise InputError(
                "The result file does not say which questions it asked, and how; `smcs bench run` writes so."
            )
        self.tasks = tuple(map(str, tasks))
        self.limit: int | None = limit
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in sampling.items()}
        self.sampling = Sampling(**values)
        self.settings: dict[str, Any] = settings
