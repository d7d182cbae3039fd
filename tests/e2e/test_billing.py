"""Paying for an organisation over the bank's page: what is believed, what is told, and what follows when nobody pays.

The promise: an invoice is paid when the gateway itself says so, of that payment and that amount, and then once; and an
organisation that is not paid for loses no message.
"""

import concurrent.futures
import json
import re
import urllib.parse

import httpx
import pytest

import whatsapp as wa
from api import UNKNOWN_ID, Api, data, login, refused, serial
from billing import TERMINAL, Customer, Gateway, environment, hasten
from harness import Kabar, eventually, stop_quietly
from mail import Mail

ACKNOWLEDGED = [{"status": "1"}]


@pytest.fixture(scope="module")
def mail():
    started = Mail().open()
    yield started
    started.close()


@pytest.fixture(scope="module")
def server(backend, workspace, simulator, new_database, _names, mail):
    settings = environment(simulator) | {
        "KABAR_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "KABAR_SMTP_FROM": "ops@acme.example",
    }
    directory = workspace / f"server-{next(_names)}"
    kabar = Kabar(directory, new_database(backend), simulator=simulator, environment=settings)
    kabar.start()
    plans(kabar)
    yield kabar
    log = kabar.log()
    for secret in (TERMINAL["password"], TERMINAL["resource_key"], "512345", "trandata"):
        assert secret not in log
    stop_quietly(kabar)


def plans(kabar):
    kabar.run("billing", "plans", "set", "--slug", "team", "--name", "Team", "--amount", "299")
    year = ("--slug", "team-year", "--name", "Team, a year", "--amount", "2990.50", "--months", "12")
    kabar.run("billing", "plans", "set", *year)


@pytest.fixture
def gateway(server):
    # Questions about the payments of tests before would meet with the troubles that this one makes.
    server.sql("DELETE FROM jobs WHERE kind = 14 RETURNING 1")
    return Gateway(server)


@pytest.fixture
def customer(organisation, gateway):
    return Customer(organisation, gateway)


def page(kabar, url):
    """The page that a browser shows in the end."""
    return kabar.http.get(url, follow_redirects=True)


# Amount and action under the key below, and no payment's name.
SEALED = (
    "B1602398B4D46D8D3FC2BE9BE0B38C7DE72A936F81D0C3FA28E1E093CC275752"
    "15667A30C4E74E96920662801D49AE2D520319F98A5CAF23DF78A8DC11935B4C"
)


