"""Who a token speaks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a verified token.

    Attributes:
        subject: Who it is, as its issuer says.
        issuer: Who says so.
        scopes: What it may do.
        expires: When the token ends, in seconds since the epoch.
    """

    subject: str
    issuer: str
    scopes: frozenset[str]
    expires: int
