"""The studio in a process of its own behind the same port, so that making pages never holds the API's event loop.

The process that answers the API hands every connection that asks for a page over to the studio's (`handover`), which
hands back those that ask for the API. Pages ask, give feedback and switch LLMs through a socket in a private folder
(`calling`, `answering`, `wire`); ledger, bank and config they read themselves. `keeper` starts that process, watches
over it and ends it.
"""
