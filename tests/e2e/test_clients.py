"""The clients of docs/clients.md against a server process, unchanged: nothing in them knows of smcs.

Clients other than the `openai` SDK run as scripts of their own, as a user would run them: they set up telemetry, event
loops and warnings as they please, and none of that reaches this process. Those that are not installed are skipped.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from helpers_serving import ANSWER, ARGUMENTS, FORECAST, QUESTION, WEATHER, Served, serving

openai = pytest.importorskip("openai")

pytestmark = pytest.mark.timeout(180)

CLIENTS = Path(__file__).parent.parent.parent / "docs" / "clients.md"
DOCUMENTED_URL, DOCUMENTED_KEY = "http://127.0.0.1:8300/v1", "sk-smcs-..."

CHAT = [{"role": "user", "content": QUESTION}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("serve")) as running:
        yield running


def client_of(served: Served, **options: Any) -> Any:
    return openai.OpenAI(**{"base_url": served.url, "api_key": served.key, "max_retries": 0, "timeout": 60, **options})


@pytest.fixture
def sdk(served: Served) -> Iterator[Any]:
    with client_of(served) as client:
        yield client


@pytest.fixture
async def async_sdk(served: Served) -> AsyncIterator[Any]:
    async with openai.AsyncOpenAI(base_url=served.url, api_key=served.key, max_retries=0, timeout=60) as client:
        yield client


# The openai SDK


def test_the_sdk_lists_models_and_finds_one(sdk: Any) -> None:
    names = [model.id for model in sdk.models.list()]
    assert {"smcs", "smcs-fast", "smcs/rps", "knows", "merges"} <= set(names)
    assert sdk.models.retrieve("smcs/rps").id == "smcs/rps"


def test_the_sdk_gets_an_answer_and_where_it_comes_from(sdk: Any) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="smcs", messages=CHAT)
    answer = raw.parse()
    assert answer.object == "chat.completion"
    assert answer.model == "smcs"
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 20
    told = answer.smcs
    assert told["strategy"] == "smcs_guarded"
    assert raw.headers["x-smcs-run-id"] == told["run_id"]
    assert told["run_id"] in answer.id
    assert told["cost_usd"] > 0


def test_the_sdk_sends_our_options_in_its_extra_body(sdk: Any) -> None:
    options = {"strategy": "majority_vote", "include": ["knows", "guesses"], "explain": True}
    answer = sdk.chat.completions.create(model="smcs", messages=CHAT, extra_body={"smcs": options})
    assert answer.smcs["strategy"] == "majority_vote"
    assert {attempt["llm"] for attempt in answer.smcs["run"]["attempts"]} <= {"knows", "guesses"}
    record: Any = sdk.get(f"/runs/{answer.smcs['run_id']}", cast_to=object)
    assert record["record"]["answer"] == ANSWER


async def test_the_sdk_asks_many_at_once(async_sdk: Any) -> None:
    async def ask(model: str) -> str:
        answer = await async_sdk.chat.completions.create(model=model, messages=CHAT)
        return str(answer.choices[0].message.content)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(model)) for model in ("smcs", "smcs-fast", "smcs/rps", "knows") * 3]
    assert [task.result() for task in asked] == [ANSWER] * 12


@pytest.mark.parametrize("model", ["smcs", "smcs/rps", "knows"])
def test_the_sdk_streams(sdk: Any, model: str) -> None:
    thoughts, text, told, usage, ends = "", "", None, None, []
    with sdk.chat.completions.create(
        model=model, messages=CHAT, stream=True, stream_options={"include_usage": True}
    ) as stream:
        for chunk in stream:
            assert chunk.model == model
            usage = chunk.usage or usage
            told = getattr(chunk, "smcs", None) or told
            for choice in chunk.choices:
                text += choice.delta.content or ""
                thoughts += getattr(choice.delta, "reasoning_content", None) or ""
                ends += [choice.finish_reason] if choice.finish_reason else []
    assert text == ANSWER
    assert ends == ["stop"]
    assert usage is not None
    assert usage.completion_tokens >= 6
    assert told is not None
    assert told["run_id"]
    assert bool(thoughts) == (model != "knows")
    assert ANSWER not in thoughts


def test_the_sdk_can_ask_for_no_thoughts(sdk: Any) -> None:
    chunks = sdk.chat.completions.create(
        model="smcs", messages=CHAT, stream=True, extra_headers={"x-smcs-thinking": "off"}
    )
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == ANSWER
    assert not any(getattr(delta, "reasoning_content", None) for delta in deltas)


async def test_the_sdk_streams_asynchronously_and_may_leave(async_sdk: Any) -> None:
    stream = await async_sdk.chat.completions.create(model="smcs", messages=CHAT, stream=True)
    assert "".join([c.choices[0].delta.content or "" async for c in stream if c.choices]) == ANSWER
    left = await async_sdk.chat.completions.create(model="smcs", messages=CHAT, stream=True)
    async for _ in left:
        break
    await left.close()
    answer = await async_sdk.chat.completions.create(model="smcs", messages=CHAT)
    assert answer.choices[0].message.content == ANSWER


@pytest.mark.parametrize("model", ["smcs", "knows"])
def test_the_sdk_calls_tools_and_brings_their_results(sdk: Any, model: str) -> None:
    talk: list[Any] = [{"role": "user", "content": WEATHER}]
    first = sdk.chat.completions.create(model=model, messages=talk, tools=TOOLS)
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = first.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", ARGUMENTS)
    talk += [
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
    ]
    last = sdk.chat.completions.create(model=model, messages=talk, tools=TOOLS)
    assert last.choices[0].message.content == FORECAST
    assert last.choices[0].finish_reason == "stop"
    if model == "smcs":
        assert last.smcs["strategy"] == "smcs_guarded"


@pytest.mark.parametrize("model", ["smcs", "knows"])
def test_the_sdk_puts_streamed_tool_calls_together(sdk: Any, model: str) -> None:
    talk: list[Any] = [{"role": "user", "content": WEATHER}]
    with sdk.chat.completions.stream(model=model, messages=talk, tools=TOOLS) as stream:
        kinds = {event.type for event in stream}
        whole = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    (call,) = whole.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == json.loads(ARGUMENTS)
    assert whole.choices[0].finish_reason == "tool_calls"


def test_the_sdk_parses_structured_answers(sdk: Any) -> None:
    from pydantic import BaseModel

    class Count(BaseModel):
        primes: int

    asked = [{"role": "user", "content": f"{QUESTION} Answer in JSON."}]
    answer = sdk.chat.completions.parse(model="smcs", messages=asked, response_format=Count)
    assert answer.choices[0].message.parsed == Count(primes=10)


def test_the_sdk_gets_log_probabilities_of_one_llm(sdk: Any) -> None:
    answer = sdk.chat.completions.create(model="knows", messages=CHAT, logprobs=True)
    assert [each.token for each in answer.choices[0].logprobs.content] == re.findall(r"\s*\S+", ANSWER)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model="smcs", messages=CHAT, logprobs=True)
    assert refused.value.param == "logprobs"


def test_the_sdk_uses_the_responses_api(sdk: Any) -> None:
    answer = sdk.responses.create(model="smcs", input=QUESTION)
    assert answer.status == "completed"
    assert answer.output_text == ANSWER
    with sdk.responses.stream(model="smcs", input=QUESTION) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == ANSWER
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_the_sdk_embeds(sdk: Any) -> None:
    found = sdk.embeddings.create(model="smcs-embedder", input=["a text", "another"])
    assert [len(each.embedding) for each in found.data] == [256, 256]


def test_the_sdk_raises_its_own_errors(served: Served, sdk: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="Did you mean"):
        sdk.chat.completions.create(model="smsc", messages=CHAT)
    with pytest.raises(openai.BadRequestError) as wrong:
        sdk.chat.completions.create(model="smcs", messages=CHAT, temperature=9)
    assert wrong.value.param == "temperature"
    for key in ("sk-smcs-000000000000-" + "0" * 43, "anything"):
        with client_of(served, api_key=key) as stranger, pytest.raises(openai.AuthenticationError):
            stranger.chat.completions.create(model="smcs", messages=CHAT)


def test_a_break_of_the_limit_is_a_rate_limit_error(served: Served) -> None:
    with client_of(served, api_key=served.poor_key) as client:

        def ask_three_times() -> None:  # a new minute may begin in between, once
            for _ in range(3):
                client.chat.completions.create(model="knows", messages=CHAT)

        with pytest.raises(openai.RateLimitError) as refused:
            ask_three_times()
        assert int(refused.value.response.headers["retry-after"]) >= 1


# What the documents show


def snippets(heading: str, language: str = "python") -> str:
    """Return the code under a heading of docs/clients.md, in one piece."""
    section = CLIENTS.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL))


SCRIPTS = {
    "LiteLLM": ("litellm", 2),
    "openai": ("openai", 7),
    "LlamaIndex": ("llama_index.llms.openai_like", 2),
    "LangChain": ("langchain_openai", 2),
}
"""Headings with Python: what they import, and how often they print the answer; the slowest to import first."""

FUNCTION = 'def get_weather(city: str) -> str:\n    "Weather of a city."\n    return "18 degrees"\n'
COMMANDS = {
    "llm": [QUESTION],
    "llm with tools": ["--no-stream", "--functions", FUNCTION, WEATHER],
}
"""What the `llm` command is told."""


@pytest.fixture(scope="module")
def printed(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return what the clients print; they run two at a time, since most of their time is importing."""
    with ThreadPoolExecutor(2) as pool:
        running = {
            heading: pool.submit(served.run, ["-c", script(heading, served)], tmp_path_factory.mktemp(heading))
            for heading, (module, _) in SCRIPTS.items()
            if is_installed(module)
        }
        if is_installed("llm"):
            for name, arguments in COMMANDS.items():
                folder = tmp_path_factory.mktemp("llm")
                configure_llm(served, folder / "llm")
                command = ["-m", "llm", "prompt", "-m", "smcs", "--no-log", *arguments]
                running[name] = pool.submit(served.run, command, folder)
        yield lambda name: running[name].result()


