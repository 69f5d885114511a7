"""The page of the LLMs: how each one stands and does, a test call, and the switch that leaves one out.

`view` folds config, circuits, switches and use into rows without knowing the page; `authors` counts who wrote the
answers of late; `trial` makes the test call; `page` shows it all.
"""

from smcs.studio.pool.page import PAGE

__all__ = ("PAGE",)
