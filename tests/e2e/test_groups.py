"""Groups: made at WhatsApp, kept by webhooks, their people invited by message; and what Telegram has of that."""

import pytest

import telegram as tg
from api import TIME, ULID, UNKNOWN_ID, data, refused, serial
from harness import eventually


def phone():
    return f"62878{serial() % 10**8:08d}"


@pytest.fixture
def act(server):
    """Plays what a person does to a group."""

    def play(group, action, who=""):
        body = {"group_id": group["external_id"], "from": who, "action": action}
        assert server.simulator.post("whatsapp/groups", body)["webhook_status"] == 200

    return play


@pytest.fixture
def make(account, api):
    """Makes a group and waits until WhatsApp has announced it."""

    def create(**fields):
        asked = data(api.post("/whatsapp/groups", {"subject": f"Tim {serial()}"} | fields), 201)

        def announced():
            group = data(api.get(f"/whatsapp/groups/{asked['id']}"))
            assert group["status"] == "connected"
            return group

        return eventually(announced)

    return create


def members(api, group, **query):
    return {row["wa_id"]: row["status"] for row in api.all(f"/channels/{group['id']}/members", **query)}


def test_a_group_is_made_announced_and_written_to(account, api, make, server, act):
    subject = f"Gedung A {serial()}"
    asked = data(api.post("/whatsapp/groups", {"subject": subject, "description": "Pompa dan AC"}), 201)
    assert ULID.match(asked["id"]) and asked["status"] in ("pending", "connected")
    eventually(lambda: data(api.get(f"/channels/{asked['id']}")))
    group = data(api.get(f"/whatsapp/groups/{asked['id']}"))
    assert (group["status"], group["subject"], group["description"]) == ("connected", subject, "Pompa dan AC")
    assert group["invite_link"].startswith("https://chat.whatsapp.com/")
    assert (group["join_approval_mode"], group["suspended"], group["participants"]) == ("auto_approve", False, [])
    assert TIME.match(group["created_at"])
    assert data(api.get(f"/whatsapp/groups/{group['external_id']}"))["id"] == group["id"]
    channel = data(api.get(f"/channels/{group['id']}"))
    assert (channel["kind"], channel["status"], channel["external_id"]) == ("group", "connected", group["external_id"])
    assert [row["id"] for row in api.all("/whatsapp/groups", platform="whatsapp")] == [group["id"]]
    assert api.total("/whatsapp/groups", platform="telegram") == 0
    message = data(api.post("/messages", {"channel_id": group["id"], "body": "Halo semua"}))
    eventually(lambda: server.simulator.sent(to=group["external_id"], callback_data=message["id"]))


def test_a_repeated_request_makes_one_group(account, api, server):
    body, key = {"subject": f"Tim {serial()}"}, {"Idempotency-Key": f"group-{serial()}"}
    first, again = (data(api.post("/whatsapp/groups", body, key), 201) for _ in range(2))
    assert first["id"] == again["id"]
    eventually(lambda: data(api.get(f"/channels/{first['id']}")))
    assert api.total("/whatsapp/groups") == 1


def test_a_lost_answer_makes_one_group_too(account, api, server):
    server.simulator.fault("drop_answer", method="groups")
    asked = data(api.post("/whatsapp/groups", {"subject": f"Tim {serial()}"}), 201)
    eventually(lambda: data(api.get(f"/channels/{asked['id']}")))
    group = data(api.get(f"/whatsapp/groups/{asked['id']}"))
    assert (group["id"], group["status"]) == (asked["id"], "connected")
    assert api.total("/whatsapp/groups") == 1


