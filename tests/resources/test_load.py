from __future__ import annotations

import pytest

from drasi.resources.load import load


def test_several_documents_each_value_with_its_place() -> None:
    first, second = load("a: 1\n---\nname: x\nspec:\n  list:\n    - one\n    - key: two\n", "f.yaml")

    assert (first.number, first.data) == (1, {"a": 1})
    assert second.data == {"name": "x", "spec": {"list": ["one", {"key": "two"}]}}
    assert second.place(("spec", "list", 1, "key")) == (7, 12)
    assert second.place(("spec", "list", 1, "key"), key=True) == (7, 7)
    assert second.place(("spec", "absent")) == (5, 3), "the nearest thing around"
    assert second.file == "f.yaml"


def test_empty_documents_are_left_out_but_counted() -> None:
    assert [(document.number, document.data) for document in load("---\n# nothing\n---\na: 1\n---\n")] == [(2, {"a": 1})]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "cannot read document 1: key 'a' is there twice", 3),
        ("a: 1\n---\nb: !mine 2\n", "cannot read document 2: unknown tag '!mine'", 3),
        ("a: &x [*x]\n", "cannot read document 1: an alias inside its own anchor", 1),
        ("? [1]\n: 2\n", "cannot read document 1: a key must be a text", 1),
        ('{"a": 1, "a": 2}', "cannot read document 1: key 'a' is there twice", None),
    ],
)
def test_what_cannot_be_read_is_said(text: str, message: str, line: int | None) -> None:
    error = load(text)[-1].error
    assert error is not None
    assert (error.code, error.message, error.line) == ("InvalidYaml", message, line)


def test_a_broken_document_says_where_and_the_ones_before_it_are_read() -> None:
    good, bad = load("a: 1\n---\nb: [1\nc: 2\n")
    assert good.data == {"a": 1}
    assert bad.error is not None
    assert bad.error.message.startswith("cannot read document 2: ")
    assert bad.error.line == 4
    assert bad.error.excerpt == "    4 | c: 2\n      |  ^"


def test_scalars_of_yaml_1_2() -> None:
    (document,) = load("a: on\nb: yes\nc: 0o17\nd: 1.5\ne: 2026-03-01\nf: ~\ng: true\nh: '5'\n")
    assert document.data == {"a": "on", "b": "yes", "c": 15, "d": 1.5, "e": "2026-03-01", "f": None, "g": True, "h": "5"}


def test_merged_mappings() -> None:
    (document,) = load("base: &base {x: 1, y: 2}\nown:\n  <<: *base\n  y: 3\n")
    assert document.data["own"] == {"x": 1, "y": 3}


def test_json_with_places_also_of_a_list_and_where_yaml_differs() -> None:
    one, two = load('[{"a": "\\ud83d\\ude00"},\n {"b":\t"x\\/y"}]')
    assert one.data == {"a": "😀"}
    assert two.data == {"b": "x/y"}
    assert two.place(("b",)) == (2, 8)


def test_aliases_inside_aliases_do_not_explode() -> None:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    error = load("\n".join(lines))[0].error
    assert error is not None
    assert "more than" in error.message


def test_what_is_nested_too_deeply_is_said() -> None:
    error = load("a: " + "[" * 5_000 + "]" * 5_000)[0].error
    assert error is not None
    assert "nested too deeply" in error.message
