"""From inbox items to work updates and problems."""

import concurrent.futures

import pytest

import whatsapp as wa
from api import TIME, ULID, UNKNOWN_ID, data, refused, serial


@pytest.fixture(autouse=True)
def by_hand(api, organisation):
    """Nothing is converted but by these tests."""
    data(api.put(f"/organisations/{organisation.id}", {"settings": {"operations": {"auto_convert": False}}}))


def item(api, text="AC bocor di lobi", **fields):
    return data(api.post("/inbox", {"text": text, **fields}))


@pytest.fixture
def received(server, organisation, account, api):
    """The inbox item of a message that somebody sent."""

    def receive(text="AC bocor di Gedung A", **content):
        incoming = wa.message(f"62819{serial() % 10**7:07d}", content={"body": text})
        wa.deliver(server, wa.arrival(account.number, incoming))
        message = organisation.message(incoming["id"])

        return [found for found in api.understood() if found["message_id"] == message["id"]][0]

    return receive


@pytest.mark.parametrize("to", ["work_update", "problem"])
def test_an_item_becomes_what_is_asked(api, to):
    source = item(api, sender={"name": "Ibu Rina", "phone": "+62811000111"})
    answer = api.post(f"/inbox/{source['id']}/convert", {"to": to, "title": "AC lobi"})
    made = data(answer, 201)
    assert made["type"] == made["record"]["type"] == to
    assert ULID.match(made["id"]) and made["id"] == made["record"]["id"]
    assert made["number"] == made["record"]["number"]
    assert made["record"]["title"] == "AC lobi" and made["record"]["body"] == "AC bocor di lobi"
    assert made["record"]["inbox_item_id"] == source["id"]
    assert made["record"]["reporter"]["type"] == "contact"
    assert made["record"]["reporter"]["name"] == "Ibu Rina"
    assert (made["item"]["status"], made["item"]["class"]) == ("converted", to)
    assert made["item"]["record"] == {"type": to, "id": made["id"], "number": made["number"]}
    path = {"work_update": "work-updates", "problem": "problems"}[to]
    assert data(api.get(f"/{path}/{made['id']}")) == made["record"]
    assert data(api.get(f"/inbox/{source['id']}"))["record"]["id"] == made["id"]
    assert (api.total("/inbox", status="converted"), api.total("/inbox", status="new")) == (1, 0)


def test_a_received_message_brings_its_words_files_and_sender(server, api, organisation, account):
    incoming = wa.message(
        f"62819{serial() % 10**7:07d}",
        "image",
        {"id": f"media-{serial()}", "mime_type": "image/jpeg", "sha256": "q" * 43 + "=", "caption": "Pipa bocor"},
    )
    wa.deliver(server, wa.arrival(account.number, incoming))
    message = organisation.message(incoming["id"])
    [source] = api.understood()
    record = data(api.post(f"/inbox/{source['id']}/convert", {"to": "problem"}))["record"]
    assert record["message_ids"] == [message["id"]]
    assert record["conversation_id"] == message["conversation_id"]
    assert record["title"] == "Pipa bocor"
    assert record["reporter"]["name"] == "Budi" and record["reporter"]["phone"]
    [evidence] = record["evidence"]
    assert (evidence["stage"], evidence["message_id"]) == ("report", message["id"])
    assert evidence["mime_type"] == "image/jpeg"
    assert record["timeline"][0]["type"] == "created"
    assert record["timeline"][0]["message_id"] == message["id"]


def test_converted_twice_it_is_one_record(api):
    source = item(api)
    first = api.post(f"/inbox/{source['id']}/convert", {"to": "problem"})
    again = api.post(f"/inbox/{source['id']}/convert", {"to": "problem", "title": "Other"})
    assert data(first, 201)["record"] == data(again, 200)["record"]
    refused(api.post(f"/inbox/{source['id']}/convert", {"to": "work_update"}), 409)
    assert (api.total("/problems"), api.total("/work-updates")) == (1, 0)


def test_converted_by_many_at_once_it_is_one_record(api):
    source = item(api)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: api.post(f"/inbox/{source['id']}/convert", {"to": "problem"}), range(10)))
    assert len({data(answer)["id"] for answer in answers}) == 1
    assert [answer.status_code for answer in answers].count(201) == 1
    assert api.total("/problems") == 1