def test_a_refusal_says_why_at_once_or_later(account, api, server):
    server.simulator.fault("error", method="groups", code=131215)
    answer = refused(api.post("/whatsapp/groups", {"subject": "x"}), 422)
    assert (answer["code"], answer["provider"]) == ("provider_refused", "whatsapp")
    assert "official business account" in answer["message"]
    server.simulator.fault("throttle", method="groups")
    busy = api.post("/whatsapp/groups", {"subject": "x"})
    refused(busy, 503)
    assert busy.headers["retry-after"]
    assert api.total("/whatsapp/groups") == 0

    server.simulator.fault("fail_status", method="groups", code=131214)
    asked = data(api.post("/whatsapp/groups", {"subject": "x"}), 201)

    def failed():
        group = data(api.get(f"/whatsapp/groups/{asked['id']}"))
        assert group["status"] == "failed"
        return group

    error = eventually(failed)["error"]
    assert error["code"] == 131214 and error["action"].endswith(".")
    refused(api.post(f"/whatsapp/groups/{asked['id']}/participants", {"participants": [phone()]}), 409)
    assert api.delete(f"/whatsapp/groups/{asked['id']}").status_code == 204
    refused(api.get(f"/whatsapp/groups/{asked['id']}"), 404, "No query results for model [Group].")


def test_fields_are_checked_before_whatsapp_is_asked(account, api):
    for body, field in (
        ({}, "subject"),
        ({"subject": "x" * 129}, "subject"),
        ({"subject": "x", "description": "x" * 2049}, "description"),
        ({"subject": "x", "join_approval_mode": "ask_me"}, "join_approval_mode"),
    ):
        assert field in refused(api.post("/whatsapp/groups", body), 422)["errors"]
    refused(api.post("/whatsapp/groups", {"subject": "x", "channel_id": UNKNOWN_ID}), 404, "Channel not found.")
    assert api.total("/whatsapp/groups") == 0


def test_people_are_sent_the_link_and_join(api, make, server, act):
    group, first, second = make(), phone(), phone()
    path = f"/whatsapp/groups/{group['id']}/participants"
    people = [f"+{first}", {"wa_id": second}]
    answers = data(api.post(path, {"participants": people, "message": "Silakan bergabung"}), 200)
    assert [(a["wa_id"], a["status"]) for a in answers] == [(first, "invited"), (second, "invited")]
    for who, answer in zip((first, second), answers):
        [sent] = eventually(lambda who=who: server.simulator.sent(to=who))
        assert sent["body"] == f"Silakan bergabung\n{group['invite_link']}"
        assert sent["callback_data"] == answer["message_id"]
    assert members(api, group) == {first: "invited", second: "invited"}

    act(group, "join", first)
    eventually(lambda: members(api, group).get(first) == "joined")
    assert data(api.post(path, {"participants": [first]}))[0]["status"] == "joined"
    shown = data(api.get(f"/whatsapp/groups/{group['id']}"))
    assert shown["participant_count"] == 1
    assert {p["wa_id"]: p["status"] for p in shown["participants"]} == {first: "joined", second: "invited"}
    act(group, "leave", first)
    eventually(lambda: first not in members(api, group))
    assert members(api, group, status="left") == {first: "left"}
    refused(api.post(path, {}), 422)
    assert "participants.0" in refused(api.post(path, {"participants": ["nobody"]}), 422)["errors"]
    too_many = refused(api.post(path, {"participants": [phone() for _ in range(9)]}), 422)
    assert "at most 8" in too_many["message"]


def test_people_are_put_out_and_none_is_promoted(api, make, act):
    group, who = make(), phone()
    act(group, "join", who)
    eventually(lambda: members(api, group).get(who) == "joined")
    path = f"/whatsapp/groups/{group['id']}/participants"
    answer = refused(api.post(f"{path}/promote", {"participants": [who]}), 422)
    assert (answer["code"], answer["provider"]) == ("capability_missing", "whatsapp")
    assert answer["reason"] == answer["message"] and "administrator" in answer["reason"]
    [removing] = data(api.request("DELETE", path, {"participants": [who]}), 200)
    assert removing["status"] == "removing"
    eventually(lambda: members(api, group, status="removed") == {who: "removed"})
    refused(api.delete(path), 422)


