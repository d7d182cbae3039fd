"""Tokens over the API: made, shown once, bound, told of before they end, revoked."""

import hashlib
import json
import time

import pytest

import whatsapp as wa
from api import TOKEN, UNKNOWN_ID, Api, data, refused, serial
from harness import eventually


def create(api: Api, *abilities: str, **fields) -> dict:
    return data(api.post("/tokens", {"name": "CRM", "abilities": list(abilities), **fields}), 201)


def caller(api: Api, server, *abilities: str, **fields) -> Api:
    return Api(server.base_url, create(api, *abilities, **fields)["token"])


def test_a_token_is_shown_once(server, api):
    answer = api.post("/tokens", {"name": "CRM", "abilities": ["read", "send", "read"]})
    made = data(answer, 201)
    assert TOKEN.fullmatch(made["token"]) and answer.headers["cache-control"] == "no-store"
    assert made["abilities"] == ["read", "send"] and made["channel_ids"] is None and made["site_ids"] is None
    assert made["expires_at"] is None and made["last_used_at"] is None
    secret = made.pop("token").split("|")[1]
    assert data(api.get(f"/tokens/{made['id']}")) == made and api.all("/tokens") == [made]
    for path in ("/tokens", f"/tokens/{made['id']}", "/auth/me", "/events"):
        assert secret not in api.get(path).text
    stored = server.sql(f"SELECT token_hash FROM api_tokens WHERE id = {made['id']}")
    assert stored == hashlib.sha256(secret.encode()).hexdigest()


def test_a_repeated_request_shows_the_same_token_and_keeps_it_sealed(server, api):
    headers = {"Idempotency-Key": "make-it-once"}
    body = {"name": "CRM", "abilities": ["read"]}
    first, second = (data(api.post("/tokens", body, headers), 201) for _ in range(2))
    assert first == second and api.total("/tokens") == 1
    kept = server.sql("SELECT body FROM idempotency_keys WHERE key = 'make-it-once'")
    assert kept and first["token"].split("|")[1] not in kept


def test_a_revoked_token_is_good_for_nothing(server, api):
    made = create(api, "read")
    token = Api(server.base_url, made["token"])
    assert token.get("/contacts").status_code == 200
    eventually(lambda: data(api.get(f"/tokens/{made['id']}"))["last_used_at"])
    assert api.delete(f"/tokens/{made['id']}").status_code == 204
    refused(token.get("/contacts"), 401)
    refused(api.delete(f"/tokens/{made['id']}"), 404, "No query results for model [Token].")
    events = [event for event in api.all("/events") if event["type"].startswith("token.")]
    assert [event["type"] for event in events] == ["token.created", "token.revoked"]
    assert all(event["data"]["token_id"] == made["id"] for event in events)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 256},
        {"abilities": []},
        {"abilities": ["launch"]},
        {"abilities": "read"},
        {"expires_at": "tomorrow"},
        {"expires_at": "2020-01-01T00:00:00+00:00"},
        {"channel_ids": []},
        {"channel_ids": [UNKNOWN_ID]},
        {"channel_ids": ["x"]},
        {"site_ids": [UNKNOWN_ID]},
        {"site_ids": ["x"] * 101},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_what_does_not_fit_is_named(api, fields):
    [field] = fields
    answer = refused(api.post("/tokens", {"name": "CRM", "abilities": ["read"], **fields}), 422)
    assert any(name.split(".")[0] == field for name in answer["errors"])
    assert api.total("/tokens") == 0


def test_foreign_channels_and_sites_cannot_be_named(api, new_organisation):
    other = new_organisation()
    site = data(other.api.post("/sites", {"name": "Gudang"}))["id"]
    for fields in ({"channel_ids": [other.whatsapp().channel_id]}, {"site_ids": [site]}):
        refused(api.post("/tokens", {"name": "x", "abilities": ["read"], **fields}), 422)


def test_who_is_no_administrator_makes_no_tokens(organisation):
    for ability in ("read", "write", "send"):
        refused(organisation.caller(ability).post("/tokens", {"name": "x", "abilities": [ability]}), 403)


