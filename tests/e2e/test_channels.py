"""Channels: one resource for both documents."""

import pytest

import whatsapp as wa
from api import TIME, ULID, UNKNOWN_ID, data, refused, serial
from harness import eventually

OKTA = {"id", "type", "status", "display_name", "phone_number", "connected_at", "last_seen_at"}
LAKSANA = {
    "platform",
    "kind",
    "purpose",
    "messaging_account_id",
    "external_id",
    "allow_routine_logs",
    "allow_issues",
    "default_site_id",
    "webhook",
    "archived_at",
}


def group(account, **more):
    return {
        "messaging_account_id": account.id,
        "kind": "group",
        "external_id": f"group-{serial()}",
        "display_name": "Tim Gedung A",
        "purpose": "maintenance",
    } | more


def test_the_direct_line_comes_with_the_account(account, api, server):
    listed = data(api.get("/channels"), 200)
    assert [c["id"] for c in listed] == [account.channel_id]
    channel = data(api.get(f"/channels/{account.channel_id}"), 200)
    assert set(channel) >= OKTA | LAKSANA
    assert (channel["type"], channel["kind"], channel["platform"]) == ("cloud", "direct", "whatsapp")
    assert channel["status"] == "connected"
    assert channel["display_name"] == "Sales line"
    assert channel["phone_number"] == account.number.phone_number
    assert channel["messaging_account_id"] == account.id
    assert TIME.match(channel["connected_at"])
    assert channel["archived_at"] is None
    assert set(channel["webhook"]) >= {"url", "verified_at", "last_event_at", "last_error"}
    assert channel["webhook"]["url"] == server.base_url + "/webhooks/whatsapp"
    assert {name: listed[0][name] for name in OKTA} == {name: channel[name] for name in OKTA}


def test_a_message_shows_in_last_seen_and_webhook_state(account, api, server, organisation):
    incoming = wa.message(f"62877{serial() % 10**7:07d}")
    wa.deliver(server, wa.arrival(account.number, incoming))
    organisation.message(incoming["id"])

    def seen():
        channel = data(api.get(f"/channels/{account.channel_id}"))
        return channel["last_seen_at"] and channel["webhook"]["last_event_at"]

    assert eventually(seen)


def test_a_group_is_linked_with_its_flags(account, api):
    body = group(account, allow_routine_logs=False, allow_issues=True)
    created = data(api.post("/channels", body))
    assert ULID.match(created["id"])
    assert {name: created[name] for name in body} == body
    assert (created["type"], created["kind"]) == ("cloud", "group")
    assert data(api.get(f"/channels/{created['id']}")) == created
    assert {c["id"] for c in api.all("/channels")} == {account.channel_id, created["id"]}


def test_flags_are_changed_and_the_rest_stays(account, api):
    created = data(api.post("/channels", group(account)))
    path = f"/channels/{created['id']}"
    for flag in ("allow_routine_logs", "allow_issues"):
        wanted = not created[flag]
        assert data(api.put(path, {flag: wanted}), 200)[flag] is wanted
    after = data(api.get(path))
    for name in ("display_name", "purpose", "external_id", "messaging_account_id", "status"):
        assert after[name] == created[name]
    site = "01HZK7P5R3Q6V0YH4XJ3M8S1TE"
    answer = api.put(path, {"default_site_id": site})
    # Stored and shown; once sites exist, an unknown one may be refused.
    assert answer.status_code == 422 or data(answer)["default_site_id"] == site


def test_archiving_and_the_status_filter(account, api):
    kept, archived = data(api.post("/channels", group(account))), data(api.post("/channels", group(account)))
    after = data(api.put(f"/channels/{archived['id']}", {"status": "archived"}), 200)
    assert after["status"] == "archived" and TIME.match(after["archived_at"])

    def ids(**query):
        return {c["id"] for c in api.all("/channels", **query)}

    assert ids(status="active") == {account.channel_id, kept["id"]}
    assert ids(status="archived") == {archived["id"]}
    assert ids() == {account.channel_id, kept["id"], archived["id"]}
    assert account.channel_id in ids(status="connected")
    refused(api.get("/channels", status="asleep"), 422)


