"""WhatsApp webhooks as Meta sends them: bodies, and signatures over their bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import itertools
import json
import secrets
import time
from typing import Any

import httpx

from harness import Kabar

_wamids = itertools.count(1)
_run = secrets.token_hex(6).upper()


def wamid() -> str:
    return f"wamid.{_run}{next(_wamids):010d}"


@dataclasses.dataclass
class Number:
    """A business number."""

    phone_number_id: str
    waba_id: str
    phone_number: str
    access_token: str

    @classmethod
    def new(cls, serial: int) -> Number:
        return cls(f"1{serial:014d}", f"2{serial:014d}", f"+62811{serial % 10**8:08d}", f"EAA{secrets.token_hex(20)}")

    @property
    def digits(self) -> str:
        return self.phone_number.lstrip("+")


def sign(secret: str, raw: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def encode(payload: Any) -> bytes:
    """JSON the way Meta writes it: letters outside ASCII and slashes escaped."""
    return json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode()


def envelope(*changes: dict[str, Any], waba_id: str = "0", entry_time: int | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": waba_id, "changes": list(changes)}
    if entry_time is not None:
        entry["time"] = entry_time
    return {"object": "whatsapp_business_account", "entry": [entry]}


def change(number: Number | str, field: str = "messages", **value: Any) -> dict[str, Any]:
    """One change. `number` is a Number or a bare phone_number_id."""
    phone_number_id = number if isinstance(number, str) else number.phone_number_id
    display = "620000000000" if isinstance(number, str) else number.digits
    return {
        "field": field,
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": display, "phone_number_id": phone_number_id},
            **value,
        },
    }


def contact(wa_id: str | None, name: str = "Budi", **more: Any) -> dict[str, Any]:
    card: dict[str, Any] = {"profile": {"name": name}}
    if wa_id is not None:
        card["wa_id"] = wa_id
    return card | more


def message(sender: str | None, kind: str = "text", content: Any = None, **more: Any) -> dict[str, Any]:
    """One message; without `content` a text."""
    built: dict[str, Any] = {"id": wamid(), "timestamp": str(int(time.time())), "type": kind}
    if sender is not None:
        built["from"] = sender
    if kind == "text" and content is None:
        content = {"body": "AC bocor di Gedung A"}
    if content is not None:
        built[kind] = content
    return built | more


def status(message_id: str, state: str, recipient: str | None, **more: Any) -> dict[str, Any]:
    built: dict[str, Any] = {"id": message_id, "status": state, "timestamp": str(int(time.time()))}
    if recipient is not None:
        built["recipient_id"] = recipient
    return built | more


def arrival(number: Number | str, *messages: dict[str, Any], name: str = "Budi") -> dict[str, Any]:
    """A body with messages and the contacts of their senders."""
    senders = dict.fromkeys(m["from"] for m in messages if "from" in m)
    waba_id = "0" if isinstance(number, str) else number.waba_id
    cards = [contact(sender, name) for sender in senders]
    return envelope(change(number, contacts=cards, messages=list(messages)), waba_id=waba_id)


def statuses(number: Number, *reports: dict[str, Any]) -> dict[str, Any]:
    return envelope(change(number, statuses=list(reports)), waba_id=number.waba_id)


def post_raw(kabar: Kabar, raw: bytes, signature: str | None, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/json", **headers}
    if signature is not None:
        sent["X-Hub-Signature-256"] = signature
    return kabar.http.post("/webhooks/whatsapp", content=raw, headers=sent)


def post(kabar: Kabar, payload: Any, secret: str | None = None) -> httpx.Response:
    raw = encode(payload)
    return post_raw(kabar, raw, sign(secret or kabar.keys.app_secret, raw))


def deliver(kabar: Kabar, payload: Any, secret: str | None = None) -> None:
    """Posts a signed body that must be acknowledged with exactly 200."""
    answer = post(kabar, payload, secret)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
