"""What a client's calls would be billed, counted where they leave the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc.aio


@dataclass(slots=True)
class Meter:
    """Counts of one client, as Firestore's price list has them.

    Attributes:
        calls: By method (``Commit``, ``BatchGetDocuments``, ``RunQuery`` …).
        reads: Documents read, also those asked for that are not there; a query costs one at least.
        writes, deletes: Documents written and deleted by commits that succeeded.
    """

    calls: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    writes: int = 0
    deletes: int = 0

    def interceptors(self) -> list[grpc.aio.ClientInterceptor]:
        """For ``FirestoreClient``."""
        return [_Unary(self), _Streaming(self)]

    def reset(self) -> None:
        self.calls.clear()
        self.reads = self.writes = self.deletes = 0

    def called(self, details: Any) -> str:
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        name = str(method.rpartition("/")[2])
        self.calls[name] += 1
        return name


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def intercept_unary_unary(self, continuation: Callable[..., Awaitable[Any]], details: Any, request: Any) -> Any:
        self._meter.called(details)
        call = await continuation(details, request)
        await call
        for write in getattr(request, "writes", ()):
            if write.delete:
                self._meter.deletes += 1
            else:
                self._meter.writes += 1
        return call


class _Streaming(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def intercept_unary_stream(self, continuation: Callable[..., Awaitable[Any]], details: Any, request: Any) -> Any:
        name = self._meter.called(details)
        call = await continuation(details, request)
        return self._counted(name, call)

    async def _counted(self, name: str, call: Any) -> Any:
        reads = 0
        try:
            async for response in call:
                if name == "BatchGetDocuments":
                    reads += bool(response.found.name or response.missing)
                elif name == "RunQuery":
                    reads += bool(response.document.name)
                yield response
        finally:
            # Also of a call whose reader has enough.
            self._meter.reads += max(reads, 1)
