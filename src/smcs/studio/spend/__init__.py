"""The page of money and tokens: what was spent, by whom and on what, and how far budgets are used.

`view` folds rows of the ledger into figures, plots and budgets without knowing the page; `page` shows them.
"""

from smcs.studio.spend.page import PAGE

__all__ = ("PAGE",)
