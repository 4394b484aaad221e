"""Random query texts from a grammar of the supported language."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

from drasi.errors import QueryError
from drasi.language import check, parse

Language = Literal["cypher", "gql"]
LABELS = ("A", "B", "C")
TYPES = ("R", "S")
LITERALS = (
    "0", "1", "2", "-1", "1.0", "2.5", "-0.0", "true", "false", "null", "'1'", "'x'", "9007199254740992", "9007199254740993",
    "9007199254740992.0", "[1]", "[1.0]", "[true]", "[null]", "{a: 1}", "{a: 1.0}", "0.0 / 0.0", "$p", "$q",
)  # fmt: skip
PARAMETERS: dict[str, Any] = {"p": 1, "q": [1, 1.0, "1"]}
LABEL_TESTS = (":A", ":B", ":A:B", ":A|B", ":!A", ":%", ":(A|B)&!C")
NODE_LABELS = (*LABEL_TESTS, ":A", ":A", ":A", ":A|B", *[""] * 9)
RELATION_TYPES = (":R", ":S", ":R|S", ":R", "", "", "")
ARROWS = (("-", "->"), ("<-", "-"), ("-", "-"), ("-", "-"))


@dataclass
class Names:
    """The variables in scope by what they hold. ``tied`` are the relations that are still the pattern's own, no keys of a group;
    ``bags`` are lists whose order is open: they may not become keys."""

    nodes: list[str] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    tied: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    bags: list[str] = field(default_factory=list)

    def elements(self) -> list[str]:
        return self.nodes + self.relations


class Writer:
    """Writes one query."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names = Names()
        self.made = 0
        self.keys: list[str] | None = None
        """The columns that are keys of the projection just written, if it aggregates."""
        self.places = 0

    def one(self, options: Any) -> Any:
        return self.random.choice(list(options))

    def number_of(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def sometimes(self, one_in: int) -> bool:
        return self.number_of(1, one_in) == one_in

    def fresh(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"

    # --- patterns

    def query(self) -> str:
        text = self.match()
        if self.sometimes(6):
            text += f" {self.match()}"
        for _ in range(self.one((0, 0, 0, 1, 1, 2))):
            text += self.projection("WITH")
        return text + self.projection("RETURN")

    def gql(self) -> str:
        """A query in GQL: MATCH, LET, FILTER, RETURN with its keys named or not, NEXT."""
        text = self.match(filters=False)
        for _ in range(self.one((0, 1, 2))):
            name = self.fresh("v")
            text += f" LET {name} = {self.anything(2)}"
            self.names.values.append(name)
        if self.sometimes(2):
            text += f" FILTER {self.one(('', 'WHERE '))}{self.condition(1)}"
        for following in (*[True] * self.one((0, 0, 1)), False):
            text += self.projection("RETURN", having=False)
            if self.keys is not None and self.sometimes(2):
                text += f" GROUP BY {', '.join(self.keys) or '()'}"
            if following:
                text += " NEXT"
                if self.sometimes(2):
                    text += f" FILTER {self.condition(1)}"
        return text

    def match(self, *, filters: bool = True) -> str:
        patterns = [self.path() for _ in range(self.one((1, 1, 1, 2)))]
        text = f"MATCH {', '.join(patterns)}"
        if self.sometimes(3):
            text += f" WHERE {self.condition(2)}"
        if filters and self.sometimes(10):
            text += f" WHERE {self.condition(1)}"
        return text

    def path(self) -> str:
        text = self.node()
        for _ in range(self.one((0, 0, 1, 1, 2, 3))):
            if self.places >= 3:
                break
            text += self.relation() + self.node()
        return text

    def node(self) -> str:
        name = ""
        if self.names.nodes and self.sometimes(4):
            name = self.one(self.names.nodes)
        elif not self.sometimes(5) or not self.names.nodes:
            name = self.fresh("n")
            self.names.nodes.append(name)
        return f"({name}{self.one(NODE_LABELS)}{self.inline(name)})"

    def relation(self) -> str:
        self.places += 1
        name = ""
        if self.sometimes(2):
            name = self.fresh("r")
            self.names.relations.append(name)
            self.names.tied.append(name)
        left, right = self.one(ARROWS)
        return f"{left}[{name}{self.one(RELATION_TYPES)}{self.inline(name)}]{right}"

    def inline(self, name: str) -> str:
        if not self.sometimes(10):
            return ""
        if name and self.sometimes(2):
            return f" WHERE {name}.{self.one('kpq')} {self.one(('=', '<', '>=', '<>'))} {self.one(LITERALS)}"
        return f" {{{self.one('kpq')}: {self.one(LITERALS)}}}"

    # --- expressions

    def anything(self, depth: int) -> str:
        names = self.names
        simple = [f"{e}.{key}" for e in names.elements() for key in "pqks"] + names.values + names.numbers
        if not simple or self.sometimes(5):
            simple = list(LITERALS)
        if depth <= 0:
            return str(self.one(simple))
        return str(
            self.one(
                (
                    self.anything,
                    self.anything,
                    self.numeric,
                    self.condition,
                    self.string,
                    self.list_,
                    self.map_,
                    self.part,
                    self.chosen,
                )
            )(depth - 1)
        )

    def numeric(self, depth: int) -> str:
        simple = [f"{e}.k" for e in self.names.elements()] + self.names.numbers
        if not simple or self.sometimes(4):
            simple = ["1", "2", "0", "0.5", "3"]
        elif self.names.elements() and self.sometimes(12):
            simple = [f"{e}.p" for e in self.names.elements()]
        if depth <= 0:
            return str(self.one(simple))
        inner = self.numeric
        match self.number_of(0, 13):
            case 0 | 1 | 2:
                return f"{inner(depth - 1)} {self.one('+-*')} {inner(depth - 1)}"
            case 3:
                return f"({inner(depth - 1)}) {self.one('/%')} ({inner(depth - 1)})"
            case 4:
                return (
                    f"{self.one(('abs', 'sign', 'toInteger', 'toFloat', 'floor', 'ceil', '-', 'round'))}(abs({inner(depth - 1)}))"
                )
            case 5:
                return f"coalesce({self.anything(0)}, {inner(depth - 1)})"
            case 6:
                return f"size({self.one((self.list_, self.string))(depth - 1)})"
            case 7:
                return f"CASE WHEN {self.condition(depth - 1)} THEN {inner(depth - 1)} ELSE {inner(depth - 1)} END"
            case 8 if self.names.bags:
                return f"size({self.one(self.names.bags)})"
            case 9:
                return f"reduce(t = 0, i IN {self.list_(0)} | t + 1)"
            case 10:
                return f"({inner(depth - 1)}) ^ {self.one('012')}"
            case 11:
                return f"coll.indexOf({self.list_(0)}, {self.anything(0)})"
            case 12:
                return f"toInteger({self.anything(0)})"
            case 13 if self.names.tied:
                return f"{self.one(('startNode', 'endNode'))}({self.one(self.names.tied)}).k"
        return str(self.one(simple))

    def condition(self, depth: int) -> str:
        if depth <= 0:
            return self.simple_condition()
        match self.number_of(0, 11):
            case 0:
                return f"{self.condition(depth - 1)} AND {self.condition(depth - 1)}"
            case 1 | 2:
                return f"({self.condition(depth - 1)} OR {self.condition(depth - 1)})"
            case 3:
                return f"({self.condition(depth - 1)} XOR {self.condition(depth - 1)})"
            case 4:
                return f"NOT ({self.condition(depth - 1)})"
            case 5:
                return f"{self.one(('any', 'all', 'none', 'single'))}(i IN {self.list_(0)} WHERE i = {self.anything(0)})"
            case 6:
                return f"({self.numeric(1)} < {self.numeric(0)} <= {self.numeric(1)})"
        return self.simple_condition()

    def simple_condition(self) -> str:
        match self.number_of(0, 12):
            case 0:
                return (
                    f"{self.anything(0)} {self.one(('=', '<>', '<', '<=', '>', '>='))} {self.one((self.anything, self.numeric))(0)}"
                )
            case 1:
                return f"{self.anything(0)} <> {self.anything(0)}"
            case 2 | 3:
                return f"{self.numeric(1)} {self.one(('<=', '<', '>', '>=', '<>', '='))} {self.numeric(0)}"
            case 4:
                return f"{self.anything(0)} IS {self.one(('', 'NOT ', 'NOT '))}NULL"
            case 5:
                return f"{self.anything(0)} IN [{self.anything(0)}, {self.one(LITERALS)}]"
            case 6:
                return f"{self.string(0)} {self.one(('STARTS WITH', 'ENDS WITH', 'CONTAINS'))} {self.string(0)}"
            case 7 if self.names.nodes:
                return f"{self.one(self.names.nodes)}{self.one(LABEL_TESTS)}"
            case 8 if len(self.names.elements()) > 1:
                return f"{self.one(self.names.elements())} {self.one(('=', '<>'))} {self.one(self.names.elements())}"
            case 9 if self.names.bags:
                return f"{self.anything(0)} IN {self.one(self.names.bags)}"
            case 10:
                return f"{self.string(0)} =~ '{self.one(('x.*', '(?i)XY?', '[a-z]*'))}'"
            case 11 if self.names.values:
                return str(self.one(self.names.values))
            case 12:
                return f"isEmpty({self.one((self.list_, self.string))(1)})"
        return f"{self.anything(0)} = {self.anything(0)}"

    def string(self, depth: int) -> str:
        simple = [f"{e}.s" for e in self.names.elements()] + ["'x'", "'xy'", "''"]
        if depth <= 0:
            return str(self.one(simple))
        match self.number_of(0, 9):
            case 0:
                return f"({self.string(depth - 1)} + {self.string(depth - 1)})"
            case 6 if self.names.relations:
                return f"type({self.one(self.names.relations)})"
            case 7 if self.names.elements():
                return f"elementId({self.one(self.names.elements())})"
            case 8:
                return f"replace({self.string(depth - 1)}, 'x', {self.string(0)})"
            case 9:
                return f"({self.string(0)} + {self.numeric(0)})"
            case 1:
                return f"{self.one(('toUpper', 'toLower', 'trim', 'reverse'))}({self.string(depth - 1)})"
            case 2:
                return f"substring({self.string(depth - 1)}, {self.one('012')}, 1)"
            case 3:
                return f"toString({self.numeric(depth - 1)})"
            case 4:
                return f"{self.one(('left', 'right'))}({self.string(depth - 1)}, 1)"
        return str(self.one(simple))

    def list_(self, depth: int) -> str:
        if depth <= 0:
            return f"[{self.anything(0)}, {self.anything(0)}]"
        match self.number_of(0, 9):
            case 6:
                return f"coll.distinct({self.list_(depth - 1)})"
            case 7:
                return f"split({self.string(0)}, '{self.one(('', 'x'))}')"
            case 8:
                return f"coll.insert({self.list_(0)}, {self.one('012')}, {self.anything(0)})"
            case 9:
                return f"{self.list_(depth - 1)}[{self.one(('-1..', '..-1', '1..5', '..1'))}]"
            case 0:
                return f"[i IN {self.list_(depth - 1)} WHERE i IS NOT NULL | [i]]"
            case 1:
                return f"({self.list_(depth - 1)} + {self.list_(depth - 1)})"
            case 2:
                return f"{self.one(('tail', 'reverse'))}({self.list_(depth - 1)})"
            case 3:
                return f"{self.list_(depth - 1)}[0..1]"
            case 4:
                return f"range(0, {self.one('123')})"
        return f"[{self.anything(depth - 1)}]"

    def part(self, depth: int) -> str:
        """Something out of a list or map."""
        match self.number_of(0, 6):
            case 0:
                return f"{self.one(('head', 'last', 'drasi.listMax', 'drasi.listMin'))}({self.list_(depth)})"
            case 1:
                return f"{self.list_(depth)}[{self.one(('0', '-1', '3'))}]"
            case 2:
                return f"{self.map_(depth)}.{self.one('abp')}"
            case 3:
                return f"{self.map_(depth)}['{self.one('abp')}']"
            case 4 if self.names.elements():
                return f"{self.one(self.names.elements())}['{self.one('pq')}']"
            case 5 if self.names.elements():
                return f"properties({self.one(self.names.elements())})"
        return f"nullIf({self.anything(0)}, {self.anything(0)})"

    def map_(self, depth: int) -> str:
        if self.names.elements() and self.sometimes(3):
            return f"{self.one(self.names.elements())} {{.p, .k, z: {self.anything(0)}}}"
        return f"{{a: {self.anything(0)}, b: {self.anything(depth - 1)}}}"

    def chosen(self, depth: int) -> str:
        branch = f"WHEN {self.anything(0)} THEN {self.anything(depth)}"
        return f"CASE {self.anything(0)} {branch} ELSE {self.anything(0)} END"

    # --- projections

    def aggregate(self) -> tuple[str, str]:
        """An aggregate and what it gives: number, value or bag."""
        distinct = self.one(("", "", "DISTINCT "))
        match self.number_of(0, 7):
            case 0 | 1:
                return "count(*)", "number"
            case 2:
                return f"count({distinct}{self.one([*self.names.elements(), self.anything(0)])})", "number"
            case 3 | 4:
                return f"{self.one(('sum', 'avg'))}({distinct}{self.numeric(1)})", "number"
            case 5 | 6:
                return f"{self.one(('min', 'max'))}({distinct}{self.anything(0)})", "value"
        return f"collect({distinct}{self.one((self.anything(0), self.anything(0), *self.names.elements()))})", "bag"

    def projection(self, keyword: str, *, having: bool = True) -> str:
        having_text = ""
        aggregating = self.sometimes(2)
        distinct = self.sometimes(5)
        before, after = self.names, Names()
        items: list[str] = []
        if aggregating and having and self.sometimes(8):
            having_text = f"WHERE count(*) > {self.one('012')} "
        for _ in range(self.number_of(1, 3)):
            self.item(items, after, keyed=aggregating or distinct, elements=not having_text)
        simple = [f"{e}.k" for e in before.elements()] + before.numbers
        alone = self.sometimes(4)
        self.keys = [item.rsplit(" AS ", 1)[1] for item in items] if aggregating else None
        keys = [] if alone else [key for key in (item.rsplit(" AS ", 1)[0] for item in items) if key in simple]
        if aggregating and not having_text:
            for _ in range(self.number_of(1, 2)):
                call, kind = self.aggregate()
                if kind == "bag" and distinct:
                    continue
                if kind == "number" and self.sometimes(4):
                    call = f"{call} + {self.one(['1', *keys])}"
                name = self.fresh("v")
                items.append(f"{call} AS {name}")
                {"number": after.numbers, "value": after.values, "bag": after.bags}[kind].append(name)
            if alone:
                items, after = only_aggregates(items, after)
                self.keys = []
        self.names = after if items else before
        if not items:
            name = self.fresh("v")
            items, self.names, self.keys = [f"1 AS {name}"], Names(numbers=[name]), None
        text = f" {having_text}{keyword} {'DISTINCT ' if distinct else ''}{', '.join(items)}"
        if keyword == "WITH" and self.sometimes(3):
            text += f" WHERE {self.condition(1)}"
        return text

    def item(self, items: list[str], after: Names, *, keyed: bool, elements: bool) -> None:
        name = self.fresh("v")
        match self.number_of(0, 4):
            case 0 | 1 if self.names.elements() and elements:
                kept = self.one(self.names.elements())
                (after.nodes if kept in self.names.nodes else after.relations).append(name)
                if kept in self.names.tied and not keyed:
                    after.tied.append(name)
                items.append(f"{kept} AS {name}")
            case 2:
                items.append(f"{self.numeric(2)} AS {name}")
                after.numbers.append(name)
            case 3 if self.names.bags and not keyed:
                items.append(f"{self.one(self.names.bags)} AS {name}")
                after.bags.append(name)
            case _:
                items.append(f"{self.anything(2)} AS {name}")
                after.values.append(name)


def only_aggregates(items: list[str], names: Names) -> tuple[list[str], Names]:
    """The items that aggregate: a projection without keys."""
    kept = [item for item in items if item.startswith(("count(", "sum(", "avg(", "min(", "max(", "collect("))]
    left = {item.rsplit(" AS ", 1)[1] for item in kept}
    return kept, Names(
        numbers=[name for name in names.numbers if name in left],
        values=[name for name in names.values if name in left],
        bags=[name for name in names.bags if name in left],
    )


class Query(NamedTuple):
    text: str
    language: Language


def query(random: Random) -> Query:
    """The next query that the language takes: one whose types cannot fit, say ``NOT 1``, is drawn again."""
    while True:
        language: Language = random.choice(("cypher", "cypher", "cypher", "gql"))
        text = Writer(random).query() if language == "cypher" else Writer(random).gql()
        try:
            check(parse(text, language), text=text, parameters=PARAMETERS, language=language)
        except QueryError as error:
            if error.detail != "InvalidArgumentType":
                raise
        else:
            return Query(text, language)
