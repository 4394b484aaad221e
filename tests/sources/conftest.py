"""Fixtures of the tests of sources."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.postgres import Server, postgres
from tests.sources.postgres_world import PostgresWorld, world_of

__all__ = ["postgres"]


@pytest.fixture
async def pg(postgres: Server) -> AsyncIterator[PostgresWorld]:
    """A database of PostgreSQL and what is needed to watch it."""
    async with world_of(postgres) as made:
        yield made