def test_another_target_is_422_and_another_id_404(api, new_organisation):
    source = item(api)
    for body in ({"to": "poem"}, {"to": ""}, {}, {"to": "problem", "severity": "huge"}):
        answer = refused(api.post(f"/inbox/{source['id']}/convert", body), 422)
        assert set(answer["errors"]) <= {"to", "severity"}
    for id in (UNKNOWN_ID, "nonsense", item(new_organisation().api)["id"]):
        refused(api.post(f"/inbox/{id}/convert", {"to": "problem"}), 404, "No query results for model [InboxItem].")
    assert api.total("/problems") == 0
    assert data(api.get(f"/inbox/{source['id']}"))["record"] is None


def test_a_channel_may_forbid_it(api, account, received):
    source, other = received(), received("Lampu lobi sudah diganti")
    data(api.put(f"/channels/{account.channel_id}", {"allow_issues": False}))
    answer = refused(api.post(f"/inbox/{source['id']}/convert", {"to": "problem"}), 422)
    assert list(answer["errors"]) == ["to"]
    data(api.post(f"/inbox/{source['id']}/convert", {"to": "work_update"}), 201)
    data(api.put(f"/channels/{account.channel_id}", {"allow_issues": True, "allow_routine_logs": False}))
    refused(api.post(f"/inbox/{other['id']}/convert", {"to": "work_update"}), 422)
    data(api.post(f"/inbox/{other['id']}/convert", {"to": "problem"}), 201)


def test_dismissed_and_restored(api):
    source = item(api, "Selamat pagi semua")
    api.understood()
    dismissed = data(api.post(f"/inbox/{source['id']}/dismiss", {"reason": "a greeting"}), 200)
    assert dismissed["status"] == "dismissed"
    assert data(api.post(f"/inbox/{source['id']}/dismiss"), 200)["updated_at"] == dismissed["updated_at"]
    assert (api.total("/inbox", status="dismissed"), api.total("/inbox")) == (1, 1)
    assert data(api.post(f"/inbox/{source['id']}/restore"), 200)["status"] == "needs_review"
    assert api.total("/inbox", status="dismissed") == 0
    data(api.post(f"/inbox/{source['id']}/convert", {"to": "work_update"}))
    refused(api.post(f"/inbox/{source['id']}/dismiss"), 409)
    refused(api.post(f"/inbox/{source['id']}/restore"), 409)


def test_a_person_says_what_it_is(api):
    source = item(api)
    known = data(api.post(f"/inbox/{source['id']}/reclassify", {"class": "problem"}), 200)
    assert (known["class"], known["confidence"], known["status"]) == ("problem", 1.0, "needs_review")
    assert known["reasons"] == ["set by a person"] and TIME.match(known["updated_at"])
    assert data(api.post(f"/inbox/{source['id']}/reclassify", {"class": "general"}))["class"] == "unknown"
    for body in ({}, {"class": "poem"}):
        assert list(refused(api.post(f"/inbox/{source['id']}/reclassify", body), 422)["errors"]) == ["class"]
    data(api.post(f"/inbox/{source['id']}/convert", {"to": "problem"}))
    refused(api.post(f"/inbox/{source['id']}/reclassify", {"class": "work_update"}), 409)


def test_what_happens_to_an_item_is_told(api):
    source = item(api)
    data(api.post(f"/inbox/{source['id']}/dismiss"))
    made = data(api.post(f"/inbox/{source['id']}/convert", {"to": "problem"}))
    events = {event["type"]: event for event in data(api.get("/events", limit=100))}
    assert {"inbox.dismissed", "inbox.converted", "problem.created"} <= set(events)
    assert events["inbox.converted"]["data"]["record"]["number"] == made["number"]
    assert events["problem.created"]["data"]["id"] == made["id"]
    assert events["problem.created"]["data"]["inbox_item_id"] == source["id"]


def test_a_correction_teaches_a_name(api):
    site = data(api.post("/sites", {"name": "Menara Selatan"}))["id"]
    first = item(api, "AC bocor di Gedung Merpati")
    assert api.understood()[0]["suggestions"]["site"] is None
    data(api.post(f"/inbox/{first['id']}/convert", {"to": "problem", "site_id": site}))
    second = item(api, "lampu mati di gedung merpati")
    [found] = [row for row in api.understood() if row["id"] == second["id"]]
    assert found["suggestions"]["site"]["id"] == site
