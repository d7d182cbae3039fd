"""Conversations, as OktaWa's document has them."""

import time

import pytest

import whatsapp as wa
from api import TIME, ULID, UNKNOWN_ID, data, refused, serial
from harness import eventually

OKTA = {"id", "status", "priority", "unread_count", "channel_id", "contact_id", "last_message_at"}


def sender():
    return f"62815{serial() % 10**8:08d}"


@pytest.fixture
def receive(server, organisation, account):
    """Receives one message and waits until it shows."""

    def one(who, at=None, account=account, **content):
        incoming = wa.message(who, **content)
        if at is not None:
            incoming["timestamp"] = str(at)
        wa.deliver(server, wa.arrival(account.number, incoming))
        return organisation.message(incoming["id"])

    return one


def test_a_message_opens_a_conversation(receive, account, api):
    message = receive(who := sender())
    listed = data(api.get("/conversations"), 200)
    assert [c["id"] for c in listed] == [message["conversation_id"]]
    conversation = data(api.get(f"/conversations/{listed[0]['id']}"), 200)
    for shown in (listed[0], conversation):
        assert set(shown) >= OKTA
        assert ULID.match(shown["id"]) and TIME.match(shown["last_message_at"])
        assert (shown["status"], shown["priority"], shown["unread_count"]) == ("open", "normal", 1)
        assert shown["channel_id"] == account.channel_id
    contact = data(api.get(f"/contacts/{conversation['contact_id']}"))
    assert (contact["wa_id"], contact["name"]) == (who, "Budi")
    assert contact["phone"] == "+" + who
    assert TIME.match(contact["last_seen_at"])


def test_unread_counts_what_came_in(receive, api):
    who = sender()
    for _ in range(3):
        message = receive(who)
    assert data(api.get(f"/conversations/{message['conversation_id']}"))["unread_count"] == 3
    assert api.total("/conversations") == 1


def test_freshest_first_by_the_providers_time(receive, api):
    now = int(time.time())
    old, new, middle = (receive(sender(), now - age)["conversation_id"] for age in (300, 100, 200))
    assert [c["id"] for c in data(api.get("/conversations"))] == [new, middle, old]
    assert [c["id"] for c in data(api.get("/conversations", per_page=1, page=2))] == [middle]
    assert [c["id"] for c in api.all("/conversations")] == [new, middle, old]
    # A late old message does not make its conversation fresh.
    conversation = data(api.get(f"/conversations/{middle}"))
    assert conversation["last_message_at"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 200)))


def test_filters(receive, organisation, account, api):
    other = organisation.whatsapp()
    here, there = receive(sender())["conversation_id"], receive(sender(), account=other)["conversation_id"]

    def ids(**query):
        return {c["id"] for c in data(api.get("/conversations", **query), 200)}

    assert ids(channel_id=account.channel_id) == {here}
    assert ids(channel_id=other.channel_id) == {there}
    assert ids(status="open") == {here, there}
    for status in ("pending", "snoozed", "closed"):
        assert ids(status=status) == set()
    assert ids(status="open", channel_id=other.channel_id) == {there}
    refused(api.get("/conversations", status="asleep"), 422)
    answer = api.get("/conversations", channel_id=UNKNOWN_ID)
    assert answer.status_code in (404, 422) or data(answer) == []
    assert api.total("/conversations", channel_id=account.channel_id) == 1


def test_one_person_on_two_numbers_has_two_conversations(receive, organisation, api):
    who, other = sender(), organisation.whatsapp()
    first, second = receive(who), receive(who, account=other)
    assert first["conversation_id"] != second["conversation_id"]
    contacts = {data(api.get(f"/conversations/{m['conversation_id']}"))["contact_id"] for m in (first, second)}
    assert len(contacts) == 1
    assert api.total("/contacts") == 1


def test_messages_are_newest_first(receive, api):
    now, who = int(time.time()), sender()
    ids = {age: receive(who, now - age)["id"] for age in (30, 10, 20)}
    path = f"/conversations/{data(api.get('/conversations'))[0]['id']}/messages"
    answer = api.get(path)
    assert [m["id"] for m in data(answer, 200)] == [ids[10], ids[20], ids[30]]
    meta = answer.json()["meta"]
    assert (meta["current_page"], meta["per_page"], meta["total"]) == (1, 50, 3)
    assert [m["id"] for m in data(api.get(path, per_page=2, page=2))] == [ids[30]]
    for limit in (1, 2, 3):
        seen, cursor = [], None
        while True:
            page = api.get(path, limit=limit, **({"cursor": cursor} if cursor else {}))
            seen += [m["id"] for m in data(page)]
            cursor = page.json()["meta"].get("next_cursor")
            if not cursor:
                break
        assert seen == [ids[10], ids[20], ids[30]]


def test_messages_of_the_same_second_keep_their_order(server, organisation, account):
    who, at = sender(), str(int(time.time()))
    batch = [wa.message(who, content={"body": str(n)}, timestamp=at) for n in range(30)]
    wa.deliver(server, wa.arrival(account.number, *batch))
    organisation.message(batch[-1]["id"])
    assert [m["body"] for m in organisation.messages()] == [str(n) for n in range(30)]


def test_a_message_has_every_field_of_the_contract(receive):
    message = receive(sender())
    assert set(message) >= {
        "id",
        "conversation_id",
        "channel_id",
        "direction",
        "type",
        "body",
        "status",
        "created_at",
        "provider_message_id",
        "reply_to_id",
        "sender",
        "media",
        "payload",
        "error",
        "sent_at",
        "delivered_at",
        "read_at",
        "failed_at",
        "occurred_at",
    }
    assert (message["direction"], message["type"], message["status"]) == ("inbound", "text", "received")
    assert message["body"] == "AC bocor di Gedung A"
    assert message["sender"]["name"] == "Budi"
    assert (message["media"], message["error"], message["reply_to_id"]) == ([], None, None)
    assert TIME.match(message["created_at"]) and TIME.match(message["occurred_at"])


def test_limit_and_per_page_are_one_parameter(receive, api):
    for _ in range(3):
        message = receive(sender())
    for name in ("limit", "per_page"):
        assert len(data(api.get("/conversations", **{name: 2}))) == 2
    path = f"/conversations/{message['conversation_id']}/messages"
    assert api.get(path, limit=100).json()["meta"]["per_page"] == 100
    refused(api.get(path, limit=101), 422)


def test_unknown_ids_are_404(api):
    for name in (UNKNOWN_ID, "architecto"):
        refused(api.get(f"/conversations/{name}"), 404, "No query results for model [Conversation].")
        refused(api.get(f"/conversations/{name}/messages"), 404, "No query results for model [Conversation].")


def test_a_conversation_made_by_a_send_comes_alive_with_the_answer(receive, account, api):
    who = sender()
    queued = data(api.post("/messages", {"channel_id": account.channel_id, "wa_id": who, "body": "Halo"}), 200)
    answer = receive(who)
    assert answer["conversation_id"] == queued["conversation_id"]
    assert eventually(lambda: api.total("/contacts") == 1)
