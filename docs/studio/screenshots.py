"""Draw every page of the studio into this folder: light, dark, and as wide as a phone.

`make screenshots`, or `python docs/studio/screenshots.py`. A real server runs over scripted LLMs and the bank that
ships with smcs, and real Chromium looks at it; nothing is asked of another machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Browser, Page, expect

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from helpers_studio import chromium, open_page, serve_studio  # noqa: E402

QUESTIONS = (
    "A train leaves at 14:35 and arrives at 17:10. How long does it take?",
    "Write a Python function that returns the second largest number of a list.",
    "Which planet has the most moons, and how are they found?",
)
PAGES = {
    "ask": "/",
    "runs": "/runs",
    "bank": "/bank",
    "bank-map": "/bank?view=map",
    "llms": "/pool",
    "results": "/results",
    "result": "/results?file=mmlu_pro_votes.jsonl.gz",
    "spend": "/spend",
}
LOOKS: dict[str, dict[str, Any]] = {"light": {}, "dark": {"dark": True}, "phone": {"width": 390}}

_TRAIN = {
    "qwen2.5-coder-1.5b": "Count in minutes:\n\n$$(17 \\cdot 60 + 10) - (14 \\cdot 60 + 35) = 155$$\n\n"
    "The train takes **2 hours and 35 minutes**.",
    "qwen2.5-coder-0.5b": "17:10 minus 14:35 is 2:35. The answer is **2 hours and 35 minutes**.",
    "smollm2-135m": "The train takes 3 hours and 25 minutes.",
}
_PYTHON = (
    "Sets leave repeated numbers out:\n\n```python\ndef second_largest(numbers):\n    ordered = sorted(set(numbers))\n"
    "    if len(ordered) < 2:\n        raise ValueError('two numbers are needed')\n    return ordered[-2]\n```\n"
)
_MOONS = "Saturn: 274 moons are confirmed. Most are small, and found by adding up many exposures of a wide telescope."


def write_config(folder: Path) -> Path:
    """Write a config whose LLMs bear the names that the shipped bank knows."""
    pool = [
        {
            "name": name,
            "kind": "scripted",
            "script": {
                "replies": {"train": train, "Python": _PYTHON, "": _MOONS},
                "latency": {"median": 0.5, "sigma": 0.5},
                "spread": 0.3,
                "seed": seed,
            },
            "price": {"input": 0.1 + seed, "output": 0.4 + seed},
            "context_window": 32_768,
        }
        for seed, (name, train) in enumerate(_TRAIN.items())
    ]
    config = {
        "pool": pool,
        "aggregators": ["qwen2.5-coder-1.5b"],
        "embedder": {"kind": "hashing"},
        "bank": "seed",
        "profile": "paper",
        "parameters": {"k": 3, "n": 3, "drop": 1, "support_base": 40},
        "gateway": {"port": 0, "database": "ledger.db", "keys": "off", "results": str(ROOT / "experiments")},
    }
    file = folder / "smcs.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


def at(page: Page, name: str) -> Any:
    """Return what is marked with a name."""
    return page.locator(f"[data-testid={name}]")


def fill(browser: Browser, url: str) -> str:
    """Ask the questions, by several methods; return the address of the comparison of two runs."""
    runs = []
    with open_page(browser) as page:
        for model in ("smcs/smcs", "smcs/majority_vote", "smcs"):
            for question in QUESTIONS:
                page.goto(f"{url}/?model={model}")
                ask(page, question)
                runs.append(at(page, "run-link").get_attribute("href") or "")
    names = [run.rpartition("/")[2] for run in runs]
    return f"/runs/compare?a={names[0]}&b={names[3]}"


def ask(page: Page, question: str) -> None:
    """Ask a question and wait for all of the answer."""
    at(page, "question").fill(question)
    at(page, "send").click()
    expect(at(page, "step-cost")).to_be_visible(timeout=60_000)
    expect(at(page, "send")).to_be_enabled()


def draw(browser: Browser, url: str, pages: dict[str, str]) -> None:
    """Write a picture of each page in each look."""
    for look, how in LOOKS.items():
        for name, path in pages.items():
            with open_page(browser, **how) as page:
                page.goto(url + path)
                busy = page.locator("main [role=status]:has-text('Loading'), main .smcs-busy")
                expect(busy).to_have_count(0, timeout=120_000)
                if name == "ask":
                    ask(page, QUESTIONS[0])
                    at(page, "question").blur()
                page.wait_for_timeout(1_000)
                file = Path(__file__).parent / f"{name}-{look}.png"
                height = min(page.evaluate("document.documentElement.scrollHeight"), 2_600)
                page.set_viewport_size({"width": how.get("width", 1280), "height": max(height, 700)})
                page.wait_for_timeout(600)
                page.mouse.move(0, 0)  # nothing is pointed at
                page.screenshot(path=str(file), scale="css")
                print(f"{file.name}: {file.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Serve, ask, draw."""
    with tempfile.TemporaryDirectory(prefix="smcs-studio-") as folder:
        config = write_config(Path(folder))
        with serve_studio(config) as (url, _), chromium() as browser:
            comparison = fill(browser, url)
            run = "/runs/" + comparison.partition("a=")[2].partition("&")[0]
            draw(browser, url, {**PAGES, "run": run, "comparison": comparison})


if __name__ == "__main__":
    main()
