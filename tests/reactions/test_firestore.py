"""The Firestore reaction (connectors.md section 9.2) on the emulator: the collection equals the result, exactly once."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from google.cloud.firestore_v1.types import Document, StructuredQuery, Value, Write

from drasi.firestore.client import FirestoreClient, FirestoreUnavailable
from drasi.messages.results import ChangeEvent
from drasi.reactions import firestore as module
from drasi.reactions.firestore import KIND, FirestoreReaction, InvalidTarget, check
from drasi.reactions.firestore_rows import InvalidConfiguration, Layout, RowFailure, to_json, valid_id
from drasi.reactions.function import ReactionFunction
from drasi.reactions.memory_state import MemoryState
from drasi.reactions.port import DeliveryFailed, ReactionContext
from drasi.sources.firestore_documents import plain
from tests.emulator import emulators
from tests.reactions.fakes import Clock, Query, Reader, until

_projects = itertools.count(1)


class Database:
    """A database of its own on the emulator, and reactions that write to it."""

    def __init__(self) -> None:
        self.project = f"drasi-target-{next(_projects)}"
        self.client = FirestoreClient(self.project, emulator=emulators.firestore())
        self.reported: dict[str, str | None] = {}
        self._reactions: list[FirestoreReaction] = []

    async def documents(self, collection: str = "results-q", *, bare: bool = True) -> dict[str, dict[str, Any]]:
        wanted = StructuredQuery(from_=[StructuredQuery.CollectionSelector(collection_id=collection.rpartition("/")[2])])
        found, _ = await self.client.documents(wanted, parent=collection.rpartition("/")[0])
        rows = {}
        for one in found:
            fields = msgspec.json.decode(Document.to_json(one)).get("fields", {})
            rows[one.name.rpartition("/")[2]] = {
                name: plain(value) for name, value in fields.items() if not (bare and name == "_drasi")
            }
        return rows

    async def sequence(self) -> int:
        found, _ = await self.client.read(["_drasi/port-q"])
        return int(found["_drasi/port-q"].fields["sequence"])

    async def put(self, path: str, **fields: str) -> None:
        values = {name: Value(string_value=value) for name, value in fields.items()}
        await self.client.commit([Write(update=Document(name=f"{self.client.root}/{path}", fields=values))])

    async def reaction(self, query: Query, configuration: Any = None, **properties: Any) -> FirestoreReaction:
        given = ReactionContext(
            "port",
            {"project": self.project, "collection": "results-{{queryId}}", **properties},
            {"q": configuration},
            Reader(query),
            self.reported.__setitem__,
            dict,
        )
        made = FirestoreReaction(given)
        await made.start()
        self._reactions.append(made)
        return made

    async def close(self) -> None:
        for reaction in self._reactions:
            await reaction.close()
        await self.client.close()


@pytest.fixture
async def database(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulators.firestore())
    made = Database()
    yield made
    await made.close()


async def deliver(reaction: FirestoreReaction, event: Any, done: tuple[str, ...] = ()) -> list[str]:
    confirmed: list[str] = []
    await reaction.deliver("q", event, done, confirmed.append)
    return confirmed


async def test_the_collection_follows_the_result(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query)
    assert await reaction.resync("q") == 0
    assert await deliver(reaction, query.change(add={"a": {"n": 1, "x": 1.0}, "b": {"n": 2, "x": None}})) == ["a", "b"]
    assert await database.documents() == {"a": {"n": 1, "x": 1.0}, "b": {"n": 2, "x": None}}
    await deliver(reaction, query.change(update={"a": {"n": 5, "x": 2.5}}, delete=("b",), add={"c": {"n": 3, "x": 0.0}}))
    assert await database.documents() == query.rows
    assert await database.sequence() == 2
    whole = await database.documents(bare=False)
    assert whole["a"]["_drasi"] == {
        "sequence": 2,
        "rowId": "a",
        "updatedAt": "2026-03-01T08:15:30.002Z",
        "owner": "port/q",
    }


async def test_first_the_result_is_written_and_what_else_was_the_reaction_s_goes(database: Database) -> None:
    await database.put("results-q/mine", note="of somebody else")
    query = Query()
    query.change(add={"a": {"n": 1}, "b": {"n": 2}})
    await (await database.reaction(query)).resync("q")
    query.change(update={"a": {"n": 5}}, delete=("b",))
    event = query.change(add={"c": {"n": 3}})
    # Its state is lost, its documents are there.
    await database.client.commit([database.client.delete("_drasi/port-q")])
    again = await database.reaction(query)
    assert await deliver(again, event) == ["c"]
    assert await database.documents() == {"mine": {"note": "of somebody else"}, "a": {"n": 5}, "c": {"n": 3}}
    assert await database.sequence() == 3


async def test_what_was_written_is_not_written_again(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    first = query.change(add={"a": {"n": 1}})
    await deliver(reaction, first)
    await deliver(reaction, query.change(update={"a": {"n": 2}}))
    for one in (reaction, await database.reaction(query)):
        assert await deliver(one, first) == ["a"]
    assert await database.documents() == {"a": {"n": 2}}
    assert await database.sequence() == 2


async def test_a_gap_is_made_up_for_by_the_result(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    query.change(add={"a": {"n": 1}, "b": {"n": 2}})
    query.change(delete=("a",))
    await deliver(reaction, query.change(add={"c": {"n": 3}}))
    assert await database.documents() == query.rows
    assert await database.sequence() == 3


async def test_a_result_older_than_the_event_is_not_taken(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query)
    event = ChangeEvent("q", 7, 0, addedResults=[{"n": 1}], addedRowIds=["a"])
    with pytest.raises(DeliveryFailed, match="older") as failed:
        await deliver(reaction, event)
    assert failed.value.retryable


async def test_control_signals(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    await deliver(reaction, query.change(add={"a": {"n": 1}}))
    await deliver(reaction, query.control("stopped"))
    assert await database.documents() == {"a": {"n": 1}}
    await deliver(reaction, query.control("bootstrapStarted", jump=100))
    assert await database.documents() == {}
    assert await database.sequence() == query.sequence
    await deliver(reaction, query.change(add={"b": {"n": 2}}))
    await deliver(reaction, query.control("running"))
    assert await database.documents() == {"b": {"n": 2}}
    await deliver(reaction, query.control("deleted"))
    assert await database.documents() == {}


async def test_a_commit_that_succeeds_and_reports_failure(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    client = reaction._firestore
    real, lost = client.commit, [True]

    async def commit(writes: Sequence[Write], **options: Any) -> Any:
        answer = await real(writes, **options)
        if lost.pop() if lost else False:
            raise FirestoreUnavailable("no answer")
        return answer

    monkeypatch.setattr(client, "commit", commit)
    event = query.change(add={"a": {"n": 1}})
    with pytest.raises(DeliveryFailed) as failed:
        await deliver(reaction, event)
    assert failed.value.retryable
    [before] = (await database.documents(bare=False)).values()
    assert await deliver(reaction, event) == ["a"]
    assert (await database.documents(bare=False))["a"] == before
    await deliver(reaction, query.change(update={"a": {"n": 2}}))
    assert await database.documents() == query.rows


async def test_of_two_instances_one_writes(database: Database) -> None:
    query = Query()
    first, second = await database.reaction(query), await database.reaction(query)
    await first.resync("q")
    await deliver(second, query.change(add={"a": {"n": 1}}))
    event = query.change(update={"a": {"n": 2}})
    with pytest.raises(DeliveryFailed) as failed:
        await deliver(first, event)  # The version it knows is gone; what it gets to know next is the truth.
    assert failed.value.retryable
    assert await deliver(first, event) == ["a"]
    assert await until_delivered(second, event) == 2
    assert await database.documents() == query.rows


async def until_delivered(reaction: FirestoreReaction, event: Any) -> int:
    """Attempts until one succeeds, as the delivery loop makes them; how many there were."""
    for attempt in range(1, 51):
        try:
            await deliver(reaction, event)
        except DeliveryFailed as failed:
            if not failed.retryable:
                raise
        else:
            return attempt
    raise AssertionError("fifty attempts")


async def test_keys_of_columns(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query, {"keyField": ["port", "berth"], "fields": ["ships"]})
    await reaction.resync("q")
    await deliver(
        reaction, query.change(add={"a": {"port": "x:y", "berth": 1, "ships": 2}, "b": {"port": "z", "berth": 2, "ships": 0}})
    )
    assert await database.documents() == {"x%3Ay:1": {"ships": 2}, "z:2": {"ships": 0}}
    await deliver(reaction, query.change(update={"a": {"port": "w", "berth": 1, "ships": 3}}))
    assert await database.documents() == {"w:1": {"ships": 3}, "z:2": {"ships": 0}}
    await deliver(reaction, query.change(delete=("a",)))
    assert await database.documents() == {"z:2": {"ships": 0}}


async def test_keys_that_change_hands_within_an_event(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query, {"keyField": "k"})
    await reaction.resync("q")
    await deliver(reaction, query.change(add={"a": {"k": "1"}, "b": {"k": "2"}, "c": {"k": "3"}}))
    await deliver(reaction, query.change(update={"a": {"k": "2"}, "b": {"k": "1"}}, delete=("c",), add={"d": {"k": "3"}}))
    whole = await database.documents(bare=False)
    assert {identity: one["_drasi"]["rowId"] for identity, one in whole.items()} == {"1": "b", "2": "a", "3": "d"}
    assert database.reported == {}
    await deliver(reaction, query.change(update={"a": {"k": "4"}, "b": {"k": "2"}}))
    assert set(await database.documents()) == {"4", "2", "3"}


async def test_of_two_rows_with_one_key_the_later_stays(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query, {"keyField": "k"})
    await reaction.resync("q")
    await deliver(reaction, query.change(add={"a": {"k": "1", "n": 1}}))
    await deliver(reaction, query.change(add={"b": {"k": "1", "n": 2}}))
    assert await database.documents() == {"1": {"k": "1", "n": 2}}
    assert "DuplicateKey:q" in database.reported
    await deliver(reaction, query.change(delete=("a",)))
    assert await database.documents() == {"1": {"k": "1", "n": 2}}, "it is b's"
    event = query.change(add={"c": {"k": "2"}, "d": {"k": "2"}})
    with pytest.raises(DeliveryFailed, match="DuplicateKey") as failed:
        await deliver(reaction, event)
    assert (failed.value.retryable, failed.value.row_id) == (False, "c")
    assert await deliver(reaction, event, done=("c",)) == ["d"]
    assert set(await database.documents()) == {"1", "2"}


async def test_a_row_without_its_key_fails_alone(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query, {"keyField": "k"})
    await reaction.resync("q")
    event = query.change(add={"a": {"k": None, "secret": "planted"}, "b": {"k": "2"}})
    with pytest.raises(DeliveryFailed, match="key column k") as failed:
        await deliver(reaction, event)
    assert (failed.value.retryable, failed.value.row_id) == (False, "a")
    assert "planted" not in failed.value.message
    assert await database.documents() == {}
    assert await deliver(reaction, event, done=("a",)) == ["b"]
    assert set(await database.documents()) == {"2"}


async def test_templates_keep_types(database: Database) -> None:
    query = Query()
    template = {"berth": {"number": "{{after.berth}}", "text": "no. {{after.berth}}"}, "query": "{{queryId}}", "one": 1}
    reaction = await database.reaction(query, {"template": template, "metadataField": None, "collection": "ports/p1/rows"})
    await reaction.resync("q")
    await deliver(reaction, query.change(add={"a": {"berth": 4}}))
    expected = {"berth": {"number": 4, "text": "no. 4"}, "query": "q", "one": 1}
    assert await database.documents("ports/p1/rows", bare=False) == {"a": expected}


async def test_merge_leaves_what_is_not_written(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query, {"keyField": "k", "merge": True})
    await database.put("results-q/1", note="kept", n="old")
    await reaction.resync("q")
    await deliver(reaction, query.change(add={"a": {"k": "1", "n": 2, "odd `name`.x": 3}}))
    assert await database.documents() == {"1": {"note": "kept", "k": "1", "n": 2, "odd `name`.x": 3}}


async def test_without_a_metadata_field_the_collection_is_the_reaction_s(database: Database) -> None:
    await database.put("results-q/stray", note="goes")
    query = Query()
    query.change(add={"a": {"n": 1}})
    await (await database.reaction(query, {"metadataField": None})).resync("q")
    assert await database.documents(bare=False) == {"a": {"n": 1}}


async def test_an_event_beyond_one_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_WRITES", 10)
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    await deliver(reaction, query.change(add={f"r{n:03}": {"n": n} for n in range(35)}))
    assert await database.documents() == query.rows
    assert await database.sequence() == 1
    client = reaction._firestore
    real, left = client.commit, [2]

    async def commit(writes: Sequence[Write], **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise FirestoreUnavailable("down")
        return await real(writes, **options)

    monkeypatch.setattr(client, "commit", commit)
    event = query.change(update={f"r{n:03}": {"n": -n} for n in range(35)})
    with pytest.raises(DeliveryFailed):
        await deliver(reaction, event)
    assert await database.sequence() == 1
    query.change(delete=("r000", "r001"))
    again = await database.reaction(query)
    assert len(await deliver(again, event)) == 35
    assert await database.documents() == query.rows
    assert await database.sequence() == 3


async def test_large_rows_are_split_by_bytes(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    await deliver(reaction, query.change(add={f"r{n}": {"text": "x" * 900_000} for n in range(8)}))
    assert len(await database.documents()) == 8
    event = query.change(add={"large": {"text": "x" * 1_100_000}})
    with pytest.raises(DeliveryFailed, match="at most 1,048,576") as failed:
        await deliver(reaction, event)
    assert (failed.value.retryable, failed.value.row_id) == (False, "large")


async def test_sequences_of_two_reactions_are_not_mixed_up(database: Database) -> None:
    await database.put("_drasi/port-q", owner="port-q/other")
    with pytest.raises(DeliveryFailed, match="another reaction"):
        await (await database.reaction(Query())).resync("q")


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_the_collection_equals_the_result(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random events; commits that fail before or after; instances that start anew in the middle; events that come again."""
    chance = random.Random(seed)
    query = Query()
    names = itertools.count()
    reaction = await database.reaction(query, {"keyField": "k"} if seed else None)
    await reaction.resync("q")

    def disturb(one: FirestoreReaction) -> None:
        client = one._firestore
        real = client.commit

        async def commit(writes: Sequence[Write], **options: Any) -> Any:
            fate = chance.random()
            if fate < 0.15:
                raise FirestoreUnavailable("before")
            answer = await real(writes, **options)
            if fate < 0.3:
                raise FirestoreUnavailable("after")
            return answer

        monkeypatch.setattr(client, "commit", commit)

    disturb(reaction)
    for _ in range(25):
        present = list(query.rows)
        leaving = chance.sample(present, min(len(present), chance.randrange(3)))
        staying = [name for name in present if name not in leaving]
        moving = chance.sample(staying, min(len(staying), chance.randrange(3)))
        free = [f"k{number}" for number in range(40) if f"k{number}" not in {query.rows[name]["k"] for name in staying}]
        chance.shuffle(free)
        fresh = {f"r{next(names)}": {"k": free.pop(), "n": chance.randrange(9)} for _ in range(chance.randrange(4))}
        moved = {
            name: {"k": free.pop() if chance.random() < 0.5 else query.rows[name]["k"], "n": chance.randrange(9)} for name in moving
        }
        event = query.change(add=fresh, update=moved, delete=tuple(leaving))
        if chance.random() < 0.3:
            reaction = await database.reaction(query, {"keyField": "k"} if seed else None)
            disturb(reaction)
        await until_delivered(reaction, event)
        if chance.random() < 0.2:
            await until_delivered(reaction, chance.choice(query.tail))
    rows = await database.documents()
    assert len(rows) == len(query.rows)
    assert {row["k"]: row for row in rows.values()} == {row["k"]: row for row in query.rows.values()}
    assert await database.sequence() == query.sequence


