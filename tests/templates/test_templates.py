"""Templates as connectors.md section 6.1 has them: what is written, and where."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drasi.templates import Place, RenderError, TemplateError, parse

ROW: dict[str, Any] = {
    "after": {
        "name": 'Tug "Zoë" & <Sons>',
        "berth": 4,
        "depth": 9.0,
        "free": True,
        "none": None,
        "tags": ["a", "b"],
        "map": {"k": 1, "x y": 2},
        "path": "a/b c?d",
        "query-key": "dash",
    },
    "before": {"berth": 3},
    "data": {"berth": 4},
    "queryId": "q",
    "query_id": "q",
    "query_name": "q",
    "operation": "UPDATE",
    "timestamp": 1772352930000,
    "idempotencyKey": "r/q/418/g:1",
    "product_name": "Laptop",
    "count": 7,
    "rows": [{"name": "x", "n": 2, "g": "u"}, {"name": "y", "n": 1, "g": "v"}, {"name": "z", "n": 1.5, "g": "u"}],
    "headers": {"x-y": "h"},
    "payload": {"a": {"b": "deep"}, "s": "up"},
    "route": {"id": "17"},
    "empty": [],
    "zero": 0,
}


def text(template: str, place: Place = "text") -> str:
    return parse(template, place).render(ROW)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        # What Drasi's documents and tutorials use.
        ("{{after.berth}}", "4"),
        ("{{before.berth}}", "3"),
        ("{{data.berth}}", "4"),
        ("{{before}}", '{"berth":3}'),
        ("{{json before}}", '{"berth":3}'),
        ("{{json after.name}}", '"Tug \\"Zoë\\" & <Sons>"'),
        ("{{#if after}}yes{{else}}no{{/if}}", "yes"),
        ("{{#each rows}}{{this.name}}{{/each}}", "xyz"),
        ("{{query_name}} {{query_id}} {{operation}} {{timestamp}}", "q q UPDATE 1772352930000"),
        ("{{uuid}}", str(uuid.uuid5(uuid.NAMESPACE_URL, "r/q/418/g:1"))),
        ("{{payload.a.b}} {{headers.x-y}} {{route.id}} {{uppercase payload.s}}", "deep h 17 UP"),
        ("{{product_name}}", "Laptop"),
        ("{{count}}", "7"),
        # Values.
        ("{{after.name}}", 'Tug "Zoë" & <Sons>'),
        ("{{{after.name}}}", 'Tug "Zoë" & <Sons>'),
        ("{{&after.name}}", 'Tug "Zoë" & <Sons>'),
        ("{{after.depth}} {{after.free}} {{after.tags}} {{after.map}}", '9.0 true ["a","b"] {"k":1,"x y":2}'),
        ("[{{after.none}}{{after.missing}}{{nothing.at.all}}]", "[]"),
        # Paths.
        ('{{after.tags.[1]}}{{after.tags[0]}}{{after.tags.1}}{{after["map"]["x y"]}}{{after.map.[x y]}}', "bab22"),
        ("{{after.tags.[9]}}{{after.tags.x}}{{after.name.x}}", ""),
        ("{{this.operation}} {{./operation}} {{after/berth}}", "UPDATE UPDATE 4"),
        ("{{#with after}}{{berth}}{{../operation}}{{this.depth}}{{/with}}", "4UPDATE9.0"),
        ("{{#each rows}}{{@index}}{{name}}{{#unless @last}},{{/unless}}{{/each}}", "0x,1y,2z"),
        ("{{#each after.map}}{{@key}}={{this}};{{/each}}", "k=1;x y=2;"),
        ("{{#each rows}}{{#if @first}}{{../operation}}{{/if}}{{/each}}", "UPDATE"),
        ("{{#each rows}}{{#each ../after.tags}}{{@../index}}{{@index}}{{this}} {{/each}}{{/each}}", "00a 01b 10a 11b 20a 21b "),
        ("{{#each rows}}{{@root.operation}}{{/each}}", "UPDATEUPDATEUPDATE"),
        # Blocks.
        ("{{#if zero}}a{{else if empty}}b{{else if after.berth}}c{{else}}d{{/if}}", "c"),
        ("{{#unless after.none}}a{{else}}b{{/unless}}", "a"),
        ("{{#each empty}}a{{else}}none{{/each}}", "none"),
        ("{{#with after.none}}a{{else}}none{{/with}}", "none"),
        ('{{#if (and (eq operation "UPDATE") (gt after.berth before.berth))}}rose{{/if}}', "rose"),
        # Layout.
        ("a {{~after.berth~}} b", "a4b"),
        ("a\n{{#if after}}\nb\n{{/if}}\nc", "a\nb\nc"),
        ("a {{! a comment }}b{{!-- with }} inside --}}c", "a bc"),
        ("{{! alone }}\nx", "x"),
        ("\\{{after.berth}} \\\\{{after.berth}}", "{{after.berth}} \\4"),
        # Helpers.
        ('{{concat "a" 1 true after.berth}} {{default after.none "d"}} {{default after.berth "d"}}', "a1true4 d 4"),
        ("{{now}} {{lowercase 'ÀB'}}", "1772352930000 àb"),
        ('{{eq 1 1.0}}{{eq 1 true}}{{ne 1 2}}{{lt "a" "b"}}{{gte 2 2}}{{lte 3 2}}{{gt "a" 1}}', "truefalsetruetruetruefalsefalse"),
        ("{{and 1 0}}{{or 0 1}}{{not 0}}", "falsetruetrue"),
        (
            '{{sum rows "n"}} {{avg rows "n"}} {{min rows "n"}} {{max rows "name"}} {{count rows}} {{count rows "n"}}',
            "4.5 1.5 1 z 3 3",
        ),
        ("{{sum empty}} [{{avg empty}}] {{count empty}}", "0 [] 0"),
        ('{{#each (sortBy rows "n")}}{{name}}{{/each}}', "yzx"),
        ('{{#each (groupBy rows "g")}}{{@key}}:{{#each this}}{{name}}{{/each}} {{/each}}', "u:xz v:y "),
        ('{{format 1234.5 "0.00"}} {{format 1234567 "#,##0"}} {{format 0.256 "0%"}} {{format 2.5 "0"}}', "1234.50 1,234,567 26% 3"),
        ('{{format -0.5 "0.##"}} {{format "x" "0"}} {{format 3 "€0.0 each"}} {{format 0.004 "#.##"}}', "-0.5 x €3.0 each "),
        ('{{replace "a-b-c" "-" "+"}} {{trimPrefix "v1" "v"}} {{trimPrefix "1" "v"}}', "a+b+c 1 1"),
    ],
)
def test_renders(template: str, expected: str) -> None:
    assert text(template) == expected


def test_a_url_keeps_its_shape_whatever_the_value() -> None:
    assert text("/ships/{{after.path}}/{{after.name}}?b={{after.berth}}", "url") == (
        "/ships/a/b%20c%3Fd/Tug%20%22Zo%C3%AB%22%20%26%20%3CSons%3E?b=4"
    )
    assert text("/x/{{{after.path}}}", "url") == "/x/a/b c?d"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"name": "{{after.name}}"}', {"name": 'Tug "Zoë" & <Sons>'}),
        ('{"berth": {{after.berth}}, "none": {{after.none}}, "missing": {{x.y}}}', {"berth": 4, "none": None, "missing": None}),
        ('{"none": "{{after.none}}", "all": {{json after}}}', {"none": "", "all": ROW["after"]}),
        ('{"quoted": "{{json before}}"}', {"quoted": '{"berth":3}'}),
        ('[{{#each rows}}{{#unless @first}},{{/unless}}{"n": "{{name}}"}{{/each}}]', [{"n": "x"}, {"n": "y"}, {"n": "z"}]),
        ('{{#if after}}{"a": "{{after.name}}"}{{else}}{"b": 1}{{/if}}', {"a": 'Tug "Zoë" & <Sons>'}),
        (
            '"{{#if zero}}a{{else}}{{after.name}}{{/if}} \\"there\\" {{after.name}}"',
            'Tug "Zoë" & <Sons> "there" Tug "Zoë" & <Sons>',
        ),
    ],
)
def test_a_json_body_stays_json(template: str, expected: Any) -> None:
    template_ = parse(template, "body")
    assert template_.json
    assert json.loads(template_.render(ROW)) == expected


@pytest.mark.parametrize(
    "template",
    ['[ALERT] "{{after.name}}" is hot', "{{after.name}}", '"open {{after.name}}', "name={{after.name}}", '{{after.berth}} "x"'],
)
def test_a_body_that_is_not_json_is_plain(template: str) -> None:
    template_ = parse(template, "body")
    assert not template_.json
    assert "\\u" not in template_.render(ROW)
    assert '\\"' not in template_.render(ROW)


@given(st.text())
def test_no_text_breaks_out_of_a_json_string(value: str) -> None:
    body = parse('{"a": "{{v}}", "b": [{"c": "x{{v}}y"}]}', "body")
    encodable = value.encode("utf-8", "replace").decode()
    assert json.loads(body.render({"v": encodable})) == {"a": encodable, "b": [{"c": f"x{encodable}y"}]}


@pytest.mark.parametrize(
    ("template", "line", "column", "words"),
    [
        ("a\n  {{after.x", 2, 3, "not closed"),
        ("{{#if a}}\nx", 1, 1, "'{{#if}}' is not closed"),
        ("{{#if a}}x{{/each}}", 1, 11, "'{{/if}}' is expected"),
        ("x{{/if}}", 1, 2, "without an open block"),
        ("{{else}}", 1, 1, "without an open block"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", 1, 18, "a second 'else'"),
        ("{{#if eq a b}}{{/if}}", 1, 10, "takes one value"),
        ("{{#if}}{{/if}}", 1, 1, "needs a value"),
        ("{{#list a}}{{/list}}", 1, 1, "no block '#list'"),
        ("{{upercase a}}", 1, 3, "no helper 'upercase'"),
        ("{{eq a}}", 1, 3, "takes 2 argument(s), not 1"),
        ("{{> header}}", 1, 1, "partials"),
        ("{{}}", 1, 1, "nothing between"),
        ("{{a b=1}}", 1, 6, "not expected"),
        ('{{json "a}}', 1, 8, "quotes is not closed"),
        ("{{json (eq a b}}", 1, 8, "'(' is not closed"),
        ("{{param a}}", 1, 3, "no helper 'param'"),
        ("{{a.}}", 1, 4, "a name is expected"),
        ("{{{a}}", 1, 5, "needs '}}}'"),
        ("{{{{raw}}}}", 1, 1, "raw blocks"),
        ("{{!-- open", 1, 1, "comment is not closed"),
        ("{{#if a}}" * 40 + "{{/if}}" * 40, 1, 289, "nested deeper"),
        ("{{not " + "(not " * 40 + "a" + ")" * 40 + "}}", 1, 172, "nested deeper"),
    ],
)
def test_errors_have_a_place(template: str, line: int, column: int, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert words in caught.value.message
    assert caught.value.excerpt.splitlines()[1].index("^") == 8 + column - 1
    assert caught.value.code == "InvalidTemplate"


def test_a_misspelt_helper_gets_a_hint() -> None:
    with pytest.raises(TemplateError) as caught:
        parse("{{upercase a}}")
    assert caught.value.hint == "did you mean 'uppercase'?"


def test_parameters_are_bound_not_written() -> None:
    values: list[Any] = []

    def bind(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    template = parse("call p({{param after.name}}, {{param after.berth}})", parameters=True)
    assert template.render(ROW, bind=bind) == "call p($1, $2)"
    assert values == [ROW["after"]["name"], 4]


@pytest.mark.parametrize(
    ("template", "row"),
    [
        ("{{#each l}}{{#each ../l}}{{#each ../../l}}{{/each}}{{/each}}{{/each}}", {"l": [1] * 200}),
        ("{{#each l}}{{../t}}{{/each}}", {"l": [1] * 1000, "t": "x" * 10_000}),
        ('{{replace t "x" t}}', {"t": "x" * 10_000}),
        ("{{concat t t t t t t t t t t}}", {"t": "x" * 1_000_000}),
        ("{{sum t}}", {"t": "x"}),
        ("{{sum t}}", {"t": ["x"]}),
        ('{{format 1 "a.b.c"}}', {}),
    ],
)
def test_work_and_output_are_bounded(template: str, row: dict[str, Any]) -> None:
    with pytest.raises(RenderError):
        parse(template).render(row)


def test_names_reach_no_attribute() -> None:
    assert parse("{{after.__class__}}{{after.keys}}{{rows.append}}{{this.get}}").render(ROW) == ""
