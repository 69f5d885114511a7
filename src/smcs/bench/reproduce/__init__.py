"""The paper's tables and figures again, from data: its printed number beside ours, with interval and n.

`Evidence` is what there is to compute from: result files of `smcs bench run`, outcome tables (of a bank, of recorded
answers, of the authors' release) and an answer store. `reproduce` never leaves a blank: what cannot be computed names
the run that is missing, and its command. No LLM is called here.
"""

from smcs.bench.reproduce.arms import ArmRows, arms_of, read_arms
from smcs.bench.reproduce.dispatch import REPRODUCTIONS, check_names, reproduce
from smcs.bench.reproduce.evidence import Evidence
from smcs.bench.reproduce.outcomes import OutcomeTable, Routing, bank_table, default_embedder, recorded_table
from smcs.bench.reproduce.released import released_tables
from smcs.bench.reproduce.report import Cell, Claim, Line, Measured, Missing, Panel, Reproduction
from smcs.bench.reproduce.text import Grid, claim_grid, figure_text, grids, to_markdown

__all__ = (
    "REPRODUCTIONS",
    "ArmRows",
    "Cell",
    "Claim",
    "Evidence",
    "Grid",
    "Line",
    "Measured",
    "Missing",
    "OutcomeTable",
    "Panel",
    "Reproduction",
    "Routing",
    "arms_of",
    "bank_table",
    "check_names",
    "claim_grid",
    "default_embedder",
    "figure_text",
    "grids",
    "read_arms",
    "recorded_table",
    "released_tables",
    "reproduce",
    "to_markdown",
)
