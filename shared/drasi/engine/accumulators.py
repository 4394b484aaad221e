"""What a group keeps per aggregate. Every accumulator takes back exactly what it was given.

State is a function of the bag of values at hand (and, where order or representation is visible, of their arrival), never of the way
it came about: adding and removing commute. Cost per change: constant for counts and sums, logarithmic in the distinct values for
extremes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from sortedcontainers import SortedDict

from drasi.engine.representations import Representations
from drasi.values.canonical import canonical_text
from drasi.values.equivalence import group_key
from drasi.values.errors import integer_overflow
from drasi.values.exact import ExactSum
from drasi.values.ordering import order_key

_MIN, _MAX = -(2**63), 2**63 - 1


class Inner(Protocol):
    """An accumulator of values alone."""

    def add(self, value: Any) -> None: ...

    def remove(self, value: Any) -> None: ...


class Sum(ExactSum):
    """``sum`` and ``avg``; ``count`` is the number of values."""

    __slots__ = ()

    def total(self) -> int | float:
        value = self.value()
        if type(value) is int and not _MIN <= value <= _MAX:
            raise integer_overflow("sum()")
        return value


class Extremes:
    """``min`` and ``max``: values by the total order of language.md section 7.4.

    Of values at one place of the order (1 and 1.0) the one with the least text is shown, whatever came first.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: Any = SortedDict()

    def add(self, value: Any) -> None:
        key = order_key(value)
        variants = self._values.get(key)
        if variants is None:
            variants = self._values[key] = {}
        name = _strict_name(value)
        count, _ = variants.get(name, (0, None))
        variants[name] = (count + 1, value)

    def remove(self, value: Any) -> None:
        key = order_key(value)
        variants = self._values[key]
        name = _strict_name(value)
        count, kept = variants[name]
        if count > 1:
            variants[name] = (count - 1, kept)
            return
        del variants[name]
        if not variants:
            del self._values[key]

    def replace(self, old: Any, new: Any) -> None:
        self.remove(old)
        self.add(new)

    def least(self) -> Any:
        return self._shown(0)

    def greatest(self) -> Any:
        return self._shown(-1)

    def _shown(self, place: int) -> Any:
        if not self._values:
            return None
        variants = self._values.peekitem(place)[1]
        return variants[min(variants)][1]


class Distinct:
    """Values by equivalence, for ``f(DISTINCT x)``: the representation shown of each class is what ``inner`` holds."""

    __slots__ = ("classes", "inner", "tracking")

    def __init__(self, inner: Inner | None, tracking: bool = False) -> None:
        self.classes: dict[Any, Representations] = {}
        self.inner = inner
        self.tracking = tracking

    def add(self, member: Any, value: Any) -> None:
        key = group_key(value)
        known = self.classes.get(key)
        if known is None:
            known = self.classes[key] = Representations(value)
            if self.tracking:
                known.track()
            known.enter(member, value)
            if self.inner is not None:
                self.inner.add(value)
            return
        shown = known.shown
        known.enter(member, value)
        self._show(shown, known.shown)

    def remove(self, member: Any, value: Any) -> None:
        key = group_key(value)
        known = self.classes[key]
        shown = known.shown
        known.leave(member)
        if known.count == 0:
            del self.classes[key]
            if self.inner is not None:
                self.inner.remove(shown)
        else:
            self._show(shown, known.shown)

    def __len__(self) -> int:
        return len(self.classes)

    def shown(self) -> Iterator[Any]:
        return (known.shown for known in self.classes.values())

    # --- rebuilding ---

    def order(self) -> list[tuple[Any, list[Any]]]:
        """The classes in order of arrival, each with its late members."""
        return [(key, list(known.late or ())) for key, known in self.classes.items()]

    def settle_as(self, order: Sequence[tuple[Any, Sequence[Any]]]) -> None:
        self.tracking = False
        late = dict(order)
        ranks = {key: rank for rank, (key, _) in enumerate(order)}
        self.classes = dict(sorted(self.classes.items(), key=lambda item: ranks.get(item[0], -1)))
        for key, known in self.classes.items():
            shown = known.shown
            known.settle_as(late.get(key, ()))
            self._show(shown, known.shown)

    def _show(self, old: Any, new: Any) -> None:
        if self.inner is not None and old is not new:
            self.inner.remove(old)
            self.inner.add(new)


def _strict_name(value: Any) -> str:
    """Tells apart what the order does not: 1 and 1.0, 0.0 and -0.0, deep in lists and maps."""
    kind = type(value)
    if kind is str:
        return ""
    if kind is int:
        return "i"
    if kind is float:
        return "f" + repr(value)
    if kind is list:
        return "[" + ",".join(map(_strict_name, value)) + "]"
    if kind is dict:
        return "{" + ",".join(f"{name}:{_strict_name(value[name])}" for name in sorted(value)) + "}"
    return canonical_text(group_key(value))
