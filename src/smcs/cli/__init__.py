"""The `smcs` command: one file per command, which parses, calls the library and renders.

Answers go to stdout, progress and diagnostics to stderr. Exit code 2 is the user's mistake, 1 is the run's failure,
each with one line; anything else is a bug and keeps its traceback.
"""

from smcs.cli.app import main

__all__ = ("main",)
