"""What the paper prints (arXiv 2507.14200): tables and figures as data, each with its source.

`figures.json` holds numbers that stand in the paper's tables or text, and nothing else: a curve that is only a picture
holds what the text says of it. Means are recomputed from the cells, because some printed ones are wrong.
"""

from smcs.bench.paper.figures import (
    NAMES,
    PaperFigure,
    PaperFigures,
    PaperRow,
    Statement,
    load_figures,
    paper_figure,
    parse_figures,
    recomputed,
)

__all__ = (
    "NAMES",
    "PaperFigure",
    "PaperFigures",
    "PaperRow",
    "Statement",
    "load_figures",
    "paper_figure",
    "parse_figures",
    "recomputed",
)
