"""The web studio: pages on the gateway's application that show why an answer was chosen.

Everything a page shows is read from the run's record, the ledger, the bank or a result file; nothing is computed twice.
Texts of models, users and files are untrusted: they reach a page after it is connected, as plain text or through
`smcs.studio.text`, and no page loads anything from elsewhere.
"""
