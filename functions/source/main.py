"""The source function: changes of one origin out, snapshots on request.

    functions-framework --source functions/source/main.py --target source --asgi

The environment configures it: see ``drasi.environment``.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from drasi.functions import applications

app = applications.source()


@functions_framework.aio.http
async def source(request: Request) -> Any:
    """Hands the request to the application: the framework awaits what it gets back as an ASGI response."""
    return app