def test_of_a_token_that_is_about_to_expire_is_told_once(server, api):
    def at(days: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + days * 86_400))

    late, soon, short = (create(api, "read", expires_at=at(days)) for days in (30, 10, 3))
    # Its time has come.
    server.sql(f"UPDATE api_tokens SET announce_at = 1 WHERE id = {soon['id']}")

    def told():
        return [event["data"]["token_id"] for event in api.all("/events") if event["type"] == "token.expiring"]

    eventually(lambda: sorted(told()) == [soon["id"], short["id"]], 40)
    seven_days = 7 * 86_400 * 1_000_000
    due = server.sql(f"SELECT expires_at - announce_at FROM api_tokens WHERE id = {late['id']}")
    assert int(due) == seven_days
    for token in (soon, short):
        assert server.sql(f"SELECT COUNT(announce_at) FROM api_tokens WHERE id = {token['id']}") == "0"


@pytest.fixture
def two_lines(organisation, server):
    """Two numbers, each with a conversation and an inbox item."""
    lines = []
    for index in range(2):
        account = organisation.whatsapp()
        incoming = wa.message(f"62831000{index}", content={"body": f"Halo {index}"})
        wa.deliver(server, wa.arrival(account.number, incoming))
        lines.append((account, organisation.message(incoming["id"])))
    return lines


def test_a_token_bound_to_a_channel_knows_of_no_other(server, organisation, api, two_lines):
    (ours, message), (theirs, foreign) = two_lines
    token = caller(api, server, "admin", channel_ids=[ours.channel_id])
    assert data(token.get("/auth/me"))["token"]["abilities"] == ["admin"]
    items = {item["channel_id"]: item["id"] for item in api.all("/inbox")}

    assert [row["id"] for row in token.all("/channels")] == [ours.channel_id]
    assert [row["id"] for row in token.all("/conversations")] == [message["conversation_id"]]
    assert token.total("/conversations") == 1
    assert [row["id"] for row in token.all("/inbox")] == [items[ours.channel_id]]
    assert token.total("/inbox") == 1
    for query in ({"channel_id": theirs.channel_id}, {"contact_id": organisation.contact_of(foreign)["id"]}):
        assert token.all("/conversations", **query) == [] and token.total("/conversations", **query) == 0
    assert token.all("/inbox", channel_id=theirs.channel_id) == []

    for ours_, theirs_ in [
        (f"/channels/{ours.channel_id}", f"/channels/{theirs.channel_id}"),
        (f"/conversations/{message['conversation_id']}", f"/conversations/{foreign['conversation_id']}"),
        (
            f"/conversations/{message['conversation_id']}/messages",
            f"/conversations/{foreign['conversation_id']}/messages",
        ),
        (f"/messages/{message['id']}", f"/messages/{foreign['id']}"),
        (f"/inbox/{items[ours.channel_id]}", f"/inbox/{items[theirs.channel_id]}"),
    ]:
        assert token.get(ours_).status_code == 200, ours_
        unknown = theirs_.split("/")
        unknown[2] = UNKNOWN_ID
        # Not to be told from what does not exist.
        assert refused(token.get(theirs_), 404)["message"] == refused(token.get("/".join(unknown)), 404)["message"]
    assert token.put(f"/channels/{ours.channel_id}", {"display_name": "Ours"}).status_code == 200
    refused(token.put(f"/channels/{theirs.channel_id}", {"display_name": "Mine"}), 404)
    refused(token.patch(f"/conversations/{foreign['conversation_id']}", {"status": "closed"}), 404)
    assert data(api.get(f"/conversations/{foreign['conversation_id']}"))["status"] == "open"


