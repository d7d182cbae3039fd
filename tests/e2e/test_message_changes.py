"""What is asked of a provider at once: edits, deletions, read receipts, typing, taps; and the short ways to send."""

import pytest

import telegram as tg
import whatsapp as wa
from api import UNKNOWN_ID, data, refused, serial
from harness import eventually


@pytest.fixture
def arrived(server, organisation, account):
    """A WhatsApp message that came in."""
    incoming = wa.message(f"62819{serial() % 10**8:08d}")
    wa.deliver(server, wa.arrival(account.number, incoming))
    return organisation.message(incoming["id"])


@pytest.fixture
def chat(organisation, bot, simulator):
    """The message that began a private chat with a Telegram bot."""
    who = 93_000_000 + serial() % 10**7
    simulator.post("telegram/inbound", {"token": bot.bot_token, "chat_id": who, "text": "Halo"})
    [incoming] = eventually(lambda: organisation.messages(channel_id=bot.channel_id))
    return incoming


@pytest.fixture
def sent(api):
    """Sends and waits until it is sent."""

    def one(conversation, **body):
        message = data(api.post("/messages", {"conversation_id": conversation, **body}), 200)

        def look():
            now = data(api.get(f"/messages/{message['id']}"))
            assert now["status"] in ("sent", "delivered", "read"), now
            return now

        return eventually(look)

    return one


def calls(simulator, method, account):
    """The bodies of the requests of one method that an account made."""
    key = account.number.phone_number_id if hasattr(account, "number") else account.bot_token
    return [row["body"] for row in simulator.requests() if row["method"] == method and key in row["path"]]


# Edits and deletions.


def test_a_telegram_text_is_edited(chat, sent, api, simulator, bot, organisation):
    message = sent(chat["conversation_id"], body="Jam 9")
    number = int(message["provider_message_id"].split(":")[1])
    path = f"/messages/{message['id']}"
    edited = data(api.request("PATCH", path, {"body": "*Jam* 10", "format": "markdown"}), 200)
    assert (edited["body"], edited["payload"], edited["status"]) == ("*Jam* 10", {"format": "markdown"}, "sent")
    assert edited["edited_at"]
    person = int(message["provider_message_id"].split(":")[0])
    assert calls(simulator, "editMessageText", bot) == [
        {
            "chat_id": person,
            "message_id": number,
            "text": "Jam 10",
            "entities": [{"type": "bold", "offset": 0, "length": 3}],
        }
    ]
    # The same once more is no error.
    data(api.request("PATCH", path, {"body": "*Jam* 10"}), 200)
    [row] = simulator.sent(to=str(person))
    assert (row["status"], row["body"]) == ("edited", "Jam 10")


def test_a_caption_and_a_keyboards_text_are_edited(chat, sent, api, simulator, bot):
    conversation = chat["conversation_id"]
    photo = sent(conversation, type="image", media_url="https://cdn.example.com/a", body="a")
    data(api.request("PATCH", f"/messages/{photo['id']}", {"body": "b"}), 200)
    assert calls(simulator, "editMessageCaption", bot)[-1]["caption"] == "b"
    asked = sent(
        conversation,
        type="interactive",
        body="Sure?",
        interactive={"type": "buttons", "footer": "F", "buttons": [{"id": "y", "title": "Yes"}]},
    )
    data(api.request("PATCH", f"/messages/{asked['id']}", {"body": "Really?"}), 200)
    call = calls(simulator, "editMessageText", bot)[-1]
    assert call["text"] == "Really?\n\nF"
    assert call["reply_markup"] == {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}


def test_what_cannot_be_edited(chat, sent, api):
    place = sent(chat["conversation_id"], type="location", location={"latitude": 1, "longitude": 2})
    text = sent(chat["conversation_id"], body="x")
    for message, body, field in [
        (place, {"body": "x"}, "body"),
        (text, {}, "body"),
        (text, {"body": "x" * 4097}, "body"),
        (chat, {"body": "x"}, "id"),
    ]:
        answer = refused(api.request("PATCH", f"/messages/{message['id']}", body), 422)
        assert list(answer["errors"]) == [field]
    refused(api.request("PATCH", f"/messages/{UNKNOWN_ID}", {"body": "x"}), 404)


