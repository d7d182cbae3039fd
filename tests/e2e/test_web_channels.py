"""Channels in the web app: what there is, connecting with credentials, the connection check, settings."""

import pytest
from playwright.sync_api import expect

from api import data
from browser import in_every_view, person


@pytest.fixture
def app(open_app, organisation):
    return open_app().sign_in(person(organisation))


@in_every_view
def test_channels_in_every_language_theme_and_size(open_app, organisation, view):
    app = open_app(view).sign_in(person(organisation))
    page = app.open("/channels")
    expect(page.get_by_role("main").get_by_role("heading", level=2)).to_be_visible()
    app.check()
    page.get_by_role("main").get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    app.check()
    page.keyboard.press("Escape")
    account = organisation.whatsapp(display_name="Facility desk")
    organisation.telegram(display_name="Bot مكتب")
    page.reload()
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(2)
    app.check()
    page = app.open(f"/channels/{account.channel_id}")
    page.locator("section").first.get_by_role("button").click()
    expect(page.locator("section").first.get_by_role("listitem").first).to_be_visible(timeout=30_000)
    app.check()


def test_a_bot_is_connected_with_its_token(app, simulator):
    page = app.open("/channels")
    page.get_by_role("button", name="Add with credentials").first.click()
    page.get_by_label("Platform").click()
    page.get_by_role("option", name="Telegram bot").click()
    page.get_by_label("Name").fill("Lobby bot")
    app.expected = {422}
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_label("Bot token")).to_be_focused()
    expect(page.get_by_text("The bot token field is required.")).to_be_visible()
    page.get_by_label("Bot token").fill("4711:AAE-lobby-bot-of-the-tests-0123456789ab")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lobby bot")
    assert "4711:AAE" not in page.content()
    app.check()


def test_the_connection_check_says_what_to_do(app, organisation):
    account = organisation.whatsapp(display_name="Facility desk")
    page = app.open(f"/channels/{account.channel_id}")
    page.get_by_role("button", name="Check the connection").click()
    checks = page.get_by_role("list", name="Connection check").get_by_role("listitem")
    expect(checks.filter(has_text="Access token")).to_be_visible(timeout=30_000)
    found = data(organisation.api.get(f"/messaging-accounts/{account.id}/doctor"))
    expect(checks).to_have_count(len(found["checks"]))
    said = {"ok": "In order", "warning": "Attention", "failed": "Failed", "skipped": "Not checked"}
    for shown, check in zip(checks.all(), found["checks"]):
        expect(shown).to_contain_text(said[check["status"]])
        if check["fix"]:
            expect(shown).to_contain_text(check["fix"].split("\n")[0])
    # The tests' server is not on https.
    assert next(check for check in found["checks"] if check["name"] == "tls")["fix"]
    app.check()


def test_a_lost_token_is_replaced(app, organisation, simulator):
    account = organisation.whatsapp(display_name="Facility desk")
    number = account.number
    simulator.post("tokens", {"phone_number_id": number.phone_number_id, "access_token": "EAA-of-today"})
    page = app.open(f"/channels/{account.channel_id}")
    page.get_by_role("button", name="New credentials").click()
    dialog = page.get_by_role("dialog", name="New credentials")
    token = dialog.get_by_label("Access token")
    expect(token).to_be_focused()
    expect(token).to_have_value("")
    expect(dialog.get_by_role("button", name="Save")).to_be_disabled()
    app.check()
    token.fill("EAA-of-today")
    dialog.get_by_role("button", name="Save").click()
    checks = page.get_by_role("list", name="Connection check").get_by_role("listitem")
    expect(checks.filter(has_text="Access token")).to_contain_text("In order", timeout=30_000)
    expect(page.get_by_text("Connected", exact=True).first).to_be_visible()
    assert data(organisation.api.get(f"/channels/{account.channel_id}"))["status"] == "connected"
    assert "EAA-of-today" not in page.content() and number.access_token not in page.content()
    app.check()


def test_settings_are_kept(app, organisation):
    account = organisation.telegram(display_name="Bot")
    site = data(organisation.api.post("/sites", {"name": "Gedung A"}), 201)
    page = app.open(f"/channels/{account.channel_id}")
    save = page.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    page.get_by_label("Name").fill("Lobby")
    page.get_by_label("Site of its messages").click()
    page.get_by_role("option", name="Gedung A").click()
    page.get_by_role("switch", name="Problems").click()
    save.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lobby")
    kept = data(organisation.api.get(f"/channels/{account.channel_id}"))
    assert (kept["display_name"], kept["default_site_id"], kept["allow_issues"]) == ("Lobby", site["id"], False)
    expect(save).to_be_disabled()
    page.get_by_label("Name").fill("")
    app.expected = {422}
    save.click()
    expect(page.get_by_label("Name")).to_be_focused()
    app.check()


def test_a_channel_is_archived_and_brought_back(app, organisation):
    account = organisation.telegram(display_name="Old bot")
    page = app.open(f"/channels/{account.channel_id}")
    page.get_by_role("button", name="Archive").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Archive").click()
    expect(page.get_by_text("Archived", exact=True)).to_be_visible()
    page.get_by_role("link", name="Channels").last.click()
    expect(page.get_by_text("No channels yet")).to_be_visible()
    page.get_by_role("button", name="Archived").click()
    page.get_by_role("link", name="Old bot").click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Restore").click()
    expect(page.get_by_role("button", name="Archive")).to_be_visible()
    assert data(organisation.api.get(f"/channels/{account.channel_id}"))["archived_at"] is None
    app.check()


def test_who_may_only_read_is_offered_nothing_to_change(open_app, organisation):
    account = organisation.whatsapp(display_name="Facility desk")
    app = open_app().sign_in(person(organisation, "viewer"))
    page = app.open("/channels")
    expect(page.get_by_role("link", name="Facility desk")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button", name="Add with credentials")).to_have_count(0)
    expect(page.get_by_role("main").get_by_role("link", name="Connect WhatsApp")).to_have_count(0)
    app.check()
    page = app.open(f"/channels/{account.channel_id}")
    expect(page.get_by_label("Name")).to_be_disabled()
    expect(page.get_by_role("switch", name="Problems")).to_be_disabled()
    for name in ("Save", "Archive", "New credentials", "Check the connection"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    app.check()


def test_another_organisations_channel_is_not_there(app, new_organisation):
    foreign = new_organisation().telegram()
    app.expected = {404}
    page = app.open(f"/channels/{foreign.channel_id}")
    expect(page.get_by_role("alert")).to_contain_text("This is not there")
    app.check()
