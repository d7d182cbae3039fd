"""The demo in a browser: a message typed on the phone, and the answer that comes back."""

import re
import signal
import subprocess

import pytest
from playwright.sync_api import expect, sync_playwright

import harness
from api import Api, data, login
from harness import PASSWORD, Kabar, eventually


@pytest.fixture
def browser(tmp_path):
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(str(tmp_path / "profile"), **harness.chromium())
        yield context
        context.close()


@pytest.fixture
def demo(backend, make_kabar, new_database):
    """`kabar demo` with nothing configured but where to listen and where to keep its data."""
    kabar = make_kabar(new_database(backend))
    listen, database = kabar.environment["KABAR_LISTEN"], kabar.environment["KABAR_DATABASE_URL"]
    kabar.environment = harness.bare_environment() | {
        "KABAR_LISTEN": listen,
        "KABAR_DATA_DIR": str(kabar.data_dir),
        **({"KABAR_DATABASE_URL": database} if backend == "postgres" else {}),
    }
    kabar.start("demo")
    yield kabar
    if kabar.process.running:
        kabar.process.signal(signal.SIGTERM)
        assert kabar.process.wait(20) == 0


def signed_in(kabar):
    """The address and password as the terminal printed them."""
    text = kabar.log()
    url = re.search(r"https?://[\w.:-]+(?=/demo|/?\s|/?$)", text)[0]
    password = PASSWORD.search(text)[1]
    email = re.search(r"[\w.+-]+@[\w.-]+\w", text)[0]
    assert url == kabar.base_url
    return Api(url, login(kabar, email, password)["access_token"])


def test_a_first_message_and_its_answer(demo, browser, tmp_path):
    api = signed_in(demo)
    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("response", lambda got: problems.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    elsewhere = []
    page.on(
        "request", lambda sent: None if sent.url.startswith((demo.base_url, "data:")) else elsewhere.append(sent.url)
    )
    for account in api.all("/messaging-accounts"):
        report = data(api.get(f"/messaging-accounts/{account['id']}/doctor"))
        assert report["status"] != "failed", report
    page.goto(demo.base_url + "/demo")
    box = page.get_by_role("textbox").first
    box.fill("AC bocor di Gedung A")
    box.press("Enter")

    def conversation():
        found = [
            c
            for c in api.all("/conversations")
            if [m for m in data(api.get(f"/conversations/{c['id']}/messages")) if m["body"] == "AC bocor di Gedung A"]
        ]
        return found and found[0]

    conversation_id = eventually(conversation)["id"]
    assert [
        i for i in api.all("/inbox") if i["conversation_id"] == conversation_id and i["text"] == "AC bocor di Gedung A"
    ]
    message = data(api.post("/messages", {"conversation_id": conversation_id, "body": "Teknisi datang jam 10"}), 200)
    assert message["status"] == "queued"
    expect(page.get_by_text("Teknisi datang jam 10")).to_be_visible(timeout=15_000)

    def status():
        rows = data(api.get(f"/conversations/{conversation_id}/messages"))
        return next(m["status"] for m in rows if m["id"] == message["id"])

    eventually(lambda: status() == "read", 30)
    screenshot = tmp_path / "demo.png"
    page.screenshot(path=screenshot, full_page=True)
    assert screenshot.stat().st_size > 5000
    assert problems == [] and elsewhere == []


def test_the_page_leads_to_a_case_number(demo, browser):
    """Its commands, as they stand there, make a problem at the place that was written of; the phone asks for it."""
    password = PASSWORD.search(demo.log())[1]
    page = browser.new_page()
    page.goto(demo.base_url + "/demo")
    box = page.get_by_role("textbox").first
    box.fill("AC bocor lagi di gd A lt 2, udah 2x minggu ini")
    box.press("Enter")
    api = signed_in(demo)
    [item] = eventually(lambda: [item for item in api.all("/inbox") if item["status"] == "needs_review"])
    assert item["suggestions"]["site"]["name"] == "Building A"
    assert item["suggestions"]["facility"]["name"] == "AC lantai 2"
    commands = [page.locator(f"#{name}").inner_text() for name in ("login", "convert")]
    script = "\n".join(commands).replace("read -s PASSWORD", f"PASSWORD={password}")
    subprocess.run(["bash", "-c", script], check=True, capture_output=True)
    [problem] = api.all("/problems")
    expect(page.get_by_text(f"tercatat sebagai {problem['number']}")).to_be_visible(timeout=15_000)
    box.fill(problem["number"])
    box.press("Enter")
    expect(page.get_by_text("Status: terbuka")).to_be_visible(timeout=15_000)


def test_markup_typed_on_the_phone_is_text(demo, browser):
    page = browser.new_page()
    page.goto(demo.base_url + "/demo")
    alarms = []
    page.on("dialog", lambda dialog: (alarms.append(dialog.message), dialog.dismiss()))
    box = page.get_by_role("textbox").first
    box.fill("<img src=x onerror=alert(1)><b>tebal</b>")
    box.press("Enter")
    expect(page.get_by_text("<b>tebal</b>").first).to_be_visible(timeout=15_000)
    assert alarms == []


def test_a_second_demo_finds_the_first_ones_data(demo):
    api = signed_in(demo)
    before = api.total("/conversations")
    demo.process.signal(signal.SIGTERM)
    assert demo.process.wait(20) == 0
    demo._close()
    demo.start("demo")
    assert api.total("/conversations") >= before


def test_serve_has_no_demo_page(make_kabar):
    kabar: Kabar = make_kabar().start()
    assert kabar.http.get("/demo").status_code == 404
