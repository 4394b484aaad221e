"""Drasi on functions: continuous queries over changing data.

This face needs the engine and nothing else: no network, no YAML, no web framework.
"""

from drasi.continuous import ContinuousQuery, Join, Middleware, Procedure
from drasi.engine.changes import Delete, Insert, Update
from drasi.engine.results import Diff, Row, RowError, UpdatedRow
from drasi.errors import DrasiError, QueryError
from drasi.values import EvaluationError, Node, Path, Relation, to_json

__all__ = [
    "ContinuousQuery",
    "Delete",
    "Diff",
    "DrasiError",
    "EvaluationError",
    "Insert",
    "Join",
    "Middleware",
    "Node",
    "Path",
    "Procedure",
    "QueryError",
    "Relation",
    "Row",
    "RowError",
    "Update",
    "UpdatedRow",
    "to_json",
]
