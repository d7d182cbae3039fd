"""Telegram's webhooks."""

import concurrent.futures
import json
import time

import pytest

import telegram as tg
from api import TIME, UNKNOWN_ID, data, serial
from harness import eventually
from telegram import Hook


def person():
    return 80_000_000 + serial() % 10**7


@pytest.fixture
def receive(organisation, hook):
    """Delivers a message and gives its stored form."""

    def one(who=None, chat=None, **content):
        said = tg.message(who or person(), chat, **content)
        hook.deliver(tg.update(message=said))
        return organisation.message(tg.provider_id(said))

    return one


def test_a_message_opens_a_conversation(receive, organisation, bot):
    who = person()
    stored = receive(who)
    assert (stored["type"], stored["direction"], stored["status"]) == ("text", "inbound", "received")
    assert stored["body"] == "AC bocor di Gedung A"
    assert stored["channel_id"] == bot.channel_id
    assert stored["sender"]["name"] == "Siti"
    contact = organisation.contact_of(stored)
    assert (contact["name"], contact["wa_id"], contact["phone"]) == ("Siti", None, None)
    assert contact["language"] == "id"
    assert eventually(lambda: organisation.api.total("/inbox") == 1)


def test_only_the_right_secret_opens(hook, organisation, server):
    payload = tg.update(message=tg.message(person()))
    for wrong in ("", "wrong", hook.secret[:-1], hook.secret + "x"):
        assert hook.post(payload, wrong).status_code == 403
    assert server.http.post(hook.path, json=payload).status_code == 403
    server.wait_applied()
    assert organisation.conversations() == [] and organisation.api.total("/contacts") == 0
    hook.deliver(payload)
    eventually(lambda: organisation.conversations())


def test_one_bots_secret_does_not_open_another(organisation):
    first, second = Hook(organisation.telegram()), Hook(organisation.telegram())
    assert first.secret != second.secret
    assert second.post(tg.update(message=tg.message(person())), first.secret).status_code == 403


def test_an_unknown_bot_is_refused(server, hook):
    for name in (UNKNOWN_ID, "nonsense"):
        answer = server.http.post(
            f"/webhooks/telegram/{name}", json=tg.update(), headers={"X-Telegram-Bot-Api-Secret-Token": hook.secret}
        )
        assert answer.status_code in (403, 404)


def test_the_common_address_uses_the_configured_secret(server):
    payload = tg.update(message=tg.message(person()))
    headers = {"X-Telegram-Bot-Api-Secret-Token": server.keys.telegram_secret}
    assert server.http.post("/webhooks/telegram", json=payload, headers=headers).status_code == 200
    for wrong in ({}, {"X-Telegram-Bot-Api-Secret-Token": "wrong"}):
        assert server.http.post("/webhooks/telegram", json=payload, headers=wrong).status_code == 403


def test_an_update_twice_is_stored_once(hook, organisation, server):
    payload = tg.update(message=(said := tg.message(person())))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {a.status_code for a in pool.map(lambda _: hook.post(payload), range(8))} == {200}
    organisation.message(tg.provider_id(said))
    hook.deliver(payload)
    server.wait_applied()
    assert len(organisation.messages()) == 1 and organisation.api.total("/inbox") == 1


def test_the_same_message_number_in_two_chats(hook, organisation):
    first, second = tg.message(person()), tg.message(person())
    second["message_id"] = first["message_id"]
    for said in (first, second):
        hook.deliver(tg.update(message=said))
    organisation.message(tg.provider_id(first)), organisation.message(tg.provider_id(second))


def test_the_same_message_at_two_bots(organisation):
    """Ids are unique inside a bot's chat only."""
    hooks = [Hook(organisation.telegram()) for _ in range(2)]
    said = tg.message(person())
    for hook in hooks:
        hook.deliver(tg.update(message=said))
    eventually(lambda: len(organisation.messages()) == 2)