def script(heading: str, served: Served) -> str:
    """Return what a heading shows and what else a user does, for a server that runs."""
    code = snippets(heading)
    assert DOCUMENTED_URL in code
    assert DOCUMENTED_KEY in code
    code = code.replace(DOCUMENTED_URL, served.url).replace(DOCUMENTED_KEY, served.key)
    return f"{code}\n{FURTHER.get(heading, '')}\nprint('\\nall of it')"


def configure_llm(served: Served, folder: Path) -> None:
    """Write the files of the `llm` command."""
    folder.mkdir()
    described = snippets("llm", "yaml")
    assert DOCUMENTED_URL in described
    (folder / "extra-openai-models.yaml").write_text(described.replace(DOCUMENTED_URL, served.url))
    (folder / "keys.json").write_text(json.dumps({"smcs": served.key}))


@pytest.mark.parametrize("heading", SCRIPTS)
def test_the_snippets_work_as_they_are_printed(printed: Callable[[str], str], heading: str) -> None:
    module, times = SCRIPTS[heading]
    skip_without(module)
    said = printed(heading)
    assert said.count(ANSWER) >= times, said
    assert FORECAST in said
    assert said.endswith("all of it\n")


def is_installed(module: str) -> bool:
    """Return whether a client can be imported, without importing it here."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def skip_without(module: str) -> None:
    """Skip a test whose client is not installed."""
    if not is_installed(module):
        pytest.skip(f"{module!r} is not installed")


FURTHER = {
    "LiteLLM": dedent("""
        import asyncio, json
        tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city.",
                  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
        talk = [{"role": "user", "content": "What is the weather in Paris?"}]
        said = litellm.completion(**at, messages=talk, tools=tools).choices[0].message
        assert json.loads(said.tool_calls[0].function.arguments) == {"city": "Paris"}
        pieces = list(litellm.completion(**at, messages=talk, tools=tools, stream=True))
        built = litellm.stream_chunk_builder(pieces, messages=talk)
        assert built.choices[0].message.tool_calls[0].function.name == "get_weather"
        talk += [said,
                 {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "18 degrees"}]
        print(litellm.completion(**at, messages=talk, tools=tools).choices[0].message.content)
        later = asyncio.run(litellm.acompletion(**at, messages=question, extra_body={"smcs": {"strategy": "rps"}}))
        assert later.choices[0].message.content.startswith("There are ten")
        try:
            litellm.completion(**{**at, "api_key": "wrong"}, messages=question)
            raise SystemExit("a wrong key was taken")
        except litellm.AuthenticationError:
            pass
    """),
    "LangChain": dedent("""
        import asyncio
        from langchain_core.messages import HumanMessage, ToolMessage
        from pydantic import BaseModel

        def get_weather(city: str) -> str:
            "Weather of a city."
            return "18 degrees"

        class Count(BaseModel):
            "A count."
            primes: int

        equipped = llm.bind_tools([get_weather])
        talk = [HumanMessage("What is the weather in Paris?")]
        said = equipped.invoke(talk)
        assert said.tool_calls[0]["args"] == {"city": "Paris"}, said
        whole = None
        for piece in equipped.stream(talk):
            whole = piece if whole is None else whole + piece
        assert whole.tool_calls[0]["name"] == "get_weather", whole
        talk += [said, ToolMessage("18 degrees", tool_call_id=said.tool_calls[0]["id"])]
        print(equipped.invoke(talk).content)
        counted = llm.with_structured_output(Count, method="json_schema")
        assert counted.invoke("How many primes are below 30? Answer in JSON.") == Count(primes=10)
        assert asyncio.run(llm.ainvoke("How many primes are below 30?")).content.startswith("There are ten")
    """),
    "LlamaIndex": dedent("""
        import asyncio
        from llama_index.core.tools import FunctionTool

        def get_weather(city: str) -> str:
            "Weather of a city."
            return f"18 degrees in {city}"

        tool = FunctionTool.from_defaults(get_weather)
        said = llm.chat_with_tools([tool], user_msg="What is the weather in Paris?")
        assert llm.get_tool_calls_from_response(said)[0].tool_kwargs == {"city": "Paris"}
        done = llm.predict_and_call([tool], user_msg="What is the weather in Paris?")
        assert str(done) == "18 degrees in Paris"
        print("It is", str(done) + ".")
        assert asyncio.run(llm.acomplete("How many primes are below 30?")).text.startswith("There are ten")
    """),
}
"""What else a user of each does, after the snippet of the documents."""


@pytest.mark.parametrize(("name", "expected"), [("llm", ANSWER), ("llm with tools", FORECAST)])
def test_the_llm_command_gets_answers(printed: Callable[[str], str], name: str, expected: str) -> None:
    skip_without("llm")
    assert expected in printed(name)
