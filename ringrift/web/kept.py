"""Answers that are kept until the view changes: a hundred viewers of a page cost one rendering."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from ringrift.web.guard import Guard
from ringrift.web.latest import Latest
from ringrift.web.view import View

ANSWERS_MAX = 128
BYTES_MAX = 1024 * 1024
"""a longer answer is not kept"""

Handler = Callable[[Request], Awaitable[Response]]
Key = tuple[str, str, bool]


def kept(handler: Handler) -> Handler:
    """Return a handler that answers the same until the view changes. The answer may depend on the
    address, on the view, and on whether the operator asks, but on nothing else."""
    answers = Latest[Key, tuple[int, Response]](ANSWERS_MAX)

    async def answer(request: Request) -> Response:
        view: View = request.app.state.view
        guard: Guard = request.app.state.guard
        key = request.url.path, request.url.query, guard.is_operator(request)
        version, response = answers.get(key) or (-1, None)
        if response is not None and version == view.version:
            return Response(response.body, response.status_code, dict(response.headers))
        version = view.version
        response = await handler(request)
        if request.method == "GET" and len(response.body) <= BYTES_MAX:
            answers.put(key, (version, response))
        return response

    return answer
