# ruff: noqa: RUF001
"""Answers made to follow, and to break, any set of the 25 IFEval instructions; written apart from the checkers."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smcs.types import Question

Instruction = tuple[str, Mapping[str, Any]]

WORDS = """
    the old man and his son went to the market with some bread for them and then they all came home again in time
    you can see that it was not so far from here but we do like this road more than any other one by the hill
    """.split()  # noqa: SIM905
"""Small English words; what an instruction forbids is left out of the filling made of them."""

SAMPLES = {
    "ar": "ذهب الرجل العجوز إلى السوق مع ابنه واشترى الخبز والجبن ثم عاد إلى البيت في المساء",
    "bg": "Старият човек отиде на пазара със своя син и купи хляб и сирене за вечерята вкъщи",
    "de": "Der alte Mann ging mit seinem Sohn auf den Markt und kaufte dort Brot und Käse für das Abendessen",
    "en": "the old man went to the market with his son and bought some bread and cheese for their dinner",
    "es": "El hombre viejo fue al mercado con su hijo y compró pan y queso para la cena de aquella noche",
    "fa": "پیرمرد با پسرش به بازار رفت و برای شام نان و پنیر خرید و شب به خانه برگشت",
    "fi": "Vanha mies meni poikansa kanssa torille ja osti sieltä leipää ja juustoa illalliseksi",
    "fr": "Le vieil homme est allé au marché avec son fils et il a acheté du pain et du fromage pour le dîner",
    "gu": "વૃદ્ધ માણસ તેના પુત્ર સાથે બજારમાં ગયો અને સાંજના ભોજન માટે રોટલી ખરીદી",
    "hi": "बूढ़ा आदमी अपने बेटे के साथ बाज़ार गया और उसने रात के खाने के लिए रोटी और पनीर खरीदा",
    "it": "Il vecchio è andato al mercato con suo figlio e ha comprato del pane e del formaggio per la cena",
    "kn": "ಮುದುಕನು ತನ್ನ ಮಗನೊಂದಿಗೆ ಮಾರುಕಟ್ಟೆಗೆ ಹೋಗಿ ರಾತ್ರಿಯ ಊಟಕ್ಕೆ ರೊಟ್ಟಿ ಖರೀದಿಸಿದನು",
    "ko": "노인은 아들과 함께 시장에 가서 저녁 식사를 위해 빵과 치즈를 샀습니다",
    "mr": "म्हातारा माणूस आपल्या मुलासोबत बाजारात गेला आणि त्याने रात्रीच्या जेवणासाठी भाकरी विकत घेतली आहे",
    "ne": "बूढो मानिस आफ्नो छोरासँग बजार गए र उनले बेलुकाको खानाको लागि रोटी किने भनेर बताए",
    "pa": "ਬੁੱਢਾ ਆਦਮੀ ਆਪਣੇ ਪੁੱਤਰ ਨਾਲ ਬਜ਼ਾਰ ਗਿਆ ਅਤੇ ਉਸਨੇ ਰਾਤ ਦੇ ਖਾਣੇ ਲਈ ਰੋਟੀ ਖਰੀਦੀ",
    "pt": "O homem velho foi ao mercado com o seu filho e comprou pão e queijo para o jantar daquela noite",
    "ru": "Старик вместе со своим сыном пошёл на рынок и купил там хлеб и сыр чтобы приготовить ужин",
    "sw": "Mzee alikwenda sokoni pamoja na mtoto wake na alinunua mkate na jibini kwa ajili ya chakula cha jioni",
    "ta": "முதியவர் தனது மகனுடன் சந்தைக்குச் சென்று இரவு உணவிற்கு ரொட்டி வாங்கினார்",
    "te": "ముసలివాడు తన కొడుకుతో కలిసి మార్కెట్‌కు వెళ్లి రాత్రి భోజనం కోసం రొట్టె కొన్నాడు",
    "th": "ชายชราไปตลาดกับลูกชายของเขาและซื้อขนมปังสำหรับอาหารเย็น",
    "ur": "بوڑھا آدمی اپنے بیٹے کے ساتھ بازار گیا اور اس نے رات کے کھانے کے لیے روٹی خریدی",
    "vi": "Ông lão đi chợ cùng với con trai của mình và mua bánh mì cho bữa tối của gia đình",
}


def ifeval_questions(folder: Path) -> list[Question]:
    """Read `benchmarks/ifeval.jsonl.gz` of the recorded data."""
    with gzip.open(folder / "benchmarks" / "ifeval.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Question(row["id"], row["question"], grader="ifeval", check=row["instructions"]) for row in rows]


def instructions_of(question: Question) -> list[Instruction]:
    return list(zip(question.check["instruction_id_list"], question.check["kwargs"], strict=True))


class Wanted:
    """What a set of instructions asks for, by type."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self.all = [(name.partition(":")[2], values) for name, values in instructions]

    def has(self, kind: str) -> bool:
        return any(name == kind for name, _ in self.all)

    def every(self, kind: str, parameter: str) -> list[Any]:
        return [values[parameter] for name, values in self.all if name == kind]

    def first(self, kind: str, parameter: str, default: Any = 0) -> Any:
        return next(iter(self.every(kind, parameter)), default)

    def least(self, kind: str, relation: str, count: str) -> int:
        counts = [v[count] for name, v in self.all if name == kind and v[relation] == "at least"]
        return max(counts, default=0)

    def avoided(self) -> list[str]:
        """Return texts that the filling must not hold."""
        words = [word for words in self.every("forbidden_words", "forbidden_words") for word in words]
        for kind, relation, text in (
            ("frequency", "relation", "keyword"),
            ("letter_frequency", "let_relation", "letter"),
        ):
            words += [v[text] for name, v in self.all if name == kind and v[relation] == "less than"]
        return [word.lower() for word in words]