def test_it_is_off_until_the_operator_sets_it_up(backend, make_kabar, new_database, simulator):
    kabar = make_kabar(new_database(backend), simulator=simulator).start()
    api = Api(kabar.base_url, login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
    found = data(api.get("/billing"), 200)
    assert (found["enabled"], found["standing"], found["paid_until"]) == (False, "exempt", None)
    assert data(api.get("/billing/plans"), 200) == [] == data(api.get("/billing/invoices"), 200)
    refused(api.post("/billing/checkout", {"plan_id": UNKNOWN_ID}), 409)
    refused(kabar.http.post("/api/webhooks/neoleap", json=[{"type": "PAYMENT"}]), 404)
    assert kabar.stop() == 0
    # The key alone: what the gateway sends is read, and there is no payment it could be of.
    kabar.environment["KABAR_NEOLEAP_RESOURCE_KEY"] = "12345678901234567890123456789012"
    kabar.start()
    assert kabar.http.post("/api/webhooks/neoleap", json=[{"type": "PAYMENT", "payLoad": [{}]}]).json() == [{"status": "1"}]
    refused(kabar.http.post("/api/webhooks/neoleap", json=[{"paymentId": "1", "trandata": "00" * 16}]), 400)
    refused(kabar.http.post("/api/webhooks/neoleap", json=[{"paymentId": "1", "trandata": SEALED}]), 400)
    assert data(api.get("/billing"), 200)["enabled"] is False
    half = kabar.cli("config", "check", "--neoleap-tranportal-id", "x")
    assert half.returncode != 0 and "neoleap_resource_key" in half.stdout + half.stderr


def test_a_payment_from_the_plan_to_the_receipt(server, customer, gateway):
    assert customer.standing()["standing"] == "trial"
    before = customer.left()
    assert 13 < before <= 14
    started = customer.checkout()
    invoice = customer.invoice(started["invoice_id"])
    assert re.fullmatch(r"INV-\d{4}-\d{6}", invoice["number"])
    assert (invoice["status"], invoice["amount"], invoice["currency"]) == ("open", 29_900, "SAR")
    assert customer.standing()["open_invoice"]["id"] == invoice["id"]
    theirs = gateway.payment(started["payment_url"])
    # The customer's address comes first: without it the gateway declines.
    assert (theirs["amount"], theirs["addresses"], theirs["language"]) == ("299.00", "127.0.0.1", "en")

    back = gateway.pay(started["payment_url"])
    paid = customer.becomes(invoice["id"], "paid")
    assert paid["paid_at"] and paid["period_from"] < paid["period_to"]
    now = customer.standing()
    assert (now["standing"], now["plan"]["slug"], now["open_invoice"]) == ("active", "team", None)
    # A month more than the trial, of which no day is lost.
    assert before + 27 < customer.left() < before + 32
    assert page(server, back).text.count("Payment received") == 2

    # Both messages were acknowledged as each wants it.
    def both():
        calls = gateway.payment(started["payment_url"])["calls"]
        assert {call["kind"] for call in calls} == {"webhook", "notification"}
        return calls

    for call in eventually(both):
        answer = json.loads(call["answer"])
        if call["kind"] == "webhook":
            assert answer == ACKNOWLEDGED
        else:
            assert answer == [{"status": "1", "result": f"{server.base_url}/billing/return/{started['payment_id']}"}]
    assert [event["data"]["id"] for event in customer.events("invoice.paid")] == [invoice["id"]]
    assert [event["data"]["standing"] for event in customer.events("billing.standing_changed")] == ["active"]


def test_nothing_is_believed_before_the_gateway_says_so(server, customer, gateway):
    """Messages that anybody could have sent, and a browser that claims to have paid."""
    started = customer.checkout()
    theirs = gateway.payment(started["payment_url"])
    claim = {
        "type": "PAYMENT",
        "result": [{"status": "CAPTURED"}],
        "payLoad": [{"trackId": theirs["track_id"], "transId": 2021100000000001234, "amt": 299.0, "actionCode": "1"}],
    }
    assert gateway.post([claim]).json() == ACKNOWLEDGED
    # Whoever knows the key knows what to send; it is still not the gateway's answer.
    notification = gateway.notification(theirs)
    assert gateway.post(notification).json()[0]["status"] == "1"
    trandata = urllib.parse.quote(notification[0]["trandata"])
    back = f"/billing/return/{started['payment_id']}?paymentId={theirs['payment_id']}&trandata={trandata}&result=CAPTURED"
    shown = page(server, back)
    assert "Confirming with the bank" in shown.text and "?" not in str(shown.url)
    assert shown.headers["refresh"] == "3"
    for _ in range(3):
        hasten(server)
    eventually(lambda: server.sql(f"SELECT COUNT(*) FROM payments WHERE track_id = '{theirs['track_id']}' AND asked_at IS NOT NULL") == "1")
    assert customer.invoice(started["invoice_id"])["status"] == "open"
    assert customer.standing()["standing"] == "trial"


def test_messages_that_cannot_be_read_or_do_not_fit_are_not_acknowledged(server, customer, gateway):
    """The gateway gives the money back then."""
    started = customer.checkout()
    theirs = gateway.payment(started["payment_url"])
    good = gateway.notification(theirs)[0]
    text = good["trandata"]
    flipped = text[:40] + ("0" if text[40] != "0" else "1") + text[41:]
    other = customer.checkout("team-year")
    others = gateway.payment(other["payment_url"])
    for body, status in [
        (gateway.notification(theirs, key="x" * 32), 400),
        ([good | {"trandata": flipped}], 400),
        ([good | {"trandata": text[:-32]}], 400),
        ([good | {"trandata": "zz"}], 400),
        ([{"trandata": gateway.sealed({"result": "CAPTURED"})}], 400),
        (gateway.notification(theirs, trackId="100000000000000001"), 409),
        (gateway.notification(theirs, trackId="100000000000000001", paymentId=None) [0] | {"paymentId": None}, 404),
        (gateway.notification(theirs, amt="1.00"), 409),
        (gateway.notification(theirs, amt=None), 409),
        (gateway.notification(theirs, paymentId=str(others["payment_id"])), 409),
        (gateway.notification(theirs, trackId=others["track_id"]), 409),
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("<html>", 400),
        (b"\xff\xfe", 400),
        ([{"hello": 1}], 400),
    ]:
        answer = gateway.post(body)
        assert answer.status_code == status, (body, answer.text)
        refused(answer, status)
    # An unknown webhook would come again for ever; there is nothing to keep of it.
    nobody = {"type": "PAYMENT", "payLoad": [{"trackId": "123", "transId": 1}]}
    assert gateway.post([nobody]).json() == ACKNOWLEDGED
    hasten(server)
    assert customer.standing()["standing"] == "trial"


@pytest.mark.parametrize(
    "fields", [{"amt": "298.99"}, {"trackId": "1"}, {"paymentId": "600000000000000001"}, {"actionCode": "2"}], ids=str
)
def test_an_answer_that_does_not_fit_pays_nothing(customer, gateway, fields):
    started = customer.checkout()
    for name, value in fields.items():
        gateway.trouble("inquiry", name, value=value)
    gateway.pay(started["payment_url"])
    eventually(lambda: customer.payment_status(started["payment_id"]) == "review")
    assert customer.invoice(started["invoice_id"])["status"] == "open"
    printed = customer.kabar.run("billing", "payments", "--status", "review")
    assert gateway.payment(started["payment_url"])["track_id"] in printed
    # The gateway comes to its senses, and speaks of it once more.
    gateway.later("result", started["payment_url"], outcome="success")
    hasten(customer.kabar)
    customer.becomes(started["invoice_id"], "paid")


def test_what_is_repeated_pays_once(server, customer, gateway):
    started = customer.checkout()
    gateway.pay(started["payment_url"])
    customer.becomes(started["invoice_id"], "paid")
    until = customer.standing()["paid_until"]
    calls = eventually(lambda: len(gateway.payment(started["payment_url"])["calls"]) == 2 and gateway.payment(started["payment_url"])["calls"])
    bodies = [call["body"] for call in calls] * 8
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(gateway.post, bodies))
    assert {answer.json()[0]["status"] for answer in answers} == {"1"}
    # And long after.
    server.sql("UPDATE payments SET created_at = 0 RETURNING 1")
    assert gateway.post(bodies[0]).status_code == 200
    hasten(server)
    assert customer.standing()["paid_until"] == until
    assert len(customer.api.all("/billing/invoices")) == 1
    assert len(customer.events("invoice.paid")) == 1