async def test_at_work_in_the_reaction_function(database: Database, clock: Clock) -> None:
    query = Query()
    query.change(add={"a": {"n": 1}, "b": {"n": 2}})

    def function() -> ReactionFunction:
        properties = {"project": database.project, "collection": "results-{{queryId}}"}
        return ReactionFunction(
            "port", KIND, properties, {"q": None}, reader=Reader(query), state=MemoryState(), timing=clock.timing()
        )

    async def until_done(one: ReactionFunction) -> None:
        await until(lambda: one.status()["queries"]["q"]["sequence"] == query.sequence, clock)

    first = function()
    await first.start()
    await until_done(first)
    query.change(update={"a": {"n": 3}})
    await until_done(first)
    await first.close()
    assert await database.documents() == query.rows
    query.change(delete=("b",), add={"c": {"n": 4}})
    query.trim(query.sequence)
    second = function()
    await second.start()
    await until_done(second)
    query.change(delete=("c",))
    await until_done(second)
    await second.close()
    assert await database.documents() == query.rows == {"a": {"n": 3}}


async def test_rows_that_can_be_no_document_keep_no_other_back(database: Database, clock: Clock) -> None:
    """Also where the result is written anew: at the start, and after a sequence that was lost."""
    query = Query()
    query.change(add={"a": {"n": 1}, "b": {"n": {"__bad__": 1}}})
    state = MemoryState()

    def function(then: str) -> ReactionFunction:
        properties = {"project": database.project, "collection": "results-{{queryId}}"}
        return ReactionFunction(
            "port",
            KIND,
            properties,
            {"q": None},
            reader=Reader(query),
            state=state,
            timing=clock.timing(),
            on_failure={"then": then},
        )

    blocked = function("block")
    await blocked.start()
    await until(lambda: "cannot be a field's name" in str(blocked.status()["messages"]), clock)
    assert await database.documents() == {}
    await blocked.close()
    first = function("skip")
    await first.start()
    query.change(add={"d": {"n": 4}})
    await until(lambda: first.status()["queries"]["q"]["sequence"] == query.sequence, clock)
    assert await database.documents() == {"a": {"n": 1}, "d": {"n": 4}}
    assert [letter["id"].rpartition("/")[2] for letter in await first.dead_letters()] == ["b"]
    await first.close()
    query.change(add={"c": {"n": 2}})
    await database.client.commit([database.client.delete("_drasi/port-q")])
    second = function("skip")
    await second.start()
    await until(lambda: second.status()["queries"]["q"]["sequence"] == query.sequence, clock)
    assert await database.documents() == {"a": {"n": 1}, "d": {"n": 4}, "c": {"n": 2}}
    await second.close()


