"""API tokens and apps in the web app."""

import contextlib
import re
import urllib.parse

import pytest
from playwright.sync_api import expect

from api import Api, data, refused
from browser import View, in_every_view, person


@pytest.fixture
def app(open_app, organisation):
    return open_app().sign_in(person(organisation))


def rows(page, name):
    return page.get_by_role("list", name=name, exact=True).get_by_role("listitem")


@in_every_view
def test_tokens_in_every_language_theme_and_size(open_app, organisation, view):
    app = open_app(view).sign_in(person(organisation))
    page = app.open("/integrations/api-tokens")
    app.check()
    main = page.get_by_role("main")
    main.get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    for switch in page.get_by_role("switch").all():
        switch.click()
    app.check()
    page.keyboard.press("Escape")
    channel = organisation.telegram().channel_id
    body = {"name": "Laporan malam تقرير", "abilities": ["read", "send"], "expires_at": "2099-01-01T00:00:00Z"}
    data(organisation.api.post("/tokens", body | {"channel_ids": [channel]}), 201)
    data(organisation.api.post("/tokens", {"name": "x" * 200, "abilities": ["admin"]}), 201)
    page.reload()
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(2)
    app.check()


def test_a_token_is_made_with_the_keyboard_and_works(app, organisation):
    page = app.open("/integrations/api-tokens")
    app.tab_to("New token")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.type("Night report")
    page.keyboard.press("Enter")
    shown = page.get_by_role("dialog", name="Your new token")
    secret = shown.locator("code").first.inner_text()
    assert re.fullmatch(r"\d+\|\w{40,}", secret)
    app.check()
    # It is not lost by a key pressed in passing.
    page.keyboard.press("Escape")
    expect(shown).to_be_visible()
    with contextlib.closing(Api(app.base_url, secret)) as program:
        assert program.get("/conversations").status_code == 200
        refused(program.post("/contacts", {"wa_id": "62811"}), 403)
    page.get_by_role("button", name="I have kept it").click()
    expect(rows(page, "API tokens")).to_have_count(1)
    assert secret not in page.content()
    expect(rows(page, "API tokens")).to_contain_text("Night report")
    assert app.problems == []


def test_a_token_bound_to_a_channel_reaches_that_alone(app, organisation):
    bound, other = organisation.telegram(display_name="Lobby"), organisation.telegram(display_name="Garage")
    page = app.open("/integrations/api-tokens")
    page.get_by_role("button", name="New token").first.click()
    page.get_by_label("Name").fill("Lobby screen")
    page.get_by_role("switch", name="Only some channels").click()
    page.get_by_role("checkbox", name="Lobby").check()
    page.get_by_role("button", name="Create token").click()
    secret = page.get_by_role("dialog", name="Your new token").locator("code").first.inner_text()
    with contextlib.closing(Api(app.base_url, secret)) as program:
        assert program.get(f"/channels/{bound.channel_id}").status_code == 200
        assert program.get(f"/channels/{other.channel_id}").status_code == 404
    page.get_by_role("button", name="I have kept it").click()
    expect(rows(page, "API tokens")).to_contain_text("1 channel only")


def test_what_is_missing_is_said_at_its_field(app):
    page = app.open("/integrations/api-tokens")
    page.get_by_role("button", name="New token").first.click()
    app.expected = {422}
    page.get_by_role("checkbox", name="Read").uncheck()
    page.get_by_role("button", name="Create token").click()
    name = page.get_by_label("Name")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description(re.compile("The name field is required."))
    expect(page.get_by_role("group", name="What it may do")).to_contain_text("required")
    app.check()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="New token").first.click()
    expect(page.get_by_text("field is required")).to_have_count(0)


