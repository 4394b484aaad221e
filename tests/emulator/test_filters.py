"""Filters in the running system: management makes them, and the function that is pushed to hands over when the labels change."""

from __future__ import annotations

import json
from pathlib import Path

from drasi.bus.naming import label_filter
from drasi.bus.pubsub_client import PubSubClient
from tests.embedded.waiting import eventually
from tests.emulator import emulators
from tests.emulator.harbour import Harbour, harbour

BERTHS = {
    "apiVersion": "v1",
    "kind": "ContinuousQuery",
    "name": "berths",
    "spec": {
        "container": "default",
        "sources": {"subscriptions": [{"id": "harbour-db"}]},
        "query": "MATCH (b:Berth) RETURN b.id AS berth",
    },
}


async def test_a_query_with_another_label_gets_another_filter_and_nothing_stops(tmp_path: Path) -> None:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said) as running:
            await eventually(running.agrees, "the answers are those of the database", 40)
            assert await filters(running) == {
                "default.harbour-db.changes": label_filter(["Ship"]),
                "pair.harbour-db.changes": label_filter(["Ship"]),
            }
            more = tmp_path / "more"
            more.mkdir()
            (more / "berths.json").write_text(json.dumps(BERTHS))
            await running.system.apply([more])
            running.database.write(["UPDATE Ship SET draught = 99 WHERE id = 'ship-7'"])

            async def runs() -> bool:
                return await running.rows("berths") == []

            await eventually(runs, "the query runs: what it wants is heard", 40)
            assert await filters(running) == {
                "default.harbour-db.changes~2": label_filter(["Berth", "Ship"]),
                "pair.harbour-db.changes": label_filter(["Ship"]),
            }
            running.database.write(["UPDATE Ship SET berth = 1 WHERE id = 'ship-8'"])
            await eventually(running.agrees, "the answers are those of the database", 40)
            answer = await running.client.delete(f"{running.system.url}/v1/continuousQueries/berths", headers=running.headers)
            assert answer.is_success, answer.text

            async def narrow() -> bool:
                return (await filters(running)).get("default.harbour-db.changes~3") == label_filter(["Ship"])

            await eventually(narrow, "what nobody wants any more is not heard any more", 40)
            running.database.write(["UPDATE Ship SET draught = 98 WHERE id = 'ship-9'"])
            await eventually(running.agrees, "the answers are those of the database", 40)
    finally:
        print("\n".join(said[-200:]))


async def filters(running: Harbour) -> dict[str, str]:
    """Of every subscription to changes."""
    client = PubSubClient(running.system.project, emulator=emulators.pubsub())
    try:
        pages = await client.subscriber.list_subscriptions(project=f"projects/{running.system.project}")
        found = [one async for one in pages]
    finally:
        await client.close()
    return {name: one.filter for one in found if ".changes" in (name := one.name.rpartition("/")[2])}
