"""From what a user asks for to a running experiment: config, arms, questions, store and result file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from smcs._paths import cache_dir
from smcs.bank import QuestionBank
from smcs.bench.arms import ablations, parse_arm, parse_sweep, swept
from smcs.bench.experiment import Arm, Experiment, make_arm
from smcs.bench.provenance import describe_commit, describe_machine
from smcs.bench.results import RESULT_FORMAT, ArmSpec, Header, ResultWriter
from smcs.bench.sources import load_questions
from smcs.config import Live, find_config
from smcs.embedders import CachedEmbedder
from smcs.errors import InputError
from smcs.llms import AnswerStore, StoreMode
from smcs.strategies import STRATEGIES, Resources, Settings, find_strategy
from smcs.types import Question, Sampling

__all__ = ("EXAMPLE_ARMS", "Prepared", "RunRequest", "example_request", "prepared")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What is to be compared, on what, and where answers and results are kept."""

    tasks: tuple[str, ...]
    arms: tuple[str, ...]
    """As `parse_arm` reads them; "all" is every strategy."""
    store: Path
    mode: StoreMode
    out: Path
    sweeps: tuple[str, ...] = ()
    ablate: bool = False
    """Whether arms of SMCS are joined by their ablations."""
    config: Path | None = None
    profile: str = "paper"
    bank: str | None = None
    data: Path | None = None
    split: str = "test"
    limit: int | None = None
    seeds: tuple[int, ...] = (0,)
    sampling: Sampling = Sampling()
    """Laid over each task's own; what an LLM declares for itself is laid over both."""
    concurrency: int = 4
    redo_degraded: bool = False
    """Whether what an earlier sitting answered with less than was asked for is asked again."""
    name: str = ""
    command: str = ""


EXAMPLE_ARMS: Final = (
    *("single", "rps", "simple_router", "majority_vote", "prior_vote", "moa", "symbolic_moe", "smcs", "smcs_guarded"),
    *(f"smcs:without={parts}" for parts in ("rps+similarity+perplexity+prior_drop", "rps+perplexity+prior_drop")),
    *(f"smcs:without={parts}" for parts in ("similarity+perplexity+prior_drop", "perplexity+prior_drop", "prior_drop")),
    "smcs:drop=0",
)
"""Arms whose answers the example holds: every strategy that takes one answer per LLM, Table 10's rows, and no drop."""


