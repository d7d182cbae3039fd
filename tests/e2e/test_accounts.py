"""Messaging accounts: connected WhatsApp numbers and Telegram bots."""

import pytest

import whatsapp as wa
from api import TIME, ULID, UNKNOWN_ID, data, refused, serial
from harness import eventually
from telegram import Hook


def test_a_number_is_registered_and_its_secrets_stay_inside(organisation, api):
    account = organisation.whatsapp(
        app_secret="s3cr3t-of-the-app", metadata={"note": "ours"}, settings={"tone": "warm"}
    )
    number = account.number
    for shown in (account.resource, *data(api.get("/messaging-accounts"))):
        assert ULID.match(shown["id"]) and ULID.match(shown["channel_id"])
        assert shown["platform"] == "whatsapp"
        assert shown["phone_number_id"] == number.phone_number_id
        assert shown["phone_number"] == number.phone_number
        assert shown["waba_id"] == number.waba_id
        assert shown["display_name"] == "Sales line"
        assert shown["metadata"] == {"note": "ours"} and shown["settings"] == {"tone": "warm"}
        assert TIME.match(shown["created_at"])
        for secret in (number.access_token, "s3cr3t-of-the-app"):
            assert secret not in str(shown)
    assert account.resource["status"] == "connected"


def test_secrets_are_encrypted_at_rest(organisation, server, backend):
    token = organisation.whatsapp(app_secret="plain-text-app-secret").number.access_token
    if backend == "sqlite":
        stored = b"".join(path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file())
        assert organisation.slug.encode() in stored, "looked in the wrong place"
        for secret in (token, "plain-text-app-secret"):
            assert secret.encode() not in stored
    else:
        import subprocess

        dump = subprocess.run(["pg_dump", server.database_url], capture_output=True, check=True).stdout
        assert organisation.slug.encode() in dump
        for secret in (token, "plain-text-app-secret"):
            assert secret.encode() not in dump and secret.encode().hex().encode() not in dump


def test_a_bot_is_registered_and_its_webhook_set(bot, server, api):
    shown = bot.resource
    assert shown["platform"] == "telegram" and shown["status"] == "connected"
    assert bot.bot_token.split(":")[1] not in str(shown)
    hook = Hook(bot)
    assert hook.url.startswith(server.base_url + "/webhooks/telegram/")
    assert len(hook.secret) >= 16
    channel = data(api.get(f"/channels/{bot.channel_id}"))
    assert (channel["type"], channel["platform"], channel["kind"]) == ("telegram", "telegram", "direct")
    assert channel["webhook"]["url"] == hook.url
    # Reactions and members do not come unless asked for.
    assert {"message_reaction", "chat_member"} <= set(hook.allowed_updates)


def test_platform_filter_and_paging(organisation, api):
    numbers = [organisation.whatsapp() for _ in range(3)]
    bot = organisation.telegram()
    assert {a["id"] for a in data(api.get("/messaging-accounts", platform="whatsapp"))} == {a.id for a in numbers}
    assert [a["id"] for a in data(api.get("/messaging-accounts", platform="telegram"))] == [bot.id]
    refused(api.get("/messaging-accounts", platform="pigeon"), 422)
    answer = api.get("/messaging-accounts", page=2, limit=3)
    assert len(data(answer)) == 1
    assert answer.json()["meta"] | {"next_cursor": None} == {
        "current_page": 2,
        "per_page": 3,
        "total": 4,
        "next_cursor": None,
    }


def test_at_most_one_default(organisation, api):
    first, second = organisation.whatsapp(), organisation.whatsapp(is_default=True)

    def defaults():
        return [a["id"] for a in api.all("/messaging-accounts") if a["is_default"]]

    assert defaults() == [second.id]
    assert data(api.get(f"/organisations/{organisation.id}"))["default_messaging_account_id"] == second.id
    assert data(api.put(f"/messaging-accounts/{first.id}", {"is_default": True}), 200)["is_default"]
    assert defaults() == [first.id]
    assert data(api.get(f"/organisations/{organisation.id}"))["default_messaging_account_id"] == first.id


def test_update_changes_settings_and_keeps_the_rest(account, api):
    after = data(api.put(f"/messaging-accounts/{account.id}", {"settings": {"hours": "always"}}), 200)
    assert after["settings"] == {"hours": "always"}
    for name in ("display_name", "phone_number_id", "is_default", "metadata", "channel_id"):
        assert after[name] == account.resource[name]
    assert data(api.put(f"/messaging-accounts/{account.id}", {"display_name": "Support"}))["display_name"] == "Support"


