"""What runs inside the sandbox's own process: jail a program, call its function, check the answers.

These modules are started by path in a bare interpreter (`python -s -S -P`), so they import the standard library and
each other only. `supervisor` is the trusted half: it isolates itself, forks, and runs the tests. `solution` is the
other half, where the untrusted program lives; it sees the arguments of each call and nothing of the tests. Between
the two, `wire` carries plain data, so no object of the program ever reaches a comparison.
"""

__all__: tuple[str, ...] = ()
