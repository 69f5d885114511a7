"""What a key may use, as pure functions of what it has used: nothing here knows a database.

Requests and tokens are counted per clock minute, money per UTC day and month. A request is counted and its worst case
held before its first call; what it really took replaces what was held when it ends. So at any moment

    used in the window + held by requests that run + held by the next one <= limit

for every limit, which makes it impossible to pass one by sending many requests at once.
"""

from __future__ import annotations

import math
from calendar import monthrange
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final, Literal, get_args

from smcs.errors import InputError, RunError

__all__ = (
    "NANO",
    "Hold",
    "KeyLimits",
    "KeyState",
    "LimitName",
    "LimitReached",
    "admitted",
    "hold_nano",
    "nano_usd",
    "settled",
    "spared",
)

LimitName = Literal["requests_per_minute", "tokens_per_minute", "usd_per_day", "usd_per_month", "max_concurrent"]
"""The limits a key may have."""

_LIMITS: Final[tuple[LimitName, ...]] = get_args(LimitName)

NANO: Final = 1_000_000_000
"""Nano-USD in a USD: the unit money is summed in."""

_MOST_USD: Final = 1e6
"""Most that one run is counted with: absurd figures of a server must not overflow a sum."""

_MOST_TOKENS: Final = 1 << 40

_SOON: Final = 1.0
"""Seconds after which something held by running requests may be free again."""


