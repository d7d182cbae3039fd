"""The chat widget in a browser, on a page of another origin that allows no inline style and no script but its own."""

import gzip
import json
import pathlib
import re

import pytest
from playwright.sync_api import expect, sync_playwright

import harness
from api import Organisation, data, login, serial
from harness import ROOT, eventually
from widgets import Site, create_widget, decoded, forged, mint

AXE = ROOT / "target" / "test-node" / "node_modules" / "axe-core" / "axe.min.js"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc0f01f0005000180fe33c7a80000000049454e44ae426082"
)
LANGUAGES = {"en": "Open chat", "id": "Buka obrolan", "ar": "افتح المحادثة"}


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**harness.chromium())
        yield browser
        browser.close()


@pytest.fixture
def site():
    started = Site()
    yield started
    started.close()


class Shop:
    """A visitor's page with the widget, and what went wrong on it."""

    def __init__(self, context, server, site, organisation, widget):
        self.server, self.site, self.organisation, self.widget = server, site, organisation, widget
        self.context = context
        self.pages = []
        self.subject = f"user-{serial()}"

    def token(self, **fields):
        return mint(self.organisation, self.widget, self.subject, **fields)

    def visit(self, token=None, lang="en", options="", attributes="", expect_problems=False):
        token = token or self.token()
        self.site.policy = (
            f"default-src 'none'; script-src 'nonce-page' {self.server.base_url}; style-src 'none'; "
            f"connect-src {self.server.base_url}; img-src {self.server.base_url}; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        self.site.html = (
            f"<!doctype html><html lang={lang} {attributes}><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width, initial-scale=1'><title>Shop</title>"
            "<main><h1>Shop</h1><p>Goods.</p><button id=before>Buy</button></main>"
            f"<script src={self.server.base_url}/embed/v1/widget.js></script>"
            "<script nonce=page>window.heard = []; window.booted = Kabar.boot({ token: "
            f"{json.dumps(token)}, onMessage: (m) => heard.push(m), onUnread: (u) => heard.push(u), "
            f"onError: (e) => heard.push(e), {options} }})</script>"
        )
        page = self.context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda said: page.problems.append(said.text) if said.type == "error" else None)
        allowed = (self.server.base_url, self.site.origin, "data:")
        page.on("request", lambda sent: None if sent.url.startswith(allowed) else page.problems.append(sent.url))
        page.goto(self.site.origin + "/")
        if not expect_problems:
            self.pages.append(page)
        return page

    def answer(self, body, **more):
        conversation = eventually(
            lambda: self.organisation.api.all("/conversations", channel_id=self.widget["channel_id"])
        )[0]["id"]
        return data(self.organisation.api.post("/messages", {"conversation_id": conversation, "body": body, **more}))

    def status(self, message):
        return data(self.organisation.api.get(f"/messages/{message['id']}"))["status"]


@pytest.fixture
def open_shop(chromium, server, site, organisation):
    made = []

    def make(widget=None, **fields):
        options = {"locale": fields.pop("locale", "en-GB"), "viewport": fields.pop("viewport", None)}
        if options["viewport"] is None:
            options["viewport"] = {"width": 1100, "height": 800}
        options |= fields.pop("context", {})
        context = chromium.new_context(**options)
        widget = widget or create_widget(organisation, allowed_origins=[site.origin], **fields)
        made.append(Shop(context, server, site, organisation, widget))
        return made[-1]

    yield make
    for shop in made:
        problems = [problem for page in shop.pages for problem in page.problems]
        shop.context.close()
        assert problems == []


@pytest.fixture
def shop(open_shop):
    return open_shop()


def launcher(page):
    return page.locator("#kabar-widget .launcher")


def field(page, name="Message"):
    return page.get_by_role("textbox", name=name)


def messages(page):
    return page.locator("#kabar-widget .words")


def write(page, text):
    field(page).fill(text)
    page.keyboard.press("Enter")


def axe(page):
    """What axe finds wrong with the page and everything in the widget."""
    assert AXE.exists(), "scripts/test-setup installs axe-core"
    # The page allows no script but its own: this one comes through the debugger.
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text(), "allowUnsafeEvalBlockedByCSP": True})
    found = page.evaluate("async () => (await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] })).violations")
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]