FILE = {"file_id": "AgACAgUAAx", "file_unique_id": "AQADx", "file_size": 5000}
PHOTO = [
    FILE | {"file_id": "small", "width": 90, "height": 60},
    FILE | {"file_id": "large", "width": 1280, "height": 800},
]

KINDS = [
    ({"text": "Halo 🛠️", "entities": [{"type": "bold", "offset": 0, "length": 4}]}, "text", "Halo 🛠️", None),
    ({"text": "/start gedung-a"}, "text", "/start gedung-a", None),
    ({"photo": PHOTO, "caption": "Bocor"}, "image", "Bocor", "large"),
    ({"video": FILE | {"width": 1, "height": 1, "duration": 3, "mime_type": "video/mp4"}}, "video", None, "AgACAgUAAx"),
    (
        {"animation": FILE | {"width": 1, "height": 1, "duration": 3, "mime_type": "video/mp4"}, "document": FILE},
        "video",
        None,
        "AgACAgUAAx",
    ),
    ({"audio": FILE | {"duration": 9, "title": "Lagu", "mime_type": "audio/mpeg"}}, "audio", None, "AgACAgUAAx"),
    ({"voice": FILE | {"duration": 9, "mime_type": "audio/ogg"}}, "voice", None, "AgACAgUAAx"),
    ({"video_note": FILE | {"length": 240, "duration": 9}}, "video", None, "AgACAgUAAx"),
    (
        {"document": FILE | {"file_name": "lap.pdf", "mime_type": "application/pdf"}, "caption": "Laporan"},
        "document",
        "Laporan",
        "AgACAgUAAx",
    ),
    ({"sticker": FILE | {"type": "regular", "width": 1, "height": 1, "emoji": "👍"}}, "sticker", None, "AgACAgUAAx"),
    ({"contact": {"phone_number": "+62811", "first_name": "Joko", "last_name": "W"}}, "contacts", "Joko", None),
    ({"location": {"latitude": -6.2, "longitude": 106.8}}, "location", None, None),
    (
        {
            "venue": {"location": {"latitude": -6.2, "longitude": 106.8}, "title": "Gedung A", "address": "Jl."},
            "location": {"latitude": -6.2, "longitude": 106.8},
        },
        "location",
        "Gedung A",
        None,
    ),
    (
        {"poll": {"id": "1", "question": "Kapan?", "options": [{"text": "Senin", "voter_count": 0}]}},
        "poll",
        "Kapan?",
        None,
    ),
    ({"dice": {"emoji": "🎲", "value": 4}}, None, None, None),
    ({"new_chat_members": [{"id": 5, "is_bot": False, "first_name": "Ani"}]}, "system", None, None),
    ({"left_chat_member": {"id": 5, "is_bot": False, "first_name": "Ani"}}, "system", None, None),
    ({"new_chat_title": "Gedung B"}, "system", None, None),
    ({"pinned_message": {"message_id": 1, "date": 0, "chat": {"id": 1, "type": "private"}}}, "system", None, None),
    ({"something_of_2031": {"new": True}}, "unknown", None, None),
]


@pytest.mark.parametrize(
    ("content", "expected", "body", "media"), KINDS, ids=[str(n) + "-" + next(iter(k[0])) for n, k in enumerate(KINDS)]
)
def test_each_kind(receive, content, expected, body, media):
    stored = receive(**content)
    if expected is not None:
        assert stored["type"] == expected
    if body is not None:
        assert body in stored["body"]
    if media is not None:
        assert [m["id"] for m in stored["media"]] == [media]
    else:
        assert stored["media"] == []
    if expected == "location":
        assert "-6.2" in json.dumps(stored["payload"])


