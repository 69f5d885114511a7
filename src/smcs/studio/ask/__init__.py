"""The Ask page, and the view of a run, live or stored, that other pages show too.

`Fold` turns a run's events into a `Progress`, `of_run` does it with a stored record, and `RunView` draws it. The two
first are pure and know nothing of a browser.
"""

from smcs.studio.ask.page import PAGE
from smcs.studio.ask.progress import Fold, of_run
from smcs.studio.ask.run_view import RunView
from smcs.studio.ask.state import Progress

__all__ = ("PAGE", "Fold", "Progress", "RunView", "of_run")
