"""Sending: the queue, the provider, and what becomes of a message."""

import concurrent.futures

import pytest

import telegram as tg
import whatsapp as wa
from api import TIME, ULID, UNKNOWN_ID, data, refused, serial
from harness import eventually
from telegram import Hook

OKTA = {"id", "conversation_id", "channel_id", "direction", "type", "body", "status", "created_at"}


def recipient():
    return f"62816{serial() % 10**8:08d}"


@pytest.fixture
def send(api, account):
    """Queues a message to a new person and gives its resource."""

    def one(who=None, headers=None, **more):
        body = {"channel_id": account.channel_id, "wa_id": who or recipient(), "body": "Tim sedang menuju lokasi"}
        return data(api.post("/messages", body | more, headers), 200)

    return one


@pytest.fixture
def current(api):
    """The message as it stands now."""

    def read(message):
        rows = api.all(f"/conversations/{message['conversation_id']}/messages")
        return next(row for row in rows if row["id"] == message["id"])

    return read


@pytest.fixture
def reaches(current):
    """Waits until the message has this status."""

    def wait(message, status, timeout=20.0):
        def look():
            now = current(message)
            assert now["status"] == status, now
            return now

        return eventually(look, timeout)

    return wait


@pytest.fixture
def quiet(simulator):
    """Statuses come only from the test."""
    simulator.configure(auto_statuses=False)
    return simulator


def accepted(simulator, message):
    return simulator.sent(callback_data=message["id"])


def test_the_answer_is_the_queued_message(send, account):
    message = send()
    assert set(message) >= OKTA
    assert ULID.match(message["id"]) and ULID.match(message["conversation_id"])
    assert message["channel_id"] == account.channel_id
    assert (message["direction"], message["type"], message["status"]) == ("outbound", "text", "queued")
    assert message["body"] == "Tim sedang menuju lokasi"
    assert TIME.match(message["created_at"])


def test_queued_sent_delivered_read(send, reaches, simulator):
    message = send(who := recipient())
    final = reaches(message, "read")
    for name in ("sent_at", "delivered_at", "read_at"):
        assert TIME.match(final[name]), name
    assert final["sent_at"] <= final["delivered_at"] <= final["read_at"]
    assert final["failed_at"] is None and final["error"] is None
    [arrived] = accepted(simulator, message)
    assert (arrived["to"], arrived["type"], arrived["body"]) == (who, "text", "Tim sedang menuju lokasi")
    assert arrived["id"] == final["provider_message_id"]
    payload = arrived["payload"]
    assert payload["messaging_product"] == "whatsapp"
    assert payload["to"].startswith("+"), "without a plus Meta may prepend the business number's country code"


def test_a_reply_into_a_conversation(server, organisation, account, api, reaches, simulator):
    incoming = wa.message(who := recipient())
    wa.deliver(server, wa.arrival(account.number, incoming))
    conversation = organisation.message(incoming["id"])["conversation_id"]
    message = data(api.post("/messages", {"conversation_id": conversation, "body": "Baik"}), 200)
    assert (message["conversation_id"], message["channel_id"]) == (conversation, account.channel_id)
    reaches(message, "read")
    assert [s["to"] for s in accepted(simulator, message)] == [who]
    assert [m["direction"] for m in organisation.messages()] == ["inbound", "outbound"]


def test_a_group_is_answered_in_the_group(server, organisation, account, api, reaches, simulator):
    number = account.number
    group = simulator.create_group(number.phone_number_id, number.access_token, "Tim Gedung A")
    incoming = wa.message(recipient(), group_id=group)
    wa.deliver(server, wa.arrival(account.number, incoming))
    conversation = organisation.message(incoming["id"])["conversation_id"]
    message = data(api.post("/messages", {"conversation_id": conversation, "body": "Baik semua"}), 200)
    reaches(message, "read")
    [arrived] = accepted(simulator, message)
    assert (arrived["to"], arrived["payload"]["recipient_type"]) == (group, "group")


