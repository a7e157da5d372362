"""Signing in: the operator's token becomes a cookie."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringrift.web.guard import COOKIE, COOKIE_SECONDS, Guard, same_origin
from ringrift.web.pages import form_of, shown


def _onward(page: str) -> str:
    """A page of ours to go to; anything else leads to the first page."""
    return page if page.startswith("/") and not page.startswith(("//", "/\\")) else "/"


async def login(request: Request) -> Response:
    """Show the form; with `?token=` in the address, as `ringrift web` prints it, sign in."""
    page = _onward(request.query_params.get("next", "/"))
    if token := request.query_params.get("token"):
        return _signed_in(request, token, page)
    return shown(request, "login.html", title="Sign in", next=page)


async def sign_in(request: Request) -> Response:
    """Check the token of the form."""
    if not same_origin(request):
        raise HTTPException(403, "the request comes from a page of another site")
    form = await form_of(request)
    return _signed_in(request, form.get("token", ""), _onward(form.get("next", "/")))


def _signed_in(request: Request, token: str, page: str) -> Response:
    guard: Guard = request.app.state.guard
    if not guard.accepts(token):
        raise HTTPException(403, "this is not the operator's token")
    response = RedirectResponse(page, 303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE,
        guard.cookie,
        max_age=COOKIE_SECONDS,
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return response


async def sign_out(request: Request) -> Response:
    """Forget the cookie."""
    response = RedirectResponse("/", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


routes = [
    Route("/login", login),
    Route("/login", sign_in, methods=["POST"]),
    Route("/logout", sign_out, methods=["POST"]),
]
