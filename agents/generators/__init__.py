"""Generators: models with a latent vector that learn a corpus, play, and judge."""

from __future__ import annotations

import importlib

from musicgym.agents.configs import GeneratorConfig, model_name

from .generator import Generator

__all__ = ["make_generator"]


def make_generator(sizes: dict[str, int], n_events: int, config: GeneratorConfig) -> Generator:
    """Return the untrained generator of a size, for the parts of an observation and A events.

    The file of a model has its name; its class is the name of its configuration without "Config".
    """
    module = importlib.import_module(f".{model_name(config)}", __package__)
    make = getattr(module, type(config).__name__.removesuffix("Config"))
    generator: Generator = make(sizes, n_events, config)
    return generator
