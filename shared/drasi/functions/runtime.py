"""How management runs what it manages where each function is a process of its own: with messages, over HTTP, and in Firestore.

It starts no process. Whoever does (Kubernetes by the Pulumi program, ``make emulate``) reads the same resources; a function that
does not run yet is found when it comes, because its messages wait in Pub/Sub meanwhile.

What was subscribed is not noted anywhere: the kept versions of a resource say what an earlier one asked for, so whoever comes after
a crash takes away the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import httpx
import msgspec
import structlog

from drasi.auth import scopes
from drasi.bus.endpoint import Endpoint
from drasi.bus.port import Bus, Deliver
from drasi.errors import DrasiError
from drasi.functions.addresses import Addresses, Place
from drasi.functions.control import send_control
from drasi.functions.labels import change_subscription, change_topic, wanted_labels
from drasi.messages.control import ControlMessage
from drasi.messages.envelope import Message
from drasi.messages.reading import QueryNotFound, QueryReader
from drasi.resources.known import container_of
from drasi.resources.resource import CONTINUOUS_QUERY, QUERY_CONTAINER, REACTION, SOURCE, Resource, Settings, sources_of
from drasi.resources.store import ResourceStore
from drasi.web.remote import Credentials

PATIENCE: Final = httpx.Timeout(5.0, connect=1.0)
"""Of a request for the status: a page waits for it."""
UPKEEP_S: Final = 300.0
_ENDING = httpx.Timeout(60.0, connect=2.0)
_PLACES: Final[Mapping[str, Place]] = {SOURCE: "source", QUERY_CONTAINER: "container", REACTION: "reaction"}

_log = structlog.get_logger("drasi.management")


class FunctionUnreachable(DrasiError):
    """A function that is asked for something does not answer."""

    code: ClassVar[str] = "FunctionUnreachable"
    retryable: ClassVar[bool] = True


class FilteringBus(Bus, Protocol):
    """A bus whose subscriptions may let through the messages of some labels only (``PubSubBus``)."""

    async def subscribe(
        self,
        subscription: str,
        topic: str,
        deliver: Deliver,
        *,
        durable: bool = True,
        labels: Collection[str] | None = None,
        ordering_key: str = "",
        narrow: bool = True,
    ) -> None: ...


class PushEndpoints:
    """Where each subscription is pushed to. Functions take what is pushed, so ``deliver`` stays unused here."""

    def __init__(self) -> None:
        self._known: dict[str, Endpoint] = {}

    def note(self, subscription: str, endpoint: Endpoint) -> None:
        self._known[subscription] = endpoint

    async def open(self, subscription: str, deliver: Callable[..., Any]) -> Endpoint:
        return self._known[subscription]

    async def shut(self, subscription: str) -> None:
        self._known.pop(subscription, None)

    async def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class _Subscription:
    """One that there is to be: ``path`` of the function at ``place`` takes it.

    Attributes:
        labels: Of the messages it lets through; None: all.
        ordering_key: Of the messages of a topic with labels.
    """

    name: str
    topic: str
    place: Place
    function: str
    path: str
    scope: str
    labels: frozenset[str] | None = None
    ordering_key: str = ""


class FunctionsRuntime:
    """A ``Runtime`` of functions in processes of their own.

    Args:
        store: The installation's resources.
        bus: Makes subscriptions, with ``endpoints``.
        addresses: Where functions are.
        reader: View and tail of queries.
        client: For requests to functions.
        endpoint: From URL and scope to a push endpoint.
        credentials: What functions are shown.
    """

    def __init__(
        self,
        store: ResourceStore,
        bus: FilteringBus,
        endpoints: PushEndpoints,
        addresses: Addresses,
        *,
        reader: QueryReader,
        client: httpx.AsyncClient,
        endpoint: Callable[[str, str], Endpoint],
        credentials: Credentials,
        forget_reaction: Callable[[str], Any],
        forget_container: Callable[[Resource], Any],
    ) -> None:
        self._store = store
        self._bus = bus
        self._endpoints = endpoints
        self._addresses = addresses
        self._reader = reader
        self._client = client
        self._endpoint = endpoint
        self._credentials = credentials
        self._forget_reaction = forget_reaction
        self._forget_container = forget_container

    @property
    def reader(self) -> QueryReader:
        return self._reader

    async def ensure(self, resource: Resource, settings: Settings | None) -> None:
        if resource.kind == QUERY_CONTAINER:
            await self._subscribe(_control(resource.name))
        elif resource.kind == CONTINUOUS_QUERY:
            # The container still follows what the version before wanted, so nothing is taken away until it is told.
            for subscription in _changes(resource, await self._queries(resource)):
                await self._subscribe(subscription, narrow=False)
        elif resource.kind == REACTION:
            wanted = [] if resource.stopped else _results(resource)
            await self._arrange(wanted, await self._earlier(resource, _results))

    async def remove(self, resource: Resource, *, force: bool = False) -> None:
        name = resource.name
        if resource.kind == QUERY_CONTAINER:
            await self._bus.unsubscribe(_control(name).name)
            if not await self._end("container", name):
                await self._forget_container(resource)
        elif resource.kind == CONTINUOUS_QUERY:
            await self._arrange_changes(resource, removed=True)
        elif resource.kind == REACTION:
            await self._arrange([], [*_results(resource), *await self._earlier(resource, _results)])
            if not await self._end("reaction", name):
                await self._forget_reaction(name)
        elif resource.kind == SOURCE:
            if not await self._end("source", name) and not force:
                raise FunctionUnreachable(
                    f"source '{name}' does not answer, so what it made in its origin cannot be taken away",
                    hint="start its function, or delete it with force",
                )
            for container in await self._store.of_kind(QUERY_CONTAINER):
                await self.control(container.name, ControlMessage(kind="forget", source=name, elements=force))

    async def renew(self) -> None:
        """Makes sure of every subscription: its endpoint has a token that lives, and a filter that is being replaced gets on.

        Raises:
            BusUnavailable, StoreUnavailable: Not all of them could be looked at.
        """
        queries = await self._store.of_kind(CONTINUOUS_QUERY)
        wanted = [_control(container.name) for container in await self._store.of_kind(QUERY_CONTAINER)]
        for query in queries:
            wanted += _changes(query, queries)
        for reaction in await self._store.of_kind(REACTION):
            wanted += [] if reaction.stopped else _results(reaction)
        for subscription in {each.name: each for each in wanted}.values():
            await self._subscribe(subscription, narrow=False)

    async def status(self, kind: str, name: str) -> Mapping[str, Any]:
        try:
            if kind != CONTINUOUS_QUERY:
                return dict(await self._asked(_PLACES[kind], name, "/status"))
            query = await self._store.get(CONTINUOUS_QUERY, name)
            return {} if query is None else dict(await self._asked("container", container_of(query), f"/queries/{name}/status"))
        except QueryNotFound:
            return {}
        except DrasiError as error:
            if kind == CONTINUOUS_QUERY:
                return {"status": "New", "errorMessage": error.message}
            return {"available": False, "messages": {error.code: error.message}}

    async def errors(self, kind: str, name: str) -> Sequence[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        with contextlib.suppress(QueryNotFound):
            if kind == CONTINUOUS_QUERY:
                query = await self._store.get(CONTINUOUS_QUERY, name)
                if query is not None:
                    rows = await self._asked("container", container_of(query), f"/queries/{name}/errors")
                    found += [{"what": "rowError", **error} for error in rows]
            elif kind in _PLACES:
                letters = await self._asked(_PLACES[kind], name, "/dead-letters")
                if kind == SOURCE:
                    for container in await self._store.of_kind(QUERY_CONTAINER):
                        theirs = await self._asked("container", container.name, "/dead-letters")
                        letters += [letter for letter in theirs if letter.get("source") == name]
                found += [{"what": "deadLetter", **letter} for letter in letters]
        return found

    async def control(self, container: str, message: ControlMessage) -> None:
        await send_control(self._bus, container, message)
        if message.kind == "configure":
            query = await self._store.get(CONTINUOUS_QUERY, str(message.queryId))
            if query is not None:
                await self._arrange_changes(query)

    async def explain(self, container: str, query: str) -> str:
        answer = await self._request("GET", "container", container, f"/queries/{query}/explain", PATIENCE)
        return answer.text

    # subscriptions

    async def _queries(self, query: Resource, *, removed: bool = False) -> list[Resource]:
        """All there are, and this one as it is to be."""
        others = [each for each in await self._store.of_kind(CONTINUOUS_QUERY) if each.name != query.name]
        return others if removed else [*others, query]

    async def _arrange_changes(self, query: Resource, *, removed: bool = False) -> None:
        """Each container hears of the sources of its queries, and of no others; of a source, what its queries want."""
        queries = await self._queries(query, removed=removed)
        versions = [query, *await self._store.versions(query.kind, query.name)]
        names = {subscription.name for version in versions for subscription in _changes(version, ())}
        wanted = {subscription.name: subscription for each in queries for subscription in _changes(each, queries)}
        for name in sorted(names):
            if name in wanted:
                await self._subscribe(wanted[name])
            else:
                await self._bus.unsubscribe(name)

    async def _earlier(self, resource: Resource, of: Callable[[Resource], list[_Subscription]]) -> list[_Subscription]:
        """What the resource's versions before asked for."""
        versions = await self._store.versions(resource.kind, resource.name)
        return [subscription for version in versions for subscription in of(version)]

    async def _arrange(self, wanted: Sequence[_Subscription], earlier: Sequence[_Subscription]) -> None:
        names = {subscription.name for subscription in wanted}
        for subscription in wanted:
            await self._subscribe(subscription)
        for name in sorted({subscription.name for subscription in earlier} - names):
            await self._bus.unsubscribe(name)

    async def _subscribe(self, subscription: _Subscription, *, narrow: bool = True) -> None:
        url = self._addresses.of(subscription.place, subscription.function) + subscription.path
        self._endpoints.note(subscription.name, self._endpoint(url, subscription.scope))
        await self._bus.subscribe(
            subscription.name,
            subscription.topic,
            _taken_by_its_function,
            labels=subscription.labels,
            ordering_key=subscription.ordering_key,
            narrow=narrow,
        )

    # functions

    async def _asked(self, place: Place, name: str, path: str) -> Any:
        answer = await self._request("GET", place, name, path, PATIENCE)
        return msgspec.json.decode(answer.content)

    async def _end(self, place: Place, name: str) -> bool:
        """Tells a function that its resource is deleted; False: it is not there."""
        try:
            await self._request("POST", place, name, "/deprovision", _ENDING)
        except FunctionUnreachable as error:
            _log.info("a function that is deleted does not answer", place=place, name=name, error=error.message)
            return False
        return True

    async def _request(self, method: str, place: Place, name: str, path: str, patience: httpx.Timeout) -> httpx.Response:
        url = self._addresses.of(place, name) + path
        try:
            answer = await self._client.request(method, url, headers=self._credentials(scopes.ADMIN), timeout=patience)
        except httpx.HTTPError as error:
            raise FunctionUnreachable(f"the function of {place} '{name}' does not answer ({type(error).__name__})") from error
        if answer.status_code == 404:
            raise QueryNotFound(answer.text[:300])
        if not answer.is_success:
            raise FunctionUnreachable(f"the function of {place} '{name}' answers {answer.status_code}: {answer.text[:300]}")
        return answer


def _control(container: str) -> _Subscription:
    scope = f"{scopes.QUERY_DELIVER}:{container}"
    return _Subscription(f"{container}.control", f"{container}-control", "container", container, "/control", scope)


def _changes(query: Resource, queries: Sequence[Resource]) -> list[_Subscription]:
    """Those of a query's container to its sources, with the labels that ``queries`` want."""
    container = container_of(query)
    scope = f"{scopes.QUERY_DELIVER}:{container}"
    return [
        _Subscription(
            change_subscription(container, source),
            change_topic(source),
            "container",
            container,
            "/changes",
            scope,
            wanted_labels(queries, container, source),
            source,
        )
        for source in sources_of(query)
    ]


def _results(reaction: Resource) -> list[_Subscription]:
    name = reaction.name
    scope = f"{scopes.REACTION_DELIVER}:{name}"
    return [
        _Subscription(f"{name}.{query}.results", f"{query}-results", "reaction", name, "/results", scope)
        for query in reaction.spec.get("queries") or {}
    ]


async def _taken_by_its_function(message: Message) -> int:
    raise AssertionError("pushes go to the functions themselves")