def test_a_host_that_does_not_answer_is_asked_again(customer, gateway):
    started = customer.checkout()
    back = gateway.pay(started["payment_url"], "host_timeout")
    assert "Confirming with the bank" in page(customer.kabar, back).text
    assert customer.invoice(started["invoice_id"])["status"] == "open"
    # No message follows: the job finds out.
    gateway.later("result", started["payment_url"], outcome="CAPTURED", tell=False)
    eventually(lambda: hasten(customer.kabar) or customer.invoice(started["invoice_id"])["status"] == "paid")


def test_a_payment_is_found_when_no_message_comes(customer, gateway):
    gateway.connect(webhook=False, notification=False)
    started = customer.checkout()
    gateway.pay(started["payment_url"])
    hasten(customer.kabar)
    customer.becomes(started["invoice_id"], "paid")


@pytest.mark.parametrize("fault", ["server_error", "garbage", "lost"])
def test_an_inquiry_that_fails_is_made_again(customer, gateway, fault):
    gateway.trouble("inquiry", fault, times=2)
    started = customer.checkout()
    gateway.pay(started["payment_url"])
    eventually(lambda: hasten(customer.kabar) or customer.invoice(started["invoice_id"])["status"] == "paid", 30)


@pytest.mark.parametrize("outcome, shown", [("not_captured", "failed"), ("denied", "failed"), ("cancel", "not completed")])
def test_who_does_not_pay_is_told_so(customer, gateway, outcome, shown):
    started = customer.checkout()
    back = gateway.pay(started["payment_url"], outcome)
    eventually(lambda: shown in page(customer.kabar, back).text)
    assert customer.invoice(started["invoice_id"])["status"] == "open"
    # The same invoice is paid by another attempt.
    again = customer.checkout()
    assert again["invoice_id"] == started["invoice_id"] and again["payment_id"] != started["payment_id"]
    gateway.pay(again["payment_url"])
    customer.becomes(started["invoice_id"], "paid")


