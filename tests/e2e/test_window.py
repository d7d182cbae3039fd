"""WhatsApp's 24-hour window, and what goes first or later: `fallback_template`, `priority`, `send_at`."""

import datetime
import time

import pytest

import whatsapp as wa
from api import data, refused
from harness import eventually
from sending import Line, recipient

HOUR = 60 * 60


@pytest.fixture
def line(organisation):
    """A line whose templates are read: the simulator has one, `hello_world`."""
    line = Line(organisation)
    eventually(lambda: [row for row in line.api.all("/templates") if row["status"] == "APPROVED"])
    return line


def heard(server, line, person, ago):
    """The conversation of somebody who wrote `ago` seconds ago, once that counts."""
    at = int(time.time()) - ago
    wa.deliver(server, wa.arrival(line.number, wa.message(person, timestamp=str(at))))

    def look():
        rows = line.api.all("/conversations", channel_id=line.account.channel_id)
        row = next((row for row in rows if row["contact"]["wa_id"] == person), None)
        return row if row and abs(moment(row["window"]["expires_at"]) - (at + 24 * HOUR)) < 2 else None

    return eventually(look)


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def in_(seconds):
    return datetime.datetime.fromtimestamp(int(time.time()) + seconds, datetime.UTC).isoformat()


def test_the_window_of_a_conversation(server, line):
    fresh = heard(server, line, recipient(), ago=HOUR)
    assert fresh["window"]["open"] is True
    assert abs(moment(fresh["window"]["expires_at"]) - (time.time() + 23 * HOUR)) < 60
    old = heard(server, line, recipient(), ago=25 * HOUR)
    assert old["window"]["open"] is False and moment(old["window"]["expires_at"]) < time.time()
    assert data(line.api.get(f"/conversations/{old['id']}"))["window"] == old["window"]


def test_free_text_outside_the_window_names_templates(server, line):
    person = recipient()
    old = heard(server, line, person, ago=25 * HOUR)
    for where in ({"conversation_id": old["id"]}, {"channel_id": line.account.channel_id, "wa_id": person}):
        answer = line.api.post("/messages", where | {"body": "Masih di sana?"})
        assert answer.status_code == 422, answer.text
        body = answer.json()
        assert body["code"] == "window_closed" and "hello_world (en_US)" in body["message"]
        assert body["errors"] == {"type": [body["message"]]}
        [hint] = [template for template in body["templates"] if template["name"] == "hello_world"]
        assert (hint["language"], hint["variables"]) == ("en_US", 0)
    assert line.rows() == [] and line.sent() == []
    # A template may go out, and once the person writes anything may.
    sent = data(
        line.api.post("/messages", {"conversation_id": old["id"], "type": "template", "template": {"name": "hello_world"}})
    )
    line.reaches(sent, "read")
    heard(server, line, person, ago=0)
    line.reaches(line.queue(person, "Halo lagi"), "read")


def test_the_fallback_goes_out_instead(server, line):
    person = recipient()
    heard(server, line, person, ago=30 * HOUR)
    sent = line.queue(person, "Pesanan siap", fallback_template={"name": "hello_world"})
    assert sent["type"] == "template" and sent["body"] != "Pesanan siap"
    line.reaches(sent, "read")
    [arrived] = line.sent()
    assert arrived["type"] == "template" and arrived["callback_data"] == sent["id"]
    unknown = {"channel_id": line.account.channel_id, "wa_id": person, "body": "x", "fallback_template": {"name": "none"}}
    refused(line.api.post("/messages", unknown), 404, "Template not found.")
    # While the window is open the text goes out.
    other = recipient()
    heard(server, line, other, ago=HOUR)
    assert line.queue(other, "Pesanan siap", fallback_template={"name": "hello_world"})["type"] == "text"


def test_who_was_not_heard_yet_may_be_written_to_on_the_first_day(line, server):
    person = recipient()
    line.reaches(line.queue(person), "read")
    [conversation] = line.api.all("/conversations", channel_id=line.account.channel_id)
    assert conversation["window"] == {"open": True, "expires_at": None}
    # Two days later Kabar would have heard of it.
    server.sql("UPDATE channels SET connected_at = connected_at - 172800000000")
    [conversation] = line.api.all("/conversations", channel_id=line.account.channel_id)
    assert conversation["window"] == {"open": False, "expires_at": None}
    answer = line.api.post("/messages", {"conversation_id": conversation["id"], "body": "Halo"})
    assert answer.status_code == 422 and answer.json()["code"] == "window_closed"


