"""What the doctor finds, what it says to do, and that it helps."""

import http.server
import json
import ssl
import subprocess
import threading
import time

import pytest
import telegram as tg
import whatsapp as wa
from harness import Kabar, eventually

from api import Organisation, data, login, refused, serial

WHATSAPP = [
    "public_url",
    "tls",
    "verify_token",
    "clock",
    "access_token",
    "permissions",
    "number",
    "business_account",
    "subscription",
    "app_secret",
    "webhook",
    "last_webhook",
]
APP = "100000000000001"
FIELDS = "messages,message_template_status_update,account_update,history"


def examine(account):
    found = data(
        account.organisation.api.get(f"/messaging-accounts/{account.id}/doctor"), 200
    )
    for check in found["checks"]:
        assert check["detail"] and (check["fix"] is None) == (
            check["status"] in ("ok", "skipped")
        ), check
    return {check["name"]: check for check in found["checks"]} | {"": found}


def wrong(found):
    return {
        name for name, check in found.items() if name and check["status"] == "failed"
    }


def change(account, **fields):
    return data(
        account.organisation.api.put(f"/messaging-accounts/{account.id}", fields)
    )


def subscribe(simulator, server, fields):
    body = {
        "object": "whatsapp_business_account",
        "callback_url": server.base_url + "/webhooks/whatsapp",
        "verify_token": server.keys.verify_token,
        "fields": fields,
    }
    token = f"{APP}|{server.keys.app_secret}"
    answer = simulator.http.post(
        f"/v24.0/{APP}/subscriptions",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.is_success, answer.text


def test_a_sound_number(server, account):
    found = examine(account)
    assert list(found)[:-1] == WHATSAPP
    # A test's server is on this machine, which providers could not reach.
    private = {"public_url", "tls"}
    assert {name for name in WHATSAPP if found[name]["status"] != "ok"} == private | {
        "last_webhook"
    }
    assert found[""]["status"] == "warning"
    wa.deliver(
        server,
        wa.arrival(
            account.number, wa.message("6281355500003", content={"body": "halo"})
        ),
    )
    eventually(lambda: examine(account)["last_webhook"]["status"] == "ok")
    text = json.dumps(found)
    for secret in (
        account.number.access_token,
        server.keys.app_secret,
        server.keys.verify_token,
    ):
        assert secret not in text and secret not in server.log()


def revoke(account, simulator):
    number = account.number
    simulator.post(
        "tokens",
        {"phone_number_id": number.phone_number_id, "access_token": "EAA" + "n" * 40},
    )


def token(**state):
    def set_state(account, simulator):
        expires = (
            {"expires_at": int(time.time()) + state["expires_in"]}
            if "expires_in" in state
            else state
        )
        simulator.post(
            "whatsapp/token", {"access_token": account.number.access_token, **expires}
        )

    return set_state


def other_business(account, simulator):
    number = account.number
    waba = f"3{serial():014d}"
    simulator.add_number(
        f"4{serial():014d}", waba, "+628110000001", "Other", number.access_token
    )
    change(account, waba_id=waba)


def unsubscribe(account, simulator):
    headers = {"Authorization": f"Bearer {account.number.access_token}"}
    assert simulator.http.delete(
        f"/v24.0/{account.number.waba_id}/subscribed_apps", headers=headers
    ).is_success


def pending(account, simulator):
    simulator.post(
        "whatsapp/number",
        {"phone_number_id": account.number.phone_number_id, "registered": False},
    )


FAULTS = {
    "revoked": (revoke, "access_token", "failed", "not valid", "System users"),
    "expires_soon": (
        token(expires_in=3600),
        "access_token",
        "warning",
        "expires at",
        "System users",
    ),
    "expired": (token(expires_in=-10), "access_token", "failed", "", '"access_token"'),
    "scopes": (
        token(scopes=["whatsapp_business_messaging"]),
        "permissions",
        "failed",
        "whatsapp_business_management",
        "System users",
    ),
    "pending": (pending, "number", "failed", "as PENDING", "register"),
    "other_business": (
        other_business,
        "business_account",
        "failed",
        "has no number",
        '"waba_id"',
    ),
    "unknown_business": (
        lambda a, _: change(a, waba_id="4711"),
        "business_account",
        "failed",
        "4711",
        "access to the business account",
    ),
    "no_business": (
        lambda a, _: change(a, waba_id=None),
        "business_account",
        "warning",
        "names no",
        '"waba_id"',
    ),
    "unsubscribed": (
        unsubscribe,
        "subscription",
        "failed",
        "No app hears",
        "subscribes again",
    ),
    "wrong_secret": (
        lambda _, s: s.configure(app_secret="x"),
        "app_secret",
        "failed",
        "not that of the token's app",
        "META_APP_SECRET",
    ),
    "own_secret": (
        lambda a, _: change(a, app_secret="y" * 32),
        "app_secret",
        "failed",
        "not that of the token's app",
        '"app_secret"',
    ),
    "elsewhere": (
        lambda _, s: s.configure(webhook_whatsapp="https://elsewhere.example/"),
        "webhook",
        "failed",
        "https://elsewhere.example/",
        "/webhooks/whatsapp as the callback URL",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_number(account, simulator, fault):
    break_it, name, status, detail, fix = FAULTS[fault]
    break_it(account, simulator)
    found = examine(account)
    check = found[name]
    assert (
        check["status"] == status and detail in check["detail"] and fix in check["fix"]
    ), check
    assert found[""]["status"] == status or wrong(found)
    if fault == "unsubscribed":
        change(account)
        assert examine(account)["subscription"]["status"] == "ok", "the fix helps"
    if fault == "wrong_secret":
        assert wrong(found) == {"app_secret"}, "the token itself is sound"


def test_an_app_that_does_not_hear_of_messages(server, account, simulator):
    subscribe(simulator, server, "account_update")
    try:
        check = examine(account)["webhook"]
    finally:
        subscribe(simulator, server, FIELDS)
    assert check["status"] == "failed" and "Webhook fields" in check["fix"]
    assert examine(account)["webhook"]["status"] == "ok"


def test_a_provider_that_does_not_answer(account, simulator):
    simulator.fault("server_error", method="*", times=20)
    found = examine(account)
    assert {"access_token", "number"} <= wrong(found)


def test_a_bot(server, bot, simulator):
    found = examine(bot)
    assert wrong(found) == set() and found["privacy_mode"]["status"] == "warning"
    assert "/setprivacy" in found["privacy_mode"]["fix"] and "verify_token" not in found
    assert {
        found[name]["status"]
        for name in ("bot_token", "webhook", "update_kinds", "deliveries")
    } == {"ok"}
    call = f"/bot{bot.bot_token}"
    assert simulator.http.post(f"{call}/deleteWebhook").is_success
    found = examine(bot)
    assert (
        wrong(found) == {"webhook"} and "has no webhook" in found["webhook"]["detail"]
    )
    change(bot)
    assert examine(bot)["webhook"]["status"] == "ok", "the fix helps"
    # Somebody else's server, and fewer kinds of updates.
    simulator.http.post(
        f"{call}/setWebhook",
        json={"url": "https://elsewhere.example/", "allowed_updates": ["message"]},
    )
    found = examine(bot)
    assert (
        wrong(found) == {"webhook"}
        and "https://elsewhere.example/" in found["webhook"]["detail"]
    )
    assert "callback_query" in found["update_kinds"]["detail"]
    # A secret that is not the bot's: what Telegram delivers is refused.
    address = f"{server.base_url}/webhooks/telegram/{bot.id}"
    simulator.http.post(
        f"{call}/setWebhook", json={"url": address, "secret_token": "other"}
    )
    simulator.post(
        "telegram/inbound",
        {"token": bot.bot_token, "update": tg.update(message=tg.message(7))},
    )
    eventually(lambda: "deliveries" in wrong(examine(bot)))
    assert "403" in examine(bot)["deliveries"]["detail"]
    change(bot, bot_token=f"{bot.bot_id}:wrong")
    found = examine(bot)
    assert wrong(found) == {"bot_token"} and "BotFather" in found["bot_token"]["fix"]
    assert bot.bot_token.split(":")[1] not in json.dumps(found)


def test_it_is_for_administrators(organisation, account):
    for ability in ("read", "write", "send"):
        refused(
            organisation.caller(ability).get(
                f"/messaging-accounts/{account.id}/doctor"
            ),
            403,
        )


@pytest.fixture
def web_server():
    """A program that answers at an address of its own."""
    running = []

    def start(handle, context=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                handle(self)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return server.server_address[1]

    yield start
    for server in running:
        server.shutdown()


def doctor(kabar, *arguments):
    """What the command line says of the server: each check by its name, and the exit code."""
    done = kabar.cli("doctor", "--json", *arguments)
    found = json.loads(done.stdout)
    return {check["name"]: check for check in found[0]["checks"]}, done.returncode


def answer(status, body="", **headers):
    def handle(request):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body.encode())

    return handle


def test_the_servers_own_address(make_kabar, simulator, web_server, server, tmp_path):
    kabar = make_kabar(simulator=simulator)
    kabar.directory.mkdir(exist_ok=True)

    def at(url):
        kabar.environment["KABAR_PUBLIC_URL"] = url
        return doctor(kabar)[0]

    found, code = doctor(kabar)
    assert (
        found["public_url"]["status"] == "failed"
        and "cannot be reached" in found["public_url"]["detail"]
    )
    assert found["verify_token"]["status"] == "skipped" and code == 1
    found = at(f"http://127.0.0.1:{web_server(answer(200, 'hello'))}")
    assert "Something other than Kabar answers" in found["public_url"]["detail"]
    found = at(
        f"http://127.0.0.1:{web_server(answer(301, Location='https://kabar.example.com/'))}"
    )
    assert "leads on to https://kabar.example.com/" in found["public_url"]["detail"]
    # Another server answers there, with another verify token.
    found = at(server.base_url)
    assert (
        found["verify_token"]["status"] == "failed"
        and "WHATSAPP_VERIFY_TOKEN" in found["verify_token"]["fix"]
    )
    del kabar.environment["WHATSAPP_VERIFY_TOKEN"]
    found = at(server.base_url)
    assert (
        found["verify_token"]["status"] == "failed"
        and found["public_url"]["status"] == "warning"
    )
    # A certificate that nobody vouches for.
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    found = at(f"https://localhost:{web_server(answer(200), context)}")
    assert (
        found["tls"]["status"] == "failed" and "certificate" in found["tls"]["detail"]
    )
    assert (
        "fullchain.pem" in found["tls"]["fix"]
        and found["public_url"]["status"] == "skipped"
    )


@pytest.mark.parametrize("hours, status", [(0, "ok"), (1, "failed"), (-1, "failed")])
def test_a_clock_that_is_off(make_kabar, simulator, clock, hours, status):
    kabar = make_kabar(simulator=simulator, environment=clock.environment)
    kabar.directory.mkdir(exist_ok=True)
    clock.set(hours)
    check = doctor(kabar)[0]["clock"]
    assert check["status"] == status, check
    if hours:
        assert ("ahead" if hours > 0 else "behind") in check[
            "detail"
        ] and "timedatectl" in check["fix"]


def test_the_command_line(backend, make_kabar, new_database, simulator):
    kabar = make_kabar(new_database(backend), simulator=simulator).start()
    simulator.clear_faults()
    simulator.configure(
        webhook_whatsapp=kabar.base_url + "/webhooks/whatsapp",
        app_secret=kabar.keys.app_secret,
    )
    organisation = Organisation(
        kabar,
        login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"],
    )
    account, bot = organisation.whatsapp(), organisation.telegram()
    printed = kabar.run("doctor")
    assert (
        printed.startswith("Server\n") and account.id in printed and bot.id in printed
    )
    assert "ok       access_token" in printed and "→" in printed
    unsubscribe(account, simulator)
    done = kabar.cli("doctor", "--account", account.id)
    assert (
        done.returncode == 1
        and "one check failed" in done.stderr
        and bot.id not in done.stdout
    )
    assert "failed   subscription" in done.stdout
    found = json.loads(kabar.cli("doctor", "--account", account.id, "--json").stdout)
    assert [one["messaging_account_id"] for one in found] == [None, account.id]
    assert found[1]["status"] == "failed"
    assert kabar.run("doctor", "--account", bot.id)
    unknown = kabar.cli("doctor", "--account", "01HZK7P5R3Q6V0YH4XJ3M8CHN1")
    assert unknown.returncode == 1 and "MessagingAccount" in unknown.stderr
    for secret in (
        account.number.access_token,
        kabar.keys.app_secret,
        bot.bot_token.split(":")[1],
    ):
        assert secret not in done.stdout + printed