def test_requests_to_join_wait_for_a_decision(api, make, act):
    group, wanted, unwanted, gone = make(join_approval_mode="approval_required"), phone(), phone(), phone()
    for who in (wanted, unwanted, gone):
        act(group, "join", who)
    act(group, "withdraw", gone)
    path = f"/whatsapp/groups/{group['id']}/join-requests"
    asked = eventually(lambda: {row["wa_id"]: row["join_request_id"] for row in data(api.get(path))})
    assert set(asked) == {wanted, unwanted}
    [approved] = data(api.post(path, {"join_requests": [asked[wanted]]}), 200)
    assert (approved["join_request_id"], approved["status"]) == (asked[wanted], "approved")
    [rejected] = data(api.request("DELETE", path, {"join_requests": [asked[unwanted]]}), 200)
    assert rejected["status"] == "rejected"
    assert data(api.get(path)) == []
    assert members(api, group) == {wanted: "joined"}
    assert data(api.post(path, {"join_requests": ["404"]}))[0]["status"] == "failed"


def test_a_group_is_renamed_suspended_and_ended(api, make, act):
    group = make()
    path = f"/whatsapp/groups/{group['id']}"
    data(api.request("PATCH", path, {"subject": "Tim baru", "description": None}), 200)
    eventually(lambda: data(api.get(path))["subject"] == "Tim baru")
    assert data(api.get(f"/channels/{group['id']}"))["display_name"] == "Tim baru"
    refused(api.request("PATCH", path, {}), 422)
    reset = data(api.post(f"{path}/invite-link", {"reset": True}), 200)["invite_link"]
    assert reset != group["invite_link"] and data(api.get(path))["invite_link"] == reset
    act(group, "suspend")
    eventually(lambda: data(api.get(path))["suspended"])
    assert "suspended" in refused(api.delete(path), 409)["message"]
    act(group, "clear")
    eventually(lambda: data(api.get(path))["status"] == "connected")
    assert data(api.get(path, refresh="true"))["suspended"] is False
    assert api.delete(path).status_code == 204
    eventually(lambda: data(api.get(path))["status"] == "deleted")
    assert api.total("/whatsapp/groups") == 0


@pytest.fixture
def chat(bot, hook, api):
    """A Telegram group the bot is in, and somebody there; the simulator and Kabar both know of it."""
    simulator = hook.kabar.simulator
    who, place = tg.person(serial()), tg.group(-1_001_000_000_000 - serial(), "Lokasi B")
    said = tg.message(who["id"], place, new_chat_members=[who])
    assert simulator.post("telegram/inbound", {"token": bot.bot_token, "update": {"message": said}})["webhook_status"] == 200
    return eventually(lambda: data(api.get(f"/whatsapp/groups/{place['id']}"))), str(who["id"])


def test_a_telegram_group_has_what_telegram_has(api, bot, chat, server):
    group, who = chat
    path = f"/whatsapp/groups/{group['id']}"
    assert (group["platform"], group["subject"]) == ("telegram", "Lokasi B")
    assert eventually(lambda: members(api, group)) == {who: "joined"}
    [promoted] = data(api.post(f"{path}/participants/promote", {"participants": [who]}), 200)
    assert promoted["status"] == "promoted"
    assert eventually(lambda: data(api.get(path))["participants"][0]["role"]) == "admin"
    changed = data(api.request("PATCH", path, {"subject": "Lokasi C", "description": "Pompa"}), 200)
    assert (changed["subject"], changed["description"]) == ("Lokasi C", "Pompa")
    assert data(api.post(f"{path}/invite-link"), 200)["invite_link"].startswith("https://t.me/+")
    [removed] = data(api.request("DELETE", f"{path}/participants", {"participants": [who]}), 200)
    assert removed["status"] == "removed"
    eventually(lambda: members(api, group, status="removed") == {who: "removed"})
    [invited] = data(api.post(f"{path}/participants", {"participants": [who]}), 200)
    assert invited["status"] == "invited"
    eventually(lambda: [s for s in server.simulator.sent(to=who) if "https://t.me/+" in s["body"]])
    [stranger] = data(api.post(f"{path}/participants", {"participants": ["77"]}), 200)
    assert stranger["status"] == "failed" and "never written" in stranger["error"]


