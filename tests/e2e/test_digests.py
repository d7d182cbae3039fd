"""The daily digest of supervisors."""

import datetime
import zoneinfo

import pytest

from api import Organisation, data, login, serial
from harness import Kabar, eventually, stop_quietly
from mail import Mail

ZONE = "Asia/Tokyo"


@pytest.fixture(scope="module")
def mail():
    started = Mail().open()
    yield started
    started.close()


@pytest.fixture(scope="module")
def server(backend, workspace, simulator, new_database, _names, mail):
    environment = {"KABAR_SMTP_URL": f"smtp://127.0.0.1:{mail.port}", "KABAR_SMTP_FROM": "ops@acme.example"}
    directory = workspace / f"server-{next(_names)}"
    kabar = Kabar(directory, new_database(backend), simulator=simulator, environment=environment)
    kabar.start()
    yield kabar
    stop_quietly(kabar)


def supervisor(server, organisation):
    """A person of the organisation, and their id."""
    email = f"sup-{serial()}@example.com"
    create = ("user", "create", "--email", email, "--name", "Sup", "--role", "supervisor")
    server.run(*create, "--organisation", organisation.slug, "--password-stdin", stdin="rahasia sekali 123\n")
    return email, login(server, email, "rahasia sekali 123")["user"]["id"]


def at(minutes):
    """A time of day in the site's zone, so many minutes from now."""
    now = datetime.datetime.now(zoneinfo.ZoneInfo(ZONE)) + datetime.timedelta(minutes=minutes)
    return now.strftime("%H:%M")


def settings(organisation, **operations):
    data(organisation.api.put(f"/organisations/{organisation.id}", {"settings": {"operations": operations}}))


def test_a_supervisor_gets_the_digest_of_their_sites_once(server, organisation, api, mail):
    settings(organisation, digest_at=None)
    email, user = supervisor(server, organisation)
    fields = {"timezone": ZONE, "supervisor_ids": [user]}
    site = data(api.post("/sites", {"name": "Building A", **fields}))
    data(api.post("/sites", {"name": "Building B", **fields}))
    other = data(api.post("/sites", {"name": "Building C", "timezone": ZONE}))
    grave = data(api.post("/problems", {"title": "Gas leak", "severity": "critical", "site_id": site["id"]}))
    done = data(api.post("/problems", {"title": "Lamp", "site_id": site["id"], "status": "resolved"}))
    foreign = data(api.post("/problems", {"title": "Elsewhere", "site_id": other["id"]}))
    data(api.post("/work-updates", {"title": "Filter changed", "site_id": site["id"]}))
    assert mail.to(email) == []
    settings(organisation, digest_at=at(0))
    [message] = eventually(lambda: mail.to(email), timeout=60)
    text = message.get_content()
    assert "Building A" in message["Subject"] and "Building B" in message["Subject"]
    assert "Building C" not in message["Subject"] + text
    assert "1 critical" in text and f"{grave['number']} Gas leak" in text and "work updates 1" in text
    assert done["number"] not in text and foreign["number"] not in text
    server.stop()
    server.start()
    again, second = supervisor(server, organisation)
    data(api.patch(f"/sites/{site['id']}", {"supervisor_ids": [user, second]}))
    eventually(lambda: mail.to(again), timeout=60)
    assert len(mail.to(email)) == 1, "once a day"


@pytest.mark.parametrize(
    ("language", "subject", "words"),
    [("id", "Ringkasan harian", ["Masalah terbuka: 1 (1 kritis)", "(kritis, 0 jam)"]), ("ar", "الملخص اليومي", ["حرجة"])],
)
def test_a_digest_is_in_the_organisations_language(server, organisation, api, mail, language, subject, words):
    email, user = supervisor(server, organisation)
    site = data(api.post("/sites", {"name": "Building A", "timezone": ZONE, "supervisor_ids": [user]}))
    grave = data(api.post("/problems", {"title": "Gas leak", "severity": "critical", "site_id": site["id"]}))
    operations = {"digest_at": at(0)}
    data(api.put(f"/organisations/{organisation.id}", {"settings": {"language": language, "operations": operations}}))
    [message] = eventually(lambda: mail.to(email), timeout=60)
    text = message.get_content()
    assert message["Subject"].startswith(subject) and grave["number"] in text
    assert [word for word in words if word not in text] == [] and "Open problems" not in text
