from __future__ import annotations

import pytest

from drasi.resources.problems import Problem, caret, did_you_mean, dotted, nearest


@pytest.mark.parametrize(
    ("word", "names", "meant"),
    [
        ("subscription", ["subscriptions", "joins"], "subscriptions"),
        ("POSTGRESQL", ["PostgreSQL", "MySQL"], "PostgreSQL"),
        ("naem", ["name", "tag"], "name"),
        ("x", ["a", "b"], None),
        ("label", ["property"], None),
        ("conter", ["counter", "counted"], "counter"),
    ],
)
def test_the_nearest_name(word: str, names: list[str], meant: str | None) -> None:
    assert nearest(word, names) == meant
    assert did_you_mean(word, names) == (f"did you mean '{meant}'?" if meant else None)


def test_paths_as_people_write_them() -> None:
    assert dotted(("spec", "joins", 0, "keys", 1, "label")) == "spec.joins[0].keys[1].label"
    assert dotted(()) == ""


def test_a_caret_stands_below_its_place_also_behind_a_tab() -> None:
    assert caret("one\n\ttwo three", 2, 6, 5) == "    2 | \ttwo three\n      | \t    ^^^^^"
    assert caret("one", 2, 1) == ""


def test_text_of_a_problem() -> None:
    assert Problem(path="spec.x", code="C", message="spec.x: unknown field", hint="did you mean 'y'?").text() == (
        "spec.x: unknown field; did you mean 'y'?"
    )
    assert Problem(path="spec.query", code="C", message="wrong", hint="right?", excerpt="    1 | x\n      | ^").text() == (
        "spec.query: wrong\n    1 | x\n      | ^ right?"
    )
