"""The Bank pages: what the LLMs are good at, and what that knowledge rests on.

Data flows one way: the reads of `smcs.bank` are folded into frozen records (`heat`, `questions`, `projection`,
`profiles`, `effects`, `gaps`, `growth`), `data` works them out in threads and keeps them until the bank changes, and
the views draw them. A missing outcome is unknown everywhere, never wrong.
"""

from smcs.studio.bank.page import PAGE

__all__ = ("PAGE",)