def test_someone_without_a_number_is_answered_by_user_id(server, organisation, account, api, reaches, simulator):
    user_id = f"ID.{serial()}"
    incoming = wa.message(None, from_user_id=user_id)
    value = {"contacts": [wa.contact(None, "Rahasia", user_id=user_id)], "messages": [incoming]}
    wa.deliver(server, wa.envelope(wa.change(account.number, **value)))
    conversation = organisation.message(incoming["id"])["conversation_id"]
    message = data(api.post("/messages", {"conversation_id": conversation, "body": "Baik"}), 200)
    reaches(message, "read")
    [arrived] = accepted(simulator, message)
    assert arrived["payload"]["recipient"] == user_id and "to" not in arrived["payload"]


@pytest.mark.parametrize("kind", ["image", "document", "audio", "video"])
def test_media_by_link(send, reaches, simulator, kind):
    url = f"https://cdn.example.com/file.{kind}"
    message = send(type=kind, media_url=url, body="Foto sebelum perbaikan")
    assert message["type"] == kind
    assert message["media"][0]["url"] == url
    reaches(message, "read")
    [arrived] = accepted(simulator, message)
    assert arrived["type"] == kind
    assert arrived["payload"][kind]["link"] == url
    # Meta's audio has no caption.
    assert ("caption" in arrived["payload"][kind]) == (kind != "audio")


@pytest.mark.parametrize(
    "text",
    ["حسنًا، الفريق في الطريق 🛠️", "x" * 4096, "a\nb\tc", '<b>&amp; "quoted" \\ /', "👩‍👩‍👧‍👦" * 50],
    ids=["arabic", "longest", "lines", "markup", "emoji"],
)
def test_text_goes_out_as_it_is(send, reaches, simulator, text):
    message = send(body=text)
    assert message["body"] == text
    reaches(message, "read")
    assert [s["payload"]["text"]["body"] for s in accepted(simulator, message)] == [text]


def test_order_within_a_conversation(send, reaches, simulator):
    who = recipient()
    messages = [send(who, body=f"nomor {n}") for n in range(12)]
    reaches(messages[-1], "read")
    assert [s["body"] for s in simulator.sent(to=who)] == [f"nomor {n}" for n in range(12)]


def test_many_conversations_at_once(server, send, reaches, simulator):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        messages = list(pool.map(lambda _: send(), range(200)))
    for message in messages:
        reaches(message, "read")
        assert len(accepted(simulator, message)) == 1
    # Sending, answers and reports touch the same rows; they must do so in one order.
    assert "deadlock" not in server.log()


# The document's refusals.


def test_neither_channel_nor_conversation(api):
    answer = refused(
        api.post("/messages", {"wa_id": "966500000000", "body": "x"}),
        422,
        "The channel id field is required when conversation id is not present.",
    )
    assert list(answer["errors"]) == ["channel_id"]
    assert answer["errors"]["channel_id"] == [answer["message"]]


def test_no_recipient(api, account):
    answer = refused(
        api.post("/messages", {"channel_id": account.channel_id, "body": "x"}),
        422,
        "The wa id field is required when conversation id is not present.",
    )
    assert list(answer["errors"]) == ["wa_id"]


def test_no_body(api, account):
    for body in ({}, {"body": None}, {"body": ""}):
        answer = refused(
            api.post("/messages", {"channel_id": account.channel_id, "wa_id": "966500000000"} | body),
            422,
            "The body field is required.",
        )
        assert list(answer["errors"]) == ["body"]


def test_all_missing_fields_are_named_and_the_first_is_the_message(api):
    answer = refused(api.post("/messages", {}), 422)
    assert set(answer["errors"]) == {"channel_id", "wa_id", "body"}
    assert answer["message"].startswith("The channel id field is required when conversation id is not present.")


def test_an_unknown_channel(api):
    for name in (UNKNOWN_ID, "nonsense"):
        refused(
            api.post("/messages", {"channel_id": name, "wa_id": "966500000000", "body": "x"}), 404, "Channel not found."
        )


