"""The functions of language.md section 8.1 to 8.4, by lower-case name, on argument values."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Decimal,
    InvalidOperation,
)
from fractions import Fraction
from typing import Any

from tests.oracle.graph import Element
from tests.oracle.operators import integer
from tests.oracle.values import Bag, Raised, Value, equals, equivalence, is_integer, order_key, text, type_error

Function = Callable[..., Value]
STRICT: dict[str, Function] = {}  # null of any null argument
LENIENT: dict[str, Function] = {}


def strict(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        STRICT.update(dict.fromkeys((name.lower() for name in names), function))
        return function

    return register


def lenient(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        LENIENT.update(dict.fromkeys((name.lower() for name in names), function))
        return function

    return register


def call(name: str, arguments: list[Value]) -> Value:
    function = LENIENT.get(name.lower())
    if function is not None:
        return function(*arguments)
    if name.lower() not in STRICT:
        raise NotImplementedError(name)
    return None if any(argument is None for argument in arguments) else STRICT[name.lower()](*arguments)


def want(value: Value, kind: Any, what: str) -> Any:
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    raise type_error(f"not a {what}: {value!r}")


def number(value: Value) -> Any:
    return want(value, (int, float), "number")


def string(value: Value) -> str:
    return str(want(value, str, "string"))


def items(value: Value) -> list[Any]:
    result = want(value, list, "list")
    assert isinstance(result, list)
    return result


def position(value: Value) -> int:
    return int(want(value, int, "integer"))


# --- scalar -----------------------------------------------------------------------------------------------------------


@lenient("nullIf")
def null_if(a: Value, b: Value) -> Value:
    return None if equals(a, b) else a


@strict("elementId", "id")
def element_id(e: Value) -> Value:
    return want(e, Element, "element").id


@strict("labels")
def labels(n: Value) -> Value:
    if isinstance(n, Element) and not n.is_relation:
        return Bag(dict.fromkeys(n.labels))
    raise type_error("not a node")


@strict("type")
def type_(r: Value) -> Value:
    if isinstance(r, Element) and r.is_relation:
        return r.type
    raise type_error("not a relation")


@strict("properties")
def properties(x: Value) -> Value:
    return x if isinstance(x, dict) else dict(want(x, Element, "map or element").properties)


@strict("keys")
def keys(x: Value) -> Value:
    return Bag(properties(x))


@strict("size")
def size(x: Value) -> Value:
    return len(want(x, (list, str), "list or string"))


@strict("isEmpty")
def is_empty(x: Value) -> Value:
    return not want(x, (list, str, dict), "list, string or map")


@strict("char_length", "character_length")
def char_length(x: Value) -> Value:
    return len(string(x))


def read(converter: Callable[[str], Value], written: str) -> Value:
    try:
        return converter(written.strip())
    except (ValueError, InvalidOperation):
        return None


@strict("toInteger")
def to_integer(x: Value) -> Value:
    if isinstance(x, bool):
        return int(x)
    if isinstance(x, str):
        value = read(int, x)
        return read(lambda written: int(Decimal(written)) if Decimal(written).is_finite() else None, x) if value is None else value
    return integer(int(number(x))) if not isinstance(x, float) or math.isfinite(x) else None


@strict("toFloat")
def to_float(x: Value) -> Value:
    return read(float, x) if isinstance(x, str) else float(number(x))


@strict("toBoolean")
def to_boolean(x: Value) -> Value:
    if isinstance(x, str):
        return {"true": True, "false": False}.get(x.strip().lower())
    return x if isinstance(x, bool) else position(x) != 0


@strict("toString")
def to_string(x: Value) -> Value:
    return text(want(x, (str, int, float), "string, number or boolean")) if not isinstance(x, bool) else text(x)


def or_null(function: Function) -> Function:
    def converted(x: Value) -> Value:
        try:
            return function(x)
        except Raised:
            return None

    return converted


for _name, _function in {"integer": to_integer, "float": to_float, "boolean": to_boolean, "string": to_string}.items():
    STRICT[f"to{_name}ornull"] = or_null(_function)
CASTS = {
    "STRING": to_string,
    "INTEGER": to_integer,
    "INT": to_integer,
    "FLOAT": to_float,
    "BOOLEAN": to_boolean,
    "BOOL": to_boolean,
}


@strict("cast")
def cast(value: Value, name: Value) -> Value:
    if string(name).upper() in CASTS:
        return CASTS[name.upper()](value)
    raise type_error(f"no type {name}")


# --- lists ------------------------------------------------------------------------------------------------------------


@strict("head")
def head(x: Value) -> Value:
    return items(x)[0] if items(x) else None


@strict("last")
def last(x: Value) -> Value:
    return items(x)[-1] if items(x) else None


@strict("tail")
def tail(x: Value) -> Value:
    return items(x)[1:]


@strict("reverse")
def reverse(x: Value) -> Value:
    return want(x, (list, str), "list or string")[::-1]


@strict("range")
def range_(a: Value, b: Value, step: Value = 1) -> Value:
    if not all(is_integer(x) for x in (a, b, step)):
        raise Raised("ArgumentError", "InvalidArgumentType")
    if step == 0:
        raise Raised("ArgumentError", "NumberOutOfRange")
    found = range(a, b + (1 if step > 0 else -1), step)
    if len(found) > 100_000:
        raise NotImplementedError("lists beyond the patience of an oracle")
    return list(found)


@strict("coll.distinct")
def distinct(x: Value) -> Value:
    first: dict[Any, Value] = {}
    for item in items(x):
        first.setdefault(equivalence(item), item)
    return list(first.values())


@strict("coll.indexOf")
def index_of(x: Value, item: Value) -> Value:
    return next((i for i, other in enumerate(items(x)) if equals(other, item)), -1)


@lenient("coll.insert")
def insert(x: Value, index: Value, item: Value) -> Value:
    if x is None or index is None:
        return None
    if not 0 <= position(index) <= len(items(x)):
        raise Raised("ArgumentError", "NumberOutOfRange")
    return [*x[:index], item, *x[index:]]


def extreme(x: Value, best: Callable[..., Value]) -> Value:
    if not isinstance(x, list):
        return x
    return best((item for item in x if item is not None), key=order_key, default=None)


@strict("drasi.listMax")
def list_max(x: Value) -> Value:
    return extreme(x, max)


@strict("drasi.listMin")
def list_min(x: Value) -> Value:
    return extreme(x, min)


# --- strings ----------------------------------------------------------------------------------------------------------

STRICT["toupper"] = lambda x: string(x).upper()
STRICT["tolower"] = lambda x: string(x).lower()
STRICT["trim"] = lambda x: string(x).strip()
STRICT["ltrim"] = lambda x: string(x).lstrip()
STRICT["rtrim"] = lambda x: string(x).rstrip()


def length(n: Value) -> int:
    if position(n) < 0:
        raise Raised("ArgumentError", "NumberOutOfRange")
    return position(n)


@strict("left")
def left(s: Value, n: Value) -> Value:
    return string(s)[: length(n)]


@strict("right")
def right(s: Value, n: Value) -> Value:
    return string(s)[max(0, len(s) - length(n)) :]


@strict("substring")
def substring(s: Value, start: Value, n: Value = 2**40) -> Value:
    return string(s)[length(start) : length(start) + length(n)]


@strict("replace")
def replace(s: Value, find: Value, by: Value) -> Value:
    return string(s).replace(string(find), string(by)) if string(find) else string(s) if isinstance(by, str) else string(by)


@strict("split")
def split(s: Value, delimiters: Value) -> Value:
    pieces = [string(s)]
    for delimiter in delimiters if isinstance(delimiters, list) else [delimiters]:
        pieces = [part for piece in pieces for part in (piece.split(string(delimiter)) if delimiter else list(piece))]
    return pieces


# --- numbers ----------------------------------------------------------------------------------------------------------


@strict("abs")
def abs_(x: Value) -> Value:
    return integer(abs(x)) if is_integer(x) else abs(number(x))


@strict("sign")
def sign(x: Value) -> Value:
    return (number(x) > 0) - (x < 0)


@strict("isNaN")
def is_nan(x: Value) -> Value:
    return math.isnan(number(x))


def rounded(to: Callable[[Any], int]) -> Function:
    def operate(x: Value) -> Value:
        return float(to(x)) if math.isfinite(number(x)) else float(x)

    return operate


STRICT["ceil"] = rounded(math.ceil)
STRICT["floor"] = rounded(math.floor)
MODES = {
    "UP": ROUND_UP,
    "DOWN": ROUND_DOWN,
    "CEILING": ROUND_CEILING,
    "FLOOR": ROUND_FLOOR,
    "HALF_UP": ROUND_HALF_UP,
    "HALF_DOWN": ROUND_HALF_DOWN,
    "HALF_EVEN": ROUND_HALF_EVEN,
}


@strict("round")
def round_(x: Value, precision: Value = None, mode: Value = "HALF_UP") -> Value:
    if not math.isfinite(number(x)):
        return float(x)
    if precision is None:
        return float(math.floor(Fraction(x) + Fraction(1, 2)))
    if string(mode) not in MODES:
        raise type_error(f"no mode {mode}")
    return float(Decimal(repr(x)).quantize(Decimal(1).scaleb(-position(precision)), rounding=MODES[mode]))


def real(function: Callable[..., float]) -> Function:
    def operate(*numbers: Value) -> Value:
        try:
            return function(*(float(number(x)) for x in numbers))
        except (ValueError, ZeroDivisionError):
            return math.nan
        except OverflowError:
            return math.inf

    return operate


REALS: dict[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("sqrt", "exp", "log", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2")},
    "degrees": math.degrees,
    "radians": math.radians,
    "cot": lambda x: 1 / math.tan(x),
    "haversin": lambda x: (1 - math.cos(x)) / 2,
    "e": lambda: math.e,
    "pi": lambda: math.pi,
}
STRICT.update({name: real(function) for name, function in REALS.items()})
