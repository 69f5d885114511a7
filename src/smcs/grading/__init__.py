"""Was an answer correct?

`grade(question, answer)` dispatches on `question.grader` and returns a `Grade`: 1 right, 0 wrong (also when nothing can
be recognised), `None` only when the grader itself gave way. Answers are untrusted text: every grader takes bounded time
and memory. A new grader is one file with a `grade_<name>` function, a name in `types.GraderName`, a case in `dispatch`.
"""

from smcs.grading.agreement import same_answers
from smcs.grading.choice import find_choice, grade_choice
from smcs.grading.dispatch import grade
from smcs.grading.exact import grade_exact
from smcs.grading.ifeval import InstructionVerdict, grade_ifeval, instruction_verdicts
from smcs.grading.instructions import RULES, grade_instructions
from smcs.grading.mathematics import find_expression, grade_math
from smcs.grading.number import Number, find_number, grade_number
from smcs.grading.settled import settled

__all__ = (
    "RULES",
    "InstructionVerdict",
    "Number",
    "find_choice",
    "find_expression",
    "find_number",
    "grade",
    "grade_choice",
    "grade_exact",
    "grade_ifeval",
    "grade_instructions",
    "grade_math",
    "grade_number",
    "instruction_verdicts",
    "same_answers",
    "settled",
)