def test_an_unknown_conversation(api):
    for name in (UNKNOWN_ID, "nonsense"):
        refused(
            api.post("/messages", {"conversation_id": name, "body": "x"}),
            404,
            "No query results for model [Conversation].",
        )


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"type": "smoke-signal"}, "type"),
        ({"type": "image"}, "media_url"),
        ({"type": "image", "media_url": "not a url"}, "media_url"),
        ({"type": "image", "media_url": "ftp://example.com/x"}, "media_url"),
        ({"type": "image", "media_url": "javascript:alert(1)"}, "media_url"),
        ({"body": 5}, "body"),
        ({"body": "x" * 5000}, "body"),
        ({"wa_id": "not digits"}, "wa_id"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_fields_are_named(api, account, organisation, more, field):
    body = {"channel_id": account.channel_id, "wa_id": "966500000000", "body": "x"} | more
    assert list(refused(api.post("/messages", body), 422)["errors"]) == [field]
    assert organisation.conversations() == []


def test_a_null_type_is_text(send):
    assert send(type=None, media_url=None)["type"] == "text"


# Once, whatever happens.


def test_the_same_key_and_body_send_once(api, account, simulator, reaches):
    body = {"channel_id": account.channel_id, "wa_id": recipient(), "body": "Sekali saja"}
    headers = {"Idempotency-Key": f"key-{serial()}"}
    first = api.post("/messages", body, headers)
    message = data(first, 200)
    reaches(message, "read")
    again = api.post("/messages", body, headers)
    assert data(again, 200) == message, "the first answer again, not today's state"
    assert len(simulator.sent(to=body["wa_id"])) == 1
    refused(api.post("/messages", body | {"body": "Lain"}, headers), 409)
    assert len(simulator.sent(to=body["wa_id"])) == 1


def test_the_same_key_at_the_same_time(api, account, simulator, reaches):
    body = {"channel_id": account.channel_id, "wa_id": recipient(), "body": "Sekali saja"}
    headers = {"Idempotency-Key": f"key-{serial()}"}
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: api.post("/messages", body, headers), range(12)))
    # One that runs into the first, still unanswered, may be told to come again.
    assert {a.status_code for a in answers} <= {200, 409}
    ids = {data(a)["id"] for a in answers if a.status_code == 200}
    assert len(ids) == 1
    reaches(next(data(a) for a in answers if a.status_code == 200), "read")
    assert len(simulator.sent(to=body["wa_id"])) == 1


def test_a_refused_request_does_not_use_up_its_key(api, account):
    headers = {"Idempotency-Key": f"key-{serial()}"}
    refused(api.post("/messages", {"channel_id": account.channel_id, "wa_id": recipient()}, headers), 422)
    body = {"channel_id": account.channel_id, "wa_id": recipient(), "body": "x"}
    assert api.post("/messages", body, headers).status_code in (200, 409)


def test_keys_of_different_organisations_do_not_meet(new_organisation):
    headers = {"Idempotency-Key": f"key-{serial()}"}
    answers = []
    for account in (new_organisation().whatsapp(), new_organisation().whatsapp()):
        body = {"channel_id": account.channel_id, "wa_id": recipient(), "body": "x"}
        answers.append(data(account.organisation.api.post("/messages", body, headers), 200))
    assert answers[0]["id"] != answers[1]["id"]


# The provider misbehaves.


def test_throttled_then_sent(send, reaches, simulator):
    who = recipient()
    simulator.fault("throttle", to=who, times=1)
    message = send(who)
    reaches(message, "read", 30)
    assert len(accepted(simulator, message)) == 1
    assert len(simulator.requests(to=who, method="messages")) == 2


def test_server_error_then_settled(send, current, simulator):
    who = recipient()
    simulator.fault("server_error", to=who, http_status=500, times=1)
    message = send(who)

    def settled():
        now = current(message)
        # Sent after a retry, or, since a 500 does not say whether it was taken, left uncertain.
        return now["status"] in ("read", "uncertain") and now

    if eventually(settled, 30)["status"] == "read":
        assert len(accepted(simulator, message)) == 1


def test_a_final_refusal_names_code_and_remedy(send, reaches, simulator):
    who = recipient()
    simulator.fault("error", to=who, code=131047)
    final = reaches(message := send(who), "failed")
    assert final["error"]["code"] == 131047
    for name in ("title", "action"):
        assert len(final["error"][name]) > 10, final["error"]
    assert "template" in final["error"]["action"].lower()
    assert TIME.match(final["failed_at"]) and final["sent_at"] is None
    assert accepted(simulator, message) == []
    assert len(simulator.requests(to=who, method="messages")) == 1


