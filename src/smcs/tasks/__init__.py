"""Where questions come from: one file or folder per source, each with its questions, prompts and graders.

`smcs.tasks.seed` writes our own. Import a source from its own folder: nothing is loaded here.
"""

__all__ = ()
