"""Where NiceGUI does the same work again for every element: pages are made on the event loop of the API."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

from nicegui import helpers, ui

__all__ = ("Select", "keep_signatures")


def keep_signatures() -> None:
    """Have NiceGUI look at the signature of a method once.

    Every element has three collections that are told of their changes by methods of theirs. NiceGUI 3 looks at the
    signatures of these for each element anew, which is two fifths of the time that an element takes.
    """
    look: Callable[[Callable[..., Any]], bool] | None = getattr(helpers, "expects_arguments", None)
    if look is None:  # Another NiceGUI, which may do without.
        return
    kept: WeakKeyDictionary[FunctionType, bool] = WeakKeyDictionary()

    def expects_arguments(func: Callable[..., Any]) -> bool:
        if not isinstance(func, MethodType) or not isinstance(func.__func__, FunctionType):
            return look(func)
        expects = kept.get(func.__func__)
        if expects is None:
            expects = kept[func.__func__] = look(func)
        return expects

    helpers.expects_arguments = expects_arguments


class Select(ui.select):
    """A choice whose options are laid out when they change; NiceGUI's are with every property that is set."""

    _laid_out: tuple[list[Any], list[Any]] | None = None

    def _update_options(self) -> None:
        now = list(self._values), list(self._labels)
        if now != self._laid_out:
            self._laid_out = now
            super()._update_options()
