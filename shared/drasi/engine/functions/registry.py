"""The functions by canonical name: the engine's way from a name in a text to what runs.

Not here: ``exists``, ``startNode`` and ``endNode``, which look at the graph; ``rand``, ``randomUUID``, ``timestamp`` and
all that knows the time, the row or the group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from drasi.engine.functions import conversions, lists, numbers, scalars, strings

FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "coalesce": scalars.coalesce,
        "nullIf": scalars.null_if,
        "elementId": scalars.element_id,
        "id": scalars.element_id,
        "labels": scalars.labels,
        "type": scalars.type_,
        "keys": scalars.keys,
        "properties": scalars.properties,
        "nodes": scalars.nodes,
        "relationships": scalars.relationships,
        "length": scalars.length,
        "size": scalars.size,
        "isEmpty": scalars.is_empty,
        "char_length": scalars.char_length,
        "character_length": scalars.char_length,
        "toInteger": conversions.to_integer,
        "toFloat": conversions.to_float,
        "toBoolean": conversions.to_boolean,
        "toString": conversions.to_string,
        "toIntegerOrNull": conversions.to_integer_or_null,
        "toFloatOrNull": conversions.to_float_or_null,
        "toBooleanOrNull": conversions.to_boolean_or_null,
        "toStringOrNull": conversions.to_string_or_null,
        "cast": conversions.cast,
        "head": lists.head,
        "last": lists.last,
        "tail": lists.tail,
        "reverse": lists.reverse,
        "range": lists.range_,
        "coll.distinct": lists.distinct,
        "coll.indexOf": lists.index_of,
        "coll.insert": lists.insert,
        "drasi.listMax": lists.list_max,
        "drasi.listMin": lists.list_min,
        "drasi.stdevp": lists.population_deviation,
        "toUpper": strings.to_upper,
        "toLower": strings.to_lower,
        "trim": strings.trim,
        "lTrim": strings.trim_left,
        "rTrim": strings.trim_right,
        "left": strings.left,
        "right": strings.right,
        "substring": strings.substring,
        "replace": strings.replace,
        "split": strings.split,
        "abs": numbers.abs_,
        "sign": numbers.sign,
        "ceil": numbers.ceil,
        "floor": numbers.floor,
        "round": numbers.round_,
        "sqrt": numbers.sqrt,
        "exp": numbers.exp,
        "log": numbers.log,
        "log10": numbers.log10,
        "e": numbers.e,
        "pi": numbers.pi,
        "sin": numbers.sin,
        "cos": numbers.cos,
        "tan": numbers.tan,
        "cot": numbers.cot,
        "asin": numbers.asin,
        "acos": numbers.acos,
        "atan": numbers.atan,
        "atan2": numbers.atan2,
        "degrees": numbers.degrees,
        "radians": numbers.radians,
        "haversin": numbers.haversin,
        "isNaN": numbers.is_nan,
    }
)
"""Canonical name → function of Cypher values, which raises `EvaluationError`."""