def test_reply_and_forward(receive):
    who = person()
    first = receive(who)
    number = int(first["provider_message_id"].split(":")[1])
    original = {"message_id": number, "date": 0, "chat": tg.private(who), "text": "x"}
    assert receive(who, text="Sudah", reply_to_message=original)["reply_to_id"] == first["id"]
    origin = {"type": "user", "sender_user": tg.person(5), "date": 0}
    assert "forward" in json.dumps(receive(who, text="x", forward_origin=origin)["payload"])


def test_an_edit_changes_the_message(hook, receive, organisation):
    who = person()
    first = receive(who, text="Lampu mait")
    edited = tg.message(who, text="Lampu mati", edit_date=int(time.time()))
    edited["message_id"] = int(first["provider_message_id"].split(":")[1])
    hook.deliver(tg.update(edited_message=edited))

    def now():
        [message] = organisation.messages()
        return message["body"] == "Lampu mati" and message

    assert eventually(now)["id"] == first["id"]


def test_a_tap_on_a_button(hook, organisation, receive):
    who = person()
    first = receive(who)
    tap = {
        "id": str(serial()),
        "from": tg.person(who),
        "chat_instance": "1",
        "data": "confirm:7",
        "message": {"message_id": 1, "date": 0, "chat": tg.private(who)},
    }
    hook.deliver(tg.update(callback_query=tap))

    def tapped():
        return [m for m in organisation.messages() if m["type"] == "button"]

    [stored] = eventually(tapped)
    assert stored["conversation_id"] == first["conversation_id"]
    assert "confirm:7" in json.dumps(stored)


def test_reactions(hook, organisation, receive):
    who = person()
    first = receive(who)
    reaction = {
        "chat": tg.private(who),
        "message_id": int(first["provider_message_id"].split(":")[1]),
        "user": tg.person(who),
        "date": int(time.time()),
        "old_reaction": [],
        "new_reaction": [{"type": "emoji", "emoji": "👍"}],
    }
    hook.deliver(tg.update(message_reaction=reaction))
    eventually(lambda: "👍" in json.dumps(organisation.messages(), ensure_ascii=False))
    assert organisation.api.total("/inbox") == 1


def group_id():
    return -1_001_000_000_000 - serial() % 10**8


def test_a_group_appears_with_its_title(receive, organisation):
    chat = tg.group(group_id(), "Tim Gedung A")
    first, second = receive(person(), chat), receive(person(), chat)
    assert first["conversation_id"] == second["conversation_id"]
    channel = data(organisation.api.get(f"/channels/{first['channel_id']}"))
    assert (channel["kind"], channel["status"], channel["type"]) == ("group", "pending", "telegram")
    assert (channel["external_id"], channel["display_name"]) == (str(chat["id"]), "Tim Gedung A")
    receive(person(), chat | {"title": "Tim Gedung B"}, new_chat_title="Tim Gedung B")
    eventually(lambda: data(organisation.api.get(f"/channels/{channel['id']}"))["display_name"] == "Tim Gedung B")


def test_forum_topics_are_conversations_of_one_channel(receive):
    chat = tg.group(group_id(), is_forum=True)
    general = receive(person(), chat)
    first = receive(person(), chat, text="satu", message_thread_id=11, is_topic_message=True)
    again = receive(person(), chat, text="lagi", message_thread_id=11, is_topic_message=True)
    second = receive(person(), chat, text="dua", message_thread_id=22, is_topic_message=True)
    assert first["conversation_id"] == again["conversation_id"]
    assert len({m["conversation_id"] for m in (general, first, second)}) == 3
    assert len({m["channel_id"] for m in (general, first, second)}) == 1
    # A thread id without the flag is a chain of replies, no topic.
    reply = receive(person(), chat, text="balas", message_thread_id=99)
    assert reply["conversation_id"] == general["conversation_id"]


def test_a_topics_creation_is_kept(receive):
    chat = tg.group(group_id(), is_forum=True)
    stored = receive(
        person(),
        chat,
        forum_topic_created={"name": "Lantai 3", "icon_color": 7322096},
        message_thread_id=33,
        is_topic_message=True,
    )
    assert stored["type"] == "system" and "Lantai 3" in json.dumps(stored, ensure_ascii=False)


