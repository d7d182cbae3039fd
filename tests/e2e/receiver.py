"""An app that takes webhooks."""

from __future__ import annotations

import dataclasses
import http.server
import json
import threading
from collections.abc import Callable
from typing import Any

from harness import eventually


@dataclasses.dataclass
class Hook:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)


class Receiver:
    """Keeps what comes and answers 204, or what `answer` says of a path."""

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self._answers: dict[str, int] = {}
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver._hooks.append(Hook(self.path, headers, raw))
                self.send_response(receiver._answers.get(self.path, 204))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def answer(self, path: str, status: int) -> None:
        self._answers[path] = status

    def hooks(self, path: str) -> list[Hook]:
        return [hook for hook in list(self._hooks) if hook.path == path]

    def wait(self, path: str, enough: int | Callable[[list[Hook]], Any] = 1, timeout: float = 20.0) -> list[Hook]:
        """What came to a path, once it is enough."""

        def look() -> list[Hook]:
            hooks = self.hooks(path)
            assert len(hooks) >= enough if isinstance(enough, int) else enough(hooks)
            return hooks

        return eventually(look, timeout)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
