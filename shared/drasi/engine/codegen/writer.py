"""Lines of Python with indentation, fresh names, and constants that go into the module's namespace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Names:
    """Fresh local names, and the constants of one generated module."""

    def __init__(self) -> None:
        self._count = 0
        self.constants: dict[str, Any] = {}

    def fresh(self, prefix: str = "t") -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def constant(self, value: Any) -> str:
        """The name under which generated code finds ``value``."""
        for name, known in self.constants.items():
            if known is value:
                return name
        name = f"C{len(self.constants)}"
        self.constants[name] = value
        return name


class Writer:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.lines: list[str] = []
        self.depth = 0
        # Whether anything written so far can raise an EvaluationError.
        self.raises = False

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def block(self, head: str | None) -> Iterator[None]:
        """What is written within stands below ``head``, indented; without a head, as it is."""
        if head is None:
            yield
            return
        self.line(head)
        self.depth += 1
        start = len(self.lines)
        yield
        if len(self.lines) == start:
            self.line("pass")
        self.depth -= 1

    def fresh(self, prefix: str = "t") -> str:
        return self.names.fresh(prefix)

    def draft(self) -> Writer:
        """A writer of its own, whose text can be put in later: what stands around it may depend on whether it raises."""
        return Writer(self.names)

    def put(self, draft: Writer) -> None:
        for line in draft.lines:
            self.line(line)
        self.raises = self.raises or draft.raises

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"
