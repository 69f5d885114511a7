"""The pages about runs: the ledger as a list, one run, two runs beside each other, and their downloads.

An address holds the whole view, and everything in it is untrusted: what cannot be used is said and left out. A viewer
sees the runs of the own key and those that are shared, whatever the address says; an administrator sees all. What is
shown is made by pure functions (`filters`, `rows`, `about`, `difference`, `words`, `comparing`, `again`), which know
no browser.

`COMPARE_PAGE` has to be routed before `RUN_PAGE`, whose path holds any word.
"""

from smcs.studio.runs.compare_page import COMPARE_PAGE
from smcs.studio.runs.difference import Difference, compare
from smcs.studio.runs.export import DOWNLOADS
from smcs.studio.runs.list_page import PAGE
from smcs.studio.runs.run_page import RUN_PAGE

__all__ = ("COMPARE_PAGE", "DOWNLOADS", "PAGE", "RUN_PAGE", "Difference", "compare")
