"""An installation: its resources, and what applying, changing and deleting them means (cli-and-api.md section 5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from drasi import redaction
from drasi.errors import DrasiError
from drasi.messages.control import ControlMessage
from drasi.resources.apply import LoopOfQueries, Outcome, dependencies, only_shown, ordered, replaces, same
from drasi.resources.config_value import secrets_of
from drasi.resources.known import DEFAULT_CONTAINER, Known, Profile, container_of, default_container
from drasi.resources.load import Document
from drasi.resources.manifest import filled
from drasi.resources.problems import Problem
from drasi.resources.resource import (
    CONTINUOUS_QUERY,
    KINDS,
    QUERY_CONTAINER,
    REACTION,
    REACTION_PROVIDER,
    SOURCE,
    SOURCE_PROVIDER,
    Resource,
    kind_named,
    sources_of,
)
from drasi.resources.secrets import WritableSecrets
from drasi.resources.settings import NotStartable, settings_of
from drasi.resources.store import Conflict, ResourceStore
from drasi.resources.validate import Report, validate
from drasi.web.runtime import Runtime

# A query that is deleted or moved may publish some events more after its sequence was read; a first event may jump ahead.
_SEQUENCES_LEFT_FREE = 1_000
_POLL_S = 0.05
_OF_THE_BUS = frozenset(("BusLost", "BusUnavailable"))


class ResourceNotFound(DrasiError):
    code = "NotFound"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__("Resource not found", hint=f"there is no {kind} '{name}'")


class InUse(DrasiError):
    code = "InUse"

    def __init__(self, resource: Resource, users: Sequence[str]) -> None:
        super().__init__(f"{resource.path} is used by {', '.join(users)}", hint="delete those first, or use force")


class NotPausable(DrasiError):
    code = "InvalidValue"

    def __init__(self, kind: str) -> None:
        super().__init__(f"a {kind} cannot be started or stopped", hint="sources, queries and reactions can")


class Installation:
    """Resources in a store, kept running by a runtime.

    Args:
        store: Where resources are kept.
        runtime: Runs them.
        secrets: Where references to secrets are looked up.
        sequences_from: The least sequence that a new query begins with.
        now_ms: The wall clock, for the times of versions.
    """

    def __init__(
        self,
        store: ResourceStore,
        runtime: Runtime,
        secrets: WritableSecrets,
        *,
        profile: Profile = "embedded",
        sequences_from: int | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.store = store
        self.runtime = runtime
        self.profile: Profile = profile
        self._secrets = secrets
        self._sequences_from = sequences_from
        self._now_ms = now_ms
        self._lock = asyncio.Lock()
        # What could not be started, and why: shown in the status, tried again at the next apply or restart.
        self._waiting: dict[tuple[str, str], tuple[str, str]] = {}

    async def restore(self) -> None:
        """Makes the default container if it is not there, and starts everything that is stored, in the order of applying."""
        async with self._lock:
            if await self.store.get(QUERY_CONTAINER, DEFAULT_CONTAINER) is None:
                await self.store.put(self._stamped(default_container(self.profile), "installation"), expected=0)
            known = await self.known()
            for resource in ordered(await self._everything()):
                await self._run(resource, known)

    async def begin_again(self, reason: str) -> bool:
        """The bus came back empty: everything that is subscribed and said through it, and containers read their sources again.

        Returns:
            Whether all of it could be said.
        """
        async with self._lock:
            known = await self.known()
            for resource in ordered(await self._everything()):
                await self._run(resource, known)
            if any(code in _OF_THE_BUS for code, _ in self._waiting.values()):
                return False
            queries = await self.store.of_kind(CONTINUOUS_QUERY)
            for container, source in sorted({(container_of(query), source) for query in queries for source in sources_of(query)}):
                await self.runtime.control(container, ControlMessage(kind="reread", source=source, reason=reason))
            return True

    async def has_queries(self) -> bool:
        return bool(await self.store.of_kind(CONTINUOUS_QUERY))

    async def between_changes(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does ``work`` while nothing is applied or deleted."""
        async with self._lock:
            await work()

    async def known(self) -> Known:
        """What manifests may refer to."""
        return Known.of(await self._everything(), profile=self.profile, secrets=self._secrets)

    async def get(self, kind: str, name: str) -> Resource:
        """Raises ResourceNotFound."""
        found = await self.store.get(kind, name)
        if found is None:
            raise ResourceNotFound(kind, name)
        return found

    async def current(self, resources: Sequence[Resource]) -> list[Resource]:
        """The resources without warnings that are no longer true: what they waited for has come."""
        if not any(resource.warnings for resource in resources):
            return list(resources)
        known = await self.known()
        for resource in resources:
            resource.warnings = [warning for warning in resource.warnings if _still_true(warning, resource, known)]
        return list(resources)

    async def validate(self, documents: Sequence[Document]) -> list[Report]:
        """Checks documents against what is there; nothing changes."""
        return validate(documents, await self.known())

    async def apply(self, documents: Sequence[Document], *, dry_run: bool = False, author: str = "") -> tuple[list[Outcome], bool]:
        """Validates documents together and applies them in order.

        Returns:
            An outcome per document in their own order, and whether all were valid. If one was not, nothing is applied.
        """
        async with self._lock:
            known = await self.known()
            reports = validate(documents, known)
            for report in reports:
                report.refuse_not_yet()
            if any(report.errors for report in reports):
                return [_refused(report) for report in reports], False
            resources = [report.resource for report in reports if report.resource is not None]
            try:
                in_order = ordered(resources)
            except LoopOfQueries as error:
                problem = Problem(path="spec.properties.query", code="InvalidValue", message=str(error))
                return [_refused(report, problem if report.name in error.names else None) for report in reports], False
            for resource in resources:
                known.add(resource.kind, resource.name, resource.spec)
            warnings = {(report.kind, report.name): report.warnings for report in reports}
            outcomes: dict[tuple[str, str], Outcome] = {}
            for resource in in_order:
                key = (resource.kind, resource.name)
                failed = [
                    outcomes[other] for other in dependencies(resource) if other in outcomes and outcomes[other].result == "failed"
                ]
                if failed:
                    names = ", ".join(f"{outcome.kind}/{outcome.name}" for outcome in failed)
                    problem = Problem(path="", code="NotApplied", message=f"not applied: {names} failed")
                    outcomes[key] = Outcome(kind=key[0], name=key[1], result="failed", errors=[problem], warnings=warnings[key])
                else:
                    outcomes[key] = await self._apply_one(resource, warnings[key], known, None, dry_run, author)
            return [outcomes[report.kind, report.name] for report in reports], True

    async def put(
        self, document: Document, *, expected: int | None = None, dry_run: bool = False, author: str = ""
    ) -> tuple[Report, Outcome | None]:
        """Creates or updates one resource.

        Returns:
            The report; and the outcome, or None if the document is invalid.

        Raises:
            Conflict: ``expected`` (0: absent) is not the stored version.
        """
        async with self._lock:
            known = await self.known()
            report = validate([document], known)[0]
            report.refuse_not_yet()
            if report.resource is None:
                return report, None
            known.add(report.kind, report.name, report.resource.spec)
            return report, await self._apply_one(report.resource, report.warnings, known, expected, dry_run, author)

    async def delete(self, kind: str, name: str, *, force: bool = False, expected: int | None = None) -> None:
        """Deletes a resource with its state.

        Raises:
            ResourceNotFound: It is not there.
            InUse: Others need it, and not ``force``.
            Conflict: ``expected`` is not the stored version.
        """
        async with self._lock:
            resource = await self.get(kind, name)
            if expected is not None and expected != resource.version:
                raise Conflict
            users = await self._users(resource)
            if users and not force:
                raise InUse(resource, [user.path for user in users])
            if kind == QUERY_CONTAINER:
                for user in users:
                    await self._take_away(user, force=force)
            await self._take_away(resource, force=force)

    async def set_stopped(self, kind: str, name: str, stopped: bool) -> None:
        """Pauses or resumes a source, query or reaction.

        Raises:
            ResourceNotFound, NotPausable: As they say.
        """
        async with self._lock:
            resource = await self.get(kind, name)
            if kind not in (SOURCE, CONTINUOUS_QUERY, REACTION):
                raise NotPausable(kind)
            resource.stopped = stopped
            await self.store.revise(resource)
            if kind == CONTINUOUS_QUERY:
                message = ControlMessage(kind="stop" if stopped else "start", queryId=name)
                await self.runtime.control(container_of(resource), message)
            else:
                await self._run(resource, await self.known())

    async def set_secret(self, name: str, key: str, value: str) -> None:
        """Keeps a secret; what waits for it, or used another value, starts with it.

        Raises:
            SecretsReadOnly, SecretsUnreadable: As they say.
        """
        async with self._lock:
            self._secrets.set(name, key, value)
            await self._run_connectors()

    async def delete_secret(self, name: str, key: str) -> bool:
        """Forgets a secret; whether it was there."""
        async with self._lock:
            found = self._secrets.delete(name, key)
            if found:
                await self._run_connectors()
            return found

    async def _run_connectors(self) -> None:
        known = await self.known()
        for kind in (SOURCE, REACTION):
            for resource in await self.store.of_kind(kind):
                await self._run(resource, known)

    async def status(self, resource: Resource) -> dict[str, Any]:
        """The status of one resource: what the runtime knows, and what management does."""
        status = dict(await self.runtime.status(resource.kind, resource.name))
        kind = resource.kind
        waiting = self._waiting.get((kind, resource.name))
        if kind in (SOURCE, REACTION, QUERY_CONTAINER):
            status.setdefault("available", False)
            messages = dict(status.get("messages") or {})
            if waiting is not None:
                status["available"] = False
                messages[waiting[0]] = waiting[1]
            if resource.stopped:
                status["available"] = False
                messages.setdefault("Stopped", "stopped by an operator; start it again with 'drasi start'")
            status["messages"] = messages
        elif kind == CONTINUOUS_QUERY:
            status.setdefault("status", "New")
            status.setdefault("container", container_of(resource))
            status.setdefault("hostName", "")
            status.setdefault("errorMessage", waiting[1] if waiting is not None else "")
            status.setdefault("version", resource.version)
        else:
            return {}
        if resource.warnings:
            status["warnings"] = [*(status.get("warnings") or ()), *resource.warnings]
        return status

    async def ready(self, kind: str, name: str) -> tuple[bool, str]:
        """Whether a resource is ready (section 5.4); and why it never will be by itself, or ``""``."""
        resource = await self.get(kind, name)
        status = await self.status(resource)
        if kind != CONTINUOUS_QUERY:
            return bool(status.get("available")), ""
        state = status.get("status")
        candidate = status.get("candidate")
        if state == "TerminalError":
            return False, str(status.get("errorMessage") or "TerminalError")
        if isinstance(candidate, Mapping) and candidate.get("state") == "failed":
            return False, str(candidate.get("message") or "the new version failed")
        return state == "Running" and not candidate, ""

    async def wait_ready(self, kind: str, name: str, timeout_s: float) -> tuple[bool, str]:
        """Waits until it is ready, at most ``timeout_s``; the answer of ``ready``."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            ready, never = await self.ready(kind, name)
            left = deadline - asyncio.get_running_loop().time()
            if ready or never or left <= 0:
                return ready, never
            await asyncio.sleep(min(_POLL_S, left))

    async def query(self, name: str) -> Resource:
        return await self.get(CONTINUOUS_QUERY, name)

    async def _everything(self) -> list[Resource]:
        return [resource for kind in KINDS for resource in await self.store.of_kind(kind)]

    def _stamped(self, resource: Resource, author: str) -> Resource:
        return msgspec.structs.replace(resource, changed_ms=self._now_ms(), author=author)

    async def _apply_one(
        self, wanted: Resource, warnings: list[Problem], known: Known, expected: int | None, dry_run: bool, author: str
    ) -> Outcome:
        stored = await self.store.get(wanted.kind, wanted.name)
        version = stored.version if stored is not None else 0
        if expected is not None and expected != version:
            raise Conflict
        outcome = Outcome(kind=wanted.kind, name=wanted.name, result="created", version=version, warnings=warnings)
        if stored is not None:
            key = (wanted.kind, wanted.name)
            outcome.result = "unchanged" if same(stored, wanted) else "updated"
            outcome.replaced = replaces(stored, wanted)
            if outcome.result == "unchanged":
                if not dry_run and key in self._waiting:
                    await self._run(stored, known, outcome)
                return outcome
        if dry_run:
            return outcome
        resource = msgspec.structs.replace(
            wanted,
            warnings=[msgspec.to_builtins(problem) for problem in warnings],
            stopped=stored.stopped if stored is not None else False,
        )
        resource = await self.store.put(self._stamped(resource, author), expected=version)
        outcome.version = resource.version
        if stored is not None and only_shown(stored, resource):
            return outcome
        if stored is not None:
            await self._leave(stored, resource, outcome)
        if outcome.result != "failed":
            await self._run(resource, known, outcome)
        return outcome

    async def _leave(self, stored: Resource, wanted: Resource, outcome: Outcome) -> None:
        """Takes away what a new version does not stand on: another kind's instance, a query's old place."""
        try:
            if outcome.replaced:
                await self.runtime.remove(stored)
            elif stored.kind == CONTINUOUS_QUERY and container_of(stored) != container_of(wanted):
                await self._leave_container(stored)
        except DrasiError as error:
            outcome.result = "failed"
            outcome.errors = [_problem(error)]

    async def _run(self, resource: Resource, known: Known, outcome: Outcome | None = None) -> None:
        """Hands a stored resource to the runtime; what fails stays stored, is shown, and is tried again."""
        key = (resource.kind, resource.name)
        try:
            if resource.kind in (SOURCE, REACTION):
                await self.runtime.ensure(resource, settings_of(resource, known, self._secrets))
            elif resource.kind == QUERY_CONTAINER:
                await self.runtime.ensure(resource, None)
            elif resource.kind == CONTINUOUS_QUERY:
                await self.runtime.ensure(resource, None)
                await self._configure(resource)
            else:
                await self._run_resources_of(resource, known)
        except NotStartable as error:
            # Expected: the manifest is right, something outside it is missing (a warning said so).
            self._waiting[key] = (error.reason, redaction.clean(error.message))
        except DrasiError as error:
            self._waiting[key] = (error.code, redaction.clean(error.message))
            if outcome is not None:
                outcome.result = "failed"
                outcome.errors = [_problem(error)]
        else:
            self._waiting.pop(key, None)

    async def _run_resources_of(self, provider: Resource, known: Known) -> None:
        """A provider's schema and defaults go into the settings of its resources."""
        for user in await self._users(provider):
            await self._run(user, known)

    async def _configure(self, resource: Resource) -> None:
        spec = filled(CONTINUOUS_QUERY, resource.spec)
        note = await self.store.note(f"sequence/{resource.name}")
        firsts = [first for first in (int(note) if note is not None else None, self._sequences_from) if first is not None]
        message = ControlMessage(
            kind="configure",
            queryId=resource.name,
            version=resource.version,
            spec=spec,
            sequenceFrom=max(firsts, default=None),
        )
        container = container_of(resource)
        await self.runtime.control(container, message)
        if resource.stopped:
            await self.runtime.control(container, ControlMessage(kind="stop", queryId=resource.name))

    async def _take_away(self, resource: Resource, *, force: bool) -> None:
        if resource.kind == CONTINUOUS_QUERY:
            await self._leave_container(resource)
        if resource.kind not in (SOURCE_PROVIDER, REACTION_PROVIDER):
            await self.runtime.remove(resource, force=force)
        await self.store.delete(resource.kind, resource.name)
        self._waiting.pop((resource.kind, resource.name), None)

    async def _leave_container(self, resource: Resource) -> None:
        """Deletes a query in its container, and remembers where its sequence goes on: it never restarts."""
        status = await self.runtime.status(CONTINUOUS_QUERY, resource.name)
        sequence = status.get("sequence")
        await self.runtime.control(container_of(resource), ControlMessage(kind="delete", queryId=resource.name))
        if isinstance(sequence, int):
            await self.store.set_note(f"sequence/{resource.name}", str(sequence + _SEQUENCES_LEFT_FREE))

    async def _users(self, resource: Resource) -> list[Resource]:
        """Which resources cannot be without this one."""
        if resource.kind == QUERY_CONTAINER:
            queries = await self.store.of_kind(CONTINUOUS_QUERY)
            return [query for query in queries if container_of(query) == resource.name]
        if resource.kind in (SOURCE_PROVIDER, REACTION_PROVIDER):
            used_by = await self.store.of_kind(SOURCE if resource.kind == SOURCE_PROVIDER else REACTION)
            return [user for user in used_by if str(user.spec.get("kind", "")).strip() == resource.name]
        return []


