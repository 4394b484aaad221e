"""The registry against the table of the language."""

from __future__ import annotations

import inspect

from drasi.engine.functions.registry import FUNCTIONS
from drasi.language.functions import FUNCTIONS as TABLE

# What looks at the graph; and what folds groups or keeps state has its own place in the engine.
ELSEWHERE = {"exists", "startNode", "endNode"}


def test_every_supported_function_is_here() -> None:
    wanted = {name for name, entry in TABLE.items() if entry.supported and not entry.aggregate and not entry.stateful}
    assert wanted - ELSEWHERE <= FUNCTIONS.keys()


def test_every_name_here_is_a_function_of_the_language() -> None:
    assert FUNCTIONS.keys() <= TABLE.keys()


def test_arity_agrees() -> None:
    for name, function in FUNCTIONS.items():
        signature = inspect.signature(function)
        entry = TABLE[name]
        signature.bind(*[None] * entry.minimum)
        if entry.maximum is not None:
            signature.bind(*[None] * entry.maximum)
