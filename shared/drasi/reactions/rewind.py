"""A result as it was at an earlier sequence: today's rows with the events since then taken back.

A reaction that was stopped in the middle of delivering a result goes on with that same result, although the query has moved on: the
rows already delivered and those still to come then belong together, and the events after it follow as if nothing had happened.
"""

from __future__ import annotations

from drasi.messages.reading import Gone, QueryReader, QueryUnavailable, View, ViewRow
from drasi.messages.results import ChangeEvent, ResultEvent

_READ = 1000


async def rewind(reader: QueryReader, query_id: str, view: View, sequence: int) -> list[ViewRow]:
    """The rows right after event ``sequence``.

    Raises:
        Gone: The events since then are trimmed, or the result was begun anew meanwhile.
        QueryUnavailable: The view is older than that.
    """
    if view.sequence < sequence:
        raise QueryUnavailable(f"the result of '{query_id}' is at {view.sequence}, not yet at {sequence}")
    events: list[ResultEvent] = []
    after = sequence
    while after < view.sequence:
        part = await reader.read_events(query_id, after, min(_READ, view.sequence - after))
        if not part:
            raise QueryUnavailable(f"the events of '{query_id}' after {after} are not there yet")
        events.extend(event for event in part if event.sequence <= view.sequence)
        after = part[-1].sequence
    rows = {row.row_id: row for row in view.rows}
    for event in reversed(events):
        if not isinstance(event, ChangeEvent):
            if event.controlSignal.kind == "bootstrapStarted":
                raise Gone(sequence, event.sequence, view.sequence)
            continue
        for row_id in event.addedRowIds:
            rows.pop(row_id, None)
        for item in event.updatedResults:
            if item.before is None:
                rows.pop(item.rowId, None)
            else:
                rows[item.rowId] = ViewRow(item.before, item.rowId)
        for row_id, data in zip(event.deletedRowIds, event.deletedResults, strict=False):
            rows[row_id] = ViewRow(data, row_id)
    return list(rows.values())
