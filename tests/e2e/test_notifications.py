"""Notifications: every leg arrives as it was written, fails for itself, and is never sent twice."""

import base64
import email.utils

import pytest

import whatsapp as wa
from api import UNKNOWN_ID, Api, Organisation, data, login, refused, serial
from harness import Kabar, eventually, stop_quietly
from mail import Mail, Sms, certificate

TEXT = "Halo Ani,\nطلبك جاهز 🚰 — pompa „3“ mati.\n.\n  dua spasi, {satu} & <dua>\n\nSampai jumpa"


@pytest.fixture(scope="module")
def mail():
    started = Mail().open()
    yield started
    started.close()


@pytest.fixture(scope="module")
def sms():
    started = Sms()
    yield started
    started.close()


def settings(mail, sms=None):
    smtp = {"KABAR_SMTP_URL": f"smtp://127.0.0.1:{mail.port}", "KABAR_SMTP_FROM": "Acme Operasi <ops@acme.example>"}
    return smtp | (sms.settings if sms else {})


@pytest.fixture(scope="module")
def server(backend, workspace, simulator, new_database, _names, mail, sms):
    environment = settings(mail, sms)
    directory = workspace / f"server-{next(_names)}"
    kabar = Kabar(directory, new_database(backend), simulator=simulator, environment=environment)
    kabar.start()
    yield kabar
    stop_quietly(kabar)


def address():
    return f"ani-{serial()}@example.com"


def number():
    return f"+62817{serial() % 10**8:08d}"


def notify(api, status=200, **body):
    return data(api.post("/notifications/send", {"text": TEXT, "channels": list(body["to"])} | body), status)


def leg(api, notification, status, at=0, timeout=20.0):
    """A leg, once it has this status."""

    def look():
        found = data(api.get(f"/notifications/{notification['id']}"))["legs"][at]
        assert found["status"] == status, found
        return found

    return eventually(look, timeout)


def body_of(message):
    return message.get_content().replace("\r\n", "\n").removesuffix("\n")


def test_every_leg_arrives_as_it_was_written(api, mail, sms):
    to, phone = address(), number()
    subject = "Pompa mati · المضخة 🚰 di Site A, dan sebuah perihal yang cukup panjang untuk dua baris atau lebih"
    spaced = f"{phone[:3]} {phone[3:6]}-{phone[6:]}"
    sent = notify(api, to={"email": to, "sms": spaced}, subject=subject)
    assert [(leg["channel"], leg["to"], leg["status"]) for leg in sent["legs"]] == [
        ("email", to, "queued"),
        ("sms", phone, "queued"),
    ]
    first, second = leg(api, sent, "sent"), leg(api, sent, "sent", at=1)
    assert first["sent_at"] and first["error"] is None
    [message] = mail.to(to)
    assert message["Subject"] == subject
    assert body_of(message) == TEXT
    assert email.utils.parseaddr(message["From"]) == ("Acme Operasi", "ops@acme.example")
    assert message["Message-ID"] == first["provider_id"] and first["id"] in first["provider_id"]
    [form] = sms.to(phone)
    assert form["Body"] == TEXT and form["From"] == Sms.FROM
    assert form["path"] == f"/2010-04-01/Accounts/{Sms.ACCOUNT}/Messages.json"
    basic = base64.b64encode(f"{Sms.ACCOUNT}:{Sms.TOKEN}".encode()).decode()
    assert form["authorization"] == f"Basic {basic}"
    assert second["provider_id"].startswith("SM")


def test_channels_that_are_not_asked_for_get_nothing(api, mail, sms):
    to, phone = address(), number()
    sent = notify(api, channels=["sms"], to={"email": to, "sms": [phone, phone]})
    leg(api, sent, "sent")
    assert len(sent["legs"]) == len(sms.to(phone)) == 1 and mail.to(to) == []


def test_a_refused_leg_beside_three_good_ones(api, mail, sms):
    good, bad, phones = address(), address(), [number(), number()]
    mail.moods.put("550 5.1.1 Orang ini tidak dikenal")
    refusal = notify(api, to={"email": bad})
    failed = leg(api, refusal, "failed")
    assert failed["error"]["code"] == 550 and "tidak dikenal" in failed["error"]["detail"]
    assert failed["error"]["action"].endswith(".") and failed["failed_at"]
    mail.moods.put("550 no")
    sent = notify(api, to={"email": [bad, good], "sms": phones})
    whole = eventually(
        lambda: [
            legs
            for legs in [data(api.get(f"/notifications/{sent['id']}"))["legs"]]
            if all(leg["status"] in ("sent", "failed") for leg in legs)
        ]
    )[0]
    assert sorted(leg["status"] for leg in whole) == ["failed", "sent", "sent", "sent"]
    assert len(mail.to(good)) + len(mail.to(bad)) == 1 and all(len(sms.to(phone)) == 1 for phone in phones)
    again = data(api.post(f"/notifications/{sent['id']}/retry"))
    assert [leg["status"] for leg in again["legs"]].count("queued") == 1
    for at in range(4):
        leg(api, sent, "sent", at)
    assert len(mail.to(good)) == len(mail.to(bad)) == 1
    assert all(len(sms.to(phone)) == 1 for phone in phones)
    refused(api.post(f"/notifications/{sent['id']}/retry"), 409)


