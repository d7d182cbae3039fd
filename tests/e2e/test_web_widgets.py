"""Chat widgets in the web app: made, shaped, tried, keyed; and a widget that an administrator made is what visitors get."""

import re

import pytest
from playwright.sync_api import expect

from api import data, serial
from browser import View, in_every_view, person
from harness import eventually


def widget(organisation, **fields):
    body = {"slug": f"shop-{serial()}", "name": "Shop", "allowed_origins": ["https://shop.example"], **fields}
    return data(organisation.api.post("/widgets", body), 201)


FULL = {
    "texts": {"en": {"title": "PT Graha"}, "id": {}, "ar": {"greeting": "أهلًا"}},
    "appearance": {"accent": "#ffcc00"},
    "fields": [{"key": "name", "required": True}, {"key": "unit_no", "label": {"en": "Unit", "ar": "الوحدة"}}],
    "operating_hours": {"mon": [["08:00", "12:00"], {"open": "13:00", "close": "17:00"}]},
}


@in_every_view
def test_in_every_language_theme_and_size(open_app, organisation, view):
    made = widget(organisation, **FULL)
    widget(organisation, allowed_origins=[])
    data(organisation.api.post("/embed-tokens", {"slug": made["slug"], "subject": "u"}), 200)
    data(organisation.api.post("/widget-keys/rotate", {}), 200)
    app = open_app(view).sign_in(person(organisation))
    page = app.open("/integrations/widgets")
    expect(page.get_by_role("link", name="Shop", exact=True)).to_have_count(2)
    app.check()
    page = app.open("/integrations/widgets/new")
    app.check()
    page = app.open(f"/integrations/widgets/{made['id']}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Shop")
    app.check()
    picture = page.locator("[data-preview]")
    if view.phone:
        page.get_by_role("button", name=re.compile("Preview|Pratinjau|معاينة")).click()
        picture = page.get_by_role("dialog").locator("[data-preview]")
    expect(picture).to_be_visible()
    app.check()


def test_made_with_the_keyboard_alone(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/integrations/widgets")
    expect(page.get_by_text("No chat widgets yet")).to_be_visible()
    app.tab_to("New widget")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="New widget")).to_be_focused()
    app.tab_to("Name")
    page.keyboard.type("Café Grand")
    app.tab_to("Pages that may show it")
    page.keyboard.type("https://shop.example\nhttps://*.shop.example")
    app.tab_to("Greeting")
    page.keyboard.type("Selamat datang")
    app.tab_to("Create widget")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Café Grand")).to_be_visible()
    [made] = organisation.api.all("/widgets")
    assert page.url.endswith(made["id"]) and made["slug"] == "cafe-grand"
    assert made["allowed_origins"] == ["https://shop.example", "https://*.shop.example"]
    assert made["texts"]["en"] == {"greeting": "Selamat datang"}
    assert (made["operating_hours"], made["enabled"], made["appearance"]["accent_text"]) == (None, True, None)
    app.check()


