"""The StoredProc reaction: commands of a real PostgreSQL, an event at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from drasi.messages.results import ChangeEvent, ControlEvent, ControlSignal, UpdatedRow
from drasi.reactions.function import ReactionFunction
from drasi.reactions.memory_state import MemoryState
from drasi.reactions.port import DeliveryFailed, Reaction, ReactionContext
from drasi.reactions.registry import find
from drasi.reactions.state import ReactionState
from drasi.reactions.storedproc.command import CommandError, read_call, read_template
from drasi.reactions.storedproc.kind import KIND, InvalidTarget
from tests.postgres import Server, postgres
from tests.reactions.fakes import Clock, Query, Reader, pushed, until

__all__ = ["postgres"]

SETUP = """
CREATE TABLE said (number int GENERATED ALWAYS AS IDENTITY, word text, berth int, level numeric, note text, extra jsonb);
CREATE PROCEDURE say(word text, berth int DEFAULT NULL, level numeric DEFAULT NULL, note text DEFAULT NULL,
  extra jsonb DEFAULT NULL)
LANGUAGE sql AS 'INSERT INTO said (word, berth, level, note, extra) VALUES (word, berth, level, note, extra)';
"""
COMMANDS = {
    "addedResultCommand": "CALL say('added', @berth, @level, @note, @extra)",
    "updatedResultCommand": "CALL say('updated', @before.berth, @after.level, @note);",
    "deletedResultCommand": "CALL say('deleted', @berth)",
}


def event(sequence: int = 7, **rows: Any) -> ChangeEvent:
    return ChangeEvent("q", sequence, 1772352930000, **rows)


ALL = event(
    addedResults=[{"berth": 4, "level": 46.0, "note": "'); DROP TABLE said; --", "extra": {"a": [1, None]}}, {"berth": 5}],
    addedRowIds=["r:4", "r:5"],
    updatedResults=[UpdatedRow({"berth": 3, "level": 1.5}, {"berth": 3, "level": 2.5, "note": "100 % @here"}, "r:3")],
    deletedResults=[{"berth": 9}],
    deletedRowIds=["r:9"],
)


@dataclass
class World:
    server: Server
    database: str
    client: psycopg.Connection[tuple[Any, ...]]
    made: list[Reaction] = field(default_factory=list)
    reports: dict[str, str | None] = field(default_factory=dict)
    confirmed: list[str] = field(default_factory=list)

    def properties(self, **more: Any) -> dict[str, Any]:
        server = self.server
        return {
            "databaseHostname": server.host,
            "databasePort": server.port,
            "databaseUser": server.superuser,
            "databasePassword": server.password,
            "databaseDbname": self.database,
            "databaseClient": "pg",
            **more,
        }

    def reaction(self, config: Any = None, **properties: Any) -> Reaction:
        given = ReactionContext("r", self.properties(**properties), {"q": config}, Reader(), self.reports.__setitem__, dict)
        assert KIND.make is not None
        made = KIND.make(given)
        self.made.append(made)
        return made

    async def deliver(self, reaction: Reaction, what: ChangeEvent, done: tuple[str, ...] = ()) -> None:
        await reaction.deliver("q", what, done, self.confirmed.append)

    def said(self, columns: str = "word, berth") -> list[tuple[Any, ...]]:
        return self.client.execute(f"SELECT {columns} FROM said ORDER BY number").fetchall()


@pytest.fixture
async def world(postgres: Server) -> AsyncIterator[World]:
    database = postgres.new_database()
    client = postgres.connect(database)
    client.execute(SETUP)
    made = World(postgres, database, client)
    try:
        yield made
    finally:
        for reaction in made.made:
            await reaction.close()
        client.close()
        postgres.drop_database(database)


async def test_a_command_for_each_row_with_its_values_bound(world: World) -> None:
    reaction = world.reaction(**COMMANDS)
    await world.deliver(reaction, ALL)
    assert world.said("word, berth, level, note, extra") == [
        ("deleted", 9, None, None, None),
        ("updated", 3, 2.5, "100 % @here", None),
        ("added", 4, 46.0, "'); DROP TABLE said; --", {"a": [1, None]}),
        ("added", 5, None, None, None),
    ]
    assert world.confirmed == ["r:9", "r:3", "r:4", "r:5"]
    await reaction.deliver("q", ControlEvent("q", 8, 0, ControlSignal("running")), (), world.confirmed.append)
    assert len(world.said()) == 4


async def test_an_event_that_comes_again_does_nothing(world: World) -> None:
    await world.deliver(world.reaction(**COMMANDS), ALL)
    again = world.reaction(**COMMANDS)
    await world.deliver(again, ALL)
    await world.deliver(again, event(6, addedResults=[{"berth": 1}], addedRowIds=["r:1"]))
    assert len(world.said()) == 4
    assert world.confirmed[4:] == ["r:9", "r:3", "r:4", "r:5", "r:1"]
    await world.deliver(again, event(8, addedResults=[{"berth": 1}], addedRowIds=["r:1"]))
    assert world.said()[4:] == [("added", 1)]
    [state] = world.client.execute("SELECT reaction, query, sequence FROM drasi_reaction_state").fetchall()
    assert state == ("r", "q", 8)


async def test_parts_of_a_snapshot_share_a_sequence(world: World) -> None:
    reaction = world.reaction(**COMMANDS)
    parts = [event(5, addedResults=[{"berth": n}], addedRowIds=[f"r:{n}"]) for n in (1, 2)]
    for part in (parts[0], parts[0], parts[1], parts[1]):
        await world.deliver(reaction, part)
    assert world.said() == [("added", 1), ("added", 2)]


async def test_one_row_that_fails_takes_the_event_back(world: World) -> None:
    world.client.execute("CREATE UNIQUE INDEX ON said (berth)")
    reaction = world.reaction(**COMMANDS)
    twice = event(addedResults=[{"berth": 1}, {"berth": 1, "note": "s3cret note"}, {"berth": 2}], addedRowIds=["a", "b", "c"])
    with pytest.raises(DeliveryFailed) as caught:
        await world.deliver(reaction, twice)
    assert (caught.value.row_id, caught.value.retryable) == ("b", False)
    assert "UniqueViolation (23505)" in caught.value.message
    assert "s3cret" not in caught.value.message
    assert (world.said(), world.confirmed) == ([], [])
    await world.deliver(reaction, twice, done=("b",))
    assert world.said() == [("added", 1), ("added", 2)]
    assert world.confirmed == ["a", "c"]


@pytest.mark.parametrize(
    ("command", "message", "retryable"),
    [
        ("CALL nothing(@berth)", "procedure nothing(unknown) does not exist", False),
        ("CALL say('x', @note)", "InvalidTextRepresentation (22P02)", False),
        ("SELECT pg_sleep(60)", "QueryCanceled (57014)", True),
        ("CALL ends()", "InvalidTransactionTermination (2D000)", False),
    ],
)
async def test_what_a_failure_means(world: World, command: str, message: str, retryable: bool) -> None:
    world.client.execute("CREATE PROCEDURE ends() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'")
    reaction = world.reaction(addedResultCommand=command, commandTimeoutMs=200)
    with pytest.raises(DeliveryFailed) as caught:
        await world.deliver(reaction, event(addedResults=[{"berth": 1, "note": "n"}], addedRowIds=["a"]))
    assert message in caught.value.message
    assert caught.value.retryable is retryable
    assert caught.value.row_id == "a"


async def test_a_database_that_is_away_is_tried_again(world: World) -> None:
    reaction = world.reaction(**COMMANDS)
    await world.deliver(reaction, ALL)
    world.client.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drasi r'")
    more = event(8, deletedResults=[{"berth": 1}], deletedRowIds=["r:1"])
    with pytest.raises(DeliveryFailed) as lost:
        await world.deliver(reaction, more)
    assert lost.value.retryable
    await world.deliver(reaction, more)
    assert world.said()[4:] == [("deleted", 1)]
    wrong = world.reaction(**COMMANDS, databasePassword="guess")
    with pytest.raises(DeliveryFailed, match="password authentication failed") as caught:
        await world.deliver(wrong, ALL)
    assert caught.value.retryable
    assert "guess" not in caught.value.message


async def test_templates_of_drasi_server_and_configurations_of_queries(world: World) -> None:
    server = {
        "hostname": world.server.host,
        "port": world.server.port,
        "user": world.server.superuser,
        "password": world.server.password,
        "database": world.database,
    }
    template = (
        "CALL say({{#if after.note}}'note 100%'{{else}}'none'{{/if}}, {{param after.berth}}, {{param 2}}, {{param operation}})"
    )
    given = ReactionContext(
        "r", {**server, "defaultTemplate": {"added": {"template": template}}}, {"q": None}, Reader(), lambda _n, _t: None, dict
    )
    assert KIND.make is not None
    reaction = KIND.make(given)
    world.made.append(reaction)
    await world.deliver(reaction, ALL)
    assert world.said("word, berth, level, note") == [("note 100%", 4, 2, "ADD"), ("none", 5, 2, "ADD")]
    own = world.reaction({"deletedResultCommand": "CALL say('own', @berth)"}, **COMMANDS)
    await world.deliver(own, event(9, deletedResults=[{"berth": 1}], deletedRowIds=["d"], addedResults=[{}], addedRowIds=["a"]))
    assert world.said()[2:] == [("own", 1), ("added", None)]


async def test_without_the_right_to_make_the_table(world: World) -> None:
    world.client.execute("DROP ROLE IF EXISTS caller; CREATE ROLE caller LOGIN PASSWORD 'p4ss'; GRANT INSERT ON said TO caller")
    reaction = world.reaction(**COMMANDS, databaseUser="caller", databasePassword="p4ss")
    await world.deliver(reaction, ALL)
    assert len(world.said()) == 4
    assert "CREATE TABLE drasi_reaction_state" in (world.reports["NotAllowed"] or "")
    world.client.execute((world.reports["NotAllowed"] or "").rpartition("runs: ")[2].encode())
    world.client.execute("GRANT ALL ON drasi_reaction_state TO caller")
    again = world.reaction(**COMMANDS, databaseUser="caller", databasePassword="p4ss")
    await world.deliver(again, event(8, deletedResults=[{"berth": 1}], deletedRowIds=["d"]))
    assert world.reports["NotAllowed"] is None
    await again.close()
    await reaction.close()
    world.client.execute("DROP OWNED BY caller; DROP ROLE caller")


async def test_whatever_is_interrupted_every_row_is_said_once(world: World, clock: Clock) -> None:
    """The whole reaction, ended and begun again at any moment, and its own memory lost once."""
    query = Query()

    async def begin(state: ReactionState) -> ReactionFunction:
        properties = world.properties(**COMMANDS)
        function = ReactionFunction(
            "r", KIND, properties, {"q": None}, reader=Reader(query), state=state, timing=clock.timing(), start={"sequence": 0}
        )
        await function.start()
        return function

    state = MemoryState()
    function = await begin(state)
    for number in range(1, 21):
        change = query.change(add={f"r:{number}": {"berth": number}})
        task = asyncio.create_task(function.results(pushed(change)))
        if number % 4 == 0:
            for _ in range(number * 3):
                await asyncio.sleep(0)
            await function.close()
            if number == 12:
                state = MemoryState()
            function = await begin(state)
        await asyncio.gather(task, return_exceptions=True)
    await until(lambda: len(world.said()) == 20, clock)
    await function.close()
    assert world.said() == [("added", number) for number in range(1, 21)]


@pytest.mark.parametrize(
    ("text", "sql", "names"),
    [
        ("CALL p(@a, @before.x.y)", "CALL p(%s, %s)", [("a",), ("before", "x", "y")]),
        ("CALL p('@a ''@b', \"@c\", $$@d$$, $x$ @e $x$) -- @f", "CALL p('@a ''@b', \"@c\", $$@d$$, $x$ @e $x$) -- @f", []),
        ("CALL p(@a::int, 5 % 2, '%') ;", "CALL p(%s::int, 5 %% 2, '%%')", [("a",)]),
        ("SELECT x @> @größe", "SELECT x @> %s", [("größe",)]),
    ],
)
def test_reading_a_command(text: str, sql: str, names: list[tuple[str, ...]]) -> None:
    call = read_call(text)
    assert (call.text, list(call.names)) == (sql, names)


@pytest.mark.parametrize(
    ("read", "text", "message", "place"),
    [
        (read_call, " ", "empty", (0, 0)),
        (read_call, "CALL p(@a);\n DROP TABLE t", "one statement", (1, 11)),
        (read_call, "CALL p(\n  'x)", "not closed", (2, 3)),
        (read_template, "CALL p({{after.x}})", "values must be bound", (0, 0)),
        (read_template, "CALL p({{#each after.l}}{{{this}}}{{/each}})", "values must be bound", (0, 0)),
        (read_template, "CALL p({{param}})", "values must be bound", (0, 0)),
        (read_template, "CALL\n p({{#if a}})", "if", (2, 4)),
    ],
)
def test_commands_that_are_refused(read: Callable[[str], object], text: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        read(text)
    assert (caught.value.line, caught.value.column) == place


def test_kind() -> None:
    assert find("storedproc-postgres") is KIND
    unbuilt = find("storedproc-mysql")
    assert unbuilt is not None
    assert unbuilt.make is None
    assert KIND.check is not None
    assert [
        finding.code for finding in KIND.check({"added": {"template": "{{after.x}}"}, "addedResultCommand": "a; b", "adde": "x"})
    ] == [
        "InvalidTemplate",
        "InvalidTemplate",
        "IgnoredField",
    ]
    assert KIND.make is not None
    for properties in ({"databaseClient": "mysql", "databaseDbname": "d"}, {"hostname": "h"}):
        with pytest.raises(InvalidTarget):
            KIND.make(ReactionContext("r", properties, {}, Reader(), lambda _n, _t: None, dict))


@pytest.mark.parametrize("config", [{"addedResultCommand": "CALL say(@note)"}, {"added": "CALL say({{param after.note}})"}])
async def test_a_text_with_a_nul_character_is_given_up_at_once(world: World, config: dict[str, str]) -> None:
    rows = event(addedResults=[{"note": "good"}, {"note": "a\x00b"}], addedRowIds=["a", "b"])
    reaction = world.reaction(config)
    with pytest.raises(DeliveryFailed) as failed:
        await world.deliver(reaction, rows)
    assert (failed.value.retryable, failed.value.row_id) == (False, "b")
    await world.deliver(reaction, rows, done=("b",))
    assert world.client.execute("SELECT word FROM said").fetchall() == [("good",)]


async def test_a_template_is_one_statement(world: World) -> None:
    for template in ("CALL say('x'); ROLLBACK", "SELECT 1; CALL say('y')"):
        reaction = world.reaction({"added": template})
        with pytest.raises(DeliveryFailed, match="multiple commands") as failed:
            await world.deliver(reaction, event(addedResults=[{}], addedRowIds=["a"]))
        assert not failed.value.retryable
    assert world.client.execute("SELECT word FROM said").fetchall() == []


@pytest.mark.parametrize("text", ["COMMIT", " rollback;", "-- a\nEND", "/* a */ Start  Transaction", "SAVEPOINT a"])
def test_a_command_ends_no_transaction(text: str) -> None:
    for reader in (read_call, read_template):
        with pytest.raises(CommandError, match="transaction"):
            reader(text)
    read_call("CALL commit_to(@a)")
    read_template("CALL ending({{param after.a}})")


async def test_whoever_has_the_name_of_a_deleted_reaction_begins_anew(world: World, clock: Clock) -> None:
    query = Query()
    query.change(add={"a": {"note": "one"}})

    async def run_and_delete(*, reach: bool = True) -> None:
        port = {} if reach else {"databasePort": 9}
        function = ReactionFunction(
            "r", KIND, {**world.properties(), **port}, {"q": {"addedResultCommand": "CALL say(@note)"}},
            reader=Reader(query), state=MemoryState(), timing=clock.timing(),
        )  # fmt: skip
        await function.start()
        if reach:
            before = len(world.client.execute("SELECT word FROM said").fetchall())
            await until(lambda: len(world.client.execute("SELECT word FROM said").fetchall()) > before, clock)
        await function.close()
        await function.forget()

    await run_and_delete()
    assert world.client.execute("SELECT * FROM drasi_reaction_state").fetchall() == []
    await run_and_delete()
    await run_and_delete(reach=False)
    assert world.client.execute("SELECT word FROM said").fetchall() == [("one",), ("one",)]
