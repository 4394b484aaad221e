"""Every operator of the language under one roof: what generated code calls where no fast path applies."""

from drasi.values.access import contains, ends_with, has_labels, in_list, index, property_of, slice_, starts_with
from drasi.values.arithmetic import add, divide, modulo, multiply, negate, positive, power, subtract
from drasi.values.equality import equals, not_equals
from drasi.values.logic import and_, boolean, not_, or_, xor
from drasi.values.ordering import greater, greater_equal, less, less_equal
from drasi.values.patterns import compile_pattern, matches

__all__ = [
    "add",
    "and_",
    "boolean",
    "compile_pattern",
    "contains",
    "divide",
    "ends_with",
    "equals",
    "greater",
    "greater_equal",
    "has_labels",
    "in_list",
    "index",
    "less",
    "less_equal",
    "matches",
    "modulo",
    "multiply",
    "negate",
    "not_",
    "not_equals",
    "or_",
    "positive",
    "power",
    "property_of",
    "slice_",
    "starts_with",
    "subtract",
    "xor",
]