def test_a_failed_status_names_code_and_remedy(send, reaches, simulator):
    who = recipient()
    simulator.fault("fail_status", to=who, code=131026)
    final = reaches(send(who), "failed")
    assert final["error"]["code"] == 131026
    assert final["error"]["action"]


def test_a_refusal_does_not_hold_up_the_conversation(send, reaches, simulator):
    who = recipient()
    simulator.fault("error", to=who, code=131009, times=1)
    first, second = send(who, body="satu"), send(who, body="dua")
    reaches(first, "failed")
    reaches(second, "read")


def test_one_throttled_recipient_does_not_hold_up_others(send, reaches, simulator):
    slow = recipient()
    simulator.fault("throttle", to=slow, times=1000)
    send(slow)
    for _ in range(5):
        reaches(send(), "read", 10)


def test_duplicated_and_reordered_statuses(send, reaches, simulator):
    for kind in ("duplicate_status", "reorder_statuses"):
        who = recipient()
        simulator.fault(kind, to=who)
        final = reaches(send(who), "read")
        assert TIME.match(final["read_at"])


def test_a_lost_answer_is_settled_by_the_status_webhook(server, account, send, reaches, quiet):
    who = recipient()
    quiet.fault("drop_answer", to=who)
    message = send(who)
    assert reaches(message, "uncertain")["provider_message_id"] is None
    [arrived] = accepted(quiet, message)
    report = wa.status(arrived["id"], "delivered", who, biz_opaque_callback_data=message["id"])
    wa.deliver(server, wa.statuses(account.number, report))
    assert reaches(message, "delivered")["provider_message_id"] == arrived["id"]
    # Nothing was sent blindly a second time.
    assert len(quiet.requests(to=who, method="messages")) == 1


def test_a_lost_answer_with_its_statuses(send, reaches, simulator):
    who = recipient()
    simulator.fault("drop_answer", to=who)
    message = send(who)
    final = reaches(message, "read", 30)
    assert final["provider_message_id"] == accepted(simulator, message)[0]["id"]
    assert len(simulator.requests(to=who, method="messages")) == 1


def test_statuses_only_move_forward(server, account, send, reaches, current, quiet):
    message = reaches(send(who := recipient()), "sent")
    number, name = account.number, message["provider_message_id"]

    def report(state, **more):
        wa.deliver(server, wa.statuses(number, wa.status(name, state, who, **more)))
        server.wait_applied()
        return current(message)

    assert report("read")["status"] == "read"
    for late in ("delivered", "sent"):
        assert report(late)["status"] == "read"
    failed = report("failed", errors=[{"code": 131026, "title": "Message undeliverable"}])
    assert failed["status"] == "read" and failed["failed_at"] is None
    assert report("played")["status"] == "played"


def test_failed_is_the_end(server, account, send, reaches, current, quiet):
    message = reaches(send(who := recipient()), "sent")
    name = message["provider_message_id"]
    error = {"code": 131047, "title": "Re-engagement message", "error_data": {"details": "more than 24 hours"}}
    wa.deliver(server, wa.statuses(account.number, wa.status(name, "failed", who, errors=[error])))
    reaches(message, "failed")
    wa.deliver(server, wa.statuses(account.number, wa.status(name, "sent", who)))
    server.wait_applied()
    assert current(message)["status"] == "failed"


def test_a_status_before_the_answer(server, account, send, reaches, simulator, quiet):
    """The report overtakes the answer to the call: it finds its message by our own id."""
    who = recipient()
    simulator.fault("timeout", to=who, delay_ms=1500)
    message = send(who)
    early = wa.wamid()
    report = wa.status(early, "delivered", who, biz_opaque_callback_data=message["id"])
    wa.deliver(server, wa.statuses(account.number, report))
    assert reaches(message, "delivered")["provider_message_id"] == early


def test_account_trouble_is_shown_on_the_account(send, account, api, simulator):
    simulator.fault("error", code=190, times=1000, method="*", provider="whatsapp")
    message = send()

    def shown():
        listed = {a["id"]: a for a in api.all("/messaging-accounts")}
        return listed[account.id]["status"] == "disconnected"

    eventually(shown, 20)
    simulator.clear_faults()
    # With credentials that work again, what waited goes out; what had failed says why.
    data(api.put(f"/messaging-accounts/{account.id}", {"access_token": account.number.access_token}))

    def settled():
        rows = api.all(f"/conversations/{message['conversation_id']}/messages")
        return rows[0]["status"] in ("read", "failed") and rows[0]

    final = eventually(settled, 30)
    assert final["status"] == "read" or final["error"]["code"] == 190