def test_a_day_that_was_not_chosen_is_not_never(app, organisation):
    page = app.open("/integrations/api-tokens")
    page.get_by_role("button", name="New token").first.click()
    page.get_by_label("Name").fill("Night report")
    page.get_by_label("How long it lasts").click()
    page.get_by_role("option", name="Until a day of your choice").click()
    page.get_by_role("button", name="Create token").click()
    day = page.get_by_label("Last day")
    expect(day).to_be_focused()
    expect(day).to_have_accessible_description("Choose the last day.")
    assert not [token for token in organisation.api.all("/tokens") if token["name"] == "Night report"]
    app.check()
    day.fill("2099-05-01")
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_role("dialog", name="Your new token")).to_be_visible()
    made = [token for token in organisation.api.all("/tokens") if token["name"] == "Night report"]
    assert [token["expires_at"][:7] for token in made] == ["2099-05"]


def test_a_revoked_token_is_dead(app, organisation):
    made = data(organisation.api.post("/tokens", {"name": "Old script", "abilities": ["read"]}), 201)
    page = app.open("/integrations/api-tokens")
    page.get_by_role("button", name="More about Old script").click()
    page.get_by_role("menuitem", name="Revoke").click()
    # As the token itself begins.
    number = made["token"].split("|")[0]
    expect(rows(page, "API tokens")).to_contain_text(f"#{number}")
    asked = page.get_by_role("alertdialog", name=f'Revoke "Old script" (#{number})?')
    app.check()
    asked.get_by_role("button", name="Cancel").click()
    with contextlib.closing(Api(app.base_url, made["token"])) as program:
        assert program.get("/conversations").status_code == 200
        page.get_by_role("button", name="More about Old script").click()
        page.get_by_role("menuitem", name="Revoke").click()
        asked.get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("No tokens yet")).to_be_visible()
        refused(program.get("/conversations"), 401)
    app.check()


def test_who_may_not_is_told_so(open_app, organisation):
    app = open_app().sign_in(person(organisation, "agent"))
    page = app.open("/integrations/api-tokens")
    expect(page.get_by_role("main")).to_contain_text("Only administrators")
    expect(page.get_by_role("button", name="New token")).to_have_count(0)
    expect(page.get_by_role("navigation").get_by_role("link", name="Apps")).to_be_visible()
    expect(page.get_by_role("navigation").get_by_role("link", name="API tokens")).to_have_count(0)
    app.check()


def test_names_are_text(app, organisation):
    name = "<img src=x onerror=alert(1)>"
    data(organisation.api.post("/tokens", {"name": name, "abilities": ["read"]}), 201)
    page = app.open("/integrations/api-tokens")
    expect(page.get_by_text(name)).to_be_visible()
    assert page.locator("main img").count() == 0 and app.problems == []


def test_in_arabic_latin_names_are_cut_at_their_end(open_app, organisation):
    name = "Line of the northern industrial estate " * 6
    channel = organisation.telegram(display_name=name).channel_id
    data(organisation.api.post("/tokens", {"name": name, "abilities": ["read"], "channel_ids": [channel]}), 201)
    made = data(organisation.api.post("/widgets", {"slug": f"shop-{organisation.slug}", "name": name}), 201)
    app = open_app(View("ar")).sign_in(person(organisation))
    for path in ("/channels", "/integrations/api-tokens", "/integrations/widgets"):
        page = app.open(path)
        shown = page.get_by_role("main").get_by_text(name.strip()).first
        expect(shown).to_have_css("direction", "ltr")
        expect(shown).to_have_css("text-overflow", "ellipsis")
        app.check()
    # Its beginning is not under the edge of the line.
    slug = page.get_by_text(made["slug"])
    edge = "(it) => { const box = it.getBoundingClientRect(); return [box.left + 2, box.y + box.height / 2]; }"
    assert slug.evaluate(f"(it) => document.elementFromPoint(...({edge})(it)) === it")


@in_every_view
def test_apps_in_every_language_theme_and_size(open_app, organisation, view):
    app = open_app(view).sign_in(person(organisation))
    page = app.open("/integrations/apps")
    app.check()
    page.get_by_role("main").get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    app.check()
    page.keyboard.press("Escape")
    uris = ["https://crm.example.com/a/very/long/path/that/does/not/end/kabar/callback", "http://127.0.0.1:9000/cb"]
    slug = f"studio-{organisation.slug}"
    data(organisation.api.post("/apps", {"name": "Studio", "slug": slug, "redirect_uris": uris}), 201)
    page.reload()
    expect(page.get_by_text(slug)).to_be_visible()
    app.check()
    # Its menu, and what its developers need.
    page.get_by_role("main").get_by_role("button").last.click()
    app.check()
    page.get_by_role("menuitem").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    app.check()


