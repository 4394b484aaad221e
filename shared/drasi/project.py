"""Google's project, as the environment names it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

HOW: Final = "give project, or set DRASI_PROJECT"
"""What a person can do where nobody said."""


def project_of(given: object = None, variables: Mapping[str, str] | None = None) -> str:
    """What was given; else the installation's; empty: nobody said."""
    variables = os.environ if variables is None else variables
    return str(given or variables.get("DRASI_PROJECT") or variables.get("GOOGLE_CLOUD_PROJECT") or "")
