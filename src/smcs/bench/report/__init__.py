"""Reports: result files in, a page, Markdown, CSV and figures out.

`build_report` computes every figure once, as values; sections turn them into tables and plots, which the page and the
Markdown share. What is missing stays visible: it is counted at the top and never filled in.
"""

from smcs.bench.report.model import Report, build_report
from smcs.bench.report.write import write_report

__all__ = ("Report", "build_report", "write_report")
