from __future__ import annotations

import re

import pytest

from drasi.language.functions import FUNCTIONS, canonical, is_aggregate
from tests.conftest import SHARED

SPECIFICATION = SHARED / "spec" / "language.md"


def test_names_are_found_in_any_case() -> None:
    assert canonical("TOUPPER") == "toUpper"
    assert canonical("Drasi.trueFOR") == "drasi.trueFor"
    assert canonical("rels") == "relationships"
    assert canonical("upper") is None
    assert canonical("UPPER", "gql") == "toUpper"
    assert canonical("nothing") is None


def test_what_is_known_of_a_function() -> None:
    assert is_aggregate("sum")
    assert not is_aggregate("size")
    assert not is_aggregate("unheard_of")
    assert FUNCTIONS["range"].arity == "2 to 3"
    assert FUNCTIONS["coalesce"].arity == "at least 1"
    assert FUNCTIONS["drasi.previousValue"].stateful
    assert FUNCTIONS["timestamp"].clock


@pytest.mark.parametrize(
    "name", ["count", "sum", "avg", "min", "max", "collect", "toUpper", "coll.indexOf", "drasi.stdevp", "round"]
)
def test_supported_now(name: str) -> None:
    assert FUNCTIONS[name].supported


@pytest.mark.parametrize("name", ["rand", "randomUUID", "timestamp", "date", "drasi.trueFor", "stDev", "percentileCont", "length"])
def test_not_supported_yet(name: str) -> None:
    assert not FUNCTIONS[name].supported


@pytest.mark.skipif(not SPECIFICATION.exists(), reason=f"the specification is not at {SPECIFICATION}")
def test_every_function_of_the_specification_is_in_the_table() -> None:
    text = SPECIFICATION.read_text()
    section = text[text.index("## 6. ") : text.index("## 7. ")] + text[text.index("## 8. ") : text.index("## 9. ")]
    spans = re.findall(r"`([^`]*)`", section)
    called = {
        name for span in spans for name in re.findall(r"(?<![\w.])((?:drasi\.|coll\.|duration\.|datetime\.)?[a-z]\w*)\(", span)
    }
    assert len(called) > 80
    # realtime() is named there for datetime.realtime() and its like.
    assert {name for name in called if canonical(name) is None} == {"realtime"}
