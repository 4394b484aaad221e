"""The target of an Http reaction: it keeps what it is sent, and is not always well."""

from __future__ import annotations

import random
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route


class Target:
    """Takes rows, drops those whose idempotency key it knows, and fails some requests before or after taking them."""

    def __init__(self, seed: int, failing: float = 0.05) -> None:
        self._chance = random.Random(seed)
        self._failing = failing
        self._keys: set[str] = set()
        self.taken: list[dict[str, Any]] = []
        self.repeats = 0
        self.app = Starlette(routes=[Route("/changes/{query}", self._take, methods=["POST"])])

    def well(self) -> None:
        """From now on nothing fails."""
        self._failing = 0.0

    async def _take(self, request: Request) -> Response:
        if self._chance.random() < self._failing:
            return Response(status_code=503, headers={"Retry-After": "0"})
        try:
            row = await request.json()
        except ClientDisconnect:  # the sender was killed in the middle of it
            return Response(status_code=400)
        key = request.headers["idempotency-key"]
        if key in self._keys:
            self.repeats += 1
        else:
            self._keys.add(key)
            row_id = key.split("/", 3)[3]
            self.taken.append({**row, "rowId": row_id})
        return Response(status_code=503 if self._chance.random() < self._failing else 200, headers={"Retry-After": "0"})

    def folded(self, query: str) -> dict[str, dict[str, Any]]:
        """The rows that the differences add up to. Fails if one is missing, came twice, or does not follow from those before."""
        rows: dict[str, dict[str, Any]] = {}
        order = {"DELETE": 0, "UPDATE": 1, "ADD": 2}
        changes = [change for change in self.taken if change["queryId"] == query]
        for change in sorted(changes, key=lambda change: (change["sequenceId"], order[change["operation"]])):
            row_id = change["rowId"]
            if change["operation"] == "ADD":
                assert row_id not in rows, f"{query} {change['sequenceId']}: {row_id} is there already"
                rows[row_id] = change["after"]
                continue
            assert rows.get(row_id) == change["before"], f"{query} {change['sequenceId']}: {row_id} was {rows.get(row_id)}"
            if change["operation"] == "UPDATE":
                rows[row_id] = change["after"]
            else:
                del rows[row_id]
        return rows