def following(instructions: Sequence[Instruction]) -> str:
    """Return an answer that follows all instructions, if they can be combined in the plain way tried here."""
    wanted = Wanted(instructions)
    if wanted.has("constrained_response"):
        return "My answer is maybe."
    body = _body(wanted)
    if wanted.has("two_responses"):
        body += "\n******\n" + (SAMPLES[wanted.first("response_language", "language", "en")] + ".")
    for marker in wanted.every("postscript", "postscript_marker"):
        body += f"\n{marker} {_filling(wanted, 1, 4)}"
    for phrase in wanted.every("end_checker", "end_phrase"):
        body += f"\n{phrase}"
    if wanted.has("title"):
        body = f"<<{_filling(wanted, 1, 3).rstrip('.')}>>\n{body}"
    for prompt in wanted.every("repeat_prompt", "prompt_to_repeat"):
        body = f"{prompt}\n{body}"
    if wanted.has("json_format"):
        body = f"```json\n{json.dumps({'day': body}, ensure_ascii=False)}\n```"
    if wanted.has("english_capital"):
        body = body.upper()
    if wanted.has("english_lowercase"):
        body = body.lower()
    return f'"{body}"' if wanted.has("quotation") else body


def _body(wanted: Wanted) -> str:
    sentences = max(1, wanted.least("number_sentences", "relation", "num_sentences"))
    words = max(12, wanted.least("number_words", "relation", "num_words"))
    extras = _extras(wanted)
    filling = _filling(wanted, sentences, math.ceil(words / sentences))
    blocks = [" ".join([*extras, filling])]
    paragraphs = wanted.first("number_paragraphs", "num_paragraphs", 1)
    if paragraphs > 1:
        blocks += [_filling(wanted, 1, 6) for _ in range(paragraphs - 1)]
        return "\n***\n".join(blocks) + _lines(wanted)
    if wanted.has("nth_paragraph_first_word"):
        count = wanted.first("nth_paragraph_first_word", "num_paragraphs")
        blocks += [_filling(wanted, 1, 6) for _ in range(count - 1)]
        nth = wanted.first("nth_paragraph_first_word", "nth_paragraph") - 1
        blocks[nth] = f"{wanted.first('nth_paragraph_first_word', 'first_word')} {blocks[nth]}"
    return "\n\n".join(blocks) + _lines(wanted)


