"""What the owner of a running system shows."""

from __future__ import annotations

from pathlib import Path


def owner(state: Path) -> dict[str, str]:
    """The headers with the token that the system on this state directory has written."""
    return {"Authorization": f"Bearer {(state / 'token').read_text().strip()}"}
