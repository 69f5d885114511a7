"""What is kept per bank: made once by whoever asks first, made anew for another state, gone with the bank."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

from smcs.bank import QuestionBank
from smcs.strategies.per_bank import PerBank


def test_a_value_is_made_once_per_bank_and_key(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    kept: PerBank[str] = PerBank(most=2)
    with QuestionBank.create(tmp_path / "a.db") as one, QuestionBank.create(tmp_path / "b.db") as other:
        assert [kept.get(one, 1, lambda: make("a")) for _ in range(3)] == ["A"] * 3
        assert kept.get(other, 1, lambda: make("b")) == "B"
        assert kept.get(one, 2, lambda: make("c")) == "C"
        assert kept.get(one, 1, lambda: make("never")) == "A"
        assert kept.get(one, 3, lambda: make("d")) == "D"
        assert kept.get(one, 1, lambda: make("again")) == "AGAIN"
    assert made == ["a", "b", "c", "d", "again"]


def test_those_who_ask_meanwhile_wait_for_the_same_value(tmp_path: Path) -> None:
    kept: PerBank[object] = PerBank()
    begun, go_on = threading.Event(), threading.Event()
    found: list[object] = []

    def slow() -> object:
        begun.set()
        assert go_on.wait(10)
        return object()

    with QuestionBank.create(tmp_path / "a.db") as bank:
        threads = [threading.Thread(target=lambda: found.append(kept.get(bank, 1, slow))) for _ in range(3)]
        threads[0].start()
        assert begun.wait(10)
        for thread in threads[1:]:
            thread.start()
        go_on.set()
        for thread in threads:
            thread.join(10)
    assert len(found) == 3
    assert len({id(value) for value in found}) == 1


def test_values_go_with_their_bank(tmp_path: Path) -> None:
    class Value:
        pass

    kept: PerBank[Value] = PerBank()
    bank = QuestionBank.create(tmp_path / "a.db")
    value = weakref.ref(kept.get(bank, 1, Value))
    assert value() is not None
    bank.close()
    del bank
    gc.collect()
    assert value() is None
