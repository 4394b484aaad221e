"""Numbers in the environment of a function."""

from __future__ import annotations

import pytest

from drasi.environment import Environment, NotConfigured


def test_a_number_is_whole_and_positive_or_said_to_be_none() -> None:
    assert Environment({"DRASI_LOG_BYTES": "10000"}).number("DRASI_LOG_BYTES") == 10_000
    assert Environment({}).number("DRASI_LOG_BYTES") is None
    assert Environment({"DRASI_LOG_BYTES": ""}).number("DRASI_LOG_BYTES") is None
    for text in ("0", "-1", "1.5", "many", "²"):
        with pytest.raises(NotConfigured, match="DRASI_LOG_BYTES") as raised:
            Environment({"DRASI_LOG_BYTES": text}).number("DRASI_LOG_BYTES")
        assert raised.value.hint == "set it to a whole number from 1"
