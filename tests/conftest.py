"""What all tests share: where the test data is, and how thorough random tests are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SHARED = Path(os.environ.get("DRASI_SHARED", Path(__file__).resolve().parents[2] / "shared"))
"""The folder of test data: cases, the TCK, tutorials. It may be missing, but not with CI=true."""

_HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=_HEALTH, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=_HEALTH, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_sessionstart() -> None:
    if os.environ.get("CI") == "true" and not SHARED.is_dir():
        pytest.exit(f"the test data is not at {SHARED}; set DRASI_SHARED", returncode=3)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the test data is not at {SHARED}; set DRASI_SHARED to where it is")
    return SHARED
