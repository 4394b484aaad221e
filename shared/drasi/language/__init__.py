"""Query text → tokens → tree → checked tree, for Cypher and GQL."""

from drasi.language.parser import parse

__all__ = ["parse"]
