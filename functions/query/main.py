"""The query function: changes and control messages in, rows and events out.

    functions-framework --source functions/query/main.py --target query --asgi

The environment configures it: see ``drasi.environment``.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from drasi.functions import applications

app = applications.query()


@functions_framework.aio.http
async def query(request: Request) -> Any:
    """Hands the request to the application: the framework awaits what it gets back as an ASGI response."""
    return app