def test_the_script_is_small_and_serves_every_page(server):
    answer = server.http.get("/embed/v1/widget.js", headers={"Origin": "https://a.example", "Accept-Encoding": "identity"})
    assert answer.status_code == 200, "the binary has no widget: run scripts/web-build, then cargo build"
    assert len(gzip.compress(answer.content, 9)) <= 20_000
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "max-age" in answer.headers["cache-control"]
    tag = answer.headers["etag"]
    assert server.http.get("/embed/v1/widget.js", headers={"If-None-Match": tag}).status_code == 304
    packed = server.http.get("/embed/v1/widget.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and packed.content == answer.content
    assert "eval(" not in answer.text and "innerHTML" not in answer.text


def test_a_visitor_and_an_agent_talk(shop):
    page = shop.visit()
    launcher(page).click()
    expect(page.get_by_role("dialog", name="Chat with us")).to_be_visible()
    expect(field(page)).to_be_focused()
    expect(page.locator("#kabar-widget .log")).to_contain_text("Hello! How can we help?")
    write(page, "Is this in stock?")
    expect(messages(page)).to_have_text(["Is this in stock?"])
    expect(page.locator("#kabar-widget .own .meta")).not_to_contain_text("Sending")
    sent = shop.answer("Yes: https://shop.example/lamp.")
    expect(messages(page)).to_have_text(["Is this in stock?", "Yes: https://shop.example/lamp."])
    link = page.locator("#kabar-widget .words a")
    expect(link).to_have_attribute("href", "https://shop.example/lamp")
    eventually(lambda: shop.status(sent) == "read")
    # What was said is there when the visitor comes back, in another tab too.
    again = shop.visit()
    launcher(again).click()
    expect(messages(again)).to_have_text(["Is this in stock?", "Yes: https://shop.example/lamp."])
    write(again, "Two, please")
    expect(messages(page).last).to_have_text("Two, please")
    assert page.evaluate("heard.filter((event) => event.body).length") == 3
    # Nothing of the page leaks in and nothing of the widget out.
    assert page.evaluate("[typeof Kabar.boot, typeof OktaWa.boot, OktaWa === Kabar]") == ["function", "function", True]


def test_a_closed_widget_counts_what_comes(shop):
    page = shop.visit()
    launcher(page).click()
    write(page, "hello")
    expect(messages(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(launcher(page)).to_be_focused()
    sent = shop.answer("one")
    expect(page.locator("#kabar-widget .badge")).to_have_text("1")
    expect(page.get_by_role("button", name="Open chat – 1 unread message")).to_be_visible()
    eventually(lambda: shop.status(sent) == "delivered")
    shop.answer("two")
    expect(page.locator("#kabar-widget .badge")).to_have_text("2")
    # Also on the next page.
    page.goto(shop.site.origin + "/other")
    expect(page.locator("#kabar-widget .badge")).to_have_text("2")
    launcher(page).click()
    expect(page.locator("#kabar-widget .badge")).to_have_count(0)
    eventually(lambda: shop.status(sent) == "read")
    assert page.evaluate("heard.filter((event) => 'count' in event).map((event) => event.count)") == [2, 0]


def test_files_in_and_out(shop, tmp_path):
    page = shop.visit()
    launcher(page).click()
    picker = page.locator("#kabar-widget input[type=file]")
    picker.set_input_files([{"name": "lamp.png", "mimeType": "image/png", "buffer": PNG}])
    expect(page.locator("#kabar-widget .files li")).to_contain_text("lamp.png")
    expect(page.locator("#kabar-widget .files li")).to_contain_text("✓")
    write(page, "this one")
    image = page.locator("#kabar-widget .own img")
    expect(image).to_be_visible()
    assert image.evaluate("async (image) => (await image.decode(), image.naturalWidth)") == 1
    file = data(shop.organisation.api.http.post("/media", files={"file": ("price list.pdf", b"%PDF-1.7", "application/pdf")}))
    shop.answer("our prices", type="document", media_id=file["id"])
    link = page.get_by_role("link", name=re.compile("Download price list.pdf"))
    expect(link).to_be_visible()
    assert page.request.get(link.get_attribute("href")).body() == b"%PDF-1.7"
    # One too many bytes does not go up.
    picker.set_input_files([{"name": "film.mp4", "mimeType": "video/mp4", "buffer": bytes(17 * 1024 * 1024)}])
    expect(page.locator("#kabar-widget .files .bad")).to_have_text("Files can be 16 MB at most.")
    page.get_by_role("button", name="Remove film.mp4").click()
    expect(page.locator("#kabar-widget .files li")).to_have_count(0)


def test_expired_forged_and_foreign_tokens(open_shop, new_organisation, server):
    shop = open_shop()
    stranger = new_organisation("Stranger")
    foreign = mint(stranger, create_widget(stranger), "user-1")
    good = shop.token()
    for token in (forged(good), forged(good, exp=1, iat=0), foreign, "nonsense"):
        page = shop.visit(token, expect_problems=True)
        assert page.evaluate("booted") is False
        expect(page.locator("#kabar-widget")).to_have_count(0)
        [error] = page.evaluate("heard")
        assert error["status"] in (401, 403)
        page.close()
    # The same page with a good token has the widget, and the same token on another page has not.
    page = shop.visit(good)
    expect(launcher(page)).to_be_visible()
    data(shop.organisation.api.patch(f"/widgets/{shop.widget['id']}", {"allowed_origins": ["https://elsewhere.example"]}))
    page = shop.visit(good, expect_problems=True)
    assert page.evaluate("booted") is False
    assert "allowed origins" in page.evaluate("heard")[0]["message"]


def test_a_page_with_an_expired_token(chromium, make_kabar, new_database, backend, clock, site):
    kabar = make_kabar(new_database(backend), environment=clock.environment).start()
    organisation = Organisation(kabar, login(kabar, kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
    widget = create_widget(organisation, allowed_origins=[site.origin])
    shop = Shop(chromium.new_context(locale="en-GB"), kabar, site, organisation, widget)
    token = shop.token()
    clock.set(0.3)
    page = shop.visit(token, expect_problems=True)
    assert page.evaluate("booted") is False
    expect(page.locator("#kabar-widget")).to_have_count(0)
    [error] = page.evaluate("heard")
    assert error == {"status": 401, "message": "The embed token has expired."}
    # A page that knows how to get another one goes on.
    page = shop.visit(token, options=f"onTokenExpiring: () => {json.dumps(shop.token())}", expect_problems=True)
    assert page.evaluate("booted") is True
    expect(launcher(page)).to_be_visible()
    shop.context.close()


def test_an_expired_token_asks_for_another(shop):
    page = shop.visit(shop.token(ttl_seconds=60), options="onTokenExpiring: () => (window.asked = (window.asked ?? 0) + 1, window.next)")
    launcher(page).click()
    write(page, "first")
    expect(messages(page)).to_have_count(1)
    api = shop.organisation.api
    [current] = [key for key in data(api.get("/widget-keys")) if key["status"] == "current"]
    data(api.post(f"/widget-keys/{current['id']}/revoke"))
    page.evaluate("(token) => { window.next = token }", shop.token())
    write(page, "second")
    expect(messages(page)).to_have_text(["first", "second"])
    # It is shown before it is there.
    [conversation] = api.all("/conversations")
    eventually(lambda: len(api.all(f"/conversations/{conversation['id']}/messages")) == 2)
    assert page.evaluate("window.asked") >= 1
    shop.answer("third")
    expect(messages(page).last).to_have_text("third")
    # The browser says of the refused request what it says of all.
    assert all("401" in problem for problem in page.problems), page.problems
    page.problems.clear()


def test_without_another_token_it_says_that_it_is_over(shop):
    page = shop.visit(expect_problems=True)
    launcher(page).click()
    write(page, "first")
    expect(messages(page)).to_have_count(1)
    api = shop.organisation.api
    [current] = [key for key in data(api.get("/widget-keys")) if key["status"] == "current"]
    data(api.post(f"/widget-keys/{current['id']}/revoke"))
    write(page, "second")
    expect(page.get_by_text("This chat has ended.")).to_be_visible()
    expect(field(page)).to_be_hidden()
    # What was written is not lost from sight.
    expect(messages(page)).to_have_text(["first", "second"])


@pytest.mark.parametrize("does", ["asks", "uploads"])
def test_it_is_over_whatever_the_visitor_does(open_shop, tmp_path, does):
    shop = open_shop(fields=[{"key": "name", "required": True}] if does == "asks" else [])
    page = shop.visit(expect_problems=True, lang="id")
    # It would tell as well, and maybe first.
    page.route("**/events", lambda route: route.abort())
    launcher(page).click()
    panel = page.get_by_role("dialog")
    expect(panel).to_be_visible()
    api = shop.organisation.api
    current = next(key for key in data(api.get("/widget-keys")) if key["status"] == "current")
    data(api.post(f"/widget-keys/{current['id']}/revoke"))
    if does == "asks":
        panel.get_by_role("textbox").first.fill("Dewi")
        panel.locator("form.ask button").click()
    else:
        (tmp_path / "note.txt").write_text("x")
        page.locator("#kabar-widget input[type=file]").set_input_files(tmp_path / "note.txt")
    expect(panel.locator(".notice.bad")).to_have_text("Obrolan ini berakhir. Muat ulang halaman untuk melanjutkan.")
    expect(panel.locator(".composer")).to_be_hidden()
    assert page.evaluate("heard.map((it) => it.status)") == [401]


def test_out_of_hours(open_shop):
    minute = {"sun": [{"open": "03:00", "close": "03:01"}]}
    shop = open_shop(operating_hours=minute, texts={"en": {"offline": "We sleep."}})
    page = shop.visit()
    launcher(page).click()
    log = page.locator("#kabar-widget .log")
    expect(log).to_contain_text("We sleep.")
    expect(log).to_contain_text(re.compile(r"We are back \w+"))
    write(page, "anyone?")
    expect(messages(page)).to_have_text(["anyone?"])


def test_what_is_asked_before_the_first_message(open_shop):
    fields = [{"key": "name", "required": True}, {"key": "email", "required": True}, {"key": "order", "label": {"en": "Order"}}]
    shop = open_shop(fields=fields)
    page = shop.visit()
    launcher(page).click()
    expect(page.get_by_label("Name")).to_be_focused()
    assert axe(page) == []
    page.get_by_role("button", name="Start chat").click()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_label("Name").fill("Ani")
    page.get_by_label("E-mail").fill("nonsense")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Please give a whole e-mail address.")).to_be_visible()
    assert axe(page) == []
    page.problems.clear()
    page.get_by_label("E-mail").fill("ani@example.com")
    page.keyboard.press("Enter")
    expect(field(page)).to_be_focused()
    write(page, "hello")
    expect(messages(page)).to_have_text(["hello"])
    message = eventually(lambda: shop.organisation.messages())[0]
    assert shop.organisation.contact_of(message)["email"] == "ani@example.com"
    # It is asked once.
    page = shop.visit()
    launcher(page).click()
    expect(field(page)).to_be_focused()


def test_it_goes_on_when_the_server_was_away(chromium, make_kabar, new_database, backend, site):
    kabar = make_kabar(new_database(backend)).start()
    organisation = Organisation(kabar, login(kabar, kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
    widget = create_widget(organisation, allowed_origins=[site.origin])
    context = chromium.new_context(locale="en-GB")
    shop = Shop(context, kabar, site, organisation, widget)
    page = shop.visit(expect_problems=True)
    launcher(page).click()
    write(page, "before")
    expect(messages(page)).to_have_count(1)
    kabar.kill()
    write(page, "meanwhile")
    expect(page.get_by_text("No connection. Trying again…")).to_be_visible(timeout=20_000)
    kabar.start()
    expect(page.get_by_text("No connection. Trying again…")).to_be_hidden(timeout=40_000)
    expect(page.locator("#kabar-widget .own .meta").last).not_to_contain_text("Not sent", timeout=40_000)
    shop.answer("after")
    expect(messages(page)).to_have_text(["before", "meanwhile", "after"], timeout=20_000)
    bodies = eventually(lambda: len(found := [m["body"] for m in organisation.messages()]) == 3 and found)
    assert sorted(bodies) == ["after", "before", "meanwhile"]
    context.close()


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_in_any_language(open_shop, lang, dark, account):
    scheme = {"color_scheme": "dark" if dark else "light"}
    shop = open_shop(context=scheme, whatsapp_channel_id=account.channel_id)
    page = shop.visit(lang=lang, attributes="dir=rtl" if lang == "ar" else "")
    expect(page.get_by_role("button", name=LANGUAGES[lang])).to_be_visible()
    launcher(page).click()
    page.keyboard.type("halo")
    page.keyboard.press("Enter")
    expect(messages(page)).to_have_count(1)
    shop.answer("salam")
    expect(messages(page)).to_have_count(2)
    picker = page.locator("#kabar-widget input[type=file]")
    picker.set_input_files([{"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}])
    expect(page.locator("#kabar-widget .files li")).to_contain_text("✓")
    assert axe(page) == []
    look(page, f"{lang}-{'dark' if dark else 'light'}")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    shop.answer("lagi")
    expect(page.locator("#kabar-widget .badge")).to_have_text("1")
    assert axe(page) == []
    box, width = launcher(page).bounding_box(), page.viewport_size["width"]
    assert (box["x"] < width / 2) == (lang == "ar"), "it sits where lines end"


def test_by_keyboard_alone(shop):
    page = shop.visit()
    expect(launcher(page)).to_be_visible()
    page.locator("#before").focus()
    page.keyboard.press("Tab")
    expect(launcher(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(field(page)).to_be_focused()
    page.keyboard.type("first line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send")).to_be_focused()
    page.keyboard.press("Enter")
    expect(messages(page)).to_have_text(["first line\nsecond line"])
    expect(field(page)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Attach a file")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("log")).to_be_focused()
    page.keyboard.press("Escape")
    expect(launcher(page)).to_be_focused()


def test_on_a_phone(open_shop):
    shop = open_shop(viewport={"width": 360, "height": 640}, context={"has_touch": True, "is_mobile": True})
    page = shop.visit()
    launcher(page).tap()
    panel = page.get_by_role("dialog")
    expect(panel).to_have_attribute("aria-modal", "true")
    page.wait_for_timeout(300)
    assert panel.bounding_box() == {"x": 0, "y": 0, "width": 360, "height": 640}
    # Nothing is smaller than a finger, nothing is cut off, and the keyboard stays inside.
    for button in page.locator("#kabar-widget .panel button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 40 and box["x"] + box["width"] <= 360
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "kabar-widget"
    write(page, "a long word: " + "w" * 200)
    expect(messages(page)).to_have_count(1)
    assert page.locator("#kabar-widget .log").evaluate("(log) => log.scrollWidth <= log.clientWidth")
    assert axe(page) == []
    look(page, "phone")
    page.get_by_role("button", name="Close chat").tap()
    expect(launcher(page)).to_be_visible()


def test_earlier_messages_come_when_asked_for(shop):
    page = shop.visit()
    launcher(page).click()
    write(page, "message 0")
    expect(messages(page)).to_have_count(1)
    for n in range(1, 36):
        shop.answer(f"message {n}")
    eventually(lambda: len(shop.organisation.messages()) == 36)
    expect(messages(page)).to_have_count(36)
    page = shop.visit()
    launcher(page).click()
    expect(messages(page)).to_have_count(30)
    page.get_by_role("button", name="Show earlier messages").click()
    expect(messages(page)).to_have_count(36)
    assert messages(page).all_inner_texts() == [f"message {n}" for n in range(36)]
    expect(page.get_by_role("button", name="Show earlier messages")).to_have_count(0)


def test_what_the_page_can_do(shop):
    page = shop.visit(options="onReady: (event) => heard.push(event), onOpen: () => heard.push({ open: 1 }), onClose: () => heard.push({ open: 0 })")
    expect(launcher(page)).to_be_visible()
    page.evaluate("window.off = Kabar.on('open', () => heard.push({ also: 1 })); Kabar.open()")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate("off(); Kabar.close(); Kabar.open(); Kabar.close()")
    expect(page.get_by_role("dialog")).to_be_hidden()
    slug = shop.widget["slug"]
    assert page.evaluate("heard") == [
        {"slug": slug, "language": "en"}, {"open": 1}, {"also": 1}, {"open": 0}, {"open": 1}, {"open": 0},
    ]
    # Booting twice is one widget; after a shutdown there is none, and nothing goes on.
    page.evaluate("(token) => OktaWa.boot({ token })", shop.token())
    expect(page.locator("#kabar-widget")).to_have_count(1)
    page.evaluate("Kabar.shutdown()")
    expect(page.locator("#kabar-widget")).to_have_count(0)
    assert page.evaluate("Kabar.boot({}).catch((error) => error.message)") == "Kabar.boot({ token }): the token is missing"
    # A page that asks to open it before it is there gets it open.
    page.evaluate("(token) => { Kabar.boot({ token, lang: 'id' }); Kabar.open() }", shop.token())
    expect(page.get_by_role("dialog", name="Ngobrol dengan kami")).to_be_visible()


def look(page, name):
    """Keeps a picture where somebody wants to see it."""
    import os

    if folder := os.environ.get("KABAR_PICTURES"):
        page.screenshot(path=str(pathlib.Path(folder) / f"widget-{name}.png"))
