"""The API as its users see it: organisations with accounts, and what they can do."""

from __future__ import annotations

import itertools
import re
import secrets
from typing import Any

import httpx

from harness import Kabar, eventually
from whatsapp import Number

ULID = re.compile(r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$")
TOKEN = re.compile(r"\b\d+\|[A-Za-z0-9_]{48,}\b")
UNKNOWN_ID = "01HZK7P5R3Q6V0YH4XJ3M8CHN1"

_serial = itertools.count(secrets.randbelow(10**6) * 1000)


def serial() -> int:
    """A number no other call in this run gets."""
    return next(_serial)


def data(answer: httpx.Response, *statuses: int) -> Any:
    """The `data` of a successful answer."""
    expected = statuses or (200, 201, 202)
    request = answer.request
    assert answer.status_code in expected, f"{request.method} {request.url}: {answer.status_code} {answer.text[:2000]}"
    return answer.json()["data"]


def refused(answer: httpx.Response, status: int, message: str | None = None) -> dict[str, Any]:
    """The body of an error answer in the shape every error has."""
    request = answer.request
    assert answer.status_code == status, f"{request.method} {request.url}: {answer.status_code} {answer.text[:2000]}"
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert isinstance(body["message"], str) and body["message"]
    assert body["request_id"] == answer.headers["x-request-id"]
    if message is not None:
        assert body["message"] == message
    return body


class Api:
    """A caller: a base address, a token, perhaps an organisation."""

    def __init__(self, base_url: str, token: str | None = None, organisation: str | None = None, **options: Any):
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if organisation:
            headers["X-Organisation-Id"] = organisation
        self.token = token
        self.http = httpx.Client(base_url=base_url + "/api/v1", headers=headers, timeout=30, **options)

    def close(self) -> None:
        self.http.close()

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any):
        params = {name.rstrip("_"): value for name, value in query.items()}
        if body is None:
            return self.http.request(method, path, params=params, headers=headers)
        return self.http.request(method, path, params=params, headers=headers, json=body)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.request("POST", path, {} if body is None else body, headers)

    def put(self, path: str, body: Any) -> httpx.Response:
        return self.request("PUT", path, body)

    def patch(self, path: str, body: Any) -> httpx.Response:
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)

    def all(self, path: str, **query: Any) -> list[Any]:
        """Every row of a list, page by page with the cursor."""
        rows: list[Any] = []
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            answer = self.get(path, limit=100, **query, **more)
            rows += data(answer, 200)
            cursor = answer.json()["meta"].get("next_cursor")
            if not cursor:
                return rows

    def understood(self) -> list[Any]:
        """The inbox, once everything in it is understood, newest first."""

        def items() -> list[Any] | None:
            found = self.all("/inbox")
            waiting = [item for item in found if item["confidence"] is None and item["status"] == "new"]
            return found if found and not waiting else None

        return eventually(items)

    def total(self, path: str, **query: Any) -> int:
        answer = self.get(path, limit=1, **query)
        data(answer, 200)
        return answer.json()["meta"]["total"]


def login(kabar: Kabar, email: str, password: str) -> dict[str, Any]:
    return data(kabar.http.post("/api/v1/auth/login", json={"email": email, "password": password}), 200)


class Organisation:
    """A tenant of its own, so that tests on one server do not see each other."""

    def __init__(self, kabar: Kabar, admin_token: str, name: str = "Test"):
        self.kabar = kabar
        self.slug = f"org-{serial()}"
        admin = Api(kabar.base_url, admin_token)
        body = {"name": f"{name} {self.slug}", "slug": self.slug, "timezone": "Asia/Jakarta"}
        self.id: str = data(admin.post("/organisations", body))["id"]
        admin.close()
        self.admin_token = admin_token
        self.api = Api(kabar.base_url, admin_token, self.id)

    def close(self) -> None:
        self.api.close()

    def token(self, abilities: str, *more: str) -> str:
        """A token of the first admin, bound to this organisation."""
        printed = self.kabar.run(
            "token",
            "create",
            "--email",
            Kabar.ADMIN_EMAIL,
            "--organisation",
            self.slug,
            "--abilities",
            abilities,
            "--name",
            f"test {abilities}",
            *more,
        )
        found = TOKEN.findall(printed)
        assert len(found) == 1, printed
        return found[0]

    def caller(self, abilities: str) -> Api:
        return Api(self.kabar.base_url, self.token(abilities))

    def whatsapp(self, app_secret: str | None = None, **fields: Any) -> Account:
        return Account.whatsapp(self, app_secret, fields)

    def telegram(self, **fields: Any) -> Account:
        return Account.telegram(self, fields)

    def conversations(self, **query: Any) -> list[dict[str, Any]]:
        return self.api.all("/conversations", **query)

    def messages(self, **query: Any) -> list[dict[str, Any]]:
        """All messages of all conversations, oldest first in each."""
        return [
            message
            for conversation in self.conversations(**query)
            for message in reversed(self.api.all(f"/conversations/{conversation['id']}/messages"))
        ]

    def message(self, provider_message_id: str, timeout: float = 15.0) -> dict[str, Any]:
        """The one message with this provider id, once it is there."""

        def look() -> dict[str, Any]:
            found = [m for m in self.messages() if m["provider_message_id"] == provider_message_id]
            assert len(found) == 1, f"{len(found)} messages {provider_message_id}"
            return found[0]

        return eventually(look, timeout)

    def contact_of(self, message: dict[str, Any]) -> dict[str, Any]:
        conversation = data(self.api.get(f"/conversations/{message['conversation_id']}"))
        return data(self.api.get(f"/contacts/{conversation['contact_id']}"))

    def held(self, resolved: bool = False) -> list[dict[str, Any]]:
        return self.api.all("/inbound/held", resolved=str(resolved).lower())


class Account:
    """A registered WhatsApp number or Telegram bot."""

    def __init__(self, organisation: Organisation, resource: dict[str, Any]):
        self.organisation = organisation
        self.resource = resource
        self.id: str = resource["id"]
        self.channel_id: str = resource["channel_id"]

    @classmethod
    def whatsapp(cls, organisation: Organisation, app_secret: str | None, fields: dict[str, Any]) -> Account:
        number = Number.new(serial())
        number.phone_number_id = fields.pop("phone_number_id", number.phone_number_id)
        simulator = organisation.kabar.simulator
        if simulator is not None:
            simulator.add_number(
                number.phone_number_id, number.waba_id, number.phone_number, "Simulated", number.access_token
            )
        body = {
            "platform": "whatsapp",
            "display_name": "Sales line",
            "phone_number_id": number.phone_number_id,
            "phone_number": number.phone_number,
            "waba_id": number.waba_id,
            "access_token": number.access_token,
            **({"app_secret": app_secret} if app_secret else {}),
            **fields,
        }
        account = cls(organisation, data(organisation.api.post("/messaging-accounts", body)))
        account.number = number
        return account

    @classmethod
    def telegram(cls, organisation: Organisation, fields: dict[str, Any]) -> Account:
        bot_id = 700_000_000 + serial() % 10**9
        token = f"{bot_id}:{secrets.token_urlsafe(26)}"
        simulator = organisation.kabar.simulator
        assert simulator is not None, "a bot registers its webhook with Telegram"
        simulator.add_bot(token, f"kabar_{bot_id}_bot", "Kabar")
        body = {"platform": "telegram", "display_name": "Bot", "bot_token": token, **fields}
        account = cls(organisation, data(organisation.api.post("/messaging-accounts", body)))
        account.bot_token = token
        account.bot_id = bot_id
        return account

    number: Number
    bot_token: str
    bot_id: int
