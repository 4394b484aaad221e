"""``Log``: one line per row in the log."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from starlette.routing import BaseRoute

from drasi.messages.results import ChangeEvent, ResultEvent
from drasi.reactions import notification
from drasi.reactions.configuration import SERVER_PROPERTIES, EntryForm, choose
from drasi.reactions.port import Confirm, DeliveryFailed, Reaction, ReactionContext, ReactionKind
from drasi.reactions.rows import context, row_changes
from drasi.reactions.timing import Timing
from drasi.templates import RenderError

FORM = EntryForm({"template": "body"})


class LogReaction:
    """Writes to the logger ``drasi.reaction.{id}``, level INFO.

    Without a template a line is the row's notification. With templates for some operations only those are written.
    """

    delivers = True

    def __init__(self, given: ReactionContext, timing: Timing | None = None) -> None:
        self._id = given.id
        self._log = logging.getLogger(f"drasi.reaction.{given.id}")
        self._timing = timing or Timing()
        self._entries = {
            query_id: FORM.read(chosen.value)[0] if chosen.value is not None else None
            for query_id in given.queries
            for chosen in (choose(query_id, given.queries, given.properties),)
        }

    async def start(self) -> None:
        """There is nothing to prepare."""

    def notice(self, query_id: str, events: bytes) -> None:
        """It delivers."""

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        if not isinstance(event, ChangeEvent):
            return
        entries = self._entries[query_id]
        if entries is None:
            for row, text in notification.of_rows(notification.raw_event(event), self._timing.now_ms()):
                if row.row_id not in done:
                    self._log.info("%s", text.decode())
                    confirm(row.row_id)
            return
        for change in row_changes(event):
            if change.row_id in done:
                continue
            entry = entries.get(change.entry)
            if entry is not None:
                seen = context(self._id, event, change)
                try:
                    line = entry.templates["template"].render(seen) if "template" in entry.templates else ""
                except RenderError as error:
                    raise DeliveryFailed(
                        f"the template cannot be rendered: {error.message}", retryable=False, row_id=change.row_id
                    ) from None
                self._log.info("%s", " ".join(line.splitlines()))
            confirm(change.row_id)

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    async def close(self) -> None:
        """There is nothing to close."""


def _make(given: ReactionContext) -> Reaction:
    return LogReaction(given)


KIND = ReactionKind(
    "Log",
    ("log",),
    schema={"type": "object", "properties": dict(SERVER_PROPERTIES)},
    check=FORM.check,
    make=_make,
)
