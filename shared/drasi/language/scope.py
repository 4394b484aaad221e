"""What an expression may see and do where it stands."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from drasi.language.types import Type

Scope = dict[str, Type]
"""The variables in scope with what is known of their types. Never changed in place: a new scope is a new dict."""


class Context(msgspec.Struct, frozen=True):
    """What is allowed at a place besides plain expressions.

    Attributes:
        no_aggregates: Why aggregates are refused here (``in a list comprehension``); empty: they are allowed.
        no_state: Why functions that remember are refused here; empty: they are allowed.
        state_sees: The only variable that such functions may read here; None: any.
        predicate: Whether a pattern may stand here as a predicate.
    """

    no_aggregates: str = ""
    no_state: str = ""
    state_sees: str | None = None
    predicate: bool = False

    @property
    def value(self) -> Context:
        """The same place, where a value and not a condition is wanted."""
        return replace(self, predicate=False) if self.predicate else self

    @property
    def condition(self) -> Context:
        return self if self.predicate else replace(self, predicate=True)

    def looping(self, where: str) -> Context:
        """Inside something that runs once per item of a list, or in a subquery."""
        return replace(self, no_aggregates=self.no_aggregates or where, no_state=self.no_state or where)
