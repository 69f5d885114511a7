"""The gateway: a pool of LLMs as one model behind the OpenAI API.

`protocol/` speaks the API and knows nothing else; `ledger` keeps keys, limits and every run; `admission`, `cache` and
`metrics` are what a server in front of a team needs; `app` puts them together. A request becomes a `Query` and
`Settings`, a strategy answers it, and its `Run` is what every response, log line, metric and ledger row reads.
"""

from smcs.gateway.errors import GatewayError

__all__ = ("GatewayError",)
