"""`smcs.yaml`: read, validated, and turned into live objects."""

from smcs.config.build import (
    FoundConfig,
    Live,
    build_embedder,
    build_pool,
    embedded_config,
    find_config,
    open_bank,
)
from smcs.config.editing import edit_parameters, write_parameters
from smcs.config.load import load_config, parse_config
from smcs.config.schema import Config

__all__ = (
    "Config",
    "FoundConfig",
    "Live",
    "build_embedder",
    "build_pool",
    "edit_parameters",
    "embedded_config",
    "find_config",
    "load_config",
    "open_bank",
    "parse_config",
    "write_parameters",
)