def test_telegram_has_no_window(api, bot, server):
    api.post("/messages", {"channel_id": bot.channel_id, "wa_id": "777001", "body": "Halo"})
    [conversation] = api.all("/conversations", channel_id=bot.channel_id)
    assert conversation["window"] is None


def test_a_notification_keeps_its_other_legs(server, line):
    """Outside the window a leg goes out as its template; without one it fails by itself."""
    old, fresh = recipient(), recipient()
    heard(server, line, old, ago=48 * HOUR)
    heard(server, line, fresh, ago=HOUR)
    asked = {
        "channels": ["whatsapp"],
        "to": {"whatsapp": [old, fresh]},
        "text": "Pompa mati",
        "channel_id": line.account.channel_id,
        "whatsapp_template": {"name": "hello_world"},
    }
    sent = data(line.api.post("/notifications/send", asked))
    assert len(sent["legs"]) == 2

    def arrived():
        return {row["to"]: row["type"] for row in line.sent()} == {old: "template", fresh: "text"}

    eventually(arrived)


def test_a_scheduled_message_waits_for_its_time_and_holds_up_nothing(server, line):
    person = recipient()
    heard(server, line, person, ago=HOUR)
    later = line.queue(person, "Besok", send_at=in_(2 * HOUR))
    assert later["status"] == "queued" and later["estimated_send_at"] == later["send_at"]
    line.reaches(line.queue(person, "Sekarang"), "read")
    assert line.now(later)["status"] == "queued"
    server.sql(f"UPDATE outbound_queue SET send_at = {int(time.time() * 1e6)} WHERE send_at IS NOT NULL")
    shown = line.reaches(later, "read")
    assert shown["send_at"] is None
    assert [row["body"] for row in line.sent()] == ["Sekarang", "Besok"]
    thread = line.api.all(f"/conversations/{later['conversation_id']}/messages")
    assert thread[0]["id"] == later["id"], "it stands where it was said"


def test_a_scheduled_message_is_taken_back(line):
    later = line.queue(recipient(), "Besok", send_at=in_(2 * HOUR))
    cancelled = data(line.api.post(f"/messages/{later['id']}/cancel"))
    assert cancelled["status"] == "cancelled" and cancelled["send_at"] is None


def test_a_scheduled_message_is_held_to_the_window_of_its_time(server, line):
    person = recipient()
    heard(server, line, person, ago=HOUR)
    body = {"channel_id": line.account.channel_id, "wa_id": person, "body": "Lusa", "send_at": in_(30 * HOUR)}
    answer = line.api.post("/messages", body)
    assert answer.status_code == 422 and answer.json()["code"] == "window_closed"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("send_at", "tomorrow", "The send at field must be a time with an offset, as 2026-05-06T10:21:00+00:00."),
        ("send_at", "2020-01-01T00:00:00+00:00", "The send at field must be a time in the future."),
        ("send_at", "2199-01-01T00:00:00+00:00", "The send at field must be within a year."),
        ("priority", "urgent", "The selected priority is invalid."),
    ],
)
def test_what_cannot_be_meant(line, field, value, sentence):
    body = {"channel_id": line.account.channel_id, "wa_id": recipient(), "body": "Halo", field: value}
    refused(line.api.post("/messages", body), 422, sentence)


def test_a_reply_goes_before_a_campaign(organisation, server):
    line = Line(organisation, messages_per_second=5)
    asker = recipient()
    heard(server, line, asker, ago=60)
    campaign = [line.queue(recipient(), "Promo", priority="low") for _ in range(40)]
    reply = line.queue(asker, "Teknisi berangkat")
    assert (campaign[-1]["priority"], reply["priority"]) == ("low", "high")
    line.reaches(reply, "read")
    order = [row["body"] for row in line.sent()]
    assert order.index("Teknisi berangkat") < 30, "long before the campaign is over"
    for message in campaign:
        line.api.post(f"/messages/{message['id']}/cancel")
