"""Checked tree → algebra. Plans are data: relational, printable, without state."""

from drasi.plan.compiled import Compiled, compile_query

SUPPORTS_JOINS = False
SUPPORTS_MIDDLEWARE = False

__all__ = ["SUPPORTS_JOINS", "SUPPORTS_MIDDLEWARE", "Compiled", "compile_query"]
