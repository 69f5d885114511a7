"""The question bank: questions with verified answers, the graded answers of LLMs, and search for the closest ones.

`QuestionBank` is all a caller needs. The database is the truth; the memory-mapped index beside it is derived and can
be deleted at any time. A missing or ungraded outcome is never a zero. This room calls no LLM.
"""

from smcs.bank.bank import QuestionBank
from smcs.bank.info import Accuracy, BankInfo, EmbedderInfo
from smcs.bank.portable import Imported
from smcs.bank.reads import OutcomeMatrix
from smcs.bank.search import Retrieved, Scan

__all__ = (
    "Accuracy",
    "BankInfo",
    "EmbedderInfo",
    "Imported",
    "OutcomeMatrix",
    "QuestionBank",
    "Retrieved",
    "Scan",
)
