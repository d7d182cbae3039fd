"""Files that the server fetches from an address a user gave, and the addresses it does not call."""

from __future__ import annotations

import http.server
import threading

import pytest

from api import Organisation, data, login, refused, serial
from harness import Kabar, eventually

PICTURE = b"\xff\xd8\xff\xe0 picture " + bytes(range(256)) * 400


class Site:
    """A web server that hands out files and keeps what it was asked for."""

    def __init__(self, address: str = "127.0.0.1"):
        self.asked: list[str] = []
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                status, headers, content = site.pages.get(self.path, (404, {}, b"secret of the house"))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.base_url = f"http://{address}:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def page(self, path: str, content: bytes, kind: str = "image/jpeg", **headers: str) -> str:
        self.pages[path] = (200, {"Content-Type": kind} | headers, content)
        return self.base_url + path

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        self.pages[path] = (status, {"Location": to}, b"")
        return self.base_url + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site():
    made = Site()
    yield made
    made.close()


@pytest.fixture
def neighbour():
    """On another loopback address."""
    made = Site("127.0.0.2")
    yield made
    made.close()


@pytest.fixture
def line(account):
    """Asks for a message with the file at an address."""

    def post(url, **body):
        to = {"channel_id": account.channel_id, "wa_id": f"62823{serial() % 10**8:08d}"}
        return account.organisation.api.post("/messages", {"type": "image", "media_url": url, "fetch": True} | to | body)

    return post


def problem(answer):
    """Why the file was not fetched."""
    body = refused(answer, 422)
    assert list(body["errors"]) == ["media_url"], body
    assert "secret" not in answer.text
    return body["message"]


def sent(api, message):
    def look():
        now = data(api.get(f"/messages/{message['id']}"))
        assert now["status"] in ("sent", "delivered", "read"), now
        return now

    return eventually(look, 30)


def given(simulator, number, message):
    """The bytes that WhatsApp has for the message's file."""
    [arrived] = simulator.sent(callback_data=message["id"])
    content = arrived["payload"][arrived["type"]]
    assert "link" not in content
    headers = {"Authorization": f"Bearer {number.access_token}"}
    known = simulator.http.get(f"/v24.0/{content['id']}", headers=headers).json()
    return simulator.http.get(known["url"], headers=headers).content


def test_the_file_arrives_as_one_of_the_library(line, site, api, account, simulator, server):
    url = site.page("/foto%20pompa.jpg?signature=x", PICTURE)
    message = data(line(url, body="Ini"), 200)
    [shown] = message["media"]
    assert (shown["status"], shown["filename"], shown["mime_type"]) == ("stored", "foto pompa.jpg", "image/jpeg")
    [file] = data(api.get("/media"))
    assert (file["id"], file["origin"], file["size"]) == (shown["file_id"], "url", len(PICTURE))
    assert server.http.get(file["url"]).content == PICTURE
    assert given(simulator, account.number, sent(api, message)) == PICTURE
    assert site.asked == ["/foto%20pompa.jpg?signature=x"], "the file is asked for once, by the server"


def test_redirects_are_followed_as_far_as_is_sensible(line, site, api, account, simulator):
    report = b"%PDF-1.7 laporan"
    site.page("/files/laporan.pdf", report, "application/pdf")
    for step, status in enumerate((301, 302, 303, 307, 308)):
        site.redirect(f"/{step}", f"/{step + 1}", status)
    site.redirect("/4", "files/laporan.pdf", 308)
    message = data(line(f"{site.base_url}/0", type="document"), 200)
    assert message["media"][0]["filename"] == "laporan.pdf"
    assert given(simulator, account.number, sent(api, message)) == report
    site.redirect("/round", "/round")
    assert "redirects" in problem(line(f"{site.base_url}/round"))


def test_what_is_no_file_is_refused_on_the_field(line, site, api, organisation):
    assert "404" in problem(line(f"{site.base_url}/gone.jpg"))
    assert "empty" in problem(line(site.page("/empty", b"")))
    half = site.page("/half", PICTURE, **{"Content-Length": str(len(PICTURE) * 2)})
    assert "broke off" in problem(line(half))
    site.pages["/away"] = (302, {"Location": "ftp://example.com/x"}, b"")
    problem(line(f"{site.base_url}/away"))
    assert "text/html" in problem(line(site.page("/page", b"<p>secret</p>", "text/html")))
    closed = Site()
    closed.close()
    problem(line(f"{closed.base_url}/x"))
    for url in (None, "", "nonsense", "ftp://example.com/x", "file:///etc/passwd"):
        problem(line(url))
    # Nothing is left of any of them.
    assert (api.total("/media"), organisation.messages()) == (0, [])
    folder = organisation.kabar.data_dir / "media" / organisation.id
    eventually(lambda: not folder.exists() or not list(folder.iterdir()))


def test_without_fetch_the_provider_is_given_the_address(line, site):
    problem(line(site.page("/a.jpg", PICTURE), fetch=False))
    assert not site.asked


# Servers of one's own: what the operator allows.


@pytest.fixture
def line_of(make_kabar, backend, new_database, simulator):
    """As `line`, on a server with these settings."""
    made = []

    def make(**environment):
        kabar = make_kabar(new_database(backend), simulator=simulator, environment=environment).start()
        organisation = Organisation(kabar, login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
        made.append(organisation)
        account = organisation.whatsapp()
        to = {"channel_id": account.channel_id, "type": "image", "fetch": True, "wa_id": "628230001"}
        return lambda url: organisation.api.post("/messages", to | {"media_url": url})

    yield make
    for organisation in made:
        organisation.close()


def test_too_large(line_of, site):
    line = line_of(KABAR_MEDIA_MAX_BYTES=str(1 << 20))
    data(line(site.page("/fits.jpg", bytes(1 << 20))), 200)
    assert "1048576 bytes" in problem(line(site.page("/large.jpg", bytes((1 << 20) + 1))))


@pytest.mark.parametrize("allowed", [None, "10.99.0.0/16"])
def test_private_addresses_are_not_called(line_of, site, allowed):
    line = line_of(KABAR_ALLOWED_NETWORKS=allowed)
    site.page("/", PICTURE)
    reasons = set()
    for host in ("127.0.0.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        for scheme in ("http", "https"):
            reasons.add(problem(line(f"{scheme}://{host}:{site.port}/")))
    reasons.add(problem(line("https://169.254.169.254/latest/meta-data/")))
    reasons.add(problem(line("http://169.254.169.254/latest/meta-data/")))
    assert all("allow" in reason for reason in reasons) and len(reasons) == 2, reasons
    assert not site.asked


def test_a_redirect_does_not_lead_to_what_is_not_allowed(line_of, site, neighbour):
    line = line_of(KABAR_ALLOWED_NETWORKS="127.0.0.1/32")
    data(line(site.page("/a.jpg", PICTURE)), 200)
    neighbour.page("/a.jpg", PICTURE)
    problem(line(f"{neighbour.base_url}/a.jpg"))
    for to in (f"{neighbour.base_url}/a.jpg", f"https://127.0.0.2:{neighbour.port}/a.jpg", "http://169.254.169.254/"):
        assert "allow" in problem(line(site.redirect("/on", to)))
    assert not neighbour.asked and site.asked == ["/a.jpg", "/on", "/on", "/on"]
