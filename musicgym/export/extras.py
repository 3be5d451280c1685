"""Optional packages: import one where it is used, or say which extra to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["MissingExtra", "require"]


class MissingExtra(ImportError):
    """A package of an optional extra is not installed.

    Attributes:
        package: the package that is missing.
        extra: the extra of musicgym that installs it.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Write the message: what was asked for, what it needs, how to install it."""
        super().__init__(f"{purpose} needs {package}: {install_line(extra)}", name=package)
        self.package = package
        self.extra = extra


def install_line(extra: str) -> str:
    """Return the command that installs an extra.

    >>> install_line("score")
    "pip install 'musicgym[score]'"
    """
    return f"pip install 'musicgym[{extra}]'"


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an extra and return it.

    Raises:
        MissingExtra: the module's package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(module.partition(".")[0], extra, purpose) from error