def test_a_payment_without_acknowledgement_is_given_back(backend, make_kabar, new_database, simulator):
    kabar = make_kabar(new_database(backend), simulator=simulator, environment=environment(simulator)).start()
    plans(kabar)
    gateway = Gateway(kabar)
    customer = of(kabar, gateway)
    started = customer.checkout()
    kabar.kill()
    back = gateway.pay(started["payment_url"])
    assert "IPAY0200025" in back
    kabar.start()
    eventually(lambda: "given back" in page(kabar, back).text)
    assert data(customer.api.get(f"/billing/invoices/{started['invoice_id']}"))["status"] == "open"


class _Whole:
    """The first organisation of a server of one's own, in the shape of an `Organisation`."""

    def __init__(self, kabar):
        self.kabar, self.slug = kabar, "default"
        token = login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
        self.api = Api(kabar.base_url, token)


def of(kabar, gateway):
    return Customer(_Whole(kabar), gateway)


@pytest.mark.faults
@pytest.mark.parametrize("place", ["payment_inquiry", "payment_answered"])
def test_a_crash_between_the_message_and_the_inquiry(backend, make_kabar, new_database, simulator, place):
    database = new_database(backend)
    settings = environment(simulator) | {"KABAR_FAILPOINT": place}
    kabar = make_kabar(database, simulator=simulator, environment=settings).start()
    plans(kabar)
    # The webhook alone: a crash before a notification is answered would have the gateway give the money back.
    gateway = Gateway(kabar, notification=False)
    started = of(kabar, gateway).checkout()
    back = gateway.pay(started["payment_url"])
    eventually(lambda: not kabar.process.running)
    kabar.kill()
    kabar.environment.pop("KABAR_FAILPOINT")
    kabar.start()
    customer = of(kabar, gateway)
    if backend == "postgres":
        # The dead server's lease runs out.
        kabar.sql("UPDATE jobs SET lease_until = 0 WHERE lease_until IS NOT NULL RETURNING 1")
    eventually(lambda: hasten(kabar) or customer.invoice(started["invoice_id"])["status"] == "paid", 40)
    assert len(customer.events("invoice.paid")) == 1
    assert "Payment received" in page(kabar, back).text


@pytest.mark.faults
def test_a_crash_while_a_payment_is_started(backend, make_kabar, new_database, simulator):
    """The gateway has it and we never heard its name there; ours is enough."""
    settings = environment(simulator) | {"KABAR_FAILPOINT": "payment_started"}
    kabar = make_kabar(new_database(backend), simulator=simulator, environment=settings).start()
    plans(kabar)
    gateway = Gateway(kabar)
    customer = of(kabar, gateway)
    with pytest.raises(httpx.TransportError):
        customer.checkout()
    kabar.kill()
    kabar.environment.pop("KABAR_FAILPOINT")
    kabar.start()
    customer = of(kabar, gateway)
    track_id = kabar.sql("SELECT track_id FROM payments")
    simulator.post("neoleap/pay", {"payment": track_id})
    [invoice] = customer.api.all("/billing/invoices")
    customer.becomes(invoice["id"], "paid")