def test_an_answer_that_never_comes_is_uncertain(api, mail, sms):
    to, phone = address(), number()
    mail.moods.put("drop")
    sms.answers.put((500, {"code": 20500, "message": "Internal Server Error", "status": 500}))
    sent = notify(api, to={"email": to, "sms": phone})
    for at in (0, 1):
        assert leg(api, sent, "uncertain", at)["error"]["action"]
    refused(api.post(f"/notifications/{sent['id']}/retry"), 409)
    assert len(mail.to(to)) == len(sms.to(phone)) == 1
    named = {"legs": [sent["legs"][0]["id"]]}
    data(api.post(f"/notifications/{sent['id']}/retry", named))
    leg(api, sent, "sent")
    leg(api, sent, "uncertain", at=1)
    assert (len(mail.to(to)), len(sms.to(phone))) == (2, 1)


def test_sms_refusals(api, sms):
    phone = number()
    sms.answers.put((400, {"code": 21211, "message": "The 'To' number is not valid.", "status": 400}))
    failed = leg(api, notify(api, to={"sms": phone}), "failed")["error"]
    assert failed["code"] == 21211 and failed["detail"] == "The 'To' number is not valid." and failed["action"]
    sms.answers.put((429, {"code": 20429, "message": "Too Many Requests", "status": 429}))
    sent = notify(api, to={"sms": phone})
    assert eventually(lambda: data(api.get(f"/notifications/{sent['id']}"))["legs"][0]["retry_at"])
    assert leg(api, sent, "sent", timeout=30)["attempts"] == 2
    assert len(sms.to(phone)) == 3


def test_one_key_is_one_notification(api, mail):
    to, key = address(), {"Idempotency-Key": f"notify-{serial()}"}
    body = {"channels": ["email"], "to": {"email": to}, "text": "x"}
    first, second = (data(api.post("/notifications/send", body, key)) for _ in range(2))
    assert first == second
    leg(api, first, "sent")
    assert len(mail.to(to)) == 1


def test_a_template_with_variables(api, mail):
    template = {"name": f"mati-{serial()}", "subject": "Pompa {{ pompa }}", "text": "{{pompa}} di {{lokasi}} mati"}
    made = data(api.post("/notification-templates", template), 201)
    assert {name: made[name] for name in template} == template
    assert data(api.get(f"/notification-templates/{made['id']}")) == made
    assert made in api.all("/notification-templates")
    assert refused(api.post("/notification-templates", template), 422)["errors"].keys() == {"name"}
    to = address()
    ask = {"channels": ["email"], "to": {"email": to}, "template": template["name"]}
    missing = refused(api.post("/notifications/send", ask | {"variables": {"pompa": 3}}), 422)
    assert missing["errors"].keys() == {"variables.lokasi"} and "lokasi" in missing["message"]
    extra = {"pompa": 3, "lokasi": "{{pompa}} é", "lain": 1}
    unknown = refused(api.post("/notifications/send", ask | {"variables": extra}), 422)
    assert unknown["errors"].keys() == {"variables.lain"}
    del extra["lain"]
    sent = data(api.post("/notifications/send", ask | {"variables": extra}))
    leg(api, sent, "sent")
    [message] = mail.to(to)
    assert message["Subject"] == "Pompa 3" and body_of(message) == "3 di {{pompa}} é mati"
    changed = data(api.put(f"/notification-templates/{made['id']}", {"subject": None, "text": "Baru"}))
    assert (changed["name"], changed["subject"], changed["text"]) == (template["name"], None, "Baru")
    assert api.delete(f"/notification-templates/{made['id']}").status_code == 204
    refused(api.get(f"/notification-templates/{made['id']}"), 404)
    assert refused(api.post("/notifications/send", ask), 422)["errors"].keys() == {"template"}
    assert data(api.get(f"/notifications/{sent['id']}"))["text"] == "3 di {{pompa}} é mati"


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"channels": []}, {"channels"}),
        ({"channels": ["email", "fax"]}, {"channels.1"}),
        ({"to": {}}, {"to.email"}),
        ({"to": {"email": ""}}, {"to.email"}),
        ({"to": {"email": "ani@example.com\r\nBcc: eve@example.com"}}, {"to.email"}),
        ({"to": {"email": ["ani@example.com", "ani"]}}, {"to.email"}),
        ({"channels": ["sms"], "to": {"sms": "0812345678"}}, {"to.sms"}),
        ({"channels": ["sms"], "to": {"sms": "+6281234567"}, "text": "x" * 1601}, {"text"}),
        ({"text": " "}, {"text"}),
        ({"subject": "Pompa\r\nBcc: eve@example.com"}, {"subject"}),
        ({"text": "{{nama}}"}, {"variables.nama"}),
        ({"variables": {"nama": 1}}, {"variables.nama"}),
        ({"to": {"email": {}}}, {"to.email"}),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_queued(api, change, fields):
    before = api.total("/notifications")
    body = {"channels": ["email"], "to": {"email": "ani@example.com"}, "text": "x"} | change
    assert refused(api.post("/notifications/send", body), 422)["errors"].keys() == fields
    assert api.total("/notifications") == before


