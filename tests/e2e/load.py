"""Many webhooks at once over plain sockets, and an account of what was acknowledged."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import whatsapp as wa
from harness import Kabar


class Cut(Exception):
    """An answer that broke off in its middle."""


class Connection:
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, port: int, timeout: float = 30.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self) -> None:
        self.socket.close()

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body. ConnectionError when nothing of it came."""
        received = self.rest
        while b"\r\n\r\n" not in received:
            received += self._more(begun=bool(received))
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split(" ")[1])
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            body += self._more(begun=True)
        self.rest = body[length:]
        return status, headers, body[:length]

    def _more(self, begun: bool) -> bytes:
        try:
            part = self.socket.recv(65536)
        except ConnectionError as error:
            raise (Cut("reset in the middle of an answer") if begun else error) from None
        if not part:
            raise Cut("closed in the middle of an answer") if begun else ConnectionResetError("closed")
        return part


def request(kabar: Kabar, payload: object, secret: str | None = None) -> bytes:
    """A whole signed webhook request."""
    raw = wa.encode(payload)
    head = (
        f"POST /webhooks/whatsapp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: {wa.sign(secret or kabar.keys.app_secret, raw)}\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


@dataclasses.dataclass
class Tally:
    """What was sent (by message id), and what was said of it."""

    sent: set[str] = dataclasses.field(default_factory=set)
    acknowledged: set[str] = dataclasses.field(default_factory=set)
    codes: dict[int, int] = dataclasses.field(default_factory=dict)
    without_retry_after: int = 0
    cut: int = 0
    lost: int = 0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def answered(self, message_id: str, status: int, headers: dict[str, str]) -> None:
        with self.lock:
            self.codes[status] = self.codes.get(status, 0) + 1
            if status == 200:
                self.acknowledged.add(message_id)
            elif status == 503 and "retry-after" not in headers:
                self.without_retry_after += 1


class Load:
    """Posts distinct text messages of a few people from several connections until stopped."""

    def __init__(
        self,
        kabar: Kabar,
        number: wa.Number,
        tally: Tally,
        *,
        connections: int = 8,
        people: int = 16,
        padding: int = 0,
    ):
        self.kabar, self.number, self.tally = kabar, number, tally
        self.people = [f"62850{n:08d}" for n in range(people)]
        self.padding = "x" * padding
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(connections)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a request was never answered"

    def _requests(self, first: int) -> Iterator[tuple[str, bytes]]:
        turn = first
        while not self.stopping.is_set():
            turn += 1
            message = wa.message(self.people[turn % len(self.people)], content={"body": f"nomor {turn} {self.padding}"})
            yield message["id"], request(self.kabar, wa.arrival(self.number, message))

    def _run(self, first: int) -> None:
        connection: Connection | None = None
        for message_id, raw in self._requests(first):
            with self.tally.lock:
                self.tally.sent.add(message_id)
            try:
                connection = connection or Connection(self.kabar.port)
                connection.send(raw)
                status, headers, _ = connection.answer()
            except Cut:
                with self.tally.lock:
                    self.tally.cut += 1
            except OSError:
                with self.tally.lock:
                    self.tally.lost += 1
            else:
                self.tally.answered(message_id, status, headers)
                if headers.get("connection", "").lower() != "close":
                    if status == 200:
                        continue
                    time.sleep(0.05)
                    continue
            if connection is not None:
                connection.close()
                connection = None
            if self.stopping.wait(0.01):
                break
        if connection is not None:
            connection.close()


def parallel(actions: Iterable[Callable[[], None]]) -> None:
    """Runs all at once, started together; the first failure is raised."""
    actions = list(actions)
    barrier = threading.Barrier(len(actions))
    failures: list[BaseException] = []

    def run(action: Callable[[], None]) -> None:
        barrier.wait()
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            failures.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
