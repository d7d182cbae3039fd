"""Organisations: the tenants."""

import pytest

from api import TIME, ULID, UNKNOWN_ID, Api, data, refused, serial


def fields(**more):
    return {"name": "PT Sejahtera", "slug": f"pt-{serial()}", "timezone": "Asia/Jakarta"} | more


def test_create_and_read_back(api):
    body = fields(
        operating_hours={"mon": [["08:00", "17:00"]]}, settings={"greeting": "Selamat datang", "nested": {"a": [1, 2]}}
    )
    created = data(api.post("/organisations", body))
    assert ULID.match(created["id"])
    assert {name: created[name] for name in body} == body
    assert created["default_messaging_account_id"] is None
    assert TIME.match(created["created_at"])
    assert data(api.get(f"/organisations/{created['id']}"), 200) == created


def test_list_is_paged_and_holds_only_ones_own(server, new_organisation, admin_token):
    made = [new_organisation() for _ in range(3)]
    everything = Api(server.base_url, admin_token)
    listed = {o["id"] for o in everything.all("/organisations")}
    assert listed >= {o.id for o in made}
    page = everything.get("/organisations", page=2, limit=1)
    assert len(data(page, 200)) == 1
    meta = page.json()["meta"]
    assert (meta["current_page"], meta["per_page"]) == (2, 1) and meta["total"] >= 3
    only_one = made[0].caller("read")
    assert [o["id"] for o in data(only_one.get("/organisations"), 200)] == [made[0].id]


def test_update_changes_what_is_sent_and_keeps_the_rest(api, organisation, account):
    path = f"/organisations/{organisation.id}"
    before = data(api.get(path))
    hours = {"sun": [["07:00", "15:00"]]}
    after = data(api.put(path, {"timezone": "Asia/Riyadh", "operating_hours": hours}), 200)
    assert (after["timezone"], after["operating_hours"]) == ("Asia/Riyadh", hours)
    for name in ("name", "slug", "settings", "default_messaging_account_id"):
        assert after[name] == before[name]
    after = data(api.put(path, {"default_messaging_account_id": account.id}), 200)
    assert after["default_messaging_account_id"] == account.id
    assert after["timezone"] == "Asia/Riyadh"
    assert data(api.get(path))["default_messaging_account_id"] == account.id


@pytest.mark.parametrize("timezone", ["Asia/Jakrata", "", "GMT+7 or so", "Mars/Olympus", 7, None])
def test_a_timezone_that_does_not_exist_is_422(api, organisation, timezone):
    assert "timezone" in refused(api.post("/organisations", fields(timezone=timezone)), 422)["errors"]
    if timezone is not None:
        assert (
            "timezone" in refused(api.put(f"/organisations/{organisation.id}", {"timezone": timezone}), 422)["errors"]
        )


def test_a_slug_in_use_is_refused(api, organisation):
    answer = api.post("/organisations", fields(slug=organisation.slug))
    assert answer.status_code in (409, 422)
    refused(answer, answer.status_code)


@pytest.mark.parametrize("slug", ["", "Not A Slug", "a/b", "a" * 300, "é"])
def test_a_slug_is_plain(api, slug):
    assert "slug" in refused(api.post("/organisations", fields(slug=slug)), 422)["errors"]


def test_missing_fields_are_all_named(api):
    answer = refused(api.post("/organisations", {}), 422)
    assert set(answer["errors"]) >= {"name", "slug", "timezone"}
    assert answer["errors"]["name"] == ["The name field is required."]


def test_an_unknown_or_malformed_id_is_404(api):
    for name in (UNKNOWN_ID, "no-ulid", "0", "%00", "01HZK7P5R3Q6V0YH4XJ3M8CHNU"):
        refused(api.get(f"/organisations/{name}"), 404)


def test_the_default_account_must_be_ones_own(api, organisation, new_organisation):
    other = new_organisation().whatsapp()
    answer = api.put(f"/organisations/{organisation.id}", {"default_messaging_account_id": other.id})
    assert answer.status_code in (404, 422)
    assert data(api.get(f"/organisations/{organisation.id}"))["default_messaging_account_id"] != other.id


def test_names_in_any_script(api):
    body = fields(name="شركة الصيانة 🛠️")
    assert data(api.post("/organisations", body))["name"] == body["name"]