def test_a_group_gets_a_picture(api, make, bot, chat, server):
    def upload(kind):
        return data(api.http.post("/media", files={"file": ("tim", b"\xff\xd8\xff picture", kind)}), 201)["id"]

    def change(group, picture):
        return api.request("PATCH", f"/whatsapp/groups/{group['id']}", {"picture_media_id": picture})

    jpeg, png = upload("image/jpeg"), upload("image/png")
    whatsapp, telegram = make(), chat[0]
    data(change(whatsapp, jpeg), 200)
    [asked] = [r for r in server.simulator.requests(method="object") if whatsapp["external_id"] in r["path"]]
    assert asked["body"]["file"] == "<11 bytes>" and asked["answered"] == 200
    assert "image/jpeg" in refused(change(whatsapp, png), 422)["errors"]["picture_media_id"][0]
    assert refused(change(whatsapp, None), 422)["code"] == "capability_missing"
    for picture in (png, None):
        data(change(telegram, picture), 200)
    asked = [r["method"] for r in server.simulator.requests() if bot.bot_token in r["path"] and "Photo" in r["method"]]
    assert asked == ["setChatPhoto", "deleteChatPhoto"]
    for nothing in (UNKNOWN_ID, "x"):
        refused(change(telegram, nothing), 422)


def test_what_telegram_lacks_is_said(api, bot, chat):
    group, _ = chat
    for answer in (
        api.post("/whatsapp/groups", {"subject": "x", "channel_id": bot.channel_id}),
        api.delete(f"/whatsapp/groups/{group['id']}"),
    ):
        body = refused(answer, 422)
        assert (body["code"], body["provider"]) == ("capability_missing", "telegram") and body["reason"]


def test_a_telegram_request_to_join_is_answered(api, bot, chat, server):
    group, _ = chat
    who = tg.person(serial(), "Adi")
    place = tg.group(int(group["external_id"]))
    asks = {"chat": place, "from": who, "user_chat_id": who["id"], "date": 1_790_000_000}
    server.simulator.post("telegram/inbound", {"token": bot.bot_token, "update": {"chat_join_request": asks}})
    path = f"/whatsapp/groups/{group['id']}/join-requests"
    [asked] = eventually(lambda: data(api.get(path)))
    assert (asked["wa_id"], asked["name"], asked["status"]) == (str(who["id"]), "Adi", "requested")
    [approved] = data(api.post(path, {"join_requests": [asked["join_request_id"]]}), 200)
    assert approved["status"] == "approved"
    assert members(api, group)[str(who["id"])] == "joined"
    assert data(api.get(path)) == []


def test_a_foreign_group_is_not_there_by_any_name(make, new_organisation):
    group = make()
    stranger = new_organisation("Stranger")
    stranger.whatsapp()
    for name in (group["id"], group["external_id"]):
        path = f"/whatsapp/groups/{name}"
        people = {"participants": [phone()]}
        for answer in (
            stranger.api.get(path),
            stranger.api.request("PATCH", path, {"subject": "x"}),
            stranger.api.delete(path),
            stranger.api.post(f"{path}/invite-link", {"reset": True}),
            stranger.api.post(f"{path}/participants", people),
            stranger.api.request("DELETE", f"{path}/participants", people),
            stranger.api.post(f"{path}/participants/promote", people),
            stranger.api.get(f"{path}/join-requests"),
            stranger.api.post(f"{path}/join-requests", {"join_requests": ["1"]}),
            stranger.api.request("DELETE", f"{path}/join-requests", {"join_requests": ["1"]}),
        ):
            refused(answer, 404, "No query results for model [Group].")
    refused(stranger.api.get(f"/channels/{group['id']}/members"), 404)
    assert stranger.api.total("/whatsapp/groups") == 0