@pytest.mark.parametrize(
    "fault", [{"fault": "error", "code": "IPAY0100015"}, {"fault": "server_error"}, {"fault": "garbage"}, {"fault": "lost"}], ids=lambda fault: fault["fault"]
)
def test_a_gateway_that_does_not_start_a_payment(customer, gateway, fault):
    gateway.trouble("hosted", **fault)
    answer = customer.api.post("/billing/checkout", {"plan_id": customer.plan()["id"]})
    body = refused(answer, 503)
    assert answer.headers["retry-after"] and fault.get("code", "") in body["message"]
    assert TERMINAL["password"] not in answer.text
    gateway.pay(customer.checkout()["payment_url"])
    eventually(lambda: customer.standing()["standing"] == "active")


def test_two_windows_that_both_pay_buy_two_periods(customer, gateway):
    first, second = customer.checkout(), customer.checkout()
    assert first["invoice_id"] == second["invoice_id"]
    gateway.pay(first["payment_url"])
    customer.becomes(first["invoice_id"], "paid")
    once = customer.left()
    gateway.pay(second["payment_url"])
    eventually(lambda: len(customer.api.all("/billing/invoices", status="paid")) == 2)
    assert once + 27 < customer.left() < once + 32
    numbers = {invoice["number"] for invoice in customer.api.all("/billing/invoices")}
    assert len(numbers) == 2


def test_another_plan_makes_the_open_invoice_void_and_late_money_still_counts(customer, gateway):
    month = customer.checkout()
    year = customer.checkout("team-year")
    assert customer.invoice(month["invoice_id"])["status"] == "void"
    refused(customer.api.post("/billing/checkout", {"invoice_id": month["invoice_id"]}), 409, "This invoice is void.")
    assert data(customer.api.post("/billing/checkout", {"invoice_id": year["invoice_id"]}))["invoice_id"] == year["invoice_id"]
    # The first window was still open.
    gateway.pay(month["payment_url"])
    customer.becomes(month["invoice_id"], "paid")
    assert customer.invoice(year["invoice_id"])["status"] == "void"


def test_an_unpaid_organisation_is_read_only_and_loses_nothing(server, customer, gateway, organisation, account):
    api, writer = customer.api, organisation.caller("read,write,send")
    incoming = wa.message(f"62822{serial() % 10**7:07d}")
    wa.deliver(server, wa.arrival(account.number, incoming))
    first = organisation.message(incoming["id"])
    customer.ends(-8)
    now = customer.standing()
    assert now["standing"] == "read_only" and now["read_only_at"] > now["paid_until"]
    send = {"conversation_id": first["conversation_id"], "body": "x"}
    held = [
        lambda: writer.post("/messages", send),
        lambda: writer.post("/messages", send, {"Idempotency-Key": "pay-first"}),
        lambda: writer.post("/sites", {"name": "x"}),
        lambda: writer.patch(f"/problems/{UNKNOWN_ID}", {"title": "x"}),
        lambda: writer.http.post("/media", files={"file": ("x.txt", b"x")}),
        lambda: api.put(f"/organisations/{organisation.id}", {"name": "x"}),
        lambda: api.put(f"/channels/{account.channel_id}", {"display_name": "x"}),
        lambda: api.delete(f"/messaging-accounts/{account.id}"),
        lambda: api.post("/webhook-endpoints", {"url": "http://127.0.0.1:9/"}),
        lambda: api.post("/tokens", {"name": "x", "abilities": ["read"]}),
    ]
    for call in held:
        body = refused(call(), 402)
        assert body["code"] == "payment_required" and "/app/billing" in body["message"], body
    # Who may not do it anyway is told that.
    refused(organisation.caller("read").post("/messages", send), 403)
    # Reading goes on, and signing in.
    assert data(api.get("/conversations"), 200) and data(api.get("/webhook-endpoints"), 200) == []
    login(server, Kabar.ADMIN_EMAIL, server.keys.admin_password)
    assert data(api.post("/messages/classify", {"text": "AC bocor"}), 200)["class"] == "problem"
    refused(api.delete(f"/tokens/{UNKNOWN_ID}"), 404)
    # What comes in is taken.
    later = wa.message(incoming["from"])
    wa.deliver(server, wa.arrival(account.number, later))
    assert organisation.message(later["id"])["conversation_id"] == first["conversation_id"]
    assert data(api.post("/inbox", {"text": "from another source"}))["id"]
    # Paying ends it at once; nothing of the lost time is charged for.
    started = customer.checkout()
    gateway.pay(started["payment_url"])
    customer.becomes(started["invoice_id"], "paid")
    assert 27 < customer.left() < 32
    assert data(writer.post("/messages", send, {"Idempotency-Key": "pay-first"}))["status"] == "queued"