@pytest.mark.parametrize(
    "value", [{"__x__": 1}, {"": 1}, [{"__x__": 1}], {"k" * 1_501: 1}], ids=["reserved", "empty", "in a list", "long"]
)
async def test_a_row_with_impossible_names_fails_alone(database: Database, value: Any) -> None:
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    event = query.change(add={"a": {"n": 1}, "b": {"n": value}})
    with pytest.raises(DeliveryFailed) as failed:
        await deliver(reaction, event)
    assert (failed.value.row_id, failed.value.retryable) == ("b", False)
    assert await deliver(reaction, event, done=("b",)) == ["a"]
    assert await database.documents() == {"a": {"n": 1}}


async def test_ids_that_look_alike_are_two_documents(database: Database) -> None:
    query = Query()
    reaction = await database.reaction(query)
    await reaction.resync("q")
    await deliver(
        reaction, query.change(add={"a/b": {"n": 1}, "a%2Fb": {"n": 2}, "a%252Fb": {"n": 3}, ".": {"n": 4}, "~.": {"n": 5}})
    )
    assert sorted(row["n"] for row in (await database.documents()).values()) == [1, 2, 3, 4, 5]
    await deliver(reaction, query.change(delete=("a/b", ".")))
    assert sorted(row["n"] for row in (await database.documents()).values()) == [2, 3, 5]