def test_a_telegram_message_is_deleted(chat, sent, api, simulator):
    message = sent(chat["conversation_id"], body="salah")
    path = f"/messages/{message['id']}"
    assert api.delete(path).status_code == 204
    gone = data(api.get(path))
    assert gone["revoked_at"] and gone["body"] == "salah"
    [row] = simulator.sent(to=message["provider_message_id"].split(":")[0])
    assert row["status"] == "deleted"
    assert api.delete(path).status_code == 204


def test_whatsapp_can_do_neither(arrived, sent, api):
    message = sent(arrived["conversation_id"], body="x")
    for answer in (
        api.request("PATCH", f"/messages/{message['id']}", {"body": "y"}),
        api.delete(f"/messages/{message['id']}"),
    ):
        body = refused(answer, 422)
        assert (body["code"], body["provider"]) == ("capability_missing", "whatsapp")
        assert "WhatsApp" in body["message"]


def test_edits_and_deletions_are_events(chat, sent, api):
    message = sent(chat["conversation_id"], body="x")
    data(api.request("PATCH", f"/messages/{message['id']}", {"body": "y"}), 200)
    assert api.delete(f"/messages/{message['id']}").status_code == 204
    kinds = [event["type"] for event in data(api.get("/events")) if event["subject_id"] == message["id"]]
    assert [kind for kind in kinds if kind in ("message.edited", "message.revoked")] == [
        "message.edited",
        "message.revoked",
    ]


# Read and typing.


def test_a_whatsapp_message_is_marked_as_read(arrived, api, simulator, account):
    base = {"messaging_product": "whatsapp", "status": "read", "message_id": arrived["provider_message_id"]}
    assert api.post(f"/messages/{arrived['id']}/read").status_code == 204
    assert api.post(f"/messages/{arrived['id']}/read", {"typing": True}).status_code == 204
    assert api.post(f"/conversations/{arrived['conversation_id']}/typing").status_code == 204
    typing = base | {"typing_indicator": {"type": "text"}}
    assert calls(simulator, "read", account) == [base, typing, typing]


def test_what_cannot_be_marked_as_read(arrived, chat, sent, api, account):
    ours = sent(arrived["conversation_id"], body="x")
    assert list(refused(api.post(f"/messages/{ours['id']}/read"), 422)["errors"]) == ["id"]
    assert refused(api.post(f"/messages/{chat['id']}/read"), 422)["code"] == "capability_missing"
    first = data(api.post("/messages", {"channel_id": account.channel_id, "wa_id": "62811999888", "body": "x"}), 200)
    answer = refused(api.post(f"/conversations/{first['conversation_id']}/typing"), 422)
    assert "nobody has written" in answer["message"]


def test_telegram_typing(chat, api, simulator, bot):
    assert api.post(f"/conversations/{chat['conversation_id']}/typing").status_code == 204
    person = int(chat["provider_message_id"].split(":")[0])
    assert calls(simulator, "sendChatAction", bot) == [{"chat_id": person, "action": "typing"}]


def test_a_provider_that_refuses_or_is_away(arrived, chat, api, simulator):
    person = chat["provider_message_id"].split(":")[0]
    typing = f"/conversations/{chat['conversation_id']}/typing"
    simulator.fault("error", provider="telegram", method="*", to=person, code=403, description="Forbidden: bot was blocked by the user")
    answer = refused(api.post(typing), 422)
    assert (answer["code"], answer["provider"]) == ("provider_refused", "telegram")
    simulator.fault("throttle", provider="telegram", method="*", to=person, retry_after=1)
    away = api.post(typing)
    refused(away, 503)
    assert int(away.headers["Retry-After"]) >= 1
    assert api.post(typing).status_code == 204
    simulator.fault("server_error", provider="whatsapp", method="read", http_status=503)
    refused(api.post(f"/messages/{arrived['id']}/read"), 503)


# Taps.


