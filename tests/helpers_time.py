"""How long something takes, for bounds that a busy machine must not break."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ("cpu_time",)


@contextmanager
def cpu_time() -> Iterator[Callable[[], float]]:
    """Give what this thread has computed since, in seconds.

    What other programs take does not count, nor does collecting the garbage of all tests before, which takes seconds.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        begun = time.thread_time()
        yield lambda: time.thread_time() - begun
    finally:
        if collects:
            gc.enable()
