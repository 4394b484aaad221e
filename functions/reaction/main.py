"""The reaction function: result events in, deliveries out.

    functions-framework --source functions/reaction/main.py --target reaction --asgi

The environment configures it: see ``drasi.environment``.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from drasi.functions import applications

app = applications.reaction()


@functions_framework.aio.http
async def reaction(request: Request) -> Any:
    """Hands the request to the application: the framework awaits what it gets back as an ASGI response."""
    return app