def test_a_group_that_becomes_a_supergroup_stays_one_channel(receive, organisation, hook):
    old, new = -(serial() % 10**8) - 1000, group_id()
    before = receive(person(), tg.group(old, kind="group"))
    hook.deliver(tg.update(message=tg.message(person(), tg.group(old, kind="group"), migrate_to_chat_id=new)))
    hook.deliver(tg.update(message=tg.message(person(), tg.group(new), migrate_from_chat_id=old)))
    after = receive(person(), tg.group(new))
    assert (after["channel_id"], after["conversation_id"]) == (before["channel_id"], before["conversation_id"])
    channel = data(organisation.api.get(f"/channels/{after['channel_id']}"))
    assert channel["external_id"] == str(new)


def test_being_removed_and_added_shows_on_the_channel(receive, organisation, hook):
    chat = tg.group(group_id())
    channel_id = receive(person(), chat)["channel_id"]

    def member(status):
        me = {"id": 1, "is_bot": True, "first_name": "Kabar"}
        changed = {
            "chat": chat,
            "from": tg.person(person()),
            "date": int(time.time()),
            "old_chat_member": {"user": me, "status": "member"},
            "new_chat_member": {"user": me, "status": status},
        }
        hook.deliver(tg.update(my_chat_member=changed))

    def status():
        return data(organisation.api.get(f"/channels/{channel_id}"))["status"]

    member("kicked")
    eventually(lambda: status() == "disconnected")
    member("administrator")
    eventually(lambda: status() in ("connected", "pending"))


def test_a_channel_post(hook, organisation):
    chat = tg.group(group_id(), "Pengumuman", "channel")
    post = tg.message(0, chat, text="Pengumuman penting")
    del post["from"]
    post["sender_chat"] = chat
    hook.deliver(tg.update(channel_post=post))
    stored = organisation.message(tg.provider_id(post))
    assert stored["body"] == "Pengumuman penting"


@pytest.mark.parametrize(
    "kind",
    [
        "poll",
        "poll_answer",
        "inline_query",
        "chat_member",
        "chat_join_request",
        "business_connection",
        "chat_boost",
        "subscription",
        "pre_checkout_query",
        "an_update_of_2031",
    ],
)
def test_every_other_kind_is_200_and_harms_nothing(hook, receive, kind):
    who = person()
    chat = tg.group(group_id())
    content = {
        "id": "1",
        "from": tg.person(who),
        "user": tg.person(who),
        "chat": chat,
        "date": int(time.time()),
        "query": "x",
        "old_chat_member": {"user": tg.person(who), "status": "left"},
        "new_chat_member": {"user": tg.person(who), "status": "member"},
        "user_chat_id": who,
        "question": "?",
        "options": [],
    }
    hook.deliver(tg.update(**{kind: content}))
    assert receive(who)["body"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'{"update_id":"x"}', b'{"update_id":1,"message":{}}', b'{"update_id":2,"message":5}'],
)
def test_unusable_updates_are_200_and_held(hook, server, receive, raw):
    # Telegram repeats an update until it is answered with success and holds up its chat until then.
    headers = {"X-Telegram-Bot-Api-Secret-Token": hook.secret, "Content-Type": "application/json"}
    assert server.http.post(hook.path, content=raw, headers=headers).status_code == 200
    assert receive()["body"]


def test_an_album_is_several_messages(receive):
    chat, album = None, str(serial())
    who = person()
    stored = [receive(who, chat, photo=PHOTO, media_group_id=album) for _ in range(3)]
    assert len({m["conversation_id"] for m in stored}) == 1
    assert {m["payload"]["media_group_id"] for m in stored} == {album}


def test_times_are_the_providers(receive):
    who = person()
    stored = receive(who)
    assert TIME.match(stored["occurred_at"])
