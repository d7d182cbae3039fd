"""The inbox: what any source puts before the team."""

import concurrent.futures

import pytest

import whatsapp as wa
from api import TIME, ULID, UNKNOWN_ID, data, refused, serial
from harness import eventually

ITEM = {
    "id",
    "class",
    "confidence",
    "reasons",
    "status",
    "suggestions",
    "record",
    "message_id",
    "conversation_id",
}


def test_ingest_and_read_back(api):
    body = {
        "external_id": f"crm-{serial()}",
        "platform": "other",
        "sender": {"name": "Ibu Rina", "phone": "+62811000111", "external_id": "rina"},
        "type": "image",
        "text": "Lampu mati di lobi",
        "media": [{"id": "m-1", "mime_type": "image/jpeg", "sha256": "ab" * 32, "caption": "Lobi"}],
        "occurred_at": "2026-05-06T10:21:00+07:00",
        "metadata": {"ticket": 7},
    }
    item = data(api.post("/inbox", body))
    assert set(item) >= ITEM
    assert ULID.match(item["id"])
    assert (item["class"], item["status"], item["record"]) == ("unknown", "new", None)
    assert set(item["suggestions"]) >= {"site", "facility", "category", "severity"}
    listed = api.get("/inbox")
    [shown] = data(listed, 200)
    assert shown["id"] == item["id"]
    assert shown["text"] == "Lampu mati di lobi" and shown["external_id"] == body["external_id"]
    assert shown["sender"]["name"] == "Ibu Rina"
    assert shown["media"][0]["id"] == "m-1"
    assert shown["metadata"] == {"ticket": 7}
    assert shown["occurred_at"] == "2026-05-06T03:21:00+00:00"
    assert listed.json()["meta"]["total"] == 1


def test_text_alone_is_enough(api):
    item = data(api.post("/inbox", {"text": "AC bocor"}))
    assert item["type"] == "text" and TIME.match(item["occurred_at"])


def test_any_event_is_taken(api):
    for body in (
        {"type": "sensor_alarm", "metadata": {"celsius": 41.5}},
        {"media": [{"id": "x", "mime_type": "image/png"}]},
    ):
        data(api.post("/inbox", body))
    assert api.total("/inbox") == 2


def test_nothing_at_all_is_422(api):
    refused(api.post("/inbox", {}), 422)
    assert api.total("/inbox") == 0


def test_the_same_external_id_is_one_item(api):
    body = {"external_id": f"crm-{serial()}", "text": "AC bocor"}
    first, again = data(api.post("/inbox", body)), data(api.post("/inbox", body | {"text": "AC bocor sekali"}))
    assert again["id"] == first["id"] and again["text"] == "AC bocor"
    assert api.total("/inbox") == 1


def test_the_same_external_id_at_the_same_time(api):
    body = {"external_id": f"crm-{serial()}", "text": "AC bocor"}
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        ids = {data(answer)["id"] for answer in pool.map(lambda _: api.post("/inbox", body), range(10))}
    assert len(ids) == 1
    assert api.total("/inbox") == 1


def test_external_ids_belong_to_their_organisation(new_organisation):
    body = {"external_id": f"crm-{serial()}", "text": "AC bocor"}
    first, second = new_organisation().api, new_organisation().api
    assert data(first.post("/inbox", body))["id"] != data(second.post("/inbox", body))["id"]
    assert first.total("/inbox") == second.total("/inbox") == 1


def test_a_received_message_becomes_an_item(server, organisation, account, api):
    incoming = wa.message(f"62817{serial() % 10**7:07d}")
    wa.deliver(server, wa.arrival(account.number, incoming))
    message = organisation.message(incoming["id"])
    [item] = api.understood()
    assert (item["message_id"], item["conversation_id"]) == (message["id"], message["conversation_id"])
    assert (item["class"], item["platform"]) == ("problem", "whatsapp")
    assert item["text"] == "AC bocor di Gedung A" and item["channel_id"] == account.channel_id
    assert item["sender"]["name"] == "Budi"


def test_what_nobody_said_is_no_item(server, organisation, account, api):
    who = f"62818{serial() % 10**7:07d}"
    first = wa.message(who)
    wa.deliver(
        server,
        wa.arrival(account.number, first, wa.message(who, "reaction", {"message_id": first["id"], "emoji": "👍"})),
    )
    organisation.message(first["id"])
    server.wait_applied()
    assert api.total("/inbox") == 1


def test_newest_first_and_paged(api):
    made = [data(api.post("/inbox", {"text": str(n)}))["id"] for n in range(5)]
    assert [i["id"] for i in data(api.get("/inbox"))] == made[::-1]
    assert [i["id"] for i in data(api.get("/inbox", limit=2, page=3))] == made[:1]
    assert [i["id"] for i in api.all("/inbox")] == made[::-1]


def test_status_filter(api):
    data(api.post("/inbox", {"text": "x"}))
    assert api.total("/inbox", status="new") == 1
    assert api.total("/inbox", status="converted") == 0
    refused(api.get("/inbox", status="lost"), 422)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": 5}, "text"),
        ({"text": "x", "sender": "Budi"}, "sender"),
        ({"text": "x", "media": {"id": "1"}}, "media"),
        ({"text": "x", "occurred_at": "yesterday"}, "occurred_at"),
        ({"text": "x", "platform": "pigeon"}, "platform"),
        ({"text": "x", "metadata": [1]}, "metadata"),
        ({"text": "x", "external_id": "x" * 5000}, "external_id"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_fields_are_named(api, body, field):
    assert list(refused(api.post("/inbox", body), 422)["errors"])[0].split(".")[0] == field
    assert api.total("/inbox") == 0


def test_a_foreign_channel_is_refused(api, new_organisation):
    other = new_organisation().whatsapp()
    for name in (UNKNOWN_ID, other.channel_id):
        answer = api.post("/inbox", {"text": "x", "channel_id": name})
        assert answer.status_code in (404, 422)
    assert eventually(lambda: api.total("/inbox") == 0)


def test_idempotency_key(api):
    headers, body = {"Idempotency-Key": f"key-{serial()}"}, {"text": "AC bocor"}
    assert data(api.post("/inbox", body, headers)) == data(api.post("/inbox", body, headers))
    refused(api.post("/inbox", {"text": "lain"}, headers), 409)
    assert api.total("/inbox") == 1
