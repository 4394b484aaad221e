"""Query text → tokens → tree → checked tree, for Cypher and GQL."""

from drasi.language.check import check
from drasi.language.checked import Checked, NotYet, QueryWarning
from drasi.language.facts import Facts, facts
from drasi.language.parser import parse

__all__ = ["Checked", "Facts", "NotYet", "QueryWarning", "check", "facts", "parse"]
