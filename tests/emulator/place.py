"""A place in the Firestore emulator that no other test uses."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from drasi.firestore.client import FirestoreClient
from drasi.firestore.metering import Meter
from tests.emulator import emulators


@dataclass(frozen=True)
class Place:
    """Attributes:
    root: The document below which everything is.
    meter: Counts what the client does.
    """

    client: FirestoreClient
    root: str
    meter: Meter


@asynccontextmanager
async def firestore(host: str | None = None, *, patience_s: float = 10.0) -> AsyncIterator[Place]:
    """With a client of its own; ``host`` if not that of the session's emulator."""
    meter = Meter()
    client = FirestoreClient(
        "drasi-test", emulator=host or emulators.firestore(), patience_s=patience_s, interceptors=meter.interceptors()
    )
    try:
        yield Place(client, f"test-{uuid.uuid4().hex}/installation", meter)
    finally:
        await client.close()
