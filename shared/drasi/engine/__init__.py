"""The engine: a graph, queries over it, and the exact difference each change makes to each answer."""

from drasi.engine.changes import Delete, Insert, Update
from drasi.engine.engine import Engine
from drasi.engine.results import Diff, Row, RowError, UpdatedRow

__all__ = ["Delete", "Diff", "Engine", "Insert", "Row", "RowError", "Update", "UpdatedRow"]