def test_other_organisations_go_on(customer, new_organisation):
    customer.ends(-30)
    refused(customer.api.post("/sites", {"name": "x"}), 402)
    assert data(new_organisation().api.post("/sites", {"name": "x"}))["id"]


def test_the_operator_may_take_an_organisation_as_paid(server, customer, organisation):
    customer.ends(-8)
    refused(customer.api.post("/sites", {"name": "x"}), 402)
    assert "read_only" in next(line for line in server.run("billing", "list").splitlines() if organisation.slug in line)
    server.run("billing", "grant", "--organisation", organisation.slug, "--until", "2099-01-31")
    assert data(customer.api.post("/sites", {"name": "x"}))["id"]
    assert customer.standing()["paid_until"] == "2099-01-31T23:59:59+00:00"
    server.run("billing", "grant", "--organisation", organisation.slug, "--forever")
    assert customer.standing()["standing"] == "exempt"
    refused(customer.api.post("/billing/checkout", {"plan_id": customer.plan()["id"]}), 409)
    assert server.cli("billing", "grant", "--organisation", "nobody", "--forever").returncode != 0


def test_time_runs_out_with_warnings(server, customer, organisation, gateway, mail):
    """An invoice a week before, a grace period, then read-only; owners are told each time, once."""
    gateway.pay(customer.checkout()["payment_url"])
    eventually(lambda: customer.standing()["standing"] == "active")

    def told(subject):
        return [m for m in mail.to(Kabar.ADMIN_EMAIL) if organisation.slug in m["Subject"] and subject in m["Subject"]]

    eventually(lambda: len(told("Payment received")) == 1)
    customer.ends(6)
    [invoice] = eventually(lambda: customer.api.all("/billing/invoices", status="open"), 30)
    assert invoice["due_at"] == customer.standing()["paid_until"]
    eventually(lambda: len(told("Invoice")) == 1)
    assert invoice["number"] in told("Invoice")[0].get_content()
    customer.ends(-1)
    assert customer.standing()["standing"] == "past_due"
    assert data(customer.api.post("/sites", {"name": "x"}))["id"]
    eventually(lambda: len(told("has to be paid")) == 1, 30)
    # Who pays in the grace period pays from when the time ran out.
    started = data(customer.api.post("/billing/checkout", {"invoice_id": invoice["id"]}))
    gateway.pay(started["payment_url"])
    customer.becomes(invoice["id"], "paid")
    assert 26 < customer.left() < 31
    customer.ends(-8)
    eventually(lambda: len(told("is read-only")) == 1, 30)
    changes = [event["data"]["standing"] for event in customer.events("billing.standing_changed")]
    assert changes == ["active", "past_due", "active", "read_only"]
    assert [len(told(subject)) for subject in ("Invoice", "has to be paid", "is read-only")] == [1, 1, 1]