def test_update_refreshes_the_status(account, api, simulator):
    simulator.fault("error", method="*", code=190, times=1, provider="whatsapp")
    data(api.put(f"/messaging-accounts/{account.id}", {"settings": {}}), 200)
    simulator.clear_faults()
    healed = data(api.put(f"/messaging-accounts/{account.id}", {"settings": {}}), 200)
    assert healed["status"] == "connected"


def test_credentials_that_do_not_work_show_as_disconnected(api):
    number = wa.Number.new(serial())
    body = {
        "platform": "whatsapp",
        "display_name": "Broken",
        "phone_number_id": number.phone_number_id,
        "phone_number": number.phone_number,
        "access_token": "EAAwrong",
    }
    answer = api.post("/messaging-accounts", body)
    if answer.status_code == 422:
        refused(answer, 422)
    else:
        assert data(answer)["status"] in ("disconnected", "pending")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "platform"),
        ({"platform": "pigeon"}, "platform"),
        ({"platform": "whatsapp", "display_name": "x", "access_token": "t"}, "phone_number_id"),
        ({"platform": "whatsapp", "display_name": "x", "phone_number_id": "1", "phone_number": "+1"}, "access_token"),
        ({"platform": "telegram", "display_name": "x"}, "bot_token"),
        ({"platform": "telegram", "display_name": "x", "bot_token": "no colon"}, "bot_token"),
    ],
)
def test_missing_and_wrong_fields_are_named(api, body, field):
    assert field in refused(api.post("/messaging-accounts", body), 422)["errors"]


def test_a_number_can_be_registered_once(new_organisation):
    first, second = new_organisation(), new_organisation()
    number = first.whatsapp().number
    body = {
        "platform": "whatsapp",
        "display_name": "Again",
        "phone_number_id": number.phone_number_id,
        "phone_number": number.phone_number,
        "access_token": number.access_token,
    }
    for organisation in (first, second):
        answer = organisation.api.post("/messaging-accounts", body)
        assert answer.status_code in (409, 422)
        # Nothing about whose it is.
        assert first.id not in answer.text and first.slug not in answer.text


def test_retiring_moves_assignments_to_the_default(organisation, api, server, simulator):
    default = organisation.whatsapp(is_default=True)
    retired = organisation.whatsapp()
    sender = f"62899{serial() % 10**7:07d}"
    wa.deliver(server, wa.arrival(retired.number, incoming := wa.message(sender)))
    conversation_id = organisation.message(incoming["id"])["conversation_id"]
    linked = data(
        api.post(
            "/channels",
            {
                "messaging_account_id": retired.id,
                "kind": "group",
                "external_id": f"group-{serial()}",
                "display_name": "Ops",
            },
        )
    )
    assert api.delete(f"/messaging-accounts/{retired.id}").is_success
    assert retired.id not in [a["id"] for a in api.all("/messaging-accounts")]
    assert data(api.get(f"/channels/{linked['id']}"))["messaging_account_id"] == default.id
    # What was said stays. The conversation goes on over the default number, or says plainly that it cannot.
    assert [m["body"] for m in organisation.messages()] == ["AC bocor di Gedung A"]
    answer = api.post("/messages", {"conversation_id": conversation_id, "body": "Kami periksa"})
    if answer.status_code == 422:
        assert "archived" in refused(answer, 422)["message"]
        return
    reply = data(answer, 200)
    sent = eventually(lambda: [s for s in simulator.sent(to=sender) if s["callback_data"] == reply["id"]])
    assert [s["from"] for s in sent] == [default.number.phone_number_id]


def test_the_only_default_cannot_leave_assignments_without_one(organisation, api):
    first, second = organisation.whatsapp(is_default=True), organisation.whatsapp()
    answer = api.delete(f"/messaging-accounts/{first.id}")
    if answer.is_success:
        assert [a["id"] for a in api.all("/messaging-accounts") if a["is_default"]] == [second.id]
    else:
        assert answer.status_code in (409, 422)
        refused(answer, answer.status_code)


def test_a_retired_number_can_be_registered_again(organisation, api):
    organisation.whatsapp(is_default=True)
    retired = organisation.whatsapp()
    assert api.delete(f"/messaging-accounts/{retired.id}").is_success
    again = organisation.whatsapp(phone_number_id=retired.number.phone_number_id)
    assert again.id != retired.id


def test_unknown_ids_are_404(api):
    for name in (UNKNOWN_ID, "nonsense"):
        refused(api.put(f"/messaging-accounts/{name}", {"settings": {}}), 404)
        refused(api.delete(f"/messaging-accounts/{name}"), 404)
