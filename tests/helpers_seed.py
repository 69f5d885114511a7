"""Second opinions on seed questions: solvers that read the text alone and share no code with the generator."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import re
import statistics
from collections.abc import Callable
from fractions import Fraction

from smcs.tasks.seed import level
from smcs.types import Question

WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def solve_mathematics(question: Question) -> Fraction:
    """Return the answer to a mathematics question."""
    return Fraction(MATHEMATICS[question.subject](question.text))


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def arithmetic(text: str) -> int:
    n = numbers(text)
    if "Subtract" in text:
        return n[1] - n[0]
    if " - " in text or "took" in text:
        return n[0] - n[1]
    if re.search(r"times|packs|product|multiplied", text):
        return sum(n[0] for _ in range(n[1]))
    if re.search(r"Divide|shared", text):
        assert n[0] % n[1] == 0
        return n[0] // n[1]
    assert re.search(r"\+|given|sum of|Add the three|sold", text)
    return sum(n)


def operations(text: str) -> Fraction:
    expression = max(re.findall(r"[-+*/() 0-9]+", text), key=len)
    return Fraction(eval(re.sub(r"\d+", r"Fraction(\g<0>)", expression.strip())))  # noqa: S307


def percent(text: str) -> int | Fraction:
    n = numbers(text)
    if re.search(r"What is|walk to class", text):
        return Fraction(n[0], 100) * n[1]
    if re.search(r"cheaper|with a discount", text):
        return n[0] - Fraction(n[0] * n[1], 100)
    if re.search(r"rises|grows", text):
        return Fraction(n[0]) * Fraction(100 + n[1], 100) * Fraction(100 - n[2], 100)
    off, paid = n if text.startswith("After") else reversed(n)
    return next(price for price in range(1, 5000) if Fraction(price * (100 - off), 100) == paid)


def equation(text: str) -> int:
    n = numbers(text)
    if "add up to" in text or "own" in text:
        return next(a for a in range(200) if a + (a - n[1]) == n[0])
    if "I think" in text:
        return next(x for x in range(200) if x * n[0] + n[1] == n[2])
    pattern = r"(?:Solve|if|is|makes) (.+?) (?:=|equal to|and) (.+?)(?:\.|\?| for| equal\?)"
    match = re.search(pattern, re.sub(r"For which number \w|Which value of \w", "", text))
    assert match is not None
    left, right = (re.sub(r"(\d)([nxyz])", r"\1*u", side) for side in match.groups())
    left, right = (re.sub(r"\b[nxyz]\b", "u", side) for side in (left, right))
    return next(u for u in range(-200, 200) if eval(left, {"u": u}) == eval(right, {"u": u}))  # noqa: S307


def travel(text: str) -> Fraction:
    n = numbers(text)
    if "meet" in text:
        return Fraction(n[0], n[1] + n[2])
    if "average" in text:
        return Fraction(n[0] * n[1] + n[2] * n[3], n[0] + n[2])
    return Fraction(n[0] * 60, n[1]) if "minutes" in text else Fraction(n[0] * n[1])


def conversion(text: str) -> Fraction:
    n = numbers(text)
    if "litres" in text:
        return Fraction(n[0], 1000) * n[1]
    if "metres per second" in text or "m/s" in text:
        return Fraction(n[0] * 60 * 60, 1000)
    if len(n) == 2:
        return Fraction(n[0] * (60 if "hours" in text else 100) + n[1])
    unit = {"centimetres": Fraction(1, 100), "metres": Fraction(1), "grams": Fraction(1), "kilograms": Fraction(1000)}
    unit |= {"seconds": Fraction(1), "minutes": Fraction(60), "hours": Fraction(3600)}
    found = [word for word in re.findall(r"[a-z]+", text) if word in unit]
    small, large = sorted(found, key=lambda word: unit[word])
    return n[0] * unit[large] / unit[small]


def divisors(text: str) -> int:
    n = numbers(text)
    if "remainder when" in text or "full box" in text:
        return n[0] - n[1] * (n[0] // n[1])
    if "largest number" in text or "greatest common" in text:
        return max(d for d in range(1, 500) if n[0] % d == 0 and n[1] % d == 0)
    if "^" in text or "power" in text:
        return math.prod([n[0]] * n[1]) % n[2]
    return next(m for m in range(1, 10**5) if all(m % k == 0 for k in n))


def sequence(text: str) -> int | Fraction:
    n = numbers(text)
    if "term number" in text:
        return list(range(n[0], 10**5, n[1] - n[0]))[n[-1] - 1]
    steps = [b - a for a, b in itertools.pairwise(n)]
    if len(set(steps)) == 1:
        return n[-1] + steps[0]
    if len({Fraction(b, a) for a, b in itertools.pairwise(n)}) == 1:
        return n[-1] * Fraction(n[1], n[0])
    if all(a + b == c for a, b, c in zip(n, n[1:], n[2:], strict=False)):
        return n[-1] + n[-2]
    assert len({b - a for a, b in itertools.pairwise(steps)}) == 1
    return n[-1] + steps[-1] + steps[1] - steps[0]


def average(text: str) -> Fraction | float:
    n = numbers(text)
    if re.search(r"median|middle", text):
        return statistics.median(n)
    if re.search(r"five", text):
        return next(x for x in range(1000) if statistics.mean([*n[1:], x]) == n[0])
    if re.search(r"class|parcels", text):
        return Fraction(statistics.mean(map(Fraction, [n[1]] * n[0] + [n[3]] * n[2])))
    return Fraction(statistics.mean(n))


def geometry(text: str) -> float:
    n = numbers(text)
    if re.search(r"path|frame", text):
        cells = itertools.product(range(n[0] + 2 * n[2]), range(n[1] + 2 * n[2]))
        return sum(not (n[2] <= x < n[2] + n[0] and n[2] <= y < n[2] + n[1]) for x, y in cells)
    if re.search(r"right triangle|returns to the start", text):
        return n[0] + n[1] + math.hypot(n[0], n[1])
    if re.search(r"perimeter|fence", text):
        return n[0] + n[1] + n[0] + n[1]
    if re.search(r"triang", text):
        return n[0] * n[1] / 2
    assert re.search(r"area|floor|volume|cubes", text)
    return math.prod(n)


def probability(text: str) -> Fraction:
    n = numbers(text)
    if "dice" in text:
        rolls = list(itertools.product(range(1, 7), repeat=2))
        return Fraction(sum(a + b == n[0] for a, b in rolls), len(rolls))
    if "coin" in text:
        throws = list(itertools.product("HT", repeat=3))
        return Fraction(sum(throw.count("H") == n[0] for throw in throws), len(throws))
    colours = re.findall(r"\d+ (\w+)", text)
    wanted = re.findall(rf"({colours[0]}|{colours[1]})[.?]", text)[-1]
    things = [colours[0]] * n[0] + [colours[1]] * n[1]
    draws = list(itertools.permutations(things, 2 if re.search(r"both", text) else 1))
    return Fraction(sum(set(draw) == {wanted} for draw in draws), len(draws))


def bases(text: str) -> int:
    if match := re.search(r"binary number (\d+)|Which decimal number is (\d+) in base 2\?", text):
        return int(match[1] or match[2], 2)
    if match := re.search(r"decimal number (\d+) in binary|What is (\d+) in base 2", text):
        return int(f"{int(match[1] or match[2]):b}")
    if match := re.search(r"hexadecimal number (\w+)|number is (\w+) in base 16", text):
        return int(match[1] or match[2], 16)
    digits, base = numbers(text)
    return int(str(digits), base)


MATHEMATICS: dict[str, Callable[[str], int | float | Fraction]] = {
    f.__name__: f
    for f in (
        arithmetic,
        operations,
        percent,
        equation,
        travel,
        conversion,
        divisors,
        sequence,
        average,
        geometry,
        probability,
        bases,
    )
}


def ordering(text: str) -> str:
    down = "taller|older|faster|richer"
    clues = re.findall(rf"(\w+) is ({down}|shorter|younger|slower|poorer) than (\w+)", text)
    pairs = [(a, b) if re.fullmatch(down, word) else (b, a) for a, word, b in clues]
    people = {person for pair in pairs for person in pair}
    orders = [o for o in itertools.permutations(people) if all(o.index(a) < o.index(b) for a, b in pairs)]
    assert len(orders) == 1
    if match := re.search(r"place (\d)|Exactly (\d)", text):
        return str(orders[0][int(match[1]) - 1 if match[1] else int(match[2])])
    return str(orders[0][0 if re.search(r"(tall|old|fast|rich)est of", text) else -1])


def calendar(text: str) -> str:
    today = next(day for day in WEEKDAYS if re.search(rf"\b{day}\b", text))
    dates = [
        dt.datetime.strptime(f"{d} 2027", "%d %B %Y").replace(tzinfo=dt.UTC) for d in re.findall(r"\d+ [A-Z]\w+", text)
    ]
    days = numbers(text)[0] * (-1 if "ago" in text else 1)
    if dates:
        days = abs((dates[1] - dates[0]).days)
    return WEEKDAYS[(WEEKDAYS.index(today) + days) % 7]


def directions(text: str) -> str:
    ways = {"north": 1j, "east": 1 + 0j, "south": -1j, "west": -1 + 0j}
    legs = re.findall(r"(\d+) km (\w+)", text)
    if legs:
        at = sum(int(length) * ways[way] for length, way in legs)
        parts = ("north" if at.imag > 0 else "south" if at.imag < 0 else ""), ("east" if at.real > 0 else "west")
        return "-".join(part for part in parts if part)
    match = re.search(r"(?:faces|Looking) (\w+)", text)
    assert match is not None
    facing = ways[match[1]]
    for turn in re.findall(r"turns (right|left|around)", text):
        facing *= {"right": -1j, "left": 1j, "around": -1}[turn]
    return next(name for name, way in ways.items() if way == facing)


def letter_pattern(text: str) -> str:
    groups = re.findall(r"\b[A-Z]{2,4}\b", text)
    if len(groups[0]) == 2:
        step = ord(groups[1][0]) - ord(groups[0][0])
        return "".join(chr(ord(letter) + step) for letter in groups[3])
    example, coded, word = groups
    for turn in (1, -1):
        shifts = {(ord(b) - ord(a)) % 26 for a, b in zip(example[::turn], coded, strict=True)}
        if len(shifts) == 1:
            return "".join(chr((ord(c) - 65 + shifts.copy().pop()) % 26 + 65) for c in word[::turn])
    raise AssertionError(text)


def table(text: str) -> str:
    rows = [line.split(" | ") for line in text.splitlines() if " | " in line]
    (_, *things), *people = rows
    ask = text.splitlines()[-1]
    if "together" in ask and "four" not in ask:
        return max(people, key=lambda row: int(row[1]) + int(row[2]))[0]
    column = 1 + next(i for i, thing in enumerate(things) if thing in ask)
    if "four" in ask or "added" in ask:
        rated = {row[0]: int(row[1]) + int(row[2]) for row in people}
        return (
            max(rated, key=lambda name: rated[name]) if "added" in ask else str(sum(int(row[column]) for row in people))
        )
    if "Who" in ask:
        ranked = sorted(people, key=lambda row: int(row[column]))
        return ranked[-1 if "most" in ask else 0][0]
    return next(row[column] for row in people if row[0] in ask)


def truth_teller(text: str) -> str:
    claims = re.findall(r'(\w+) says: "It (was not|was) (\w+)\."', text)
    people = [speaker for speaker, _, _ in claims]
    wanted = 2 if "Exactly two" in text else 1
    fits = []
    for culprit in people:
        truths = [((speaker if whom == "me" else whom) == culprit) == (word == "was") for speaker, word, whom in claims]
        fits += [culprit] if sum(truths) == wanted else []
    assert len(fits) == 1
    return str(fits[0])


def kinship(text: str) -> str:
    clues = {a: (word, b) for a, word, b in re.findall(r"(\w+) is the ([\w-]+) of (\w+)\.", text)}
    who = next(name for name in clues if name not in {b for _, b in clues.values()})
    at, words = who, []
    while at in clues:
        word, at = clues[at]
        words.append(word)
    assert re.search(rf"{who} to {at}\?|{who} related to {at}\?|{at} calls {who} ", text)
    female = words[0] in ("mother", "daughter", "sister", "wife")
    up = sum(word in ("mother", "father") for word in words) - sum(word in ("daughter", "son") for word in words)
    aside, married = bool({"sister", "brother"} & set(words)), bool({"wife", "husband"} & set(words))
    names = {
        (2, False, False): ("grandmother", "grandfather"),
        (-2, False, False): ("granddaughter", "grandson"),
        (3, False, False): ("great-grandmother", "great-grandfather"),
        (-3, False, False): ("great-granddaughter", "great-grandson"),
        (1, True, False): ("aunt", "uncle"),
        (-1, True, False): ("niece", "nephew"),
        (0, True, False): ("cousin", "cousin"),
        (2, True, False): ("great-aunt", "great-uncle"),
        (1, False, True): ("mother-in-law", "father-in-law"),
        (-1, False, True): ("daughter-in-law", "son-in-law"),
    }
    return names[up, aside, married][not female]


def syllogism(text: str, choices: tuple[str, ...]) -> str:
    """Try every world in which each kind exists; the answer holds in all of them, the others do not."""
    statements = re.findall(
        r"(All|No|Some) (\w+) are (not )?(\w+)", re.sub(r"Which.*|Only.*|Suppose this holds:", "", text)
    )
    pets = re.search(r"(\w+) keeps only (\w+)", text)
    premises = [(how, a, bool(no), b) for how, a, no, b in statements]
    premises += [("All", "pets", False, pets[2])] if pets else []
    kinds = sorted({kind for _, a, _, b in premises for kind in (a, b)})
    members = list(itertools.product((False, True), repeat=len(kinds)))

    def read(choice: str) -> tuple[str, str, bool, str]:
        if match := re.fullmatch(r"(All|None) of \w+'s pets are (\w+)\.", choice):
            return ("All" if match[1] == "All" else "No"), "pets", False, match[2]
        if match := re.fullmatch(r"\w+ has pets that are not (\w+)\.", choice):
            return "Some", "pets", True, match[1]
        match = re.fullmatch(r"(All|No|Some) (\w+) are (not )?(\w+)\.", choice)
        assert match is not None, choice
        return match[1], match[2], bool(match[3]), match[4]

    def holds(statement: tuple[str, str, bool, str], world: tuple[tuple[bool, ...], ...]) -> bool:
        how, a, no, b = statement
        hits = [being[kinds.index(b)] != no for being in world if being[kinds.index(a)]]
        return {"All": all(hits), "No": not any(hits), "Some": any(hits)}[how]

    worlds = [
        world
        for size in range(1, len(members) + 1)
        for world in itertools.combinations(members, size)
        if all(any(being[i] for being in world) for i in range(len(kinds)))
        and all(holds(premise, world) for premise in premises)
    ]
    valid = [choice for choice in choices if all(holds(read(choice), world) for world in worlds)]
    assert worlds
    assert len(valid) == 1
    return valid[0]


REASONING: dict[str, Callable[[str], str]] = {
    f.__name__: f for f in (ordering, calendar, directions, letter_pattern, table, truth_teller, kinship)
}


def solve_instructions(question: Question) -> str:
    """Write a text that keeps all rules of an instruction question."""
    rules = {rule["kind"]: rule for rule in question.check["rules"]}
    if "exact" in rules:
        return str(rules["exact"]["text"])
    if "json" in rules:
        rule = rules["json"]
        return json.dumps(rule.get("values", dict.fromkeys(rule["keys"], "some value")))
    if "bullets" in rules:
        letter = next(c for c in "xyz" if c not in rules.get("without", {"characters": ""})["characters"])
        return "\n".join(f"- {letter * (i + 2)}" for i in range(rules["bullets"]["count"]))
    if "numbered" in rules:
        return "\n".join(f"{i}. thing" for i in range(1, rules["numbered"]["count"] + 1))
    if "separated" in rules:
        rule = rules["separated"]
        entries = [f"item{chr(97 + i)}" for i in range(rule["count"])]
        return str(rule.get("left", "") + f"{rule['separator']} ".join(entries) + rule.get("right", ""))
    return _prose(rules)


def _prose(rules: dict[str, dict[str, object]]) -> str:
    start, end = (str(rules[kind]["text"]) if kind in rules else "" for kind in ("starts_with", "ends_with"))
    included = rules.get("include", {}).get("words", [])
    assert isinstance(included, list)
    words = [*start.split(), *included]
    limit = rules.get("words", {"relation": "at most", "count": len(words) + 1})
    if limit["relation"] == "exactly":
        assert isinstance(limit["count"], int)
        words += ["word"] * (limit["count"] - len(words))
    sentences = rules.get("sentences", {"count": 1})["count"]
    assert isinstance(sentences, int)
    text = f"{' '.join(words) or 'Fine words'}." + " More of it." * (sentences - 1) + (f" {end}" if end else "")
    return text.lower() if "lowercase" in rules else text.upper() if "uppercase" in rules else text


def solve_code(question: Question) -> str:
    """Write a program that does what a code question asks, with its parameters read from the text."""
    text = question.text.partition(" Example: ")[0].partition(" For example, ")[0].partition(" For instance, ")[0]
    name = question.check["entry_point"]
    body = CODE[question.subject][level(question) - 1]
    ints = numbers(text)
    quoted = re.findall(r"'([^']*)'", text)
    header = f"text = {text!r}\nn = {ints!r}\nq = {quoted!r}\n"
    return f"{header}def {name}(x):\n" + "\n".join(f"    {line}" for line in body.splitlines())


CODE: dict[str, tuple[str, str, str]] = {
    "count_text": (
        "return len(x.split(q[0])) - 1",
        "return len([c for c in x if c.lower() in set(q[0])])",
        "return len([w for w in x.split(' ') if len(w) >= n[0] and not w.startswith(q[0])])",
    ),
    "filter_list": (
        "return list(filter(lambda v: v > n[0], x))",
        "out = []\nfor v in x:\n    if not v % n[0] and v not in out:\n        out.append(v)\nreturn out",
        "def s(v):\n    return v and v % 10 + s(v // 10)\nreturn sorted([v for v in x if not s(v) % n[0]])[::-1]",
    ),
    "aggregate": (
        "t = n[0]\nfor v in x:\n    t += v\nreturn t",
        "t = 0\nfor v in x:\n    if v % n[0]:\n        t += v ** 2\nreturn t",
        "return max(sum(x[i] for i in range(j, j + n[0])) for j in range(len(x) + 1 - n[0])) - n[1]",
    ),
    "text_transform": (
        "return ''.join([*map(str.upper, x), q[0]])",
        "return ''.join(q[1] if c == q[0] else c for c in reversed(x))",
        "a = 'abcdefghijklmnopqrstuvwxyz'\nreturn x.translate(str.maketrans(a, a[n[0]:] + a[:n[0]]))",
    ),
    "list_transform": (
        "return [sum([v] * n[0]) for v in x]",
        "x = list(x)\nfor _ in range(n[0]):\n    if x:\n        x.append(x.pop(0))\nreturn x",
        "out = []\nwhile x:\n    out.append(sum(x[:n[0]]) * n[1])\n    x = x[n[0]:]\nreturn out",
    ),
    "digits": (
        "t = n[0]\nwhile x:\n    x, d = divmod(x, 10)\n    t += d\nreturn t",
        (
            "d, f = n if 'counts how often' in text else n[::-1]\nt = 0\n"
            "while x:\n    t += f * (x % 10 == d)\n    x //= 10\nreturn t"
        ),
        "b, m = n\ns = ''\nwhile x or len(s) < m:\n    s = str(x % b) + s\n    x //= b\nreturn s",
    ),
    "predicate": (
        "return any(not x % k for k in n)",
        "y = x.lower()\nreturn len(y) >= n[0] and all(a == b for a, b in zip(y, reversed(y)))",
        "k = next(v for v in n if v != 1)\nreturn len([d for d in range(1, x + 1) if x / d == x // d]) == k",
    ),
    "formatting": (
        "out = ''\nfor i, w in enumerate(x):\n    out += (q[0] if i else '') + w\nreturn out",
        "return q[0] + str(x).rjust(n[0], '0')",
        (
            "h, m = divmod(x + n[0], 60)\na, b = __import__('re').match(r'2( ?[a-z]+) 05( ?[a-z]+)', q[0]).groups()\n"
            "return str(h) + a + ' ' + str(m).rjust(2, '0') + b"
        ),
    ),
    "dictionary": (
        "return sorted(filter(lambda k: x[k] > n[0], x))",
        "return {k: x.count(k) for k in set(x) if x.count(k) >= n[0]}",
        (
            "size = max([1] + [int(v) for v in __import__('re').findall(r'first (\\d) letters', text)])\n"
            "least = int(__import__('re').search(r'(?:at least|fewer than) (\\d)', text)[1])\n"
            "kept = [w for w in x if len(w) >= least]\n"
            "return {w[:size]: [v for v in kept if v[:size] == w[:size]] for w in kept}"
        ),
    ),
    "recurrence": (
        "return list(range(n[0], n[0] * x + 1, n[0]))",
        ("s = [v for v in n if v != 0][:2]\nwhile len(s) <= x:\n    s.append(s[-1] + s[-2])\nreturn s[x]"),
        "t = 0\nk, a, top = [v for v in n if v][:3]\nwhile x <= top:\n    x = k * x + a\n    t += 1\nreturn t",
    ),
}
"""Bodies of f(x) by family and level, over n (integers of the text), q (its quoted strings) and the text itself."""
