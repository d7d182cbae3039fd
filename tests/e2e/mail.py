"""What notifications go out over: a real SMTP server, and an SMS service that answers as Twilio does."""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import pathlib
import queue
import ssl
import subprocess
import threading
import urllib.parse
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from harness import free_port


class Mail:
    """An SMTP server. `moods` says what it does with the next messages: `take`, `drop` (takes the message and closes
    the connection without a word), `stall` (takes it and answers once `release` is set), or a line it answers the
    recipient with."""

    def __init__(self, port: int | None = None, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None):
        self.port = port or free_port()
        self.taken: list[EmailMessage] = []
        self.logins: list[tuple[str, str]] = []
        self.moods: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.release = threading.Event()
        self._login = login
        self._options = {
            "tls_context": tls,
            "require_starttls": tls is not None,
            "auth_required": login is not None,
            "authenticator": self._authenticate if login else None,
        }
        self._controller: Controller | None = None

    def open(self) -> Mail:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **self._options)
        self._controller.start()
        return self

    def close(self) -> None:
        self.release.set()
        if self._controller is not None:
            self._controller.stop(no_assert=True)
            self._controller = None

    def to(self, address: str) -> list[EmailMessage]:
        return [message for message in self.taken if message["To"] == address]

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        self.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=self.logins[-1] == self._login)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        session.mood = "take" if self.moods.empty() else self.moods.get()
        if session.mood[0].isdigit():
            return session.mood
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        if session.mood == "drop":
            server.transport.abort()
        elif session.mood == "stall":
            await server.loop.run_in_executor(None, self.release.wait, 60)
        return "250 OK taken"


def certificate(directory: pathlib.Path) -> tuple[pathlib.Path, ssl.SSLContext]:
    """A certificate for localhost, and a server's context with it."""
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


class Sms:
    """`answers` holds what the next messages are answered with: a status and a body; it takes those after them."""

    ACCOUNT, TOKEN, FROM = "AC" + "0" * 32, "sms-token-hunter2", "+15005550006"

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True))
                service.taken.append(form | {"path": self.path, "authorization": self.headers["Authorization"]})
                sid = f"SM{len(service.taken):032x}"
                status, answer = (201, {"sid": sid}) if service.answers.empty() else service.answers.get()
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def to(self, number: str) -> list[dict[str, str]]:
        return [form for form in self.taken if form["To"] == number]

    @property
    def settings(self) -> dict[str, str]:
        return {
            "KABAR_SMS_URL": self.url,
            "KABAR_SMS_ACCOUNT": self.ACCOUNT,
            "KABAR_SMS_TOKEN": self.TOKEN,
            "KABAR_SMS_FROM": self.FROM,
        }