def test_what_is_typed_is_seen_before_it_is_saved(open_app, organisation):
    made = widget(organisation)
    app = open_app().sign_in(person(organisation))
    page = app.open(f"/integrations/widgets/{made['id']}")
    picture = page.locator("aside [data-preview]")
    expect(picture).to_contain_text("Hello! How can we help?")
    page.get_by_label("Greeting", exact=True).fill("Welcome to the shop")
    expect(picture).to_contain_text("Welcome to the shop")
    page.get_by_label("Greeting out of hours").fill("Asleep")
    page.get_by_text("Out of hours", exact=True).click()
    expect(picture).to_contain_text("Asleep")
    page.get_by_role("textbox", name="Colour", exact=True).fill("#ffee00")
    accent = picture.locator(".accent").first
    expect(accent).to_have_css("background-color", "rgb(255, 238, 0)")
    expect(accent).to_have_css("color", "rgb(0, 0, 0)")
    page.get_by_label("Text on it").click()
    page.get_by_role("option", name="A colour of its own").click()
    page.get_by_role("textbox", name="Colour of the text", exact=True).fill("#ffffff")
    expect(page.get_by_text("the contrast is 1.2:1")).to_be_visible()
    page.get_by_role("textbox", name="Colour of the text", exact=True).fill("#222200")
    expect(page.get_by_text("the contrast is")).to_have_count(0)
    page.get_by_label("Corner").click()
    page.get_by_role("option", name=re.compile("^Left")).click()
    page.get_by_role("combobox", name="Add a language").click()
    page.get_by_role("option", name="Arabic").click()
    expect(picture).to_have_attribute("dir", "rtl")
    page.get_by_label("Heading").fill("متجر")
    expect(picture).to_contain_text("متجر")
    page.get_by_role("button", name="Phone").click()
    page.get_by_role("button", name="Own question").click()
    page.get_by_label("Question (Arabic)").fill("رقم الطلب")
    page.get_by_label("Name in the contact's fields").fill("order_no")
    page.get_by_label("You answer").click()
    page.get_by_role("option", name="In hours of its own").click()
    page.get_by_role("button", name="Add hours: Saturday").click()
    page.get_by_label("Saturday, to").fill("13:30")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    assert data(organisation.api.get(f"/widgets/{made['id']}"))["texts"] == {}
    app.check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not saved yet")).to_have_count(0)
    now = data(organisation.api.get(f"/widgets/{made['id']}"))
    assert now["appearance"] == {"accent": "#ffee00", "accent_text": "#222200", "theme": "auto", "position": "start"}
    assert now["texts"] == {"en": {"greeting": "Welcome to the shop", "offline": "Asleep"}, "ar": {"title": "متجر"}}
    assert [(f["key"], f["required"], f["label"]) for f in now["fields"]] == [
        ("phone", False, {}),
        ("order_no", False, {"ar": "رقم الطلب"}),
    ]
    assert now["operating_hours"]["sat"] == [{"open": "09:00", "close": "13:30"}]
    assert "sun" not in now["operating_hours"]


def test_visitors_may_go_on_with_a_number_of_the_organisation(open_app, organisation):
    made, number = widget(organisation), organisation.whatsapp(display_name="Sales line")
    organisation.telegram(display_name="Bot")
    app = open_app().sign_in(person(organisation))
    page = app.open(f"/integrations/widgets/{made['id']}")
    page.get_by_label("Continue on WhatsApp").last.click()
    expect(page.get_by_role("option")).to_have_count(2)
    page.get_by_role("option", name="Sales line").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not saved yet")).to_have_count(0)
    assert data(organisation.api.get(f"/widgets/{made['id']}"))["whatsapp_channel_id"] == number.channel_id
    app.check()


