"""Ids of topics and subscriptions in Pub/Sub (wire.md section 1.1), and the filter by labels (1.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

LARGEST_FILTER = 256
"""Bytes that Pub/Sub takes; a filter can never be changed."""

_LABEL = re.compile(r'attributes:"label\.((?:[^"\\]|\\.)*)"', re.DOTALL)
_OURS = re.compile(r"[^.~]+\.(control|[^.~]+\.(changes|results))(~\d+)?")
_VALID = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")


def valid_id(name: str) -> str:
    """The id for a topic or subscription of this name: Pub/Sub's rules broken give the prefix ``drasi-``.

    Raises:
        ValueError: No prefix makes it an id.
    """
    for candidate in (name, f"drasi-{name}"):
        if _VALID.fullmatch(candidate):
            return candidate
    raise ValueError(f"'{name}' cannot name a topic or subscription of Pub/Sub")


def between_functions(identity: str) -> bool:
    """Whether a subscription of this id is one of ours from function to function: changes, control messages or results."""
    return _OURS.fullmatch(identity) is not None


def generation_id(subscription: str, generation: int) -> str:
    """The id of one generation of a subscription: each filter has its own, because a filter cannot be changed.

    The first is the name itself; ``~`` is in no resource's name, so no other subscription has such an id.
    """
    return valid_id(subscription if generation == 1 else f"{subscription}~{generation}")


def generation_of(subscription: str, identity: str) -> int | None:
    """The generation that ``identity`` is of ``subscription``; None: it is not one of its."""
    name = valid_id(subscription)
    if identity == name:
        return 1
    number = identity.removeprefix(f"{name}~")
    return int(number) if number != identity and number.isdecimal() else None


def base_of(identity: str) -> str:
    """The id of the first generation of the subscription that ``identity`` is a generation of."""
    name, tilde, number = identity.rpartition("~")
    return name if tilde and number.isdecimal() else identity


def label_filter(labels: Iterable[str]) -> str:
    """What lets through the messages that carry one of the labels; empty (everything) when it does not fit.

    Examples:
        >>> label_filter(["Ship", "Berth"])
        'attributes:"label.Berth" OR attributes:"label.Ship" OR attributes:"label.*"'
    """
    text = " OR ".join(f"attributes:{_quoted(f'label.{label}')}" for label in (*sorted(set(labels)), "*"))
    return text if len(text.encode()) <= LARGEST_FILTER else ""


def lets_through(message_filter: str, labels: Iterable[str] | None) -> bool:
    """Whether a filter of ours lets through the messages of each of these labels (None: whatever labels they have).

    Examples:
        >>> lets_through(label_filter(["Ship", "Berth"]), ["Ship"])
        True
    """
    if not message_filter:
        return True
    if labels is None:
        return False
    found = {re.sub(r"\\(.)", r"\1", text) for text in _LABEL.findall(message_filter)}
    return found.issuperset(labels)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
