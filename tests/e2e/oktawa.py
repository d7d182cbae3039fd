"""The API that clients of OktaWa were made for, as a client generator wants it, and the client it makes."""

from __future__ import annotations

import importlib
import json
import pathlib
import re
import subprocess
import sys
from types import ModuleType
from typing import Any

OBJECT = {"type": "object", "properties": {}}


def schema(shape: Any) -> dict[str, Any]:
    """`{"name": "string"}` as JSON Schema: `*` after a name is required, `?` after a type nullable, `[…]` a list."""
    if isinstance(shape, dict):
        properties = {name.rstrip("*"): schema(value) for name, value in shape.items()}
        required = [name.rstrip("*") for name in shape if name.endswith("*")]
        made: dict[str, Any] = {"type": "object", "properties": properties}
        return made | ({"required": required} if required else {})
    if isinstance(shape, list):
        return {"type": "array", "items": schema(shape[0])}
    kind = shape.rstrip("?")
    made = dict(OBJECT) if kind == "object" else {"type": kind}
    return made | ({"nullable": True} if shape.endswith("?") else {})


def words(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "string")


CONTACT = words("id wa_id phone name") | {"email": "string?", "language": "string"}
QUEUED = words("id conversation_id channel_id direction type body status created_at")
MESSAGE = words("message")
PAGE = {"current_page": "integer", "per_page": "integer", "total": "integer"}

# Method, path, name; parameters of the query; the body; answers by status.
OPERATIONS: list[tuple[str, str, str, dict[str, str], Any, dict[str, Any]]] = [
    ("get", "/api/v1/channels", "listChannels", {}, None, {
        "200": {"data": [words("id type status display_name phone_number connected_at last_seen_at")]},
    }),
    ("get", "/api/v1/channels/{id}", "getAChannel", {}, None, {"401": MESSAGE}),
    ("get", "/api/v1/contacts", "listContacts", {"search": "string", "per_page": "integer", "page": "integer"}, None, {
        "200": {"data": [CONTACT | words("last_seen_at created_at")], "meta": PAGE},
    }),
    ("post", "/api/v1/contacts", "createOrUpdateAContact", {}, {
        "wa_id*": "string", "phone": "string?", "name": "string?", "email": "string?", "language": "string?",
        "profile": "object?", "custom_fields": "object?",
    }, {"200": {"data": CONTACT}}),
    ("get", "/api/v1/contacts/{id}", "getAContact", {}, None, {"401": MESSAGE, "404": MESSAGE}),
    ("get", "/api/v1/conversations", "listConversations",
     {"status": "string", "channel_id": "string", "per_page": "integer"}, None, {
        "200": {"data": [words("id status priority channel_id contact_id last_message_at") | {"unread_count": "integer"}]},
    }),
    ("get", "/api/v1/conversations/{id}", "getAConversation", {}, None, {"401": MESSAGE}),
    ("get", "/api/v1/conversations/{id}/messages", "listMessagesInAConversation", {"per_page": "integer"}, None,
     {"401": MESSAGE}),
    ("post", "/api/v1/embed-tokens", "mintASignedWidgetToken", {}, {
        "slug*": "string", "subject*": "string", "context": "object?", "ttl_seconds": "integer?",
    }, {"200": {"data": words("token slug") | {"expires_in": "integer"}}}),
    ("post", "/api/integrations/meta/embedded-signup", "postApiIntegrationsMetaEmbeddedSignup", {},
     {"code*": "string", "waba_id*": "string"}, {}),
    ("post", "/api/webhooks/neoleap", "postApiWebhooksNeoleap", {}, None, {}),
    ("post", "/api/v1/messages", "sendAMessage", {}, {
        "channel_id": "string", "conversation_id": "string?", "wa_id": "string", "type": "string?", "body*": "string",
        "media_url": "string?",
    }, {"200": {"data": QUEUED}, "404": MESSAGE, "422": MESSAGE | {"errors": {"channel_id": ["string"]}}}),
    ("post", "/api/v1/oauth/token", "exchangeCodeForToken", {}, words("code* redirect_uri*"), {
        "200": {"data": words("access_token token_type") | {"abilities": ["string"]}}, "400": words("error message"),
    }),
    ("get", "/api/v1/templates", "listTemplates", words("status language"), None, {"401": MESSAGE}),
    ("post", "/api/v1/templates/send", "sendATemplateMessage", {}, {
        "channel_id*": "string", "wa_id*": "string", "template_name*": "string", "language": "string?",
        "variables": ["string"],
    }, {"200": {"data": words("id type status")}, "404": MESSAGE}),
]  # fmt: skip


def statuses(name: str) -> set[str]:
    """The statuses that the document has for an operation, named as the generator names it."""
    [found] = [row[5] for row in OPERATIONS if re.sub("[A-Z]", lambda big: "_" + big[0].lower(), row[2]) == name]
    return set(found)


def document() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for method, path, name, query, body, answers in OPERATIONS:
        operation: dict[str, Any] = {
            "operationId": name,
            "parameters": [
                {"in": "query", "name": key, "required": False, "schema": {"type": kind}} for key, kind in query.items()
            ],
            "responses": {
                status: {"description": "", "content": {"application/json": {"schema": schema(shape)}}}
                for status, shape in answers.items()
            },
        }
        if body is not None:
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema(body)}}}
        item = paths.setdefault(path, {})
        item[method] = operation
        if "{id}" in path:
            item["parameters"] = [{"in": "path", "name": "id", "required": True, "schema": {"type": "string"}}]
    return {
        "openapi": "3.0.3",
        "info": {"title": "OktaWa", "version": "1.0.0"},
        "components": {"securitySchemes": {"default": {"type": "http", "scheme": "bearer"}}},
        "security": [{"default": []}],
        "paths": paths,
    }


def generate(folder: pathlib.Path) -> ModuleType:
    """The Python package that openapi-python-client makes of the document."""
    (folder / "document.json").write_text(json.dumps(document()))
    (folder / "config.json").write_text(json.dumps({"package_name_override": "oktawa_client", "post_hooks": []}))
    made = subprocess.run(
        [
            pathlib.Path(sys.executable).with_name("openapi-python-client"),
            *("generate", "--path", "document.json", "--config", "config.json", "--meta", "none", "--fail-on-warning"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    return importlib.import_module("oktawa_client")
