"""Random changes and reversals of a bank, against a list of what it held after each of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from helpers_bank import EMBEDDER, outcome, question
from smcs.bank import QuestionBank
from smcs.errors import BankError

NUMBERS = st.integers(0, 5)
NAMES = st.sampled_from(["a", "b", "c"])
Content = dict[str, object]


class Changes(RuleBasedStateMachine):
    """`stack` holds, for each change that stands, its number and what the bank held before it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.bank = QuestionBank.create(self.folder / "bank.db")
        self.stack: list[tuple[int, Content]] = []

    def teardown(self) -> None:
        self.bank.close()
        shutil.rmtree(self.folder)

    def content(self) -> Content:
        return {
            "hash": self.bank.content_hash,
            "questions": self.bank.questions(),
            "outcomes": {name: self.bank.recorded(name) for name in self.bank.llms},
            "embedders": self.bank.info().embedders,
        }

    def after(self, before: Content, known: int) -> None:
        made = self.bank.history()[known:]
        assert len(made) <= 1
        if made:
            self.stack.append((made[0].id, before))
        else:
            assert self.content() == before

    @rule(numbers=st.lists(NUMBERS, max_size=3), gold=st.sampled_from(["A", "B"]))
    def add_or_replace(self, numbers: list[int], gold: str) -> None:
        before, known = self.content(), len(self.bank.history())
        self.bank.add_questions({i: question(i, gold=gold) for i in numbers}.values(), replace=True)
        self.after(before, known)

    @rule(numbers=st.lists(NUMBERS, max_size=3))
    def remove(self, numbers: list[int]) -> None:
        before, known = self.content(), len(self.bank.history())
        self.bank.remove_questions(f"q{i:04}" for i in numbers)
        self.after(before, known)

    @rule(name=NAMES)
    def add_or_remove_llm(self, name: str) -> None:
        before, known = self.content(), len(self.bank.history())
        if name in self.bank.llms:
            self.bank.remove_llm(name)
        else:
            self.bank.add_llm(name)
        self.after(before, known)

    @rule(name=NAMES, numbers=st.lists(NUMBERS, max_size=4), score=st.sampled_from([None, 0.0, 0.5, 1.0]))
    def grow(self, name: str, numbers: list[int], score: float | None) -> None:
        before, known = self.content(), len(self.bank.history())
        with self.bank.logged("grow"):
            there = set(self.bank.question_ids())
            self.bank.add_questions(question(i) for i in numbers if f"q{i:04}" not in there)
            self.bank.add_llm(name)
            self.bank.record(outcome(i, name, score) for i in numbers)
            ids = sorted({f"q{i:04}" for i in numbers})
            self.bank.store_embeddings(EMBEDDER, ids, np.ones((len(ids), 2)) if ids else np.ones((0, 2)))
        self.after(before, known)

    @rule(keep=NUMBERS, other=NUMBERS)
    def merge(self, keep: int, other: int) -> None:
        before, known = self.content(), len(self.bank.history())
        there = set(self.bank.question_ids())
        if keep != other and {f"q{keep:04}", f"q{other:04}"} <= there:
            self.bank.merge_questions(f"q{keep:04}", [f"q{other:04}"])
        self.after(before, known)

    @precondition(lambda self: self.stack)
    @rule()
    def undo_the_last(self) -> None:
        number, before = self.stack.pop()
        self.bank.undo(number)
        assert self.content() == before

    @precondition(lambda self: self.stack)
    @rule(data=st.data())
    def undo_any(self, data: st.DataObject) -> None:
        """One in the middle is undone with all sums in order, or refused with nothing changed."""
        number, _ = data.draw(st.sampled_from(self.stack))
        before, known = self.content(), len(self.bank.history())
        try:
            done = self.bank.undo(number)
        except BankError:
            assert (self.content(), len(self.bank.history())) == (before, known)
        else:
            assert done.undoes == number
            self.bank.undo(done.id)
            assert self.content() == before

    @invariant()
    def sums_fit(self) -> None:
        assert self.bank.verify().problems == ()


TestChanges = Changes.TestCase
TestChanges.settings = settings(
    max_examples=10,
    stateful_step_count=10,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),  # Shrinking would rebuild banks for minutes.
    report_multiple_bugs=False,
)
