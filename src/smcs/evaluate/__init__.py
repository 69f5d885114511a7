"""Ask answerers many questions and grade what they say: concurrent, resumable, recorded as it goes.

An `Answerer` is anything with a name that answers a question: one LLM of the pool, or a strategy. `grade_answerers`
runs any of them, `run_grading` the LLMs of a pool, `build_bank` those over whole tasks; all write into a
question bank and may be stopped and started at any time. What is reported as done is on disk.
"""

from smcs.evaluate.answerers import Answerer, MemberAnswerer, call_seed
from smcs.evaluate.budget import Budget
from smcs.evaluate.build import BuildPlan, build_bank, check_settings, estimate_build, plan_build
from smcs.evaluate.engine import grade_answerers, run_grading
from smcs.evaluate.estimate import BuildEstimate, LLMEstimate
from smcs.evaluate.feedback import Feedback, Growth, add_question, guess_grader, learn
from smcs.evaluate.newcomer import (
    NewcomerAccuracy,
    NewcomerPlan,
    NewcomerReport,
    add_newcomer,
    estimate_newcomer,
    plan_newcomer,
)
from smcs.evaluate.progress import AnswererReport, Failure, GradingProgress, GradingReport, RunStatus
from smcs.evaluate.regrade import regrade
from smcs.evaluate.seed import SEED_MODELS, build_seed_bank, open_seed_bank

__all__ = (
    "SEED_MODELS",
    "Answerer",
    "AnswererReport",
    "Budget",
    "BuildEstimate",
    "BuildPlan",
    "Failure",
    "Feedback",
    "GradingProgress",
    "GradingReport",
    "Growth",
    "LLMEstimate",
    "MemberAnswerer",
    "NewcomerAccuracy",
    "NewcomerPlan",
    "NewcomerReport",
    "RunStatus",
    "add_newcomer",
    "add_question",
    "build_bank",
    "build_seed_bank",
    "call_seed",
    "check_settings",
    "estimate_build",
    "estimate_newcomer",
    "grade_answerers",
    "guess_grader",
    "learn",
    "open_seed_bank",
    "plan_build",
    "plan_newcomer",
    "regrade",
    "run_grading",
)
