"""Paying in the web app: the way to the bank and back, receipts, and what an unpaid organisation is told everywhere."""

import pytest
from playwright.sync_api import expect

from api import Organisation, login
from billing import Customer, Gateway, environment
from browser import App, View, in_every_view, person
from harness import Kabar, stop_quietly


@pytest.fixture(scope="module")
def server(backend, workspace, simulator, new_database, _names):
    directory = workspace / f"server-{next(_names)}"
    kabar = Kabar(directory, new_database(backend), simulator=simulator, environment=environment(simulator))
    kabar.start()
    kabar.run("billing", "plans", "set", "--slug", "team", "--name", "Team", "--amount", "299")
    year = ("--slug", "team-year", "--name", "Team, a year", "--amount", "2990.50", "--months", "12")
    kabar.run("billing", "plans", "set", *year)
    yield kabar
    stop_quietly(kabar)


@pytest.fixture
def gateway(server):
    return Gateway(server)


@pytest.fixture
def customer(organisation, gateway):
    return Customer(organisation, gateway)


def printed(app, address: str, view: View) -> None:
    """A page that the server makes is as good as one of the app's."""
    app.page.goto(address)
    expect(app.page.get_by_role("heading", level=1)).to_be_visible()
    expect(app.page.locator("html")).to_have_attribute("lang", view.language)
    app.check()


@in_every_view
def test_in_every_language_theme_and_size(open_app, organisation, customer, gateway, view):
    who = person(organisation)
    app = open_app(view).sign_in(who)
    app.open("/billing")
    app.check()
    made = customer.checkout(language=view.language)
    page = app.open("/billing")
    expect(page.get_by_role("main")).to_contain_text(customer.invoice(made["invoice_id"])["number"])
    app.check()
    receipt = f"{organisation.kabar.base_url}/api/v1/billing/invoices/{made['invoice_id']}/receipt?lang={view.language}"
    printed(app, receipt, view)
    back = gateway.pay(made["payment_url"])
    customer.becomes(made["invoice_id"], "paid")
    printed(app, receipt, view)
    printed(app, back, view)
    for days in (-2, -60):
        customer.ends(days)
        app.open("/billing")
        app.check()
    app.open("/channels")
    expect(app.page.get_by_role("alert").get_by_role("link")).to_have_attribute("href", "/app/billing")
    app.check()


def test_to_the_bank_and_back_with_the_keyboard_alone(open_app, organisation, customer, gateway):
    app = open_app().sign_in(person(organisation))
    page = app.open("/channels")
    app.tab_to("Billing")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Billing")).to_be_focused()
    app.tab_to("Choose Team, a year")
    page.keyboard.press("Enter")
    page.wait_for_url("**/paymentpage.htm?*")
    page.goto(gateway.pay(page.url))
    page.get_by_role("link").click()
    expect(page.get_by_text("Active", exact=True)).to_be_visible()
    expect(page.get_by_text("Renew Team, a year")).to_be_visible()
    with app.context.expect_page() as opened:
        page.get_by_role("link", name="Receipt INV-").click()
    receipt = opened.value
    expect(receipt.get_by_role("heading", level=1)).to_contain_text("Receipt INV-")
    expect(receipt.get_by_role("main")).to_contain_text("2990.50")


def test_an_open_invoice_is_paid_from_the_page(open_app, organisation, customer, gateway):
    made = customer.checkout()
    app = open_app().sign_in(person(organisation))
    page = app.open("/billing")
    page.get_by_role("button", name="Pay", exact=True).click()
    page.wait_for_url("**/paymentpage.htm?*")
    gateway.pay(page.url)
    assert customer.becomes(made["invoice_id"], "paid")["plan_name"] == "Team"


def test_a_receipt_is_of_the_organisation_that_is_shown(open_app, organisation, new_organisation, gateway):
    """A link carries no header: it names its organisation itself."""
    other: Organisation = new_organisation("Menara")
    who = person(organisation)
    other.kabar.run("user", "role", "--email", who.email, "--organisation", other.slug, "--role", "admin")
    made = {it.id: Customer(it, gateway).checkout()["invoice_id"] for it in (organisation, other)}
    app = open_app().sign_in(who)
    for it in (organisation, other):
        number = Customer(it, gateway).invoice(made[it.id])["number"]
        app.page.goto(app.base_url + "/app")
        app.page.evaluate("id => { sessionStorage.clear(); localStorage.setItem('kabar.organisation', id) }", it.id)
        page = app.open("/billing")
        with app.context.expect_page() as opened:
            page.get_by_role("link", name=f"Invoice {number}").click()
        expect(opened.value.get_by_role("heading", level=1)).to_contain_text(number)


def test_a_read_only_organisation_reads_and_is_told_why_it_cannot_write(open_app, organisation, customer):
    customer.ends(-60)
    app = open_app().sign_in(person(organisation))
    app.expected = {402}
    page = app.open("/integrations/widgets/new")
    expect(page.get_by_role("alert")).to_contain_text("Your organisation is read-only.")
    page.get_by_label("Name", exact=True).fill("Shop")
    page.get_by_role("button", name="Create widget").click()
    expect(page.get_by_text("read-only until it is paid for")).to_be_visible()
    app.check()


def test_who_is_no_administrator_sees_the_standing_and_pays_nothing(open_app, organisation, customer):
    customer.checkout()
    app = open_app().sign_in(person(organisation, "viewer"))
    page = app.open("/billing")
    expect(page.get_by_text("An administrator of the organisation can pay.")).to_be_visible()
    expect(page.get_by_role("button", name="Pay", exact=True)).to_have_count(0)
    expect(page.get_by_role("heading", name="Invoices")).to_have_count(0)
    app.check()


def test_nothing_is_said_of_paying_where_billing_is_off(make_kabar, new_database, backend, simulator, chromium):
    kabar = make_kabar(new_database(backend), simulator=simulator).start()
    token = login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
    organisation = Organisation(kabar, token)
    context = chromium.new_context(**View().context())
    app = App(context, kabar.base_url).sign_in(person(organisation))
    page = app.open("/channels")
    expect(page.get_by_role("navigation").get_by_text("Billing")).to_have_count(0)
    page = app.open("/billing")
    expect(page.get_by_text("Nothing has to be paid here")).to_be_visible()
    app.check()
    context.close()
    organisation.close()
