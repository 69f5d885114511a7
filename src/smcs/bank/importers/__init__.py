"""Reading what others published into a bank: a small file for each format, one way to write it.

A format's module turns a file into entries, each with its place; `Ingest` writes them in the caller's transaction, a
batch in memory at a time. A fault raises `BankError` with file and row or entry, and the transaction is given up. Files
are untrusted: nothing in them is run, and what is held in memory is bounded.
"""

from smcs.bank.importers.dispatch import FORMATS, detect_format, format_named, import_into
from smcs.bank.importers.entry import ImportFormat, ImportOptions

__all__ = ("FORMATS", "ImportFormat", "ImportOptions", "detect_format", "format_named", "import_into")
