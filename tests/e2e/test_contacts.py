"""Contacts, as OktaWa's document has them."""

import pytest

from api import TIME, ULID, UNKNOWN_ID, data, refused, serial

OKTA = {"id", "wa_id", "phone", "name", "email", "language", "last_seen_at", "created_at"}


def wa_id():
    return f"966500{serial() % 10**6:06d}"


def test_create_read_and_list(api):
    body = {
        "wa_id": wa_id(),
        "phone": "+966 50 000 0000",
        "name": "Ali",
        "email": "ali@example.com",
        "language": "ar",
        "profile": {"city": "Riyadh"},
        "custom_fields": {"tier": "gold"},
    }
    created = data(api.post("/contacts", body), 200)
    assert ULID.match(created["id"])
    assert {name: created[name] for name in body} == body
    shown = data(api.get(f"/contacts/{created['id']}"), 200)
    assert set(shown) >= OKTA
    assert TIME.match(shown["created_at"])
    listed = api.get("/contacts")
    assert [c["id"] for c in data(listed, 200)] == [created["id"]]
    assert {k: listed.json()["meta"][k] for k in ("current_page", "per_page", "total")} == {
        "current_page": 1,
        "per_page": 25,
        "total": 1,
    }


def test_only_a_number_is_needed(api):
    created = data(api.post("/contacts", {"wa_id": (number := wa_id())}), 200)
    assert (created["wa_id"], created["name"], created["email"]) == (number, None, None)


def test_again_overwrites_what_is_sent_and_keeps_the_rest(api):
    number = wa_id()
    first = data(api.post("/contacts", {"wa_id": number, "name": "Ali", "email": "ali@example.com"}), 200)
    second = data(api.post("/contacts", {"wa_id": number, "name": "Ali bin Umar"}), 200)
    assert second["id"] == first["id"]
    assert (second["name"], second["email"]) == ("Ali bin Umar", "ali@example.com")
    third = data(api.post("/contacts", {"wa_id": number, "email": None}), 200)
    assert (third["name"], third["email"]) == ("Ali bin Umar", None)
    assert api.total("/contacts") == 1


def test_newest_first(api):
    made = [data(api.post("/contacts", {"wa_id": wa_id()}))["id"] for _ in range(5)]
    assert [c["id"] for c in data(api.get("/contacts"))] == made[::-1]
    assert [c["id"] for c in data(api.get("/contacts", per_page=2, page=2))] == made[::-1][2:4]
    assert [c["id"] for c in api.all("/contacts")] == made[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_the_cursor_walks_every_row_once(api, limit):
    made = [data(api.post("/contacts", {"wa_id": wa_id()}))["id"] for _ in range(7)]
    seen, cursor = [], None
    for _ in range(20):
        answer = api.get("/contacts", limit=limit, **({"cursor": cursor} if cursor else {}))
        seen += [c["id"] for c in data(answer)]
        cursor = answer.json()["meta"].get("next_cursor")
        if not cursor:
            break
    assert seen == made[::-1]


def test_a_cursor_that_is_none_is_422(api):
    for cursor in ("nonsense", "AAAA", "💥"):
        refused(api.get("/contacts", cursor=cursor), 422)


def test_search_finds_parts_of_name_phone_and_number(api):
    number = wa_id()
    ali = data(api.post("/contacts", {"wa_id": number, "name": "Ali bin Umar", "phone": "+966 555 0199"}))["id"]
    data(api.post("/contacts", {"wa_id": wa_id(), "name": "Siti 100%_ok"}))
    data(api.post("/contacts", {"wa_id": wa_id(), "name": "أحمد المهندس"}))

    def found(text):
        return [c["name"] for c in data(api.get("/contacts", search=text), 200)]

    for text in ("ali", "BIN", "umar", number[3:], "0199"):
        assert "Ali bin Umar" in found(text), text
    assert found("bin umar") == ["Ali bin Umar"]
    assert found("المهندس") == ["أحمد المهندس"]
    assert found("nobody") == []
    # Wildcards of SQL are plain characters here.
    assert found("%_") == ["Siti 100%_ok"]
    assert found("%") == ["Siti 100%_ok"]
    assert data(api.get("/contacts", search="ali"))[0]["id"] == ali
    assert api.total("/contacts", search="ali") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "wa_id"),
        ({"wa_id": ""}, "wa_id"),
        ({"wa_id": "not a number"}, "wa_id"),
        ({"wa_id": 5}, "wa_id"),
        ({"wa_id": "966500000000", "email": "nonsense"}, "email"),
        ({"wa_id": "966500000000", "profile": {"blob": "x" * 5000}}, "profile"),
        ({"wa_id": "966500000000", "profile": "text"}, "profile"),
        ({"wa_id": "966500000000", "custom_fields": [1]}, "custom_fields"),
        ({"wa_id": "966500000000", "name": {"first": "Ali"}}, "name"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_fields_are_named(api, body, field):
    assert list(refused(api.post("/contacts", body), 422)["errors"]) == [field]
    assert api.total("/contacts") == 0


def test_required_wording(api):
    answer = refused(api.post("/contacts", {}), 422, "The wa id field is required.")
    assert answer["errors"] == {"wa_id": ["The wa id field is required."]}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"text"', b'{"wa_id": "\xff"}', b"\x00", b"[" * 100_000])
def test_a_malformed_body_is_400_or_422(api, raw):
    answer = api.http.post("/contacts", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code)


def test_unknown_ids_are_404_in_oktawas_words(api):
    for name in (UNKNOWN_ID, "nonsense", "01hzk7p5r3q6v0yh4xj3m8chn1x"):
        refused(api.get(f"/contacts/{name}"), 404, "No query results for model [Contact].")


def test_idempotency_key(organisation):
    caller = organisation.caller("read,write")
    headers = {"Idempotency-Key": f"key-{serial()}"}
    body = {"wa_id": wa_id(), "name": "Ali"}
    first = caller.post("/contacts", body, headers)
    again = caller.post("/contacts", body, headers)
    assert data(first, 200) == data(again, 200)
    refused(caller.post("/contacts", body | {"name": "Umar"}, headers), 409)
    assert data(caller.get(f"/contacts/{first.json()['data']['id']}"))["name"] == "Ali"


def test_an_empty_list_stands_for_an_empty_object(api):
    # PHP clients cannot tell the two apart; the document's own example sends lists.
    created = data(api.post("/contacts", {"wa_id": wa_id(), "profile": [], "custom_fields": []}), 200)
    assert not created["profile"] and not created["custom_fields"]
