"""Topics and subscriptions in Pub/Sub, made so that making them again changes nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from google.api_core.exceptions import AlreadyExists, NotFound
from google.pubsub_v1 import types

from drasi.bus.endpoint import Endpoint
from drasi.bus.naming import generation_id, generation_of, valid_id
from drasi.bus.pubsub_client import ERRORS, PubSubClient, unavailable

_log = logging.getLogger("drasi.bus")

LONGEST_RETENTION = timedelta(days=31)
EMULATOR_RETENTION = timedelta(days=7)
"""The emulator refuses more."""

_DELETED_TOPIC = "_deleted-topic_"


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for every subscription of ours (wire.md section 1.4). None has a dead-letter policy: a message that came back
    later than its successors would fall to the watermark. None expires: one that is quiet for a month still is needed.

    Attributes:
        ack_deadline_s: How long a push may take until it counts as failed.
        retention: How long a message waits for its acknowledgement.
        min_backoff, max_backoff: Between attempts.
    """

    ack_deadline_s: int = 60
    retention: timedelta = LONGEST_RETENTION
    min_backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Generation:
    """A subscription as Pub/Sub has it."""

    number: int
    path: str
    filter: str
    endpoint: Endpoint | None

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]


class Provisioner:
    """Makes and changes them.

    Raises, everywhere: BusUnavailable.
    """

    def __init__(self, client: PubSubClient, policy: Policy) -> None:
        self._client = client
        self._policy = policy
        self._topics: set[str] = set()

    def topic_path(self, topic: str) -> str:
        if topic.startswith("projects/"):
            return topic
        return f"projects/{self._client.project}/topics/{valid_id(topic)}"

    def _path(self, identity: str) -> str:
        return f"projects/{self._client.project}/subscriptions/{identity}"

    async def make_topic(self, topic: str) -> None:
        path = self.topic_path(topic)
        if path in self._topics:
            return
        try:
            await self._client.publisher.create_topic(name=path, **self._client.call())
        except AlreadyExists:
            pass
        except ERRORS as error:
            raise unavailable(f"cannot create {path}", error) from error
        self._topics.add(path)

    def forget_topic(self, topic: str) -> None:
        """It is not there. If it was, somebody removed it, and what its subscriptions held is gone."""
        path = self.topic_path(topic)
        if path in self._topics:
            self._topics.discard(path)
            _log.warning("topic %s is gone, and what its subscriptions held; it is made again", path)

    def forget(self) -> None:
        """Pub/Sub came back empty."""
        self._topics.clear()

    async def generations(self, subscription: str, topic: str) -> list[Generation]:
        """The generations of a subscription there are on its topic, oldest first."""
        found = []
        try:
            paths = await self._client.publisher.list_topic_subscriptions(topic=self.topic_path(topic), **self._client.call())
            async for path in paths:
                number = generation_of(subscription, path.rpartition("/")[2])
                if number is not None:
                    found.append((number, path))
            made = [await self._get(number, path) for number, path in sorted(found)]
        except ERRORS as error:
            raise unavailable(f"cannot read the subscriptions of {self.topic_path(topic)}", error) from error
        return [generation for generation in made if generation is not None]

    async def topic_of(self, identity: str) -> str | None:
        """The full name of the topic that a subscription is on; None: it is not there."""
        try:
            there = await self._there(self._path(identity))
        except ERRORS as error:
            raise unavailable(f"cannot read {self._path(identity)}", error) from error
        return None if there is None or there.topic == _DELETED_TOPIC else there.topic

    async def all_paths(self, subscription: str) -> list[str]:
        """The generations there are, on whatever topic."""
        return [path for path in await self.paths() if generation_of(subscription, path.rpartition("/")[2]) is not None]

    async def paths(self) -> list[str]:
        """All subscriptions of the project."""
        project = f"projects/{self._client.project}"
        try:
            return [
                one.name async for one in await self._client.subscriber.list_subscriptions(project=project, **self._client.call())
            ]
        except ERRORS as error:
            raise unavailable("cannot read the project's subscriptions", error) from error

    async def make(
        self,
        subscription: str,
        topic: str,
        number: int,
        message_filter: str,
        endpoint: Endpoint | None,
        *,
        ordered: bool = True,
    ) -> None:
        """Makes one generation; one that is there with the same topic, filter and order is left as it is.

        Raises:
            ValueError: It is there on another topic, or with another filter or order.
        """
        path = self._path(generation_id(subscription, number))
        wanted = types.Subscription(
            name=path,
            topic=self.topic_path(topic),
            push_config=_push_config(endpoint),
            ack_deadline_seconds=self._policy.ack_deadline_s,
            enable_message_ordering=ordered,
            filter=message_filter,
            message_retention_duration=self._policy.retention,
            retry_policy=types.RetryPolicy(minimum_backoff=self._policy.min_backoff, maximum_backoff=self._policy.max_backoff),
            expiration_policy=types.ExpirationPolicy(),
        )
        for _ in range(3):
            try:
                await self._client.subscriber.create_subscription(request=wanted, **self._client.call())
                return
            except AlreadyExists:
                there = await self._there(path)
            except ERRORS as error:
                raise unavailable(f"cannot create {path}", error) from error
            if there is None:
                continue
            if there.topic == _DELETED_TOPIC:
                await self.delete(path)
                continue
            if there.topic != wanted.topic:
                raise ValueError(f"subscription {subscription} exists on topic {there.topic.rpartition('/')[2]}")
            if there.filter != message_filter or there.enable_message_ordering != ordered:
                raise ValueError(f"subscription {subscription} exists with another filter or message ordering")
            return
        raise unavailable(f"cannot create {path}", RuntimeError("it comes and goes"))

    async def adjust(self, generation: Generation, endpoint: Endpoint | None) -> None:
        """Gives a subscription its endpoint (None: it only collects) and our policy, where they differ."""
        path = generation.path
        try:
            there = await self._there(path)
            if there is None:
                return
            if _endpoint(there) != endpoint:
                config = _push_config(endpoint)
                await self._client.subscriber.modify_push_config(subscription=path, push_config=config, **self._client.call())
            retry = types.RetryPolicy(minimum_backoff=self._policy.min_backoff, maximum_backoff=self._policy.max_backoff)
            wanted = types.Subscription(
                name=path,
                topic=there.topic,
                ack_deadline_seconds=self._policy.ack_deadline_s,
                message_retention_duration=self._policy.retention,
                retry_policy=retry,
            )
            fields = ("ack_deadline_seconds", "message_retention_duration", "retry_policy")
            differing = [name for name in fields if getattr(there, name) != getattr(wanted, name)]
            if differing:
                update = {"subscription": wanted, "update_mask": {"paths": differing}}
                await self._client.subscriber.update_subscription(request=update, **self._client.call())
        except NotFound:
            return
        except ERRORS as error:
            raise unavailable(f"cannot change {path}", error) from error

    async def delete(self, path: str) -> None:
        try:
            await self._client.subscriber.delete_subscription(subscription=path, **self._client.call())
        except NotFound:
            pass
        except ERRORS as error:
            raise unavailable(f"cannot delete {path}", error) from error

    async def _get(self, number: int, path: str) -> Generation | None:
        there = await self._there(path)
        return None if there is None else Generation(number, path, there.filter, _endpoint(there))

    async def _there(self, path: str) -> types.Subscription | None:
        try:
            return await self._client.subscriber.get_subscription(subscription=path, **self._client.call())
        except NotFound:
            return None


def _endpoint(there: types.Subscription) -> Endpoint | None:
    config = there.push_config
    if not config.push_endpoint:
        return None
    return Endpoint(config.push_endpoint, config.oidc_token.service_account_email, config.oidc_token.audience)


def _push_config(endpoint: Endpoint | None) -> types.PushConfig:
    if endpoint is None:
        return types.PushConfig()
    config = types.PushConfig(push_endpoint=endpoint.url)
    if endpoint.service_account:
        config.oidc_token = types.PushConfig.OidcToken(service_account_email=endpoint.service_account, audience=endpoint.audience)
    return config
