"""Was an answer correct?

`grade(question, answer)` dispatches on `question.grader` and returns a `Grade`: 1 right, 0 wrong (also when nothing can
be recognised), `None` only when the grader itself gave way. Answers are untrusted text: every grader takes bounded time
and memory. A new grader is one file with a `grade_<name>` function, a name in `types.GraderName`, a case in `dispatch`.
"""

from smcs.grading.choice import find_choice, grade_choice
from smcs.grading.dispatch import grade
from smcs.grading.instructions import RULES, grade_instructions
from smcs.grading.number import Number, find_number, grade_number

__all__ = (
    "RULES",
    "Number",
    "find_choice",
    "find_number",
    "grade",
    "grade_choice",
    "grade_instructions",
    "grade_number",
)
