"""Processes under test: the server, the provider simulator, and a throwaway PostgreSQL cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
BACKENDS = ("sqlite", "postgres")
# How the terminal names the first administrator's password.
PASSWORD = re.compile(r"(?i)\bpassword\b(?: \([^)]*\))?\W+(?:is\W+)?([A-Za-z0-9_\-]{12,})")

T = TypeVar("T")


def eventually(check: Callable[[], T], timeout: float = 15.0, interval: float = 0.05) -> T:
    """What `check` returns, once it returns something true without a failed assertion."""
    deadline = time.monotonic() + timeout
    while True:
        failure: BaseException | None = None
        try:
            result = check()
            if result:
                return result
        except (AssertionError, httpx.TransportError) as error:
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s") from failure
        time.sleep(interval)


def program(name: str) -> str:
    """The path of a compiled program: KABAR_BIN, KABAR_SIMULATOR_BIN, or the debug build."""
    path = os.environ.get(name.upper().replace("-", "_") + "_BIN") or ROOT / "target" / "debug" / name
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{path} is not there; build it with: cargo build -p kabar -p kabar-simulator")
    return str(path)


def free_port() -> int:
    """One below those the system gives to outgoing connections, so that none of them takes it meanwhile."""
    while True:
        port = 10_240 + secrets.randbelow(22_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def chromium() -> dict[str, Any]:
    """How to start a browser."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program, "chromium is missing; scripts/test-setup installs it"
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    return {"executable_path": program, "args": arguments, "headless": True}


class Process:
    """A child process with its output in one file."""

    def __init__(self, arguments: list[str], directory: pathlib.Path, environment: dict[str, str], log: pathlib.Path):
        self.log_path = log
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            arguments, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 30.0) -> int:
        try:
            return self.process.wait(timeout)
        finally:
            if self.process.poll() is not None:
                self._log.close()

    def kill(self) -> None:
        if self.running:
            self.process.kill()
        self.wait()

    def terminate(self, timeout: float = 30.0) -> int:
        """Asks it to end and returns how it did."""
        if self.running:
            self.process.terminate()
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {timeout} s after SIGTERM:\n{self.log()[-4000:]}") from None


def bare_environment() -> dict[str, str]:
    """This process's environment without anything that configures the server."""
    ours = re.compile(r"^(KABAR|META|WHATSAPP|TELEGRAM|RUST_LOG)")
    return {name: value for name, value in os.environ.items() if not ours.match(name)}


def psql(url: str, text: str) -> str:
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


class Postgres:
    """A cluster made by scripts/postgres."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.url = self.start()

    def _script(self, *arguments: str) -> str:
        done = subprocess.run(
            [ROOT / "scripts" / "postgres", arguments[0], self.directory, *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"these tests need PostgreSQL (scripts/test-setup installs it): {done.stderr}")
        return done.stdout.strip()

    def start(self) -> str:
        return self._script("start")

    def stop(self, now: bool = False) -> None:
        self._script("stop", *(["--now"] if now else []))

    def remove(self) -> None:
        self._script("remove")

    def sql(self, text: str) -> str:
        return psql(self.url, text)

    def url_of(self, database: str) -> str:
        return self.url.rsplit("/", 1)[0] + "/" + database

    def create_database(self, options: str = "") -> str:
        name = "kabar_" + secrets.token_hex(6)
        self.sql(f"CREATE DATABASE {name} {options}")
        return self.url_of(name)


class Clock:
    """A machine's clock for servers started with `environment`, as far ahead or behind as it is set."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        assert libraries, "these tests need libfaketime (scripts/test-setup installs it)"
        self.environment = {
            "LD_PRELOAD": libraries[0],
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, hours: float) -> None:
        # In one step: the server reads the file whenever it looks at the clock.
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{hours:+}h")
        fresh.rename(self._path)


