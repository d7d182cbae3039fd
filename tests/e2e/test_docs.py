"""The API's description of itself."""

import re

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import whatsapp as wa
from api import data, serial


@pytest.fixture(scope="module")
def document(server):
    answer = server.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def test_it_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_operations_are_named_verb_resource_and_described(document):
    seen = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            name = operation.get("operationId")
            assert name and re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", name), (method, path, name)
            assert name not in seen, name
            seen.add(name)
            assert operation.get("summary") or operation.get("description"), (method, path)
            assert operation["responses"], (method, path)


def test_both_documents_operations_are_there(document):
    have = {(method, re.sub(r"\{\w+\}", "{}", path)) for path, item in document["paths"].items() for method in item}
    wanted = [
        ("post", "/api/v1/auth/login"),
        ("get", "/api/v1/auth/me"),
        ("get", "/api/v1/user/me"),
        ("post", "/api/v1/auth/logout"),
        ("get", "/api/v1/organisations"),
        ("post", "/api/v1/organisations"),
        ("get", "/api/v1/organisations/{}"),
        ("put", "/api/v1/organisations/{}"),
        ("get", "/api/v1/messaging-accounts"),
        ("post", "/api/v1/messaging-accounts"),
        ("put", "/api/v1/messaging-accounts/{}"),
        ("delete", "/api/v1/messaging-accounts/{}"),
        ("get", "/api/v1/channels"),
        ("post", "/api/v1/channels"),
        ("get", "/api/v1/channels/{}"),
        ("put", "/api/v1/channels/{}"),
        ("delete", "/api/v1/channels/{}"),
        ("get", "/api/v1/contacts"),
        ("post", "/api/v1/contacts"),
        ("get", "/api/v1/contacts/{}"),
        ("get", "/api/v1/conversations"),
        ("get", "/api/v1/conversations/{}"),
        ("get", "/api/v1/conversations/{}/messages"),
        ("post", "/api/v1/messages"),
        ("post", "/api/v1/whatsapp/messages"),
        ("post", "/api/v1/whatsapp-api/send"),
        ("post", "/api/v1/whatsapp-api/acknowledge"),
        ("post", "/api/v1/whatsapp-api/send-guide"),
        ("get", "/api/v1/templates"),
        ("post", "/api/v1/templates/send"),
        ("get", "/api/v1/inbox"),
        ("post", "/api/v1/inbox"),
        ("get", "/webhooks/whatsapp"),
        ("post", "/webhooks/whatsapp"),
        ("post", "/webhooks/telegram"),
    ]
    assert [pair for pair in wanted if pair not in have] == []


def test_the_command_prints_the_same_document(server, document):
    import json

    printed = json.loads(server.run("openapi"))
    printed.pop("servers", None)
    served = {key: value for key, value in document.items() if key != "servers"}
    assert printed == served


def test_the_browsable_page_loads_with_all_it_needs(server):
    page = server.http.get("/docs", follow_redirects=True)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    needed = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert needed
    for link in needed:
        assert not re.match(r"(https?:)?//", link), f"{link} comes from elsewhere: the page must work offline"
        assert server.http.get(str(page.url.join(link))).status_code == 200, link


def test_answers_are_as_described(server, organisation, account, document):
    """Real answers against the schemas of the document."""
    incoming = wa.message(f"62820{serial() % 10**7:07d}")
    wa.deliver(server, wa.arrival(account.number, incoming))
    message = organisation.message(incoming["id"])
    api = organisation.api
    data(api.post("/inbox", {"text": "x"}))
    data(api.http.post("/media", files={"file": ("x.txt", b"x")}))
    paths = {
        "/auth/me": "/auth/me",
        "/organisations": "/organisations",
        f"/organisations/{organisation.id}": "/organisations/{}",
        "/messaging-accounts": "/messaging-accounts",
        "/channels": "/channels",
        f"/channels/{account.channel_id}": "/channels/{}",
        "/contacts": "/contacts",
        "/conversations": "/conversations",
        f"/conversations/{message['conversation_id']}": "/conversations/{}",
        f"/conversations/{message['conversation_id']}/messages": "/conversations/{}/messages",
        "/templates": "/templates",
        "/inbox": "/inbox",
        "/events": "/events",
        "/media": "/media",
    }
    described = {re.sub(r"\{\w+\}", "{}", path): item for path, item in document["paths"].items()}
    for path, template in paths.items():
        answer = api.get(path)
        data(answer, 200)
        schema = described["/api/v1" + template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        whole = {"components": document.get("components", {}), **schema}
        jsonschema.Draft202012Validator(whole).validate(answer.json())
