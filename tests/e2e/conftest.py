"""Servers, organisations and accounts for the tests. Tests that touch storage run once on each database."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

pytest.register_assert_rewrite(
    "api", "billing", "browser", "connecting", "harness", "load", "mail", "operations", "sending", "telegram", "whatsapp"
)

import harness  # noqa: E402
from api import Account, Api, Organisation, login  # noqa: E402
from browser import App, View  # noqa: E402
from harness import BACKENDS, Kabar, Postgres, Simulator  # noqa: E402
from telegram import Hook  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    # As long as `eventually` waits.
    expect.set_options(timeout=15_000)
    config.addinivalue_line("markers", "faults: crashes, full disks and lost databases (deselect with -m 'not faults')")


@pytest.fixture(scope="session")
def workspace() -> Iterator[pathlib.Path]:
    directory = harness.temporary_directory("e2e")
    directory.chmod(0o711)
    yield directory
    harness.remove_directory(directory)


@pytest.fixture(scope="session")
def postgres(workspace: pathlib.Path) -> Iterator[Postgres]:
    """One throwaway cluster for the run. Without it the tests fail; they are never skipped."""
    cluster = Postgres(workspace / "postgres")
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def simulator(workspace: pathlib.Path) -> Iterator[Simulator]:
    started = Simulator(workspace)
    yield started
    started.close()


@pytest.fixture(params=BACKENDS, scope="module")
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> Callable[[str], str | None]:
    """The URL of a new empty database; None is the server's own SQLite file."""

    def create(backend: str) -> str | None:
        if backend == "sqlite":
            return None
        return request.getfixturevalue("postgres").create_database()

    return create


@pytest.fixture(scope="session")
def _names() -> Iterator[int]:
    return iter(range(10**6))


@pytest.fixture(scope="module")
def server(
    backend: str,
    workspace: pathlib.Path,
    simulator: Simulator,
    new_database: Callable[[str], str | None],
    _names: Iterator[int],
) -> Iterator[Kabar]:
    """A running server that the tests of one module share on one database."""
    kabar = Kabar(workspace / f"server-{next(_names)}", new_database(backend), simulator=simulator)
    kabar.start()
    yield kabar
    harness.stop_quietly(kabar)


@pytest.fixture(autouse=True)
def _calm_simulator(request: pytest.FixtureRequest) -> None:
    """The simulator calls the module's server back and forgets what the last test asked of it."""
    if "server" in request.fixturenames:
        server: Kabar = request.getfixturevalue("server")
        assert server.simulator is not None
        server.simulator.configure(
            webhook_whatsapp=server.base_url + "/webhooks/whatsapp",
            app_secret=server.keys.app_secret,
            auto_statuses=True,
        )
        server.simulator.clear_faults()


@pytest.fixture
def make_kabar(workspace: pathlib.Path, _names: Iterator[int]) -> Iterator[Callable[..., Kabar]]:
    """Makes servers of one's own, not yet started; they end with the test."""
    made: list[Kabar] = []

    def make(database_url: str | None = None, **options) -> Kabar:
        directory = workspace / f"own-{next(_names)}"
        directory.mkdir()
        made.append(Kabar(directory, database_url, **options))
        return made[-1]

    yield make
    for kabar in made:
        harness.stop_quietly(kabar)


@pytest.fixture
def clock(workspace: pathlib.Path, _names: Iterator[int]) -> harness.Clock:
    """The clock of servers that are started with its `environment`."""
    return harness.Clock(workspace / f"clock-{next(_names)}")


@pytest.fixture(scope="module")
def admin_token(server: Kabar) -> str:
    return login(server, Kabar.ADMIN_EMAIL, server.keys.admin_password)["access_token"]


@pytest.fixture
def new_organisation(server: Kabar, admin_token: str) -> Iterator[Callable[..., Organisation]]:
    made: list[Organisation] = []

    def make(name: str = "Test") -> Organisation:
        made.append(Organisation(server, admin_token, name))
        return made[-1]

    yield make
    for organisation in made:
        organisation.close()


@pytest.fixture
def organisation(new_organisation: Callable[..., Organisation]) -> Organisation:
    """A tenant that only this test uses."""
    return new_organisation()


@pytest.fixture
def api(organisation: Organisation) -> Api:
    return organisation.api


@pytest.fixture
def account(organisation: Organisation) -> Account:
    """A WhatsApp number of its own."""
    return organisation.whatsapp()


@pytest.fixture
def bot(organisation: Organisation) -> Account:
    return organisation.telegram()


@pytest.fixture
def hook(bot: Account) -> Hook:
    return Hook(bot)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**harness.chromium())
        yield browser
        browser.close()


@pytest.fixture
def open_app(chromium: Browser, server: Kabar) -> Iterator[Callable[..., App]]:
    """Opens browsers of their own, nobody signed in yet."""
    made: list[App] = []

    def make(view: View | None = None) -> App:
        made.append(App(chromium.new_context(**(view or View()).context()), server.base_url))
        return made[-1]

    yield make
    for app in made:
        app.context.close()
