"""Fixtures of the reaction tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.reactions.fakes import Clock, Target


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    server = Target()
    await server.up()
    yield server
    await server.down()
