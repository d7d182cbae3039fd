"""Telegram updates as the Bot API server posts them."""

from __future__ import annotations

import itertools
import secrets
import time
import urllib.parse
from typing import Any

import httpx

from api import Account
from harness import Kabar, eventually

_updates = itertools.count(secrets.randbelow(10**8))
# A chat numbers both sides' messages in one row; far from where the simulator begins.
_messages = itertools.count(1_000_000)


def person(user_id: int, first_name: str = "Siti", **more: Any) -> dict[str, Any]:
    return {"id": user_id, "is_bot": False, "first_name": first_name, "language_code": "id", **more}


def private(user_id: int, first_name: str = "Siti") -> dict[str, Any]:
    return {"id": user_id, "type": "private", "first_name": first_name}


def group(chat_id: int, title: str = "Gedung A", kind: str = "supergroup", **more: Any) -> dict[str, Any]:
    return {"id": chat_id, "type": kind, "title": title, **more}


def message(user_id: int, chat: dict[str, Any] | None = None, **content: Any) -> dict[str, Any]:
    """A message; without content a text. In a private chat unless `chat` says otherwise."""
    if not content:
        content = {"text": "AC bocor di Gedung A"}
    return {
        "message_id": next(_messages),
        "from": person(user_id),
        "chat": chat or private(user_id),
        "date": int(time.time()),
        **content,
    }


def update(**kind: Any) -> dict[str, Any]:
    return {"update_id": next(_updates), **kind}


def provider_id(sent: dict[str, Any]) -> str:
    """The name under which a message is stored: its id is unique only inside its chat."""
    return f"{sent['chat']['id']}:{sent['message_id']}"


class Hook:
    """A bot's own webhook address and secret, as Kabar gave them to Telegram."""

    def __init__(self, account: Account):
        self.kabar: Kabar = account.organisation.kabar
        simulator = self.kabar.simulator
        assert simulator is not None

        def registered() -> dict[str, Any]:
            calls = [
                call
                for call in simulator.requests(provider="telegram")
                if call["method"].lower() == "setwebhook" and account.bot_token in call["path"]
            ]
            assert calls, "Kabar has not called setWebhook"
            return calls[-1]["body"]

        call = eventually(registered)
        self.url: str = call["url"]
        self.path = urllib.parse.urlsplit(self.url).path
        self.secret: str = call["secret_token"]
        self.allowed_updates = call.get("allowed_updates")

    def post(self, payload: Any, secret: str | None = None) -> httpx.Response:
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.secret if secret is None else secret}
        return self.kabar.http.post(self.path, json=payload, headers=headers)

    def deliver(self, payload: Any) -> None:
        answer = self.post(payload)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        # A JSON body with a `method` is executed by Telegram: only a tap is answered so.
        if "callback_query" in payload:
            query = {"method": "answerCallbackQuery", "callback_query_id": payload["callback_query"]["id"]}
            assert answer.json() == query
        else:
            assert "method" not in answer.text
