"""Chat widgets: an organisation's server, its visitors, and a page of another origin that holds the widget."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import threading
from typing import Any

import httpx

from api import Organisation, data, serial
from harness import Kabar

ORIGIN = "https://shop.example"


def create_widget(organisation: Organisation, **fields: Any) -> dict[str, Any]:
    body = {"slug": f"shop-{serial()}", "name": "Shop", "allowed_origins": [ORIGIN], **fields}
    return data(organisation.api.post("/widgets", body), 201)


def mint(organisation: Organisation, widget: dict[str, Any], subject: str, **fields: Any) -> str:
    body = {"slug": widget["slug"], "subject": subject, **fields}
    return data(organisation.api.post("/embed-tokens", body), 200)["token"]


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A token's header and claims."""
    parts = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2]]
    return parts[0], parts[1]


def forged(token: str, secret: bytes = b"guess", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """The token with other claims, signed with a key of one's own."""
    head, body = decoded(token)

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    signed = f"{part(head | (header or {}))}.{part(body | claims)}"
    tag = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(tag).decode().rstrip('=')}"


class Visitor:
    """A visitor's browser without its looks."""

    def __init__(self, kabar: Kabar, token: str, origin: str | None = ORIGIN):
        headers = {"Authorization": f"Bearer {token}", **({"Origin": origin} if origin else {})}
        self.token = token
        self.http = httpx.Client(base_url=kabar.base_url + "/embed/v1", headers=headers, timeout=30)

    def begin(self, *languages: str) -> dict[str, Any]:
        return data(self.http.post("/session", json={"languages": languages}), 200)

    def write(self, body: str, client_id: str | None = None, **fields: Any) -> str:
        client_id = client_id or f"c-{serial()}"
        data(self.http.post("/messages", json={"client_id": client_id, "body": body, **fields}), 200)
        return client_id

    def history(self, **query: Any) -> list[dict[str, Any]]:
        """Newest first."""
        answer = self.http.get("/messages", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def attach(self, name: str, content: bytes, kind: str) -> str:
        return data(self.http.post("/attachments", files={"file": (name, content, kind)}), 200)["id"]

    def listen(self, after: int | None = None) -> Events:
        return Events(self, after)


class Events:
    """A visitor's stream."""

    def __init__(self, visitor: Visitor, after: int | None):
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        self._stream = visitor.http.stream("GET", "/events", headers=headers, timeout=30)
        self._answer = self._stream.__enter__()
        assert self._answer.status_code == 200, self._answer.read()
        self._lines = self._answer.iter_lines()
        self.last = 0

    def close(self) -> None:
        self._stream.__exit__(None, None, None)

    def next(self, kind: str | None = None) -> dict[str, Any] | None:
        """The next event, of this kind if it is given; None when the stream ended."""
        event, value = None, None
        for line in self._lines:
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                value = json.loads(line[6:])
            elif line.startswith("id: "):
                self.last = int(line[4:])
            elif not line and value is not None:
                if kind in (None, event):
                    return {"event": event, **value}
                event, value = None, None
        return None


class Site:
    """A web site of another origin: every path is a page with what the test puts on it."""

    def __init__(self) -> None:
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = site.html.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                if site.policy:
                    self.send_header("Content-Security-Policy", site.policy)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.html = ""
        self.policy: str | None = None
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Another origin than the server's, and a name that browsers take for this machine.
        self.origin = f"http://shop.localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