@dataclasses.dataclass
class Secrets:
    """What the server under test is configured with. None of it may ever be logged."""

    app_secret: str = dataclasses.field(default_factory=lambda: secrets.token_hex(16))
    verify_token: str = dataclasses.field(default_factory=lambda: "verify-" + secrets.token_hex(8))
    telegram_secret: str = dataclasses.field(default_factory=lambda: "tg-" + secrets.token_hex(12))
    admin_password: str = dataclasses.field(default_factory=lambda: "Adm1n-" + secrets.token_urlsafe(12))


class Kabar:
    """The server: one data directory and one database, started and stopped as often as a test likes."""

    ADMIN_EMAIL = "admin@example.com"

    def __init__(
        self,
        directory: pathlib.Path,
        database_url: str | None = None,
        *,
        data_dir: pathlib.Path | None = None,
        simulator: Simulator | None = None,
        environment: dict[str, str | None] | None = None,
        keys: Secrets | None = None,
    ):
        self.directory = directory
        self.keys = keys or Secrets()
        self.simulator = simulator
        self.port = free_port()
        self.data_dir = data_dir or directory / "data"
        self.database_url = database_url or f"sqlite://{self.data_dir}/kabar.db"
        self.log_path = directory / "kabar.log"
        self.process: Process | None = None
        self._http: httpx.Client | None = None
        provider = simulator.base_url if simulator else "http://127.0.0.1:9"
        wanted: dict[str, str | None] = {
            **bare_environment(),
            "KABAR_LISTEN": f"127.0.0.1:{self.port}",
            "KABAR_DATABASE_URL": self.database_url,
            "KABAR_DATA_DIR": str(self.data_dir),
            "KABAR_PUBLIC_URL": self.base_url,
            "KABAR_ADMIN_EMAIL": self.ADMIN_EMAIL,
            "KABAR_ADMIN_PASSWORD": self.keys.admin_password,
            "META_APP_SECRET": self.keys.app_secret,
            "META_APP_ID": "100000000000001",
            "META_CONFIG_ID": "200000000000002",
            "WHATSAPP_VERIFY_TOKEN": self.keys.verify_token,
            "TELEGRAM_WEBHOOK_SECRET": self.keys.telegram_secret,
            "KABAR_META_BASE_URL": provider,
            "KABAR_TELEGRAM_BASE_URL": provider,
            # Addresses that tests give as users lead to this machine.
            "KABAR_ALLOWED_NETWORKS": "127.0.0.0/8",
            # Nobody listens there: mail waits.
            "KABAR_SMTP_URL": "smtp://127.0.0.1:9",
            **(environment or {}),
        }
        self.environment = {name: value for name, value in wanted.items() if value is not None}

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def http(self) -> httpx.Client:
        """A plain client without credentials."""
        if self._http is None:
            self._http = httpx.Client(base_url=self.base_url, timeout=30)
        return self._http

    def start(self, *arguments: str, wait: bool = True, timeout: float = 30.0) -> Kabar:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = Process(
            [program("kabar"), *(arguments or ("serve",))], self.directory, self.environment, self.log_path
        )
        if wait:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                if self.http.get("/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if self.process is None or not self.process.running:
                raise AssertionError(f"the server ended while starting:\n{self.log()[-4000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready within {timeout} s:\n{self.log()[-4000:]}")
            time.sleep(0.02)

    def stop(self, timeout: float = 30.0) -> int:
        self._close()
        assert self.process is not None
        return self.process.terminate(timeout)

    def kill(self) -> None:
        self._close()
        if self.process is not None:
            self.process.kill()

    def _close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def cli(self, *arguments: str, stdin: str = "", timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Runs a command of the program in the server's environment."""
        return subprocess.run(
            [program("kabar"), *arguments],
            cwd=self.directory,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def run(self, *arguments: str, stdin: str = "") -> str:
        """As `cli`, but it must succeed; returns what it printed."""
        done = self.cli(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kabar {' '.join(arguments)} ended {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def held(self) -> list[dict[str, Any]]:
        """Everything held back, of all organisations and of none, newest first."""
        printed = self.run("inbound", "list", "--held", "--limit", "1000", "--json")
        return [json.loads(line) for line in printed.splitlines()]

    def sql(self, text: str) -> str:
        """Looks into, or reaches into, the database behind the server's back. One value comes back as text."""
        if self.database_url.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(self.data_dir / "kabar.db", timeout=10)) as database, database:
                row = database.execute(text).fetchone()
            return "" if row is None else str(row[0])
        return psql(self.database_url, text)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        total = 0.0
        for line in self.http.get("/metrics").text.splitlines():
            found = re.match(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", line)
            if found and found[1] == name:
                given = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2] or ""))
                if all(given.get(label) == value for label, value in labels.items()):
                    total += float(found[3])
        return total

    def memory(self) -> int:
        """Resident memory in bytes."""
        assert self.process is not None
        status = pathlib.Path(f"/proc/{self.process.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024

    def wait_applied(self, timeout: float = 60.0) -> None:
        """Until everything acknowledged is applied."""
        eventually(lambda: self.metric("kabar_inbound_backlog") == 0, timeout)


class Simulator:
    """Meta's and Telegram's APIs in one process, with its control plane under /_sim/."""

    def __init__(self, directory: pathlib.Path):
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.base_url, timeout=10)
        self.process = Process(
            [program("kabar-simulator"), "--listen", f"127.0.0.1:{self.port}"],
            directory,
            bare_environment(),
            directory / "simulator.log",
        )

        def answers() -> bool:
            if not self.process.running:
                raise RuntimeError(f"the simulator ended:\n{self.process.log()}")
            return self.http.get("/_sim/sent").status_code == 200

        eventually(answers)

    def close(self) -> None:
        self.http.close()
        self.process.kill()

    def post(self, path: str, body: Any) -> Any:
        answer = self.http.post(f"/_sim/{path}", json=body)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def configure(self, **fields: Any) -> None:
        self.post("config", fields)

    def add_number(self, phone_number_id: str, waba_id: str, phone_number: str, name: str, access_token: str) -> None:
        self.configure(
            numbers=[
                {
                    "phone_number_id": phone_number_id,
                    "waba_id": waba_id,
                    "display_phone_number": phone_number,
                    "verified_name": name,
                    "access_token": access_token,
                }
            ]
        )

    def add_bot(self, token: str, username: str, first_name: str) -> None:
        self.configure(bots=[{"token": token, "username": username, "first_name": first_name}])

    def create_group(self, phone_number_id: str, access_token: str, subject: str) -> str:
        """A WhatsApp group of this number; its id."""
        path, headers = f"/v24.0/{phone_number_id}/groups", {"Authorization": f"Bearer {access_token}"}
        body = {"messaging_product": "whatsapp", "subject": subject}
        assert self.http.post(path, json=body, headers=headers).is_success
        groups = self.http.get(path, headers=headers).json()["data"]["groups"]
        return next(group["id"] for group in groups if group["subject"] == subject)

    def fault(self, kind: str, **fields: Any) -> None:
        self.post("faults", {"kind": kind, **fields})

    def clear_faults(self) -> None:
        assert self.http.delete("/_sim/faults").is_success

    def sent(self, **match: str) -> list[dict[str, Any]]:
        """Accepted messages, oldest first, whose fields equal `match`."""
        return self._listed("sent", match)

    def requests(self, **match: str) -> list[dict[str, Any]]:
        """Requests to the provider APIs, whatever became of them."""
        return self._listed("received-requests", match)

    def _listed(self, what: str, match: dict[str, str]) -> list[dict[str, Any]]:
        filters = {name: value for name, value in match.items() if name in ("provider", "to")}
        answer = self.http.get(f"/_sim/{what}", params=filters)
        assert answer.is_success, answer.text
        return [row for row in answer.json()["data"] if all(row.get(name) == value for name, value in match.items())]


def temporary_directory(prefix: str) -> pathlib.Path:
    """A directory with a short name: sockets and URLs are built from it."""
    return pathlib.Path(tempfile.mkdtemp(prefix=f"kabar-{prefix}-"))


def remove_directory(path: pathlib.Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def stop_quietly(kabar: Kabar) -> None:
    if kabar.process is not None and kabar.process.running:
        kabar.process.signal(signal.SIGKILL)
    kabar.kill()
