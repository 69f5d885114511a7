"""What may be wrong with a bank: read-only checks, each a small file, and the report they make.

`audit` runs them all on one state of the bank. A finding says what, where and how bad; nothing is repaired here:
removing and merging are explicit, logged and reversible changes of `QuestionBank`.
"""

from smcs.bank.audit.report import CHECKS, Audit, Finding, FindingKind, Severity
from smcs.bank.audit.run import AuditOptions, audit

__all__ = ("CHECKS", "Audit", "AuditOptions", "Finding", "FindingKind", "Severity", "audit")
