"""The question bank: questions with verified answers, the graded answers of LLMs, and search for the closest ones.

`QuestionBank` is all a caller needs. The database is the truth; the memory-mapped index beside it is derived and can
be deleted at any time. A missing or ungraded outcome is never a zero. This room calls no LLM.
"""

from smcs.bank.answers import AnswerCounts, AnswerVectors, embedded_part
from smcs.bank.audit import CHECKS as AUDIT_CHECKS
from smcs.bank.audit import Audit, AuditOptions, Finding
from smcs.bank.audit.texts import fingerprint
from smcs.bank.bank import QuestionBank
from smcs.bank.core import Logged
from smcs.bank.estimates import WELL_GRADED, index_scores, survey_of
from smcs.bank.history import Change
from smcs.bank.importers import ImportFormat, ImportOptions, detect_format
from smcs.bank.index import BankIndex
from smcs.bank.info import Accuracy, BankInfo, EmbedderInfo
from smcs.bank.notes import TaskUsage
from smcs.bank.portable import Imported
from smcs.bank.reads import OutcomeMatrix
from smcs.bank.search import Retrieved, Scan
from smcs.bank.verify import Verified

__all__ = (
    "AUDIT_CHECKS",
    "WELL_GRADED",
    "Accuracy",
    "AnswerCounts",
    "AnswerVectors",
    "Audit",
    "AuditOptions",
    "BankIndex",
    "BankInfo",
    "Change",
    "EmbedderInfo",
    "Finding",
    "ImportFormat",
    "ImportOptions",
    "Imported",
    "Logged",
    "OutcomeMatrix",
    "QuestionBank",
    "Retrieved",
    "Scan",
    "TaskUsage",
    "Verified",
    "detect_format",
    "embedded_part",
    "fingerprint",
    "index_scores",
    "survey_of",
)