@contextmanager
def example_request(out: Path, arms: tuple[str, ...] = (), *, command: str = "") -> Iterator[RunRequest]:
    """Yield the request of the example that ships with smcs: 24 seed questions and the answers of three small LLMs.

    Args:
        out: The result file.
        arms: Other arms than `EXAMPLE_ARMS`; what they need beyond the recorded answers will be missing.
        command: The command line.
    """
    with TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("smcs.yaml", "answers.store"):
            (place / name).write_bytes((files("smcs") / "data" / "example" / name).read_bytes())
        yield RunRequest(
            tasks=("seed",),
            arms=arms or EXAMPLE_ARMS,
            store=place / "answers.store",
            mode="replay",
            out=out,
            config=place / "smcs.yaml",
            limit=24,
            sampling=Sampling(temperature=0.3, max_tokens=300),
            name="24 seed questions, three small LLMs",
            command=command,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """An experiment that can be run."""

    experiment: Experiment
    writer: ResultWriter
    _: KW_ONLY
    calls: int
    """LLM calls if the store held nothing and no call were shared."""


@asynccontextmanager
async def prepared(request: RunRequest) -> AsyncIterator[Prepared]:
    """Check everything that can be checked before a call is made, and open what the experiment needs.

    Raises:
        BankError: The bank cannot be used.
        ConfigError: The config, a task, a strategy, an LLM, the store or the result file is wrong.
        InputError: An arm, a sweep or a setting is wrong.
    """
    specs = arm_specs(request)
    questions, tasks = load_questions(request.tasks, split=request.split, data=request.data, limit=request.limit)
    found = find_config(request.config).with_bank(request.bank)
    base = found.config.settings(request.profile)
    live = Live(found)
    try:
        for spec in specs:
            make_arm(spec, base, live.resources)  # Mistakes are found before an endpoint is probed.
        with (
            AnswerStore(request.store, create=request.mode == "record") as store,
            ResultWriter(request.out, _header(request, specs, base, questions, live.resources)) as writer,
        ):
            resources = await _ready(live, request.mode)
            arms = [make_arm(spec, base, resources) for spec in specs]
            experiment = Experiment(
                tasks,
                questions,
                arms,
                resources,
                store,
                mode=request.mode,
                seeds=request.seeds,
                sampling=request.sampling,
                concurrency=request.concurrency,
                redo_degraded=request.redo_degraded,
            )
            yield Prepared(experiment, writer, calls=_calls(arms, questions, request.seeds))
    finally:
        await live.close()


def arm_specs(request: RunRequest) -> tuple[ArmSpec, ...]:
    """Return the arms a request names, with sweeps and ablations.

    Raises:
        ConfigError: A strategy is unknown.
        InputError: An arm or sweep cannot be read, none is named, or two have one name.
    """
    texts = [name for text in request.arms for name in (STRATEGIES if text == "all" else (text,))]
    arms: Sequence[ArmSpec] = [parse_arm(text) for text in texts]
    arms = swept(arms, [parse_sweep(text) for text in request.sweeps])
    if request.ablate:
        if not any(arm.strategy == "smcs" for arm in arms):
            raise InputError("Ablations are of strategy 'smcs', and no arm is one. Add `smcs` to the strategies.")
        arms = [one for arm in arms for one in (ablations(arm) if arm.strategy == "smcs" else (arm,))]
    if not arms:
        raise InputError(f"No strategy is named. There are: {', '.join(STRATEGIES)}, or `all`.")
    names = [arm.name for arm in arms]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"Two arms are called {twice!r}. Name one yourself, as in `other={twice}`.")
    return tuple(arms)


async def _ready(live: Live, mode: StoreMode) -> Resources:
    """Embed what the bank lacks, probe endpoints unless nobody may be asked, and remember vectors of answers."""
    resources = live.resources
    cached = CachedEmbedder(resources.embedder, cache_dir() / "embeddings.sqlite")
    if resources.bank is not None and resources.bank.missing_embeddings(cached.name):
        await resources.bank.embed(cached)
    if mode == "record":
        resources = await live.prepare(resources)
    return replace(resources, embedder=cached)


def _header(
    request: RunRequest, arms: tuple[ArmSpec, ...], base: Settings, questions: Sequence[Question], resources: Resources
) -> Header:
    commit, dirty = describe_commit()
    versions, hardware = describe_machine()
    bank = resources.bank
    return Header(
        format=RESULT_FORMAT,
        name=request.name or request.out.stem,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=request.command,
        tasks=tuple(dict.fromkeys(question.task for question in questions)),
        arms=arms,
        seeds=request.seeds,
        llms=tuple(resources.pool),
        aggregators=resources.aggregators,
        bank={} if bank is None else _bank(bank, resources.embedder.name),
        config={
            "tasks": list(request.tasks),
            "split": request.split,
            "limit": request.limit,
            "profile": request.profile,
            "settings": base.to_dict(),
            "sampling": {name: value for name, value in asdict(request.sampling).items() if value not in (None, ())},
        },
        commit=commit,
        dirty=dirty,
        versions=versions,
        hardware=hardware,
    )


def _bank(bank: QuestionBank, embedder: str) -> dict[str, Any]:
    info = bank.info()
    place = bank.url.rpartition("/")[2].rpartition(".")[0] or "bank"
    return {"name": place, "hash": info.content_hash, "questions": info.questions, "embedder": embedder}


def _calls(arms: Sequence[Arm], questions: Sequence[Question], seeds: Sequence[int]) -> int:
    each = sum(find_strategy(arm.spec.strategy).calls(arm.settings, len(arm.llms)) for arm in arms)
    return each * len(questions) * len(seeds)