def _extras(wanted: Wanted) -> list[str]:
    """Return keywords, letters, capitals, placeholders and highlights, to stand in the first line."""
    extras = [word for words in wanted.every("existence", "keywords") for word in words]
    for name, values in wanted.all:
        if name == "frequency" and values["relation"] == "at least":
            extras += [values["keyword"]] * values["frequency"]
        if name == "letter_frequency" and values["let_relation"] == "at least":
            extras.append(values["letter"] * values["let_frequency"])
    extras += ["NOW"] * wanted.least("capital_word_frequency", "capital_relation", "capital_frequency")
    extras += ["[name]"] * wanted.first("number_placeholders", "num_placeholders")
    highlights = wanted.first("number_highlighted_sections", "num_highlights")
    return ["so", *extras, *["*sun set*", "**sun rise**"] * (highlights // 2), *["*noon*"] * (highlights % 2)]


def _lines(wanted: Wanted) -> str:
    """Return bullets and sections, each on a line of its own."""
    marks = ("* ", "- ")
    lines = [marks[i % 2] + _filling(wanted, 1, 3) for i in range(wanted.first("number_bullet_lists", "num_bullets"))]
    splitter = wanted.first("multiple_sections", "section_spliter", "")
    for i in range(wanted.first("multiple_sections", "num_sections")):
        lines += [f"{splitter} {i + 1}", _filling(wanted, 1, 5)]
    return "".join(f"\n{line}" for line in lines)


def _filling(wanted: Wanted, sentences: int, words: int) -> str:
    """Return sentences in the wanted language without what is to be avoided."""
    language = wanted.first("response_language", "language", "en")
    if language != "en" and wanted.has("repeat_prompt"):
        words *= 30  # the language of the whole is to be found in spite of the English prompt
    avoided = wanted.avoided()
    source = WORDS if language == "en" else SAMPLES[language].split()
    allowed = [word for word in source if not any(text in word.lower() for text in avoided)] or ["my"]
    words = max(words, len(source) if language != "en" else 0)
    if wanted.has("number_sentences") and sentences == 1:
        return " ".join(allowed[i % len(allowed)] for i in range(words))
    one = " ".join(allowed[i % len(allowed)] for i in range(words)) + "."
    return " ".join([one] * sentences)


def breaking(instruction: Instruction, answer: str) -> str:
    """Return a follower changed so that it breaks one instruction."""
    name, values = instruction
    return str(_BREAKERS[name.partition(":")[2]](answer, values))


def _without(text: str, part: str) -> str:
    return re.sub(re.escape(part), "", text, flags=re.IGNORECASE)


def _recount(text: str, part: str, relation: str, count: int) -> str:
    """Remove every `part` where many are wanted; add too many where few are."""
    return (_without(text, part) or "x") if relation == "at least" else text + f" {part}" * count


def _other_language(answer: str, values: Mapping[str, Any]) -> str:
    del answer
    return SAMPLES["de" if values["language"] != "de" else "fr"]


_BREAKERS: Mapping[str, Any] = {
    "existence": lambda text, v: _without(text, v["keywords"][-1]),
    "frequency": lambda text, v: _recount(text, v["keyword"], v["relation"], v["frequency"]),
    "forbidden_words": lambda text, v: f"{text} {v['forbidden_words'][-1].upper()} x",
    "letter_frequency": lambda text, v: _recount(text, v["letter"], v["let_relation"], v["let_frequency"]),
    "response_language": _other_language,
    "number_sentences": lambda text, v: (
        "so be it" * (v["num_sentences"] > 1)
        if v["relation"] == "at least"
        else text + " It is so." * v["num_sentences"]
    ),
    "number_words": lambda text, v: "so" if v["relation"] == "at least" else text + " so" * v["num_words"],
    "number_paragraphs": lambda text, v: f"{text}\n***\none more",
    "nth_paragraph_first_word": lambda text, v: "\n\n".join(f"zzz {part}" for part in text.split("\n\n")),
    "number_placeholders": lambda text, v: text.replace("]", ""),
    "postscript": lambda text, v: _without(text, v["postscript_marker"]),
    "number_bullet_lists": lambda text, v: f"{text}\n  - one more",
    "constrained_response": lambda text, v: "I cannot say.",
    "number_highlighted_sections": lambda text, v: text.replace("*", " "),
    "multiple_sections": lambda text, v: _without(text, v["section_spliter"]),
    "json_format": lambda text, v: f"Sure: {text}",
    "title": lambda text, v: text.replace("<<", "< <"),
    "two_responses": lambda text, v: text.replace("******", "***** *"),
    "repeat_prompt": lambda text, v: f"Sure! {text}",
    "end_checker": lambda text, v: f"{text} And more",
    "quotation": lambda text, v: f"{text} he said",
    "capital_word_frequency": lambda text, v: (
        text.lower() if v["capital_relation"] == "at least" else text + " NOW" * v["capital_frequency"]
    ),
    "english_capital": lambda text, v: f"{text} quietly",
    "english_lowercase": lambda text, v: f"{text} Loudly",
    "no_comma": lambda text, v: f"{text}, so",
}