def test_notifications_are_listed_newest_first(api):
    sent = [notify(api, to={"email": address()})["id"] for _ in range(3)]
    answer = api.get("/notifications", per_page=2)
    assert [one["id"] for one in data(answer)] == sent[:0:-1]
    assert answer.json()["meta"]["total"] == 3
    assert [one["id"] for one in api.all("/notifications")] == sent[::-1]


def own(make_kabar, new_database, backend, environment):
    kabar = make_kabar(new_database(backend), environment=environment).start()
    token = login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
    return kabar, Organisation(kabar, token).api


def test_a_server_without_transports_says_what_to_set(make_kabar, new_database, backend):
    _, api = own(make_kabar, new_database, backend, {"KABAR_SMTP_URL": None})
    body = {"channels": ["email", "sms"], "to": {"email": "a@example.com", "sms": "+6281234567"}, "text": "x"}
    told = refused(api.post("/notifications/send", body), 422)["errors"]["channels"]
    assert "KABAR_SMTP_URL" in told[0] and "KABAR_SMS_ACCOUNT" in told[1]


def test_settings_are_checked_at_the_start(make_kabar):
    for environment, told in (
        ({"KABAR_SMTP_URL": "mail.example.com"}, "smtp_url"),
        ({"KABAR_SMTP_URL": "smtp://a", "KABAR_SMTP_FROM": "nobody"}, "smtp_from"),
        ({"KABAR_SMS_URL": "https://sms.example.com"}, "sms_account"),
    ):
        done = make_kabar(environment=environment).cli("config", "check")
        assert done.returncode != 0 and told in done.stdout + done.stderr


@pytest.mark.faults
def test_mail_waits_for_a_closed_server(make_kabar, new_database, backend):
    mail = Mail()
    _, api = own(make_kabar, new_database, backend, settings(mail))
    to = address()
    sent = notify(api, to={"email": to})
    waiting = eventually(lambda: [one for one in [leg(api, sent, "queued")] if one["retry_at"]])[0]
    assert waiting["error"]["title"] and waiting["attempts"] == 1
    mail.open()
    try:
        assert leg(api, sent, "sent", timeout=40)["error"] is None
        assert len(mail.to(to)) == 1
    finally:
        mail.close()


@pytest.mark.faults
def test_a_server_killed_while_it_sends_does_not_send_again(make_kabar, new_database, backend):
    mail = Mail().open()
    try:
        kabar, api = own(make_kabar, new_database, backend, settings(mail))
        to = address()
        mail.moods.put("stall")
        sent = notify(api, to={"email": to})
        eventually(lambda: mail.to(to))
        leg(api, sent, "sending")
        kabar.kill()
        mail.release.set()
        if backend == "postgres":
            # The killed server's lease would run out by itself in a minute.
            kabar.sql("UPDATE jobs SET lease_until = 0 WHERE lease_until IS NOT NULL")
        kabar.start()
        assert leg(api, sent, "uncertain", timeout=30)["error"]["action"]
        assert len(mail.to(to)) == 1
        data(api.post(f"/notifications/{sent['id']}/retry", {"legs": [sent["legs"][0]["id"]]}))
        leg(api, sent, "sent")
        assert len(mail.to(to)) == 2
    finally:
        mail.close()


@pytest.mark.faults
def test_a_server_told_to_stop_finishes_what_it_sends(make_kabar, new_database, backend):
    mail = Mail().open()
    try:
        kabar, api = own(make_kabar, new_database, backend, settings(mail))
        to = address()
        mail.moods.put("stall")
        sent = notify(api, to={"email": to})
        eventually(lambda: mail.to(to))
        kabar.process.signal(15)
        eventually(lambda: "no more requests" in kabar.log())
        mail.release.set()
        assert kabar.stop() == 0
        kabar.start()
        leg(api, sent, "sent")
        assert len(mail.to(to)) == 1
    finally:
        mail.close()


