"""What elements of a table's rows depend on beside the rows: where it changes, the log does not say so, and all must be read."""

from __future__ import annotations

import msgspec

from drasi.sources.postgresql.catalog import Column, Table

_VARCHAR = 1043


class Layout(msgspec.Struct, frozen=True):
    """Of one table.

    Attributes:
        key: Names of the columns of its key.
        relations: Their types, columns and targets.
        columns: The types of its columns, and the expressions of those that are computed.
        parts: Numbers of its partitions and of their files; negative while these have nothing in them.
    """

    key: list[str]
    relations: list[str]
    columns: dict[str, str]
    parts: dict[str, int]


def layout_of(table: Table) -> Layout:
    relations = [f"{relation.type}({','.join(relation.columns)}) {'.'.join(relation.references)}" for relation in table.relations]
    columns = {column.name: _written(column) for column in table.columns}
    return Layout(
        list(table.key), relations, columns, {str(part.id): -part.file if part.empty else part.file for part in table.parts}
    )


def _written(column: Column) -> str:
    kind = str(column.type) if column.type == _VARCHAR else f"{column.type}:{column.modifier}"
    return kind if column.generated is None else f"{kind} = {column.generated}"


def difference(before: Layout, now: Layout) -> str | None:
    """What makes other elements of the same rows, or other rows. Columns that came or went show with a row's next change."""
    if before.key != now.key:
        return f"another key ({', '.join(now.key)})"
    if before.relations != now.relations:
        return "other foreign keys"
    retyped = sorted(name for name, kind in now.columns.items() if before.columns.get(name, kind) != kind)
    if retyped:
        return f"columns of another type or expression ({', '.join(retyped)})"
    if any(abs(now.parts.get(number, 0)) != abs(file) for number, file in before.parts.items()):
        return "lost a partition, or one was emptied"
    if any(file > 0 for number, file in now.parts.items() if number not in before.parts):
        return "got a partition that has rows"
    return None
