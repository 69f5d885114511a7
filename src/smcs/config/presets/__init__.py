"""Pools that others published, as data to start a config from: names, hub ids, context lengths, how to serve them.

A preset is a starting point that the user edits: its addresses are of this machine, and its prices carry a date.
"""

from smcs.config.presets.pool import (
    PRESETS,
    AggregatorArm,
    Preset,
    PresetLLM,
    aggregator_arms,
    load_preset,
    preset_config,
    serve_line,
)

__all__ = (
    "PRESETS",
    "AggregatorArm",
    "Preset",
    "PresetLLM",
    "aggregator_arms",
    "load_preset",
    "preset_config",
    "serve_line",
)
