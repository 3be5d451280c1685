"""The examples in the docstrings say what is true."""

from __future__ import annotations

import doctest
import importlib

import pytest
from tree import ROOT, modules

EXAMPLES = [name for name, path in modules().items() if ">>> " in (ROOT / path).read_text()]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module_hold(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted, f"{name}: the examples are not in docstrings"
    assert not found.failed, capsys.readouterr().out