# Without Firestore.


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("a/b", "a%2Fb"),
        (".", "~."),
        ("..", "~.."),
        ("__a__", "~__a__"),
        ("...", "..."),
        ("a%2Fb", "a%252Fb"),
        ("~.", "~~."),
        ("100%", "100%"),
        ("é" * 750, "é" * 750),
    ],
)
def test_document_ids(text: str, identity: str) -> None:
    assert valid_id(text) == identity


def test_a_long_id_is_a_digest() -> None:
    assert len(valid_id("x" * 1_501)) == 64
    assert valid_id("x" * 1_501) != valid_id("x" * 1_502)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (5, 5),
        (5.0, 5.0),
        (2**63, float(2**63)),
        (True, True),
        (None, None),
        ("2026-03-01", "2026-03-01"),
        ([1, [2, 3], {"a": [4]}], [1, "[2,3]", {"a": [4]}]),
        ({"a": {"b": []}}, {"a": {"b": []}}),
    ],
)
def test_values(value: Any, stored: Any) -> None:
    found = plain(to_json(value))
    assert found == stored
    assert type(found) is type(stored)


def test_what_is_too_deep_or_wrongly_named_is_no_document() -> None:
    deep: Any = 1
    for _ in range(25):
        deep = {"a": deep}
    for row in ({"a": deep}, {"__a__": 1}, {"": 1}):
        with pytest.raises(RowFailure):
            Layout().document(row, {}, {})


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        (None, []),
        ({"keyField": "a", "fields": ["b"], "merge": True, "metadataField": None, "template": {"a": ["{{after.b}}"]}}, []),
        ({"keyField": 5}, ["InvalidQueryConfig"]),
        ({"fields": [""]}, ["InvalidQueryConfig"]),
        ({"template": "x"}, ["InvalidQueryConfig"]),
        ({"template": {"a": "{{"}}, ["InvalidTemplate"]),
        ({"metadataField": 5}, ["InvalidQueryConfig"]),
        ({"collection": "a/b"}, ["InvalidQueryConfig"]),
        ({"keyFields": "a"}, ["IgnoredField"]),
        ("text", ["InvalidQueryConfig"]),
    ],
)
def test_what_is_checked(value: Any, codes: list[str]) -> None:
    assert [finding.code for finding in check(value)] == codes


@pytest.mark.parametrize("collection", ["a/b", "a//b", "{{", ""])
def test_what_is_no_collection(collection: str) -> None:
    given = ReactionContext("port", {"collection": collection}, {"q": None}, Reader(), lambda name, text: None, dict)
    with pytest.raises(InvalidTarget):
        FirestoreReaction(given)
    with pytest.raises(InvalidConfiguration):
        Layout.of({"fields": 5})
