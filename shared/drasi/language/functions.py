"""Every function of the language (language.md sections 6 and 8): name, arguments, what it is, whether it runs today."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from drasi.language import types
from drasi.language.types import Type


class Function(msgspec.Struct, frozen=True):
    """What is known of a function without running it.

    Attributes:
        name: The canonical name, as the tree carries it.
        minimum, maximum: Number of arguments; ``maximum`` None: any number.
        accepts: Per argument the names of the types it takes (empty: any); the last one holds for all that follow.
        result: Its static type.
        aggregate: It folds the rows of a group.
        wraps_aggregate: Its last argument is one aggregate call (``drasi.slidingWindow``, ``retainHistory``).
        stateful: It remembers something per row or group (section 6).
        clock: It reads the clock or the history of an element, so a change that alters nothing still counts (⌚).
        supported: This version's engine builds it.
    """

    name: str
    minimum: int
    maximum: int | None
    accepts: tuple[frozenset[str], ...] = ()
    result: Type = types.ANY
    aggregate: bool = False
    wraps_aggregate: bool = False
    stateful: bool = False
    clock: bool = False
    supported: bool = True

    def accepted(self, index: int) -> frozenset[str]:
        """The type names that argument ``index`` takes; empty: any."""
        return self.accepts[min(index, len(self.accepts) - 1)] if self.accepts else frozenset()

    @property
    def arity(self) -> str:
        """``2``, ``1 to 3``, ``at least 1``: for messages."""
        if self.maximum is None:
            return f"at least {self.minimum}"
        return str(self.minimum) if self.minimum == self.maximum else f"{self.minimum} to {self.maximum}"


_ANYTHING: frozenset[str] = frozenset()
_NODE = frozenset({"node"})
_RELATION = frozenset({"relation"})
_PATH = frozenset({"path"})
_ELEMENT = types.ELEMENTS
_RECORD = types.ELEMENTS | {"map"}
_STRING = frozenset({"string"})
_LIST = frozenset({"list"})
_LIST_OR_STRING = frozenset({"list", "string"})
_NUMBER = types.NUMBERS
_INTEGER = frozenset({"integer"})
_CONVERTIBLE = types.NUMBERS | {"string", "boolean"}
_SUMMABLE = types.NUMBERS | {"duration"}


def _scalar() -> Iterable[Function]:
    yield Function("coalesce", 1, None)
    yield Function("nullIf", 2, 2)
    yield Function("elementId", 1, 1, (_ELEMENT,), types.STRING)
    yield Function("id", 1, 1, (_ELEMENT,), types.STRING)
    yield Function("labels", 1, 1, (_NODE,), types.list_of(types.STRING))
    yield Function("type", 1, 1, (_RELATION,), types.STRING)
    yield Function("keys", 1, 1, (_RECORD,), types.list_of(types.STRING))
    yield Function("properties", 1, 1, (_RECORD,), types.MAP)
    yield Function("startNode", 1, 1, (_RELATION,), types.NODE)
    yield Function("endNode", 1, 1, (_RELATION,), types.NODE)
    yield Function("nodes", 1, 1, (_PATH,), types.list_of(types.NODE), supported=False)
    yield Function("relationships", 1, 1, (_PATH,), types.list_of(types.RELATION), supported=False)
    yield Function("length", 1, 1, (_PATH,), types.INTEGER, supported=False)
    yield Function("size", 1, 1, (_LIST_OR_STRING,), types.INTEGER)
    yield Function("isEmpty", 1, 1, (_LIST_OR_STRING | {"map"},), types.BOOLEAN)
    yield Function("char_length", 1, 1, (_STRING,), types.INTEGER)
    yield Function("character_length", 1, 1, (_STRING,), types.INTEGER)
    for name, result in (("toInteger", types.INTEGER), ("toFloat", types.FLOAT), ("toBoolean", types.BOOLEAN)):
        yield Function(name, 1, 1, (_CONVERTIBLE,), result)
        yield Function(f"{name}OrNull", 1, 1, (), result)
    yield Function("toString", 1, 1, (_CONVERTIBLE | types.TEMPORALS,), types.STRING)
    yield Function("toStringOrNull", 1, 1, (), types.STRING)
    yield Function("timestamp", 0, 0, (), types.INTEGER, clock=True, supported=False)
    yield Function("randomUUID", 0, 0, (), types.STRING, supported=False)
    yield Function("exists", 1, 1, (), types.BOOLEAN)
    yield Function("drasi.changeDateTime", 1, 1, (_ELEMENT,), types.DATE_TIME, clock=True, supported=False)
    yield Function("cast", 2, 2, (_ANYTHING, _STRING))


def _lists() -> Iterable[Function]:
    yield Function("head", 1, 1, (_LIST,))
    yield Function("last", 1, 1, (_LIST,))
    yield Function("tail", 1, 1, (_LIST,), types.LIST)
    yield Function("reverse", 1, 1, (_LIST_OR_STRING,))
    # The TCK wants range's wrong arguments as errors of the row.
    yield Function("range", 2, 3, (), types.list_of(types.INTEGER))
    yield Function("coll.distinct", 1, 1, (_LIST,), types.LIST)
    yield Function("coll.indexOf", 2, 2, (_LIST, _ANYTHING), types.INTEGER)
    yield Function("coll.insert", 3, 3, (_LIST, _INTEGER, _ANYTHING), types.LIST)
    yield Function("drasi.listMax", 1, 1)
    yield Function("drasi.listMin", 1, 1)
    yield Function("drasi.stdevp", 1, 1, (_LIST,), types.FLOAT)


def _strings() -> Iterable[Function]:
    for name in ("toUpper", "toLower", "trim", "lTrim", "rTrim"):
        yield Function(name, 1, 1, (_STRING,), types.STRING)
    yield Function("left", 2, 2, (_STRING, _INTEGER), types.STRING)
    yield Function("right", 2, 2, (_STRING, _INTEGER), types.STRING)
    yield Function("substring", 2, 3, (_STRING, _INTEGER), types.STRING)
    yield Function("replace", 3, 3, (_STRING,), types.STRING)
    yield Function("split", 2, 2, (_STRING, _LIST_OR_STRING), types.list_of(types.STRING))


def _numbers() -> Iterable[Function]:
    yield Function("abs", 1, 1, (_NUMBER,), types.NUMBER)
    yield Function("sign", 1, 1, (_NUMBER,), types.INTEGER)
    yield Function("round", 1, 3, (_NUMBER, _INTEGER, _STRING), types.FLOAT)
    for name in ("ceil", "floor", "sqrt", "exp", "log", "log10", "sin", "cos", "tan", "cot", "asin", "acos", "atan"):
        yield Function(name, 1, 1, (_NUMBER,), types.FLOAT)
    for name in ("degrees", "radians", "haversin"):
        yield Function(name, 1, 1, (_NUMBER,), types.FLOAT)
    yield Function("atan2", 2, 2, (_NUMBER,), types.FLOAT)
    yield Function("e", 0, 0, (), types.FLOAT)
    yield Function("pi", 0, 0, (), types.FLOAT)
    yield Function("rand", 0, 0, (), types.FLOAT, supported=False)
    yield Function("isNaN", 1, 1, (_NUMBER,), types.BOOLEAN)


_TEMPORAL_KINDS = {
    "date": types.DATE,
    "time": types.TIME,
    "localtime": types.LOCAL_TIME,
    "datetime": types.DATE_TIME,
    "localdatetime": types.LOCAL_DATE_TIME,
}


def _temporal() -> Iterable[Function]:
    for name, result in _TEMPORAL_KINDS.items():
        yield Function(name, 0, 1, (), result, clock=True, supported=False)
        for clock in ("transaction", "statement", "realtime"):
            yield Function(f"{name}.{clock}", 0, 1, (_STRING,), result, clock=True, supported=False)
        yield Function(f"{name}.truncate", 2, 3, (_STRING, _ANYTHING, frozenset({"map"})), result, supported=False)
    yield Function("datetime.fromepoch", 2, 2, (_NUMBER,), types.DATE_TIME, supported=False)
    yield Function("datetime.fromepochmillis", 1, 1, (_NUMBER,), types.DATE_TIME, supported=False)
    yield Function("duration", 1, 1, (), types.DURATION, supported=False)
    for name in ("between", "inMonths", "inDays", "inSeconds"):
        yield Function(f"duration.{name}", 2, 2, (), types.DURATION, supported=False)


def _aggregates() -> Iterable[Function]:
    yield Function("count", 1, 1, (), types.INTEGER, aggregate=True)
    yield Function("sum", 1, 1, (_SUMMABLE,), types.ANY, aggregate=True)
    yield Function("avg", 1, 1, (_SUMMABLE,), types.ANY, aggregate=True)
    yield Function("min", 1, 1, aggregate=True)
    yield Function("max", 1, 1, aggregate=True)
    yield Function("collect", 1, 1, (), types.LIST, aggregate=True)
    yield Function("stDev", 1, 1, (_NUMBER,), types.FLOAT, aggregate=True, supported=False)
    yield Function("stDevP", 1, 1, (_NUMBER,), types.FLOAT, aggregate=True, supported=False)
    yield Function("percentileCont", 2, 2, (_NUMBER,), types.FLOAT, aggregate=True, supported=False)
    yield Function("percentileDisc", 2, 2, (_NUMBER,), types.NUMBER, aggregate=True, supported=False)


def _remembering() -> Iterable[Function]:
    condition = frozenset({"boolean"})
    for name in ("trueFor", "trueLater", "trueUntil", "trueNowOrLater"):
        yield Function(f"drasi.{name}", 2, 2, (condition, _ANYTHING), types.BOOLEAN, stateful=True, supported=False)
    yield Function("drasi.future", 2, 2, stateful=True, supported=False)
    yield Function("drasi.awaiting", 0, 0, supported=False)
    yield Function("drasi.previousValue", 1, 2, stateful=True, clock=True, supported=False)
    yield Function("drasi.previousDistinctValue", 1, 2, stateful=True, clock=True, supported=False)
    yield Function("drasi.getVersionByTimestamp", 2, 2, (_ELEMENT, _ANYTHING), stateful=True, clock=True, supported=False)
    accepts = (_ELEMENT, _ANYTHING, _ANYTHING, condition)
    yield Function("drasi.getVersionsByTimeRange", 3, 4, accepts, types.LIST, stateful=True, clock=True, supported=False)
    yield Function("drasi.slidingWindow", 2, 2, aggregate=True, wraps_aggregate=True, stateful=True, clock=True, supported=False)
    yield Function("retainHistory", 1, 1, aggregate=True, wraps_aggregate=True, stateful=True, supported=False)
    yield Function("drasi.last", 1, 1, aggregate=True, stateful=True, clock=True, supported=False)
    yield Function("drasi.linearGradient", 2, 2, (), types.FLOAT, aggregate=True, stateful=True, supported=False)


FUNCTIONS: dict[str, Function] = {
    function.name: function
    for group in (_scalar, _lists, _strings, _numbers, _temporal, _aggregates, _remembering)
    for function in group()
}
"""All functions by canonical name."""

_ALIASES = {"rels": "relationships", "drasi.retainHistory": "retainHistory"}

_GQL_ALIASES = {
    "upper": "toUpper",
    "lower": "toLower",
    "element_id": "elementId",
    "local_time": "localtime",
    "zoned_time": "time",
    "local_datetime": "localdatetime",
    "zoned_datetime": "datetime",
    "duration_between": "duration.between",
}

_CYPHER_NAMES = {name.lower(): name for name in FUNCTIONS} | {alias.lower(): name for alias, name in _ALIASES.items()}
_GQL_NAMES = _CYPHER_NAMES | {alias.lower(): name for alias, name in _GQL_ALIASES.items()}


def canonical(written: str, language: str = "cypher") -> str | None:
    """The canonical name of a function written in any case, or None when there is no such function."""
    return (_GQL_NAMES if language == "gql" else _CYPHER_NAMES).get(written.lower())


def is_aggregate(name: str) -> bool:
    """Whether the function of this canonical name folds the rows of a group."""
    function = FUNCTIONS.get(name)
    return function is not None and function.aggregate
