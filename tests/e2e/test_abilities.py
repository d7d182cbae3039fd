"""Each operation says in the API's description which ability it needs, and that is true: all operations are tried with
each ability alone and with none."""

import pytest

from api import Api, refused
from test_tenancy import call, operations

ABILITIES = ("read", "write", "send", "admin")
# These end the token that calls them.
FATAL = {("post", "/api/v1/auth/logout")}


@pytest.fixture(scope="module")
def document(server):
    return server.http.get("/openapi.json").json()


@pytest.fixture
def tokens(server, organisation):
    """A token with each ability alone, and one with none."""
    made = {ability: organisation.token(ability) for ability in ABILITIES}
    made["none"] = organisation.token("read")
    server.sql(f"UPDATE api_tokens SET abilities = '[]' WHERE id = {made['none'].split('|')[0]}")
    return made


def declared(document, method, path):
    return document["paths"][path][method].get("x-required-ability")


def test_every_operation_declares_what_it_needs(document):
    for method, path in operations(document):
        if not path.startswith("/api/v1/"):
            continue
        operation = document["paths"][path][method]
        needs = operation.get("x-required-ability")
        if operation["security"] in ([], [{}]):
            assert needs is None, (method, path)
            continue
        assert needs is not None and set(needs) <= set(ABILITIES), (method, path)
        # The same, where OpenAPI has a place for it.
        roles = {role for requirement in operation["security"] for roles in requirement.values() for role in roles}
        assert roles == set(needs)


def test_what_is_declared_is_what_is_needed(server, document, tokens):
    tried = 0
    for method, path in operations(document):
        needs = declared(document, method, path)
        if not path.startswith("/api/v1/") or needs is None or (method, path) in FATAL:
            continue
        for ability, token in tokens.items():
            answer = call(server.http, method, path, headers={"Authorization": f"Bearer {token}"})
            if not needs or ability in needs or ability == "admin":
                assert answer.status_code not in (401, 403, 500), f"{method} {path} with {ability}: {answer.text}"
            else:
                message = refused(answer, 403)["message"]
                assert any(f"`{need}`" in message for need in needs), f"{method} {path} with {ability}: {message}"
            tried += 1
    assert tried > 500


def test_signing_out_needs_none(server, tokens):
    assert Api(server.base_url, tokens["none"]).post("/auth/logout").status_code == 204
