"""Python's collector of cyclic garbage, while a function restores and afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def resting_collector() -> Iterator[None]:
    """Restoring makes hundreds of thousands of objects and no garbage: looking through them again and again takes a third of its
    time. What is there afterwards stays, and is not looked at any more."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
