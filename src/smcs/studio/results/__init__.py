"""The pages of experiments: the result files of `smcs bench run` in one folder, and what a report says of each.

`folder` finds the files, `catalogue` reads them once, `drawing` turns a report's values into plots, `download` sends
files, and `page` shows it all. Figures come from `smcs.bench.report`; nothing is computed here.
"""

from smcs.studio.results.download import DOWNLOADS
from smcs.studio.results.page import PAGE

__all__ = ("DOWNLOADS", "PAGE")
