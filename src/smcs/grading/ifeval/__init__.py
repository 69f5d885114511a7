"""Were verifiable instructions followed? The 25 types of IFEval (Zhou et al. 2023, arXiv 2311.07911), deterministic.

`grade_ifeval` gives one grade per answer, `instruction_verdicts` one strict and one loose verdict per instruction.
Each family of types is a file of builders: parameters in, a function from an answer to "followed or not" out.
`registry` joins them by id. Details follow the published checker wherever they can change a verdict; what is decided
otherwise is told where it is decided, and in docs/instruction-following.md.
"""

from smcs.grading.ifeval.grade import InstructionVerdict, grade_ifeval, instruction_verdicts
from smcs.grading.ifeval.registry import INSTRUCTIONS

__all__ = ("INSTRUCTIONS", "InstructionVerdict", "grade_ifeval", "instruction_verdicts")