def test_leaving_with_unsaved_changes_asks_first(open_app, organisation):
    made = widget(organisation)
    app = open_app().sign_in(person(organisation))
    page = app.open("/integrations/widgets")
    page.get_by_role("link", name="Shop", exact=True).click()
    greeting, asked = page.get_by_label("Greeting", exact=True), page.get_by_role("alertdialog")
    editor = re.compile(f"/{made['id']}$")
    greeting.fill("Half a greeting")
    # By a link, and by the browser's way back.
    for leave in (lambda: page.get_by_role("link", name="Channels", exact=True).click(), page.go_back):
        leave()
        expect(asked).to_contain_text("Leave without saving?")
        expect(page).to_have_url(editor)
        asked.get_by_role("button", name="Cancel").click()
        expect(asked).to_have_count(0)
        expect(greeting).to_have_value("Half a greeting")
    page.go_back()
    app.check()
    asked.get_by_role("button", name="Leave without saving").click()
    expect(page.get_by_role("heading", level=1, name="Chat widgets")).to_be_focused()
    expect(page).to_have_url(re.compile("/integrations/widgets$"))
    # The way forward leads back, to what is saved.
    page.go_forward()
    expect(greeting).to_have_value("")
    greeting.fill("Welcome")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not saved yet")).to_have_count(0)
    page.get_by_role("link", name="Channels", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Channels")).to_be_focused()
    assert data(organisation.api.get(f"/widgets/{made['id']}"))["texts"]["en"]["greeting"] == "Welcome"
    page.get_by_role("main").get_by_role("link").filter(has_text="Shop").click()
    purpose = page.get_by_label("Purpose")
    purpose.fill("For visitors of the shop")
    page.get_by_role("link", name="Chat widgets", exact=True).click()
    expect(asked).to_be_visible()
    asked.get_by_role("button", name="Leave without saving").click()
    expect(page.get_by_role("heading", level=1, name="Chat widgets")).to_be_focused()
    app.check()


def test_what_the_server_refuses_is_said_where_it_was_typed(open_app, organisation):
    taken = widget(organisation)
    app = open_app().sign_in(person(organisation))
    app.expected = {422}
    page = app.open("/integrations/widgets/new")
    page.get_by_label("Name", exact=True).fill("Another")
    page.get_by_label("Short name").fill(taken["slug"])
    page.get_by_label("Pages that may show it").fill("https://shop.example\n\nhttps://shop.example/path\nshop")
    page.get_by_role("button", name="Create widget").click()
    slug, origins = page.get_by_label("Short name"), page.get_by_label("Pages that may show it")
    expect(origins).to_have_attribute("aria-invalid", "true")
    expect(origins).to_have_accessible_description(re.compile("Line 3: must be an origin .* Line 4: must be"))
    origins.fill("https://shop.example")
    page.get_by_role("button", name="Create widget").click()
    expect(slug).to_have_attribute("aria-invalid", "true")
    expect(slug).to_be_focused()
    expect(slug).to_have_accessible_description(re.compile("already been taken"))
    app.check()


def test_tried_on_the_spot_it_is_the_real_one(open_app, organisation):
    made = widget(organisation, texts={"en": {"title": "Graha shop"}})
    app = open_app().sign_in(person(organisation))
    page = app.open(f"/integrations/widgets/{made['id']}")
    page.get_by_role("button", name="Try it here").click()
    panel = page.locator("#kabar-widget")
    expect(panel.get_by_role("heading", name="Graha shop")).to_be_visible()
    panel.get_by_role("textbox", name="Message").fill("A trial")
    page.keyboard.press("Enter")
    eventually(lambda: [m for m in organisation.messages() if m["body"] == "A trial"])
    page.get_by_role("button", name="End the trial").click()
    expect(panel).to_have_count(0)
    app.check()


def test_archived_and_brought_back(open_app, organisation):
    made = widget(organisation)
    app = open_app().sign_in(person(organisation))
    page = app.open("/integrations/widgets")
    page.get_by_role("button", name="More about Shop").click()
    page.get_by_role("menuitem", name="Archive").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Archive").click()
    expect(page.get_by_text("Archived", exact=True)).to_be_visible()
    assert data(organisation.api.get(f"/widgets/{made['id']}"))["archived_at"]
    page = app.open(f"/integrations/widgets/{made['id']}")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("This widget is archived")).to_have_count(0)
    assert data(organisation.api.get(f"/widgets/{made['id']}"))["archived_at"] is None
    app.check()


def test_keys_are_rotated_and_revoked(open_app, organisation):
    made = widget(organisation)
    data(organisation.api.post("/embed-tokens", {"slug": made["slug"], "subject": "u"}), 200)
    app = open_app().sign_in(person(organisation))
    page = app.open("/integrations/widgets")
    keys = page.get_by_role("list", name="Signing keys").get_by_role("listitem")
    expect(keys).to_have_count(1)
    page.get_by_role("button", name="Rotate").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Rotate").click()
    expect(keys).to_have_count(2)
    expect(keys.nth(1)).to_contain_text("Retiring")
    keys.nth(1).get_by_role("button", name="Revoke").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
    expect(keys.nth(1)).to_contain_text("Revoked")
    expect(keys.nth(1).get_by_role("button")).to_have_count(0)
    app.check()


def test_who_may_only_read_sees_and_changes_nothing(open_app, organisation):
    made = widget(organisation)
    app = open_app(View("en")).sign_in(person(organisation, "viewer"))
    page = app.open("/integrations/widgets")
    expect(page.get_by_role("link", name="Shop", exact=True)).to_be_visible()
    expect(page.get_by_text("Signing keys")).to_have_count(0)
    page = app.open(f"/integrations/widgets/{made['id']}")
    expect(page.get_by_label("Name", exact=True)).to_be_disabled()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    app.check()
