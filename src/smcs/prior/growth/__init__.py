"""What is known about an LLM that has answered few bank questions, from what many others answered.

In: the outcomes of well graded LLMs, question embeddings, and the few outcomes of a newcomer. Out: which questions to
ask it next, the probability that it answers each of the others, and its accuracy with an interval. Pure functions of
arrays with an explicit random generator; a missing outcome is NaN and never a zero.

Two steps. `survey` says once what the well graded LLMs tell about the questions: a few features of each, and how much
LLMs differ in their weights, learned by treating each of them as the newcomer in turn. `infer` then finds a newcomer's
weights from its outcomes; `choose_questions`, `predict` and `estimate_accuracy` read them.
"""

from smcs.prior.growth.ability import AccuracyEstimate, estimate_accuracy, infer, predict
from smcs.prior.growth.choosing import choose_questions
from smcs.prior.growth.regression import Ability
from smcs.prior.growth.surveying import LEAST_REFERENCES, Survey, flat_survey, survey

__all__ = (
    "LEAST_REFERENCES",
    "Ability",
    "AccuracyEstimate",
    "Survey",
    "choose_questions",
    "estimate_accuracy",
    "flat_survey",
    "infer",
    "predict",
    "survey",
)