def test_a_token_bound_to_a_channel_reads_what_belongs_to_it(server, organisation, api):
    lines = []
    for index in range(2):
        account = organisation.whatsapp()
        photo = {"id": f"99{serial()}", "mime_type": "image/jpeg", "sha256": "x"}
        incoming = wa.message(f"62832000{index}", "image", photo)
        wa.deliver(server, wa.arrival(account.number, incoming))
        lines.append((account, organisation.message(incoming["id"])))
    (ours, message), (theirs, foreign) = lines
    api.post("/contacts", {"wa_id": "62832009"})
    widgets = [data(api.post("/widgets", {"slug": f"shop-{serial()}", "name": "Shop"})) for _ in range(2)]
    token = caller(api, server, "read", channel_ids=[ours.channel_id, widgets[0]["channel_id"]])

    mine = {
        "/contacts": tuple(organisation.contact_of(it)["id"] for it in (message, foreign)),
        "/messaging-accounts": (ours.id, theirs.id),
        "/media": (message["media"][0]["file_id"], foreign["media"][0]["file_id"]),
        "/widgets": (widgets[0]["id"], widgets[1]["id"]),
    }
    for path, (own, other) in mine.items():
        assert [row["id"] for row in token.all(path)] == [own] and token.total(path) == 1, path
        assert data(token.get(f"{path}/{own}"))["id"] == own
        refused(token.get(f"{path}/{other}"), 404)
    assert token.all("/contacts", search="62832000") != [] and token.all("/contacts", search="62832001") == []
    refused(token.post("/contacts", {"wa_id": "62832010"}), 403)

    everything, heard = (who.all("/events") for who in (api, token))
    assert {foreign["id"], message["id"]} <= {event["data"].get("id") for event in everything}
    assert heard and {event["data"]["message"]["channel_id"] for event in heard} == {ours.channel_id}
    live = {"Accept": "text/event-stream"}
    with token.http.stream("GET", "/events", params={"after": 0}, headers=live, timeout=30) as answer:
        first = next(line for line in answer.iter_lines() if line.startswith("data:"))
    assert json.loads(first.removeprefix("data:")) == heard[0]


def test_a_token_bound_to_a_channel_sends_over_no_other(server, organisation, api, two_lines):
    (ours, message), (theirs, foreign) = two_lines
    token = caller(api, server, "send", channel_ids=[ours.channel_id])
    before = len(organisation.messages())
    body = {"wa_id": "62831009", "body": "x"}
    refused(token.post("/messages", body | {"channel_id": theirs.channel_id}), 404, "Channel not found.")
    refused(token.post("/whatsapp/messages", body | {"channel_id": theirs.channel_id}), 404, "Channel not found.")
    refused(token.post("/messages", {"conversation_id": foreign["conversation_id"], "body": "x"}), 404)
    reaction = {"type": "reaction", "reply_to": foreign["id"], "emoji": "👍"}
    refused(token.post("/messages", reaction), 404)
    refused(token.post(f"/messages/{foreign['id']}/read"), 404)
    refused(token.post(f"/messages/{foreign['id']}/cancel"), 404)
    refused(token.post(f"/messages/{foreign['id']}/retry"), 404)
    refused(token.post(f"/conversations/{foreign['conversation_id']}/typing"), 404)
    assert len(organisation.messages()) == before
    data(token.post("/messages", body | {"channel_id": ours.channel_id}))
    data(token.post("/messages", {"conversation_id": message["conversation_id"], "body": "x"}))
    # Where no channel is named it is the token's own, not the organisation's.
    sent = data(token.post("/whatsapp/messages", body))
    assert data(api.get(f"/conversations/{sent['conversation_id']}"))["channel_id"] == ours.channel_id


