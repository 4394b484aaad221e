"""Cypher values: equality, equivalence, order, operators, JSON."""

from drasi.values.check import validate_properties, validate_value
from drasi.values.elements import Node, Path, Relation
from drasi.values.equality import equals, not_equals
from drasi.values.equivalence import GroupKey, group_key
from drasi.values.errors import EvaluationError
from drasi.values.exact import ExactSum
from drasi.values.identity import same
from drasi.values.json import normalise, to_json, to_wire
from drasi.values.ordering import OrderKey, order_key

__all__ = [
    "EvaluationError",
    "ExactSum",
    "GroupKey",
    "Node",
    "OrderKey",
    "Path",
    "Relation",
    "equals",
    "group_key",
    "normalise",
    "not_equals",
    "order_key",
    "same",
    "to_json",
    "to_wire",
    "validate_properties",
    "validate_value",
]
