"""Ask answerers many questions and grade what they say: concurrent, resumable, recorded as it goes.

An `Answerer` is anything with a name that answers a question: one LLM of the pool, or a strategy. `grade_answerers`
runs any of them, `run_grading` the LLMs of a pool; both write into a question bank and may be stopped and started at
any time. What is reported as done is on disk.
"""

from smcs.evaluate.answerers import Answerer, MemberAnswerer
from smcs.evaluate.engine import grade_answerers, run_grading
from smcs.evaluate.progress import AnswererReport, Failure, GradingProgress, GradingReport
from smcs.evaluate.regrade import regrade
from smcs.evaluate.seed import SEED_MODELS, build_seed_bank, open_seed_bank

__all__ = (
    "SEED_MODELS",
    "Answerer",
    "AnswererReport",
    "Failure",
    "GradingProgress",
    "GradingReport",
    "MemberAnswerer",
    "build_seed_bank",
    "grade_answerers",
    "open_seed_bank",
    "regrade",
    "run_grading",
)
