"""Is it learning, what is it doing, does it need me?"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.web.pages import fold_of, shown

menu = "/", "Loop"


async def loop(request: Request) -> Response:
    """Show a card for each config, below what needs a person."""
    fold = await fold_of(request)
    return shown(request, "loop.html", title="Loop", fold=fold)


past_routes = [Route("/", loop, name="loop")]