# Telegram.


@pytest.fixture
def chat(organisation, bot):
    """A private conversation with a bot: the person's id, and the conversation's."""
    hook, person = Hook(bot), 90_000_000 + serial() % 10**7
    said = tg.message(person)
    hook.deliver(tg.update(message=said))
    return person, organisation.message(tg.provider_id(said))["conversation_id"]


def test_telegram_text(chat, api, reaches, simulator, bot):
    person, conversation = chat
    message = data(api.post("/messages", {"conversation_id": conversation, "body": "Baik <b>pak</b> & bu_ *"}), 200)
    final = reaches(message, "sent")
    [arrived] = simulator.sent(provider="telegram", to=str(person))
    assert arrived["type"].lower() == "sendmessage"
    assert arrived["payload"]["text"] == "Baik <b>pak</b> & bu_ *"
    assert "parse_mode" not in arrived["payload"]
    assert arrived["id"] == f"{bot.bot_id}:{final['provider_message_id']}"
    assert arrived["from"] == str(bot.bot_id)


@pytest.mark.parametrize(
    ("kind", "method"),
    [("image", "sendPhoto"), ("document", "sendDocument"), ("audio", "sendAudio"), ("video", "sendVideo")],
)
def test_telegram_media(chat, api, reaches, simulator, kind, method):
    person, conversation = chat
    url = f"https://cdn.example.com/file.{kind}"
    body = {"conversation_id": conversation, "type": kind, "media_url": url, "body": "Foto"}
    reaches(data(api.post("/messages", body), 200), "sent")
    [arrived] = simulator.sent(provider="telegram", to=str(person))
    assert arrived["type"].lower() == method.lower()
    assert url in arrived["payload"].values() and arrived["payload"]["caption"] == "Foto"


def test_telegram_flood_wait(chat, api, reaches, simulator):
    person, conversation = chat
    simulator.fault("throttle", provider="telegram", to=str(person), retry_after=1)
    reaches(data(api.post("/messages", {"conversation_id": conversation, "body": "x"}), 200), "sent", 20)
    assert len(simulator.sent(provider="telegram", to=str(person))) == 1


def test_telegram_blocked(chat, api, reaches, simulator):
    person, conversation = chat
    simulator.fault(
        "error", provider="telegram", to=str(person), code=403, description="Forbidden: bot was blocked by the user"
    )
    final = reaches(data(api.post("/messages", {"conversation_id": conversation, "body": "x"}), 200), "failed")
    assert final["error"]["code"] == 403 and final["error"]["action"]


def test_telegram_lost_answer_is_not_sent_again(chat, api, reaches, simulator, current):
    person, conversation = chat
    simulator.fault("drop_answer", provider="telegram", to=str(person))
    message = data(api.post("/messages", {"conversation_id": conversation, "body": "x"}), 200)
    reaches(message, "uncertain")
    # The next message is not stuck behind it for ever.
    reaches(data(api.post("/messages", {"conversation_id": conversation, "body": "y"}), 200), "sent", 40)
    assert [s["body"] for s in simulator.sent(provider="telegram", to=str(person))] == ["x", "y"]
    assert current(message)["status"] == "uncertain"


def test_telegram_topic_is_answered_in_the_topic(organisation, hook, api, reaches, simulator):
    chat = tg.group(-1_001_000_000_000 - serial() % 10**8, is_forum=True)
    said = tg.message(91_000_001, chat, text="bocor", message_thread_id=77, is_topic_message=True)
    hook.deliver(tg.update(message=said))
    conversation = organisation.message(tg.provider_id(said))["conversation_id"]
    reaches(data(api.post("/messages", {"conversation_id": conversation, "body": "Baik"}), 200), "sent")
    [arrived] = simulator.sent(provider="telegram", to=str(chat["id"]))
    assert int(arrived["payload"]["message_thread_id"]) == 77