def test_refunds_are_believed_as_little_as_payments(server, customer, gateway):
    started = customer.checkout()
    gateway.pay(started["payment_url"])
    paid = customer.becomes(started["invoice_id"], "paid")
    before = customer.left()
    theirs = gateway.payment(started["payment_url"])
    forged = {"transId": 2999, "trackId": theirs["track_id"], "amt": 299.0, "actionCode": "2"}
    webhook = [{"type": "PAYMENT", "result": [{"status": "CAPTURED"}], "payLoad": [forged]}]
    assert gateway.post(webhook).json() == ACKNOWLEDGED
    gateway.later("refund", started["payment_url"], amount="100.00")
    eventually(lambda: customer.invoice(paid["id"])["refunded"] == 10_000)
    assert customer.invoice(paid["id"])["status"] == "paid" and abs(customer.left() - before) < 0.1
    # The message about it comes again, and again after the rest went back.
    gateway.later("refund", started["payment_url"], amount="199.00")
    customer.becomes(paid["id"], "refunded")
    for call in gateway.payment(started["payment_url"])["calls"]:
        assert gateway.post(call["body"]).status_code == 200
    hasten(server)
    assert customer.invoice(paid["id"])["refunded"] == 29_900
    # What it had bought is taken back: the trial is left.
    assert 13 < customer.left() <= 14
    assert len(customer.events("invoice.refunded")) == 2


def test_a_void_takes_the_payment_back(customer, gateway):
    started = customer.checkout()
    gateway.pay(started["payment_url"])
    customer.becomes(started["invoice_id"], "paid")
    gateway.later("void", started["payment_url"])
    customer.becomes(started["invoice_id"], "refunded")
    assert customer.payment_status(started["payment_id"]) == "reversed"


def test_who_may_pay_and_for_what(server, customer, organisation, new_organisation):
    plan = customer.plan()["id"]
    agent = organisation.caller("read,write,send")
    assert data(agent.get("/billing"), 200)["enabled"] and data(agent.get("/billing/plans"), 200)
    refused(agent.post("/billing/checkout", {"plan_id": plan}), 403)
    refused(agent.get("/billing/invoices"), 403)
    for body, field in [
        ({}, "plan_id"),
        ({"plan_id": "x"}, "plan_id"),
        ({"plan_id": UNKNOWN_ID}, "plan_id"),
        ({"plan_id": plan, "language": "fr"}, "language"),
    ]:
        assert field in refused(customer.api.post("/billing/checkout", body), 422)["errors"]
    started = customer.checkout()
    stranger = new_organisation().api
    for path in ("", "/receipt"):
        refused(stranger.get(f"/billing/invoices/{started['invoice_id']}{path}"), 404)
    refused(stranger.post("/billing/checkout", {"invoice_id": started["invoice_id"]}), 404)
    server.run("billing", "plans", "archive", "team-year")
    assert [plan["slug"] for plan in data(customer.api.get("/billing/plans"), 200)] == ["team"]
    plans(server)
    wrong = server.cli("billing", "plans", "set", "--slug", "Wrong slug", "--name", "x", "--amount", "1")
    assert wrong.returncode != 0 and "slug" in wrong.stderr
    assert server.cli("billing", "plans", "set", "--slug", "x", "--name", "x", "--amount", "1.234").returncode != 0


LANGUAGES = {"en": ("Receipt", "ltr"), "id": ("Kuitansi", "ltr"), "ar": ("إيصال", "rtl")}


def test_receipts_in_three_languages(customer, gateway, new_organisation):
    owner = Customer(new_organisation("<script>alert(1)</script>"), gateway)
    started = owner.checkout(language="ar")
    draft = owner.api.get(f"/billing/invoices/{started['invoice_id']}/receipt").text
    assert "<h1>Invoice" in draft and "To be paid" in draft
    back = gateway.pay(started["payment_url"])
    owner.becomes(started["invoice_id"], "paid")
    shown = page(owner.kabar, back)
    assert 'lang="ar" dir="rtl"' in shown.text and "تم استلام الدفعة" in shown.text
    assert shown.headers["cache-control"] == "no-store" and "script" not in shown.headers["content-security-policy"]
    for language, (title, direction) in LANGUAGES.items():
        for answer in (
            owner.api.get(f"/billing/invoices/{started['invoice_id']}/receipt", lang=language),
            owner.api.request("GET", f"/billing/invoices/{started['invoice_id']}/receipt", headers={"Accept-Language": f"fr, {language};q=0.8"}),
        ):
            assert answer.headers["content-type"].startswith("text/html")
            text = answer.text
            assert f'lang="{language}" dir="{direction}"' in text and f"<h1>{title}" in text
            assert "299.00 SAR" in text and "Kabar &amp; Sons\nOlaya Street, Riyadh" in text
            assert "<script" not in text and "&lt;script&gt;" in text
            # Nothing is fetched from anywhere.
            assert not re.search(r"(src|href)=\"(https?:)?//", text)