def test_over_tls_and_with_a_password(make_kabar, workspace):
    directory = workspace / f"tls-{serial()}"
    directory.mkdir()
    trusted, context = certificate(directory)
    mail = Mail(tls=context, login=("ops@acme.example", "p+w d/ä")).open()
    try:
        url = f"smtp://ops%40acme.example:p%2Bw%20d%2F%C3%A4@localhost:{mail.port}?tls=required"
        environment = {"KABAR_SMTP_URL": url, "KABAR_SMTP_FROM": None}
        kabar = make_kabar(environment=environment | {"SSL_CERT_FILE": str(trusted)}).start()
        token = login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
        api = Api(kabar.base_url, token)
        to = address()
        leg(api, notify(api, to={"email": to}), "sent")
        assert mail.logins == [("ops@acme.example", "p+w d/ä")]
        assert mail.to(to)[0]["From"] == "ops@acme.example"
        assert "p+w" not in kabar.log()
        # A certificate that nobody vouches for is not spoken to.
        stranger = make_kabar(environment=environment).start()
        token = login(stranger, Kabar.ADMIN_EMAIL, stranger.keys.admin_password)["access_token"]
        api = Api(stranger.base_url, token)
        sent = notify(api, to={"email": to})
        assert eventually(lambda: data(api.get(f"/notifications/{sent['id']}"))["legs"][0]["retry_at"])
        assert len(mail.to(to)) == 1
    finally:
        mail.close()


def test_all_four_channels(api, organisation, account, bot, simulator, mail, sms):
    person, chat = f"62818{serial() % 10**8:08d}", 700_000_000 + serial() % 10**8
    wa.deliver(organisation.kabar, wa.arrival(account.number, wa.message(person)))
    to, phone = address(), number()
    sent = notify(api, to={"whatsapp": "+" + person, "telegram": chat, "email": to, "sms": phone})
    assert [(leg["channel"], leg["to"]) for leg in sent["legs"]] == [
        ("whatsapp", person),
        ("telegram", str(chat)),
        ("email", to),
        ("sms", phone),
    ]
    delivered = leg(api, sent, "read")
    [message] = [one for one in organisation.messages() if one["id"] == delivered["message_id"]]
    assert delivered["provider_id"] == message["provider_message_id"] and delivered["delivered_at"]
    for at in (1, 2, 3):
        leg(api, sent, "sent", at)
    assert [one["body"] for one in simulator.sent(to=person)] == [TEXT]
    assert [one["body"] for one in simulator.sent(to=str(chat))] == [TEXT]
    assert len(mail.to(to)) == len(sms.to(phone)) == 1


def test_a_refused_message_is_a_failed_leg(api, organisation, account, simulator, mail):
    person, to = f"62819{serial() % 10**8:08d}", address()
    wa.deliver(organisation.kabar, wa.arrival(account.number, wa.message(person)))
    simulator.fault("error", code=131026, to=person)
    sent = notify(api, to={"whatsapp": person, "email": to})
    failed = leg(api, sent, "failed")
    assert failed["error"]["code"] == 131026 and failed["error"]["action"]
    leg(api, sent, "sent", at=1)
    data(api.post(f"/notifications/{sent['id']}/retry"))
    assert leg(api, sent, "read")["message_id"] == failed["message_id"]
    assert [one["body"] for one in simulator.sent(to=person)] == [TEXT] and len(mail.to(to)) == 1


def test_a_message_that_cannot_go_takes_no_leg_with_it(api, organisation, account, mail):
    other, to = address(), address()
    # A channel that is not set up fails alone.
    body = {"channels": ["email", "telegram"], "to": {"email": other, "telegram": 7}, "text": "x"}
    sent = data(api.post("/notifications/send", body))
    leg(api, sent, "sent")
    assert "telegram" in leg(api, sent, "failed", at=1)["error"]["title"]
    before = api.total("/notifications")
    body = {"channels": ["email", "whatsapp"], "to": {"email": to, "whatsapp": "ani"}, "text": "x"}
    assert refused(api.post("/notifications/send", body), 422)["errors"].keys() == {"to.whatsapp"}
    person = f"62820{serial() % 10**8:08d}"
    wa.deliver(organisation.kabar, wa.arrival(account.number, wa.message(person)))
    body = {"channels": ["email", "whatsapp"], "to": {"email": to, "whatsapp": person}, "text": "x" * 4097}
    assert refused(api.post("/notifications/send", body), 422)["errors"].keys() == {"text"}
    body = {"channels": ["email"], "to": {"email": to}, "text": "x", "channel_id": account.channel_id}
    assert refused(api.post("/notifications/send", body), 422)["errors"].keys() == {"channel_id"}
    refused(api.post("/notifications/send", body | {"channel_id": UNKNOWN_ID}), 404, "Channel not found.")
    assert api.total("/notifications") == before and mail.to(to) == []