def test_a_tapped_button_stops_waiting(chat, sent, simulator, bot, organisation):
    asked = sent(
        chat["conversation_id"],
        type="interactive",
        body="Sure?",
        interactive={"type": "buttons", "buttons": [{"id": "y", "title": "Yes"}]},
    )
    person, number = (int(part) for part in asked["provider_message_id"].split(":"))
    [row] = [row for row in simulator.sent(to=str(person)) if row["id"].endswith(f":{number}")]
    carrier = {"message_id": number, "date": 1, "chat": tg.private(person), "text": "Sure?"}
    carrier["reply_markup"] = row["payload"]["reply_markup"]
    query = {"id": str(serial()), "from": tg.person(person), "message": carrier, "chat_instance": "1", "data": "y"}
    simulator.post("telegram/inbound", {"token": bot.bot_token, "update": {"callback_query": query}})
    tapped = organisation.message(f"cb:{query['id']}")
    assert (tapped["type"], tapped["body"], tapped["payload"]["data"]) == ("button", "Yes", "y")
    assert tapped["reply_to_id"] == asked["id"]
    answered = [body["callback_query_id"] for body in calls(simulator, "answerCallbackQuery", bot)]
    assert answered == [query["id"]]


# The short ways to send over WhatsApp.


@pytest.mark.parametrize("path", ["/whatsapp/messages", "/whatsapp-api/send"])
def test_without_a_channel_the_default_number_sends(api, account, bot, simulator, path):
    who = f"62815{serial() % 10**8:08d}"
    message = data(api.post(path, {"to": who, "text": "Baik"}), 200)
    assert (message["channel_id"], message["body"], message["status"]) == (account.channel_id, "Baik", "queued")
    eventually(lambda: len(simulator.sent(to=who)) == 1)
    named = {"to": who, "type": "location", "location": {"latitude": 1, "longitude": 2}, "channel_id": account.channel_id}
    assert data(api.post(path, named), 200)["conversation_id"] == message["conversation_id"]
    into = data(api.post(path, {"conversation_id": message["conversation_id"], "text": "Lagi"}), 200)
    assert into["conversation_id"] == message["conversation_id"]
    both = {"to": who, "wa_id": who, "text": "Dua ejaan", "body": "Dua ejaan"}
    assert data(api.post(path, both), 200)["conversation_id"] == message["conversation_id"]


def test_without_a_number_there_is_nothing_to_send_over(api, bot):
    for path in ("/whatsapp/messages", "/whatsapp-api/send", "/whatsapp-api/send-guide"):
        answer = refused(api.post(path, {"to": "62811", "text": "x"}), 422)
        assert list(answer["errors"]) == ["channel_id"]


def test_an_acknowledgement_needs_something_to_say(api, account):
    answer = refused(api.post("/whatsapp-api/acknowledge", {"to": "6281234567890"}), 422)
    assert answer["message"] == "The template name field is required when record id is not present."
    problem = data(api.post("/problems", {"title": "AC bocor"}))["id"]
    answer = refused(api.post("/whatsapp-api/acknowledge", {"to": "6281234567890", "record_id": problem}), 422)
    assert "acknowledgement_template" in answer["message"]
    for id in (UNKNOWN_ID, "nonsense"):
        answer = refused(api.post("/whatsapp-api/acknowledge", {"to": "6281234567890", "record_id": id}), 422)
        assert list(answer["errors"]) == ["record_id"]


def test_a_template_that_is_not_there_says_what_to_do(api, account):
    to = {"to": "6281234567890"}
    answer = refused(api.post("/whatsapp-api/send-guide", to), 404)
    assert (answer["message"], answer["code"]) == ("Template not found.", "template_missing")
    for word in ("user_guide", "/api/v1/templates/sync", "guides"):
        assert word in answer["action"]
    answer = refused(api.post("/whatsapp-api/send-guide", to | {"guide": "panduan"}), 404)
    assert "panduan" in answer["action"] and "user_guide" not in answer["action"]
    answer = refused(api.post("/whatsapp-api/acknowledge", to | {"template_name": "case_taken"}), 404)
    assert answer["message"] == "Template not found." and "case_taken" in answer["action"]
