"""How the web app is served, and its shell: navigation, languages, themes, the keyboard, small screens."""

import json
import re

import pytest
from playwright.sync_api import expect

import harness
from browser import SESSION, View, in_every_view, person


@pytest.fixture
def http(server):
    return server.http


def test_root_leads_to_the_app(http):
    answer = http.get("/")
    assert answer.status_code == 307 and answer.headers["Location"] == "/app"


@pytest.mark.parametrize("path", ["/app", "/app/", "/app/integrations/api-tokens", "/app/no/such/page"])
def test_every_path_is_the_same_document_under_a_strict_policy(http, path):
    answer = http.get(path)
    assert answer.status_code == 200, "the binary has no web app: run scripts/web-build, then cargo build"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and answer.headers["X-Frame-Options"] == "DENY"
    # Nothing in the document that the policy would not let run, and nothing from elsewhere.
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=|https?://", answer.text)


def test_files_are_kept_as_long_as_their_names_say(http):
    page = http.get("/app")
    assert page.headers["Cache-Control"] == "no-cache"
    assert http.get("/app", headers={"If-None-Match": page.headers["ETag"]}).status_code == 304
    script = re.search(r'src="(/app/assets/[^"]+\.js)"', page.text)[1]
    packed = http.get(script, headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert packed.headers["Content-Encoding"] in ("br", "gzip") and "Accept-Encoding" in packed.headers["Vary"]
    plain = http.get(script, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert len(plain.content) > 3 * int(packed.headers["Content-Length"])


def test_a_file_of_an_earlier_build_is_not_a_page(http):
    answer = http.get("/app/assets/index-gone.js")
    assert answer.status_code == 404 and "html" not in answer.headers.get("Content-Type", "")


def test_only_files_of_the_app_are_served(http):
    for path in ["/app/../../../etc/passwd", "/app/%2e%2e/%2e%2e/Cargo.toml", "/app/assets/%2e%2e/index.html.br"]:
        assert "root:" not in (text := http.get(path).text) and "[workspace]" not in text
    assert http.post("/app", json={}).status_code == 405

@in_every_view
def test_the_shell_in_every_language_theme_and_size(open_app, organisation, view):
    app = open_app(view).sign_in(person(organisation))
    page = app.open("/channels")
    assert page.evaluate("document.documentElement.lang") == view.language
    assert page.evaluate("document.documentElement.dir") == ("rtl" if view.language == "ar" else "ltr")
    assert page.evaluate("document.documentElement.dataset.theme") == view.theme
    app.check()
    if view.phone:
        page.locator("header").first.get_by_role("button").first.click()
    expect(page.get_by_role("navigation")).to_be_visible()
    app.check()
    page.get_by_role("button", name=re.compile("Dewi Lestari")).click()
    menu = page.get_by_role("menu")
    expect(menu).to_be_visible()
    assert menu.evaluate("it => getComputedStyle(it).direction") == ("rtl" if view.language == "ar" else "ltr")
    app.check()


def test_signing_in_leads_back_to_where_one_wanted_to_go(open_app, organisation):
    app = open_app()
    who = person(organisation)
    app.expected = {401}
    app.page.goto(app.base_url + "/app/integrations/apps?x=1")
    app.page.wait_for_url("**/login?next=*")
    app.page.get_by_label("E-mail").fill(who.email)
    app.page.get_by_label("Password").fill(who.password)
    app.page.keyboard.press("Enter")
    app.page.wait_for_url("**/app/integrations/apps?x=1")
    expect(app.page.get_by_role("heading", level=1)).to_have_text("Apps")
    app.check()


def test_signing_out_ends_the_session(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels")
    cookie = next(c for c in app.context.cookies() if c["name"] == SESSION)
    page.get_by_role("button", name=re.compile("Dewi Lestari")).click()
    page.get_by_role("menuitem", name="Sign out").click()
    page.wait_for_url("**/login")
    app.expected = {401}
    page.goto(app.base_url + "/app/channels")
    page.wait_for_url("**/login?next=*")
    answer = organisation.kabar.http.get(
        "/api/v1/auth/session", headers={"Cookie": f"{SESSION}={cookie['value']}"}
    )
    assert answer.status_code == 401
    assert app.problems == []


def test_with_the_keyboard_alone(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    app.tab_to("API tokens")
    page.keyboard.press("Enter")
    # Reading goes on at the new page's heading.
    heading = page.get_by_role("heading", level=1, name="API tokens")
    expect(heading).to_be_focused()
    expect(page).to_have_title("API tokens · Kabar")
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Channels")).to_be_focused()


def test_on_a_phone_the_drawer_leads_to_another_page(open_app, organisation):
    app = open_app(View("en", "dark", phone=True)).sign_in(person(organisation))
    page = app.open("/channels")
    page.get_by_role("button", name="Open the navigation").click()
    page.get_by_role("link", name="API tokens").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1, name="API tokens")).to_be_focused()
    page.get_by_role("button", name="Open the navigation").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Open the navigation")).to_be_focused()


def test_language_and_theme_are_kept(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels")
    page.get_by_role("button", name=re.compile("Dewi Lestari")).click()
    page.get_by_role("menuitemradio", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("menuitemradio", name="العربية").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("القنوات")
    page = app.open("/integrations/apps")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    app.check()


def test_another_organisation_shows_its_own_things(open_app, new_organisation):
    first, second = new_organisation("Graha"), new_organisation("Menara")
    who = person(first)
    second.kabar.run("user", "role", "--email", who.email, "--organisation", second.slug, "--role", "viewer")
    first.telegram(display_name="Bot of Graha")
    second.telegram(display_name="Bot of Menara")
    app = open_app().sign_in(who)
    page = app.open("/channels")
    names = [o.api.get(f"/organisations/{o.id}").json()["data"]["name"] for o in (first, second)]
    here = next(name for name in names if page.get_by_role("button", name=name).is_visible())
    there = next(name for name in names if name != here)
    expect(page.get_by_text(f"Bot of {here.split()[0]}")).to_be_visible()
    page.get_by_role("button", name=here).click()
    page.get_by_role("menuitem", name=there).click()
    expect(page.get_by_text(f"Bot of {there.split()[0]}")).to_be_visible()
    expect(page.get_by_text(f"Bot of {here.split()[0]}")).to_have_count(0)
    # It is kept, and it is this tab's.
    page.reload()
    expect(page.get_by_text(f"Bot of {there.split()[0]}")).to_be_visible()
    app.check()


def test_a_server_out_of_reach_is_said_and_tried_again(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/integrations/apps")
    page.route("**/api/v1/channels?*", lambda route: route.abort())
    page.get_by_role("link", name="Channels").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    app.check()
    page.unroute("**/api/v1/channels?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("No channels yet")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_address_of_nothing(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/no/such/page")
    app.check()
    page.get_by_role("link", name="Go to the start page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Channels")


def test_a_session_that_ends_meanwhile_asks_to_sign_in_again(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/integrations/apps")
    app.context.clear_cookies()
    app.expected = {401}
    page.get_by_role("link", name="Channels").click()
    page.wait_for_url("**/login?next=%2Fapp%2Fchannels")


def test_every_text_is_there_in_each_language():
    messages = harness.ROOT / "web/messages"

    def keys(language):
        return {
            f"{file.stem}.{key}": isinstance(text, list)
            for file in (messages / language).glob("*.json")
            for key, text in json.loads(file.read_text()).items()
        }

    assert keys("en") == keys("id") == keys("ar")
    listed = json.loads((harness.ROOT / "web/project.inlang/settings.json").read_text())
    patterns = listed["plugin.inlang.messageFormat"]["pathPattern"]
    assert sorted(patterns) == sorted(f"./messages/{{locale}}/{file.name}" for file in (messages / "en").glob("*.json"))
