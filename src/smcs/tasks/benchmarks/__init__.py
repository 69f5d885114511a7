"""The benchmarks that ship: one small file each, with its prompt, its splits, and how its rows become questions.

A new one is a file that defines `TASK` and one line in `ALL` of the registry.
"""

__all__ = ()
