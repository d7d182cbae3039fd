"""Connecting WhatsApp in the web app: Meta's dialog beside the app or in its place, each step, what failed, going on."""

import pytest
from playwright.sync_api import expect

import whatsapp as wa
from api import data, serial
from browser import in_every_view, person

START = "Continue with Facebook"


@pytest.fixture
def number(simulator):
    """A number at Meta that nobody has connected, with a PIN that Kabar does not know."""
    made = wa.Number.new(serial())
    simulator.add_number(made.phone_number_id, made.waba_id, made.phone_number, "Acme", made.access_token)
    simulator.post("whatsapp/number", {"phone_number_id": made.phone_number_id, "registered": False, "pin": "222222"})
    return made


def choose(dialog, number):
    dialog.locator(f"a[href*='{number.phone_number_id}']").click()


def popup(app, name=START):
    with app.context.expect_page() as opened:
        app.page.get_by_role("button", name=name).click()
    return opened.value


@in_every_view
def test_a_number_is_connected_in_spite_of_its_pin(open_app, organisation, number, view):
    app = open_app(view).sign_in(person(organisation))
    page = app.open("/channels/connect")
    app.check()
    with app.context.expect_page() as opened:
        page.locator("main .card button").click()
    expect(page.get_by_role("status").locator("p").first).to_be_visible()
    app.check()
    dialog = opened.value
    choose(dialog, number)
    # The step that failed, with what to do; the dialog's window is gone, and the code is in no address.
    page.wait_for_url("**/app/channels/connect/*")
    steps = page.get_by_role("list").filter(has_text="Cloud API").get_by_role("listitem")
    expect(steps).to_have_count(7)
    expect(steps.nth(4)).to_contain_text("133005")
    assert dialog.is_closed() and "code" not in page.url
    app.check()
    page.get_by_role("textbox").fill("222222")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).not_to_contain_text("133005")
    expect(page.get_by_role("textbox")).to_have_count(0)
    app.check()
    [account] = organisation.api.all("/messaging-accounts")
    assert (account["status"], account["phone_number_id"]) == ("connected", number.phone_number_id)
    expect(page.locator(f"a[href='/app/channels/{account['channel_id']}']")).to_be_visible()


def test_without_popups_the_dialog_takes_the_place_of_the_app(open_app, organisation, number, simulator):
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels/connect")
    app.check()
    page.evaluate("window.open = () => null")
    page.get_by_role("button", name=START).click()
    page.wait_for_url(simulator.base_url + "/**")
    choose(page, number)
    page.wait_for_url("**/app/channels/connect/*")
    expect(page.get_by_text("One step did not go through")).to_be_visible()
    # Nothing of the code is left to go back to.
    page.go_back()
    assert "code=" not in page.url
    assert len(organisation.api.all("/embedded-signups")) == 1


def test_a_dialog_that_was_left_can_be_opened_again(open_app, organisation, number):
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels/connect")
    popup(app).get_by_role("link", name="Cancel").click()
    expect(page.get_by_text("Nothing was connected")).to_be_visible()
    app.check()
    popup(app).close()
    expect(page.get_by_text("Go on in Meta's window")).to_be_visible()
    choose(popup(app, "Open it again"), number)
    page.wait_for_url("**/app/channels/connect/*")
    expect(page.get_by_role("link", name="Start again")).to_be_visible()
    app.check()


def test_an_answer_that_nobody_here_asked_for_is_not_taken(open_app, organisation):
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels/connect?code=of-somebody-else&state=guess")
    expect(page.get_by_text("does not belong to a signup that was started here")).to_be_visible()
    assert page.url.endswith("/app/channels/connect")
    assert organisation.api.all("/embedded-signups") == []
    app.check()


def test_a_code_that_is_lost_leads_to_the_start(open_app, organisation, number, simulator):
    made = data(
        organisation.api.http.post(
            organisation.kabar.base_url + "/api/integrations/meta/embedded-signup",
            json={"code": "expired", "waba_id": number.waba_id},
        )
    )
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels/connect")
    page.get_by_role("link", name=f"Business account {number.waba_id}").click()
    expect(page.get_by_text("The code is older than 30 seconds.")).to_be_visible()
    expect(page.get_by_role("button", name="Go on")).to_have_count(0)
    assert page.url.endswith(made["id"])
    page.get_by_role("main").get_by_role("link", name="Start again").click()
    expect(page.get_by_role("button", name=START)).to_be_visible()
    app.check()


def test_what_a_later_signup_made_good_asks_for_nothing(open_app, organisation, number, simulator):
    simulator.post("whatsapp/number", {"phone_number_id": number.phone_number_id, "registered": True})
    path = organisation.kabar.base_url + "/api/integrations/meta/embedded-signup"
    for code in ("expired", f"sim-{number.phone_number_id}-{serial()}"):
        made = organisation.api.http.post(path, json={"code": code, "waba_id": number.waba_id})
    assert data(made)["status"] == "completed"
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels/connect")
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    expect(page.get_by_text("Needs you")).to_have_count(0)
    page.get_by_role("listitem").filter(has_text="Connected later").get_by_role("link").click()
    expect(page.get_by_text("There is nothing left to do here.")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("link", name="Start again")).to_have_count(0)
    app.check()


def test_only_administrators_connect(open_app, organisation):
    app = open_app().sign_in(person(organisation, "viewer"))
    page = app.open("/channels/connect")
    expect(page.get_by_text("Only an administrator")).to_be_visible()
    expect(page.get_by_role("button", name=START)).to_have_count(0)
    app.check()
