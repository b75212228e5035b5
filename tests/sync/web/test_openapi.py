"""The OpenAPI document is true: what it says is what the running centre does, and hostile requests end in a 4xx."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sync.accounts.principal import Role
from sync.web import openapi
from sync.web.app import API_VERSION, api_routes
from tests.sync.people import token_of
from tests.sync.venue import venue_at

EXAMPLES = 8
"""For each operation: enough for every field to be hit in most runs, and the whole stays below a minute."""
DOCUMENT = json.loads(msgspec.json.encode(openapi.document(api_routes(), API_VERSION)))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
)


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A centre in a thread of its own: its address, and an owner's token."""
    ready = threading.Event()
    told: dict[str, Any] = {}

    async def run(data: Path) -> None:
        async with venue_at(data) as venue:
            told["url"] = venue.url
            told["token"] = token_of(venue.centre.database, Role.OWNER, life_s=10**6)
            told["loop"], told["stop"] = asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            await told["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(run(tmp_path_factory.mktemp("centre"))))
    thread.start()
    assert ready.wait(30)
    yield told["url"], told["token"]
    told["loop"].call_soon_threadsafe(told["stop"].set)
    thread.join(30)


def without_pairs(document: Any) -> Any:
    """Return the document with lists in the place of pairs: schemathesis turns `prefixItems` into what OpenAPI 3.1 has not,
    and refuses then what it made itself, as soon as an answer has one."""
    if isinstance(document, list):
        return [without_pairs(one) for one in document]
    if not isinstance(document, dict):
        return document
    plain = {name: without_pairs(one) for name, one in document.items()}
    if "prefixItems" in plain:
        plain["items"] = {"anyOf": plain.pop("prefixItems")}
    return plain


def operations() -> list[Any]:
    schema: Any = schemathesis.openapi.from_dict(without_pairs(DOCUMENT))
    return [one.ok() for one in schema.get_all_operations()]


OPERATIONS = operations()


@pytest.mark.parametrize("operation", OPERATIONS, ids=[one.label for one in OPERATIONS])
def test_an_operation_does_what_the_document_says(centre: tuple[str, str], operation: Any) -> None:
    url, token = centre

    @settings(
        max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def walk(case: Any) -> None:
        case.call_and_validate(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, checks=list(CHECKS), timeout=20
        )

    walk()


def test_the_document_is_whole() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    ids = [one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids)) == len(api_routes())
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"token", "session"}
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name
    for path in DOCUMENT["paths"].values():
        for one in path.values():
            assert one["summary"]
            assert {"400", "503"} <= set(one["responses"])
            body = one.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                found = DOCUMENT["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
                assert found["additionalProperties"] is False, one["operationId"]
