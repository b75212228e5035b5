"""The OpenAPI 3.1 document of `/api/v1`, made from the routes and their types: it cannot say what the code does not do."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sync.web.api import NUMBER_MAX, Download, Query, Route

PATH = "/api/v1/openapi.json"
_REF = "#/components/schemas/{name}"
JSON = "application/json"
PROBLEM_TYPE = "application/problem+json"

Object = dict[str, Any]


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457). `title` is a stable word for programs, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str


_ERRORS = {
    400: "The query, a cursor or the JSON is not well formed.",
    401: "Nobody is signed in, or the token is unknown, expired or revoked.",
    403: "The role or the token's scope does not reach so far.",
    404: "There is no such thing in this organization.",
    408: "The request came in too slowly.",
    409: "This contradicts what is there, or the same key is being worked on.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "The body is well formed and still cannot be done; `detail` says why.",
    429: "Too many tries; see Retry-After.",
    503: "The centre or its database is busy or stopped; try again.",
}
_OF_WRITES = (408, 409, 413, 415, 422)


def document(routes: Sequence[Route], version: str) -> Object:
    """Return the document as plain objects."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = dict(zip([id(one) for one in types], schemas, strict=True))
    paths: Object = {}
    for route in routes:
        paths.setdefault(route.plain_path, {})[route.method.lower()] = _operation(route, known, components)
    for route in routes:
        if route.query is not None:
            components.pop(route.query.__name__, None)  # spelled out as parameters
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatehouse",
            "version": version,
            "summary": "Sales data, tickets and gates of one organization",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of /api/v1/tokens (ght_…)."},
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-session",
                    "description": "Signed in through the pages; changes only from the centre's own origin.",
                },
            },
            "responses": {
                _error_name(status): {
                    "description": words,
                    "content": {PROBLEM_TYPE: {"schema": known[id(Problem)]}},
                    **({"headers": _headers(status)} if status in {401, 429, 503} else {}),
                }
                for status, words in _ERRORS.items()
            },
        },
    }  # fmt: skip


def _types(routes: Sequence[Route]) -> list[Any]:
    found: list[Any] = [Problem]
    for route in routes:
        for one in (route.answer, route.body, route.query):
            if one is not None and one not in {bytes, Download} and not any(one is known for known in found):
                found.append(one)
    return found


def _operation(route: Route, known: dict[int, Object], components: Object) -> Object:
    made: Object = {
        "operationId": _operation_id(route),
        "summary": route.summary or _operation_id(route).replace("_", " "),
        "tags": [route.path.split("/")[3]],
        "parameters": _parameters(route, components),
        "responses": {str(route.status if route.answer is not None else 204): _answer(route, known)},
    }
    if route.role is None:
        made["security"] = []
    else:
        made["x-role"] = route.role.value
    if route.body is not None:
        schema: Object = {"type": "string"} if route.body is bytes else known[id(route.body)]
        made["requestBody"] = {"required": True, "content": {route.media_type: {"schema": schema}}}
    statuses = {400, 503}
    if route.role is not None:
        statuses |= {401, 403}
    if route.parameters:
        statuses.add(404)
    if route.writes or route.body is not None:
        statuses |= {*_OF_WRITES, 404}
    if route.query is not None:
        statuses.add(422)
    for status in sorted(statuses):
        made["responses"][str(status)] = {"$ref": f"#/components/responses/{_error_name(status)}"}
    return made


def _parameters(route: Route, components: Object) -> list[Object]:
    made: list[Object] = []
    for name, is_text in route.parameters:
        schema: Object = {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX}
        if is_text:
            schema = {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "pattern": "^[^{}/\\x00-\\x1f\\x7f]+$",
            }
        made.append({"name": name, "in": "path", "required": True, "schema": schema})
    if route.query is not None:
        made += _query(route.query, components)
    if route.idempotent:
        made.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Sent again with the same request within 48 h, the same answer comes; nothing is done twice.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            }
        )
    return made


def _query(query: type[Query], components: Object) -> list[Object]:
    """Return each field of a query struct as a parameter."""
    schema = components[query.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]


def _answer(route: Route, known: dict[int, Object]) -> Object:
    if route.answer is None:
        return {"description": "Done."}
    if route.answer is Download:
        return {"description": "A file.", "content": {"*/*": {"schema": {"type": "string"}}}}
    return {"description": "Done.", "content": {JSON: {"schema": known[id(route.answer)]}}}


def _headers(status: int) -> Object:
    if status == 401:
        return {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}


def _operation_id(route: Route) -> str:
    words = [word.strip("{}") for word in route.plain_path.split("/")[3:]]
    return "_".join((route.method.lower(), *words)).replace("-", "_").replace(".", "_")


def _error_name(status: int) -> str:
    return f"Error{status}"