def test_an_app_is_registered_connected_and_disconnected(app, organisation):
    page = app.open("/integrations/apps")
    page.get_by_role("button", name="Register an app").first.click()
    page.get_by_label("Name", exact=True).fill(f"Studio {organisation.slug}")
    slug = f"studio-{organisation.slug}"
    expect(page.get_by_label("Short name")).to_have_value(slug)
    callback = "http://127.0.0.1:9/kabar/callback"
    page.get_by_label("Redirect URIs").fill(callback)
    page.get_by_role("button", name="Register", exact=True).click()
    shown = page.get_by_role("dialog", name=f"Connect Studio {organisation.slug}")
    link = shown.locator("code").first.inner_text()
    assert urllib.parse.parse_qs(urllib.parse.urlparse(link).query)["redirect_uri"] == [callback]
    app.check()
    page.get_by_role("button", name="Done").click()

    # As somebody who follows the app's link; nobody listens where it leads back to.
    codes = []
    page.on("request", lambda sent: codes.append(sent.url) if sent.url.startswith(callback) else None)
    page.goto(link)
    page.get_by_role("button", name=re.compile("Allow")).click()
    page.wait_for_timeout(300)
    query = urllib.parse.parse_qs(urllib.parse.urlparse(codes[0]).query)
    assert query["state"] == ["STATE"]
    app.problems.clear()
    answer = organisation.kabar.http.post(
        "/api/v1/oauth/token", data={"code": query["code"][0], "redirect_uri": callback}
    )
    token = data(answer, 200)["access_token"]

    page = app.open("/integrations/apps")
    expect(rows(page, "Connected apps")).to_contain_text(f"Studio {organisation.slug}")
    app.check()
    with contextlib.closing(Api(app.base_url, token)) as program:
        assert program.get("/conversations").status_code == 200
        page.get_by_role("button", name="Disconnect Studio").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Disconnect").click()
        expect(page.get_by_text("Nothing is connected")).to_be_visible()
        refused(program.get("/conversations"), 401)


def test_a_wrong_redirect_uri_is_said_at_its_field(app):
    page = app.open("/integrations/apps")
    page.get_by_role("button", name="Register an app").first.click()
    page.get_by_label("Name", exact=True).fill("Studio")
    page.get_by_label("Redirect URIs").fill("https://crm.example.com/cb\n\nhttp://crm.example.com/cb\nnowhere")
    app.expected = {422}
    page.get_by_role("button", name="Register", exact=True).click()
    field = page.get_by_label("Redirect URIs")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    told = re.compile("Line 3: The redirect URI must be .* Line 4: The redirect URI")
    expect(field).to_have_accessible_description(told)
    app.check()


def test_an_app_is_changed_and_deleted(app, organisation):
    slug = f"crm-{organisation.slug}"
    body = {"name": "CRM", "slug": slug, "redirect_uris": ["https://crm.example.com/cb"]}
    made = data(organisation.api.post("/apps", body), 201)
    page = app.open("/integrations/apps")
    page.get_by_role("button", name="More about CRM").click()
    page.get_by_role("menuitem", name="Edit").click()
    expect(page.get_by_label("Short name")).to_have_value(slug)
    page.get_by_label("Redirect URIs").fill("https://crm.example.com/cb\nhttps://crm.example.com/second\n")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    now = data(organisation.api.get(f"/apps/{made['id']}"))
    assert now["redirect_uris"] == ["https://crm.example.com/cb", "https://crm.example.com/second"]
    page.get_by_role("button", name="More about CRM").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No apps registered")).to_be_visible()
    assert organisation.api.get(f"/apps/{made['id']}").status_code == 404
    assert app.problems == []