def test_delete_keeps_what_came_in(account, api, server, organisation):
    created = data(api.post("/channels", group(account)))
    incoming = wa.message("628123123", group_id=created["external_id"])
    wa.deliver(server, wa.arrival(account.number, incoming))
    message = organisation.message(incoming["id"])
    assert message["channel_id"] == created["id"]
    eventually(lambda: api.total("/inbox") == 1)
    assert api.delete(f"/channels/{created['id']}").is_success
    assert created["id"] not in [c["id"] for c in api.all("/channels")]
    refused(api.get(f"/channels/{created['id']}"), 404)
    assert api.total("/inbox") == 1
    assert organisation.message(incoming["id"])["body"] == message["body"]


def test_an_unknown_group_appears_by_itself_as_pending(account, api, server, organisation):
    external_id = f"1203630{serial()}"
    incoming = wa.message("628123124", group_id=external_id)
    wa.deliver(server, wa.arrival(account.number, incoming))
    message = organisation.message(incoming["id"])
    channel = data(api.get(f"/channels/{message['channel_id']}"))
    assert (channel["kind"], channel["status"]) == ("group", "pending")
    assert channel["external_id"] == external_id
    assert channel["messaging_account_id"] == account.id
    assert channel["id"] in {c["id"] for c in api.all("/channels", status="active")}
    assert channel["id"] in {c["id"] for c in api.all("/channels", status="pending")}
    # Approved by hand, it stays approved when the next message comes.
    assert data(api.put(f"/channels/{channel['id']}", {"status": "connected"}))["status"] == "connected"
    wa.deliver(server, wa.arrival(account.number, later := wa.message("628123125", group_id=external_id)))
    assert organisation.message(later["id"])["channel_id"] == channel["id"]
    assert data(api.get(f"/channels/{channel['id']}"))["status"] == "connected"


def test_retarget_to_another_account(organisation, api):
    first, second = organisation.whatsapp(), organisation.whatsapp()
    created = data(api.post("/channels", group(first)))
    after = data(api.put(f"/channels/{created['id']}", {"messaging_account_id": second.id}), 200)
    assert after["messaging_account_id"] == second.id


def test_paging(account, api):
    made = {data(api.post("/channels", group(account)))["id"] for _ in range(4)} | {account.channel_id}
    seen = []
    for page in (1, 2, 3):
        answer = api.get("/channels", page=page, limit=2)
        seen += [c["id"] for c in data(answer)]
        assert {k: answer.json()["meta"][k] for k in ("current_page", "per_page", "total")} == {
            "current_page": page,
            "per_page": 2,
            "total": 5,
        }
    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"per_page": 101}, {"page": 0}, {"page": "x"}, {"limit": "ten"}]
)
def test_paging_out_of_range_is_422(api, query):
    for path in ("/channels", "/contacts", "/conversations", "/inbox", "/messaging-accounts", "/organisations"):
        assert set(refused(api.get(path, **query), 422)["errors"]) == set(query)


def test_an_unknown_account_is_refused(account, api, new_organisation):
    for other in (UNKNOWN_ID, "nonsense", new_organisation().whatsapp().id):
        answer = api.post("/channels", group(account, messaging_account_id=other))
        assert answer.status_code in (404, 422), answer.text
        refused(answer, answer.status_code)
    assert api.total("/channels") == 1


def test_missing_fields_are_named(api):
    answer = refused(api.post("/channels", {}), 422)
    assert set(answer["errors"]) >= {"messaging_account_id", "kind", "external_id", "display_name"}


def test_the_same_group_is_linked_once(account, api):
    body = group(account)
    data(api.post("/channels", body))
    answer = api.post("/channels", body)
    assert answer.status_code in (200, 201, 409, 422)
    assert api.total("/channels") == 2


def test_unknown_ids_are_404(api):
    for name in (UNKNOWN_ID, "nonsense", "🙂"):
        answer = refused(api.get(f"/channels/{name}"), 404)
        assert answer["message"] in ("No query results for model [Channel].", "Channel not found.")
        refused(api.put(f"/channels/{name}", {}), 404)
        refused(api.delete(f"/channels/{name}"), 404)
