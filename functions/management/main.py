"""The management function: resources over REST.

    functions-framework --source functions/management/main.py --target management --asgi

The environment configures it: see ``drasi.environment``.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from drasi.functions import applications

app = applications.management()


@functions_framework.aio.http
async def management(request: Request) -> Any:
    """Hands the request to the application: the framework awaits what it gets back as an ASGI response."""
    return app