class LimitReached(RunError):  # noqa: N818 - it is an answer, not a failure
    """The key may not make this request now."""

    def __init__(self, limit: LimitName, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.limit: LimitName = limit
        """Which limit it is."""
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the request may fit."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may use, and whether it may look after the others; `None` is no limit."""

    models: tuple[str, ...] = ()
    """Names or shell patterns such as "smcs*" of the models it may ask for; empty allows all."""
    _: KW_ONLY
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Tokens read and written."""
    usd_per_day: float | None = None
    usd_per_month: float | None = None
    max_concurrent: int | None = None
    """Requests that may run at the same time."""
    admin: bool = False
    """Whether it sees the runs and the spending of all keys, and may switch LLMs off."""

    def __post_init__(self) -> None:
        for name in _LIMITS:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"`{name}` must be above 0, got {value}. Leave it out for no limit.")
        if any(not pattern or len(pattern) > 200 for pattern in self.models):
            raise InputError("`models` must hold names or patterns of 1 to 200 characters, such as 'smcs*'.")

    @property
    def counted(self) -> bool:
        """Whether anything but the models is limited, so that requests must be counted."""
        return any(getattr(self, name) is not None for name in _LIMITS)

    @property
    def priced(self) -> bool:
        """Whether money is limited."""
        return self.usd_per_day is not None or self.usd_per_month is not None

    def allows(self, model: str) -> bool:
        """Say whether the key may ask for a model."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True)
class Hold:
    """The most that a request may take, held until it has ended."""

    usd: float | None
    """`None` where a price is unknown."""
    tokens: int
    """Tokens read and written by all its calls."""
    _: KW_ONLY
    endpoint: str = ""
    """Kept for the ledger, should the server die before the request has ended."""
    model: str = ""

    def __post_init__(self) -> None:
        if self.usd is not None and not (math.isfinite(self.usd) and self.usd >= 0):
            raise InputError(f"`usd` must be a finite number of 0 or more, got {self.usd}.")
        if self.tokens < 0:
            raise InputError(f"`tokens` must be 0 or more, got {self.tokens}.")


@dataclass(frozen=True, slots=True)
class KeyState:
    """What a key has used up in the windows it was last used in, and what its running requests hold."""

    key_id: str
    minute: int = 0
    """Unix minute."""
    requests: int = 0
    tokens: int = 0
    day: int = 0
    """Unix day."""
    day_nano: int = 0
    month: int = 0
    """12 x year + month - 1."""
    month_nano: int = 0
    held_nano: int = 0
    held_tokens: int = 0
    running: int = 0

    def at(self, now: float) -> KeyState:
        """Return the state at a Unix time: windows that are over count nothing. Time never runs backwards here."""
        minute, day, month = int(now // 60), int(now // 86_400), _month(now)
        if minute <= self.minute:
            return self
        rolled = replace(self, minute=minute, requests=0, tokens=0)
        if day > self.day:
            rolled = replace(rolled, day=day, day_nano=0)
        return replace(rolled, month=month, month_nano=0) if month > self.month else rolled


def nano_usd(usd: float) -> int:
    """Return USD as whole nano-USD; what is absurd (over a million, or not a number) counts as a million."""
    return round((_MOST_USD if math.isnan(usd) else min(usd, _MOST_USD)) * NANO)


def admitted(limits: KeyLimits, state: KeyState, hold: Hold, now: float) -> KeyState:
    """Return the state with one more request running, its worst case held.

    Args:
        limits: What the key may use.
        state: What it has used.
        hold: The most the request may take.
        now: Unix seconds.

    Raises:
        LimitReached: A limit would be passed; nothing is held.
    """
    if limits.priced and hold.usd is None:
        raise LimitReached(
            "usd_per_day" if limits.usd_per_day is not None else "usd_per_month",
            "This key has a limit in USD, and what the request costs is unknown: an LLM it may call has no price. "
            "Declare `price` for it in the config (0 where it is free), or exclude it.",
            _until_day(now),
        )
    state = state.at(now)
    usd, tokens = hold_nano(hold), min(hold.tokens, _MOST_TOKENS)
    _check_rates(limits, state, tokens, now)
    _check_money("usd_per_day", limits.usd_per_day, state.day_nano, state.held_nano, usd, _until_day(now))
    _check_money("usd_per_month", limits.usd_per_month, state.month_nano, state.held_nano, usd, _until_month(now))
    return replace(
        state,
        requests=state.requests + 1,
        held_nano=state.held_nano + usd,
        held_tokens=state.held_tokens + tokens,
        running=state.running + 1,
    )


def hold_nano(hold: Hold) -> int:
    """Return what is held in nano-USD; an unknown price holds nothing (and no key with a limit in USD has one)."""
    return 0 if hold.usd is None else nano_usd(hold.usd)


def settled(
    state: KeyState, *, held_nano: int, held_tokens: int, nano: int, tokens: int, now: float, running: bool = True
) -> KeyState:
    """Return the state after a request has ended.

    Args:
        state: The state while it ran.
        held_nano: What it held.
        held_tokens: What it held.
        nano: What it took.
        tokens: What it took.
        now: Unix seconds: the windows it is charged to.
        running: Whether it was counted as running until now.
    """
    state = state.at(now)
    return replace(
        state,
        tokens=state.tokens + min(tokens, _MOST_TOKENS),
        day_nano=state.day_nano + nano,
        month_nano=state.month_nano + nano,
        held_nano=state.held_nano - held_nano,
        held_tokens=state.held_tokens - held_tokens,
        running=state.running - (1 if running else 0),
    )


def spared(state: KeyState, *, nano: int, charged: float) -> KeyState:
    """Return the state with an earlier charge taken back from the windows it still stands in.

    Args:
        state: The state.
        nano: What was charged.
        charged: Unix seconds of the charge.
    """
    if int(charged // 86_400) == state.day:
        state = replace(state, day_nano=state.day_nano - nano)
    return replace(state, month_nano=state.month_nano - nano) if _month(charged) == state.month else state


def _check_rates(limits: KeyLimits, state: KeyState, tokens: int, now: float) -> None:
    if limits.max_concurrent is not None and state.running >= limits.max_concurrent:
        raise LimitReached(
            "max_concurrent", f"{state.running} requests of this key run already; it may run no more.", _SOON
        )
    if limits.requests_per_minute is not None and state.requests >= limits.requests_per_minute:
        message = f"This key may send {limits.requests_per_minute:,} requests per minute, and has."
        raise LimitReached("requests_per_minute", message, _until_minute(now))
    most = limits.tokens_per_minute
    if most is None or state.tokens + state.held_tokens + tokens <= most:
        return
    if tokens > most:
        message = f"This request may take {tokens:,} tokens, more than the {most:,} per minute of this key: lower "
        message += "`max_tokens`, or ask fewer LLMs."
    else:
        message = (
            f"This key may take {most:,} tokens per minute: {state.tokens:,} are used, {state.held_tokens:,} held "
        )
        message += f"by running requests, and this one may take {tokens:,}."
    freed = state.tokens + tokens <= most
    raise LimitReached("tokens_per_minute", message, _SOON if freed else _until_minute(now))


def _check_money(name: LimitName, limit: float | None, used: int, held: int, nano: int, until: float) -> None:
    if limit is None or used + held + nano <= (most := round(limit * NANO)):
        return
    period = name.removeprefix("usd_per_")
    if nano > most:
        message = f"This request may cost ${nano / NANO:.4f}, more than the ${limit:g} per {period} of this key: set "
        message += "`max_usd` in the request's `smcs` field, or ask fewer LLMs."
    else:
        message = f"This key may spend ${limit:g} per {period}: ${used / NANO:.4f} are spent, ${held / NANO:.4f} held "
        message += f"by running requests, and this one may cost ${nano / NANO:.4f}."
    raise LimitReached(name, message, _SOON if used + nano <= most else until)


def _month(now: float) -> int:
    moment = datetime.fromtimestamp(now, UTC)
    return 12 * moment.year + moment.month - 1


def _until_minute(now: float) -> float:
    return 60 - now % 60


def _until_day(now: float) -> float:
    return 86_400 - now % 86_400


def _until_month(now: float) -> float:
    moment = datetime.fromtimestamp(now, UTC)
    return _until_day(now) + 86_400 * (monthrange(moment.year, moment.month)[1] - moment.day)