def test_a_customer_pays_in_a_browser(server, customer, gateway):
    """The bank's page and ours, on a phone, in the customer's language."""
    from playwright.sync_api import sync_playwright

    from harness import chromium

    started = customer.checkout(language="ar")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium())
        phone = browser.new_page(viewport={"width": 360, "height": 640})
        phone.goto(started["payment_url"])
        phone.get_by_role("button", name="Pay").click()
        phone.wait_for_url("**/billing/return/*")
        # It refreshes by itself, without script.
        phone.get_by_role("heading", name="تم استلام الدفعة").wait_for(timeout=15_000)
        assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert phone.get_by_role("link").get_attribute("href") == "/app/billing"
        browser.close()
    customer.becomes(started["invoice_id"], "paid")


def test_a_return_page_says_nothing_to_strangers(server, gateway):
    for odd in (UNKNOWN_ID, "nonsense", "%00"):
        refused(server.http.get(f"/billing/return/{odd}"), 404)
        refused(server.http.post(f"/billing/return/{odd}", content="trandata=x"), 404)


def test_a_bank_may_send_a_form(server, customer, gateway):
    started = customer.checkout()
    form = {"paymentid": str(gateway.payment(started["payment_url"])["payment_id"]), "Error": "IPAY0100357", "ErrorText": "<b>"}
    answer = server.http.post(f"/billing/return/{started['payment_id']}", data=form)
    assert answer.status_code == 303
    shown = page(server, answer.headers["location"])
    assert "not completed" in shown.text and "<b>" not in shown.text
    # Whoever sends many keeps nobody's disk full.
    for number in range(60):
        server.http.post(f"/billing/return/{started['payment_id']}", data={"Error": f"E{number}"})
    kept = server.sql("SELECT COUNT(*) FROM payment_notices WHERE error LIKE 'E%'")
    assert int(kept) <= 50


def age(server, number, hours):
    """Lets a payment, and what was heard of it, be older."""
    micros = hours * 3_600_000_000
    server.sql(
        f"UPDATE payments SET created_at = created_at - {micros}, heard_at = heard_at - {micros} "
        f"WHERE invoice_id IN (SELECT id FROM invoices WHERE number = '{number}') RETURNING 1"
    )


def test_what_nobody_pays_expires_and_late_money_is_found(server, customer, gateway):
    gateway.connect(webhook=False, notification=False)
    started = customer.checkout()
    number = customer.invoice(started["invoice_id"])["number"]
    age(server, number, 23)
    hasten(server)
    eventually(lambda: server.sql("SELECT COUNT(*) FROM payments WHERE asked_at IS NOT NULL") != "0")
    assert customer.payment_status(started["payment_id"]) == "pending"
    age(server, number, 2)
    eventually(lambda: hasten(server) or customer.payment_status(started["payment_id"]) == "expired")
    assert "has expired" in page(server, f"/billing/return/{started['payment_id']}").text
    gateway.connect(webhook=True, notification=False)
    gateway.pay(started["payment_url"])
    customer.becomes(started["invoice_id"], "paid")


def test_what_stays_unclear_a_person_looks_at(server, customer, gateway):
    started = customer.checkout()
    gateway.pay(started["payment_url"], "host_timeout")
    age(server, customer.invoice(started["invoice_id"])["number"], 73)
    eventually(lambda: hasten(server) or customer.payment_status(started["payment_id"]) == "review")
    assert "do not pay again" in page(server, f"/billing/return/{started['payment_id']}").text
