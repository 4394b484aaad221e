"""Between the functions and an emulator of Google's: every call passes, and a test may have a word about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio
from google.cloud.firestore_v1.types import CommitRequest

COMMIT: Final = "/google.firestore.v1.Firestore/Commit"
_LARGEST = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_OF_THE_CONNECTION = ("user-agent", "te", "content-type")

Before = Callable[[str, bytes], Awaitable["grpc.StatusCode | None"]]
"""Of a call and its request, before it is handed on; with a status it fails, and never happened."""
After = Callable[[str, bytes, bool], Awaitable["grpc.StatusCode | None"]]
"""The same once it is answered, and whether it succeeded; with a status it fails, and has happened all the same."""


async def _nothing(*_: Any) -> grpc.StatusCode | None:
    return None


class Proxy:
    """Forwards gRPC calls as bytes.

    Attributes:
        host: ``host:port`` where it listens.
        before, after: A test's word about calls with one request and one answer.
    """

    def __init__(self, target: str) -> None:
        self.host = ""
        self.before: Before = _nothing
        self.after: After = _nothing
        self._channel = grpc.aio.insecure_channel(target, options=_LARGEST)
        self._server = grpc.aio.server(options=_LARGEST)
        self._server.add_generic_rpc_handlers((_Handler(self._single, self._stream),))

    async def start(self) -> None:
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.host = f"127.0.0.1:{port}"
        await self._server.start()

    async def close(self) -> None:
        await self._server.stop(0)
        await self._channel.close()

    async def _single(self, method: str, request: bytes, context: Any) -> bytes:
        status = await self.before(method, request)
        if status is not None:
            await context.abort(status, "it never came")
        answer: bytes = b""
        failure: grpc.aio.AioRpcError | None = None
        try:
            call = self._channel.unary_unary(method)(request, metadata=_metadata(context), timeout=context.time_remaining())
            # Also if who called is killed meanwhile: what was sent happens.
            answer = await asyncio.shield(asyncio.ensure_future(_answer(call)))
        except grpc.aio.AioRpcError as error:
            failure = error
        status = await self.after(method, request, failure is None)
        if status is not None:
            await context.abort(status, "the answer is lost")
        if failure is not None:
            await context.abort(failure.code(), failure.details() or "")
        return answer

    async def _stream(self, method: str, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        call = self._channel.stream_stream(method)(requests, metadata=_metadata(context), timeout=context.time_remaining())
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        finally:
            call.cancel()


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, single: Any, stream: Any) -> None:
        self._single = single
        self._stream = stream

    def service(self, details: Any) -> Any:
        method = details.method
        if method.rpartition("/")[2] in _STREAMS:

            async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
                async for answer in self._stream(method, requests, context):
                    yield answer

            return grpc.stream_stream_rpc_method_handler(stream)

        async def single(request: bytes, context: Any) -> bytes:
            found: bytes = await self._single(method, request, context)
            return found

        return grpc.unary_unary_rpc_method_handler(single)


_STREAMS = ("BatchGetDocuments", "RunQuery", "RunAggregationQuery", "Listen", "Write", "StreamingPull")


async def _answer(call: Any) -> bytes:
    answer: bytes = await call
    return answer


def _metadata(context: Any) -> list[tuple[str, Any]]:
    return [
        (key, value)
        for key, value in context.invocation_metadata()
        if not key.startswith((":", "grpc-")) and key not in _OF_THE_CONNECTION
    ]


@asynccontextmanager
async def proxy(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of ``host:port``."""
    found = Proxy(target)
    await found.start()
    try:
        yield found
    finally:
        await found.close()


def written(method: str, request: bytes) -> list[str]:
    """The paths of the documents that a commit of Firestore's writes; of any other call: none."""
    if method != COMMIT:
        return []
    writes = CommitRequest.deserialize(request).writes
    return [(write.update.name or write.delete).partition("/documents/")[2] for write in writes]
