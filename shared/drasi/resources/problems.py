"""Errors and warnings of manifests: data with a place, and the text a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

Path = tuple[str | int, ...]
"""From the document's top: names of members and indexes of items."""


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One error or warning, in the form of the API (resources.md section 9).

    Attributes:
        path: ``spec.sources.subscriptions[0].id``; empty for the whole document.
        line, column: From 1. Of the manifest's text; for ``spec.query`` and other texts inside a manifest, of that text.
        excerpt: The line with a caret below the place.
    """

    path: str
    code: str
    message: str
    hint: str | None = None
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None

    def text(self) -> str:
        """One line, and the excerpt where there is one."""
        line = self.message
        if self.path and not self.message.startswith(self.path):
            line = f"{self.path}: {self.message}"
        if self.excerpt:
            hint = f" {self.hint}" if self.hint else ""
            return f"{line}\n{self.excerpt}{hint}"
        return f"{line}; {self.hint}" if self.hint else line


def dotted(path: Path) -> str:
    """``('spec', 'joins', 0, 'id')`` is ``spec.joins[0].id``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def caret(text: str, line: int, column: int, width: int = 1) -> str:
    """``line`` of ``text`` (both from 1) with carets below; empty when there is no such line."""
    lines = text.splitlines()
    if not 1 <= line <= len(lines):
        return ""
    shown = lines[line - 1].rstrip()
    # A tab stays a tab below, so that the caret stands where the terminal puts the character.
    blank = "".join("\t" if character == "\t" else " " for character in shown[: column - 1])
    number = str(line)
    return f"{number:>5} | {shown}\n{'':>5} | {blank}{'^' * max(1, width)}"


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that ``word`` was probably meant to be: the same letters in another case, or at most two edits away."""
    folded = word.casefold()
    best: tuple[int, str] | None = None
    for name in names:
        if name.casefold() == folded:
            return name
        # Two edits turn any short word into any other.
        allowed = min(2, len(word) // 2)
        distance = _edits(folded, name.casefold(), allowed)
        if distance <= allowed and (best is None or (distance, name) < best):
            best = (distance, name)
    return best[1] if best else None


def did_you_mean(word: str, names: Iterable[str]) -> str | None:
    """The hint for an unknown name, or None."""
    found = nearest(word, names)
    return f"did you mean '{found}'?" if found is not None and found != word else None


def listed(names: Sequence[object]) -> str:
    """``a, b, c`` as messages list names."""
    return ", ".join(str(name) for name in names)


def _edits(left: str, right: str, limit: int) -> int:
    """Levenshtein distance with neighbours exchanged as one edit; any number above ``limit`` once it is exceeded."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, before, row = before, row, [i] + [0] * len(right)
        for j, b in enumerate(right, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                row[j] = min(row[j], previous[j - 2] + 1)
        if min(row) > limit:
            return limit + 1
    return row[-1]
