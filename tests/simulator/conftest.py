"""A running simulator, a webhook to call, and the two client libraries pointed at them."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import os
import pathlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from pywa import WhatsApp

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "test_app_secret"
NUMBER = "106540352242922"
WABA = "102290129340398"
TOKEN = "EAAsimulated"
BOT = "123456789:simulated-secret"
PERSON = "6281234567890"


@dataclass
class Call:
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """What the webhook received, in order."""

    calls: list[Call] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait(self, count: int) -> list[Call]:
        deadline = time.monotonic() + 5
        while len(self.calls) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.calls) >= count, f"{len(self.calls)} of {count} webhook calls"
        return self.calls

    def signed(self, count: int) -> list[Call]:
        """Waits, and checks Meta's signature on every call."""
        for call in self.wait(count):
            digest = hmac.new(SECRET.encode(), call.body, hashlib.sha256).hexdigest()
            assert call.headers["x-hub-signature-256"] == f"sha256={digest}"
        return self.calls


@dataclass
class Simulator:
    base: str
    http: httpx.Client

    def post(self, path: str, body: object) -> dict:
        answer = self.http.post(f"{self.base}/_sim/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sent(self) -> list[dict]:
        return self.http.get(f"{self.base}/_sim/sent").json()["data"]


@pytest.fixture(scope="session")
def hook_server() -> Iterator[Hook]:
    hook = Hook()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.calls.append(Call({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hook
    server.shutdown()


@pytest.fixture(scope="session")
def process(hook_server: Hook) -> Iterator[Simulator]:
    binary = os.environ.get("KABAR_SIMULATOR_BIN", str(ROOT / "target/debug/kabar-simulator"))
    arguments = [
        *("--listen", "127.0.0.1:0"),
        *("--webhook-whatsapp", hook_server.url),
        *("--app-secret", SECRET),
        *("--number", f"{NUMBER}:{WABA}:6281111111111:{TOKEN}"),
        *("--bot", BOT),
    ]
    child = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, text=True)
    line = child.stdout.readline()
    assert line.startswith("listening on http://"), line
    with httpx.Client() as client:
        yield Simulator(line.removeprefix("listening on ").strip(), client)
    child.terminate()
    child.wait()


@pytest.fixture
def simulator(process: Simulator, hook_server: Hook) -> Simulator:
    """The process, with nothing left over from another test."""
    process.http.delete(f"{process.base}/_sim/faults")
    process.http.delete(f"{process.base}/_sim/sent")
    process.post("config", {"auto_statuses": False})
    process.post("tokens", {"phone_number_id": NUMBER, "access_token": TOKEN})
    hook_server.calls.clear()
    return process


@pytest.fixture
def hook(simulator: Simulator, hook_server: Hook) -> Hook:
    return hook_server


@pytest.fixture
def wa(simulator: Simulator) -> Iterator[WhatsApp]:
    """pywa takes any HTTP session but sets its address itself; it is set again here."""
    session = httpx.Client()
    client = WhatsApp(phone_id=NUMBER, token=TOKEN, session=session, waba_id=WABA, app_secret=SECRET)
    version = str(session.base_url).rstrip("/").rsplit("/", 1)[-1]
    session.base_url = f"{simulator.base}/{version}"
    yield client
    session.close()