def _still_true(warning: Mapping[str, Any], resource: Resource, known: Known) -> bool:
    code = warning.get("code")
    if code == "MissingSource":
        wanted = {str(one.get("id")) for one in (resource.spec.get("sources") or {}).get("subscriptions") or ()}
        missing = wanted - known.sources
    elif code == "MissingQuery":
        missing = set(resource.spec.get("queries") or ()) - known.queries
    elif code == "MissingSecret" and known.secrets is not None:
        lacking = [str(found) for found in secrets_of(resource.spec) if known.secrets.get(found.name, found.key) is None]
        return any(str(warning.get("message")).startswith(text) for text in lacking)
    else:
        return True
    return any(f"'{name}'" in str(warning.get("message")) for name in missing)


def _refused(report: Report, problem: Problem | None = None) -> Outcome:
    errors = [*report.errors, *([problem] if problem is not None else [])]
    # A kind as it was written is more help than none.
    written = report.document.data.get("kind") if isinstance(report.document.data, dict) else None
    kind = report.kind or (written if isinstance(written, str) and kind_named(written) is None else "")
    return Outcome(kind=kind, name=report.name, result="failed", errors=errors, warnings=report.warnings)


def _problem(error: DrasiError) -> Problem:
    return Problem(path="", code=error.code, message=redaction.clean(error.message), hint=error.hint or None)
