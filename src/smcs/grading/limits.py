"""What a program that is run without trust may use."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass

from smcs.errors import InputError

__all__ = ("Limits",)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; all positive."""

    _: KW_ONLY
    wall_seconds: float = 10.0
    """Time of one program, all its tests together."""
    case_seconds: float = 20.0
    """Time of one call, and of one run where a program is started once per case."""
    cpu_seconds: int = 8
    """Per process, whole seconds."""
    memory_bytes: int = 512 * 2**20
    """Address space of each process."""
    file_bytes: int = 16 * 2**20
    """Largest file it may write."""
    disk_bytes: int = 64 * 2**20
    """Size of its folder, where that is a file system of its own."""
    output_bytes: int = 256 * 2**10
    """Standard output and error together; more kills the program."""
    processes: int = 16
    """Processes and threads together (Linux)."""
    open_files: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise InputError(f"Limits.{name} is {value}; it must be positive.")