def test_a_token_bound_to_a_site_knows_of_no_other(server, api):
    here, there = (data(api.post("/sites", {"name": name}))["id"] for name in ("Di sini", "Di sana"))
    token = caller(api, server, "admin", site_ids=[here])
    things, problems = {}, {}
    for site in (here, there):
        things[site] = data(api.post("/facilities", {"site_id": site, "name": "Pompa"}))["id"]
        problems[site] = data(api.post("/problems", {"title": "Bocor", "site_id": site}))["id"]
    data(api.post("/problems", {"title": "Di mana?"}))
    update = data(api.post("/work-updates", {"title": "Selesai", "site_id": there}))["id"]

    assert [row["id"] for row in token.all("/sites")] == [here] and token.total("/sites") == 1
    assert [row["id"] for row in token.all("/facilities")] == [things[here]]
    assert [row["id"] for row in token.all("/problems")] == [problems[here]] and token.total("/problems") == 1
    assert token.all("/problems", site_id=there) == [] and token.all("/facilities", site_id=there) == []
    assert token.all("/work-updates") == []
    assert "Bocor" in token.get("/problems/export.csv").text
    assert token.get("/problems/export.csv").text.count("Bocor") == 1

    for path, other in [
        (f"/sites/{here}", f"/sites/{there}"),
        (f"/facilities/{things[here]}", f"/facilities/{things[there]}"),
        (f"/problems/{problems[here]}", f"/problems/{problems[there]}"),
        (f"/problems/{problems[here]}/timeline", f"/problems/{problems[there]}/timeline"),
    ]:
        assert token.get(path).status_code == 200, path
        refused(token.get(other), 404)
    refused(token.get(f"/work-updates/{update}"), 404)
    for answer in [
        token.patch(f"/sites/{there}", {"name": "x"}),
        token.patch(f"/facilities/{things[there]}", {"name": "x"}),
        token.patch(f"/problems/{problems[there]}", {"title": "x"}),
        token.post(f"/problems/{problems[there]}/comments", {"text": "x"}),
        token.post(f"/problems/{problems[there]}/watchers"),
        token.delete(f"/problems/{problems[there]}/watchers"),
    ]:
        refused(answer, 404)
    for answer in [
        token.post("/problems", {"title": "x", "site_id": there}),
        token.post("/problems", {"title": "x", "facility_id": things[there]}),
        token.post("/problems", {"title": "x"}),
        token.post("/facilities", {"site_id": there, "name": "x"}),
        token.patch(f"/facilities/{things[here]}", {"site_id": there}),
        token.patch(f"/problems/{problems[here]}", {"site_id": there}),
        token.patch(f"/problems/{problems[here]}", {"site_id": None}),
    ]:
        refused(answer, 422)
    assert token.patch(f"/problems/{problems[here]}", {"title": "Bocor lagi"}).status_code == 200
    data(token.post("/problems", {"title": "x", "site_id": here}))


def test_a_bound_token_reaches_nothing_of_the_whole(server, organisation, api, account):
    """Whatever does not know of bounds refuses whoever has some: nothing is open by being forgotten."""
    site = data(api.post("/sites", {"name": "Gudang"}))["id"]
    by_channel = caller(api, server, "admin", channel_ids=[account.channel_id])
    by_site = caller(api, server, "admin", site_ids=[site])
    kept = {"by_channel": set(), "by_site": set()}
    document = server.http.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not path.startswith("/api/v1/") or method == "parameters" or not operation.get("x-required-ability"):
                continue
            for name, token in (("by_channel", by_channel), ("by_site", by_site)):
                filled = path.removeprefix("/api/v1").replace("{id}", UNKNOWN_ID).replace("{groupId}", UNKNOWN_ID)
                answer = token.request(method.upper(), filled, None if method in ("get", "delete") else {})
                if answer.status_code != 403:
                    kept[name].add(operation["operationId"])
    records = {"list", "get", "update"}
    assert kept["by_channel"] == {
        *("list_channels", "get_channel", "update_channel", "list_conversations", "get_conversation"),
        *("update_conversation", "list_messages", "get_message", "list_inbox", "get_inbox_item", "send_message"),
        *("edit_message", "delete_message", "read_message", "show_typing", "cancel_message", "retry_message"),
        *("send_whatsapp_message", "send_whatsapp_api_message", "send_whatsapp_guide", "send_template"),
        "acknowledge_whatsapp",
        *("list_contacts", "get_contact", "list_messaging_accounts", "get_messaging_account", "list_files", "get_file"),
        *("list_widgets", "get_widget", "list_events"),
    }
    assert {name.split("_")[0] for name in kept["by_site"]} >= records
    assert not [name for name in kept["by_site"] if "channel" in name or "message" in name or "token" in name]
