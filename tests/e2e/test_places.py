"""Sites, facilities and categories: where work happens, and what it is about."""

import pytest

from api import TIME, ULID, UNKNOWN_ID, Api, data, refused, serial

SITE = {
    "name": "Building A",
    "code": "BA",
    "aliases": ["Gedung A", "مبنى أ"],
    "timezone": "Asia/Jakarta",
    "operating_hours": {"mon": [{"open": "08:00", "close": "17:00"}]},
    "address": "Jl. Sudirman 1",
    "latitude": -6.2088,
    "longitude": 106.8456,
}


def make(api, path, **fields):
    return data(api.post(path, fields), 201)


def csv(api, path, text, **query):
    return data(api.http.post(path, content=text.encode(), headers={"Content-Type": "text/csv"}, params=query), 200)


def test_a_site_with_and_without_supervisors(api, server):
    me = data(api.get("/auth/me"))["user"]["id"]
    made = make(api, "/sites", **SITE, supervisor_ids=[me])
    assert ULID.match(made["id"]) and TIME.match(made["created_at"])
    assert {name: made[name] for name in SITE} == SITE
    assert made["supervisor_ids"] == [me]
    assert data(api.get(f"/sites/{made['id']}"), 200) == made
    plain = make(api, "/sites", name="Building B")
    assert (plain["supervisor_ids"], plain["timezone"], plain["code"]) == ([], None, None)
    assert [site["id"] for site in data(api.get("/sites"), 200)] == [made["id"], plain["id"]]
    answer = api.post("/sites", {"name": "C", "supervisor_ids": [UNKNOWN_ID]})
    assert set(refused(answer, 422)["errors"]) == {"supervisor_ids.0"}


def test_lists_are_paged_searched_and_filtered(api):
    for n in range(5):
        make(api, "/sites", name=f"Building {n}", aliases=[f"Gedung {n}"])
    seen = []
    for page in (1, 2, 3):
        answer = api.get("/sites", page=page, limit=2)
        seen += [site["name"] for site in data(answer, 200)]
        assert answer.json()["meta"]["total"] == 5
    assert seen == [f"Building {n}" for n in range(5)]
    assert [site["name"] for site in api.all("/sites")] == seen
    assert [site["name"] for site in api.all("/sites", q="GEDUNG 3")] == ["Building 3"]
    refused(api.get("/sites", status="asleep"), 422)


@pytest.mark.parametrize("method", ["put", "patch"])
def test_what_is_not_sent_stays(api, method):
    made = make(api, "/sites", **SITE)
    after = data(getattr(api, method)(f"/sites/{made['id']}", {"address": None}), 200)
    assert after["address"] is None
    for name in SITE.keys() - {"address"}:
        assert after[name] == made[name]


def test_wrong_fields_are_named(api):
    wrong = {"name": " ", "timezone": "Mars/Olympus", "operating_hours": {"someday": []}, "latitude": 91, "longitude": 0}
    assert set(refused(api.post("/sites", wrong), 422)["errors"]) == {"name", "timezone", "operating_hours", "latitude"}
    make(api, "/sites", name="A", code="BA")
    body = refused(api.post("/sites", {"name": "B", "code": "ba"}), 422)
    assert body["errors"] == {"code": ["The code has already been taken."]}
    assert set(refused(api.post("/facilities", {}), 422)["errors"]) == {"site_id", "name"}
    assert set(refused(api.post("/categories", {}), 422)["errors"]) == {"name"}


def test_a_facility_is_linked_to_its_site(api, new_organisation):
    site, other = make(api, "/sites", name="A"), make(api, "/sites", name="B")
    floor = make(api, "/facilities", site_id=site["id"], name="Floor 2")
    category = data(api.get("/categories", q="Kelistrikan"))[0]["id"]
    genset = make(
        api, "/facilities", site_id=site["id"], name="Genset 2", parent_id=floor["id"], category_id=category, code="G2"
    )
    assert (genset["site_id"], genset["parent_id"], genset["category_id"]) == (site["id"], floor["id"], category)
    elsewhere = make(api, "/facilities", site_id=other["id"], name="Genset 2")
    assert [row["id"] for row in api.all("/facilities", site_id=site["id"])] == [floor["id"], genset["id"]]
    assert [row["id"] for row in api.all("/facilities", q="genset")] == [genset["id"], elsewhere["id"]]
    assert [row["id"] for row in api.all("/facilities", parent_id=floor["id"])] == [genset["id"]]
    stranger = new_organisation("Stranger").api
    for fields in ({"site_id": site["id"]}, {"site_id": UNKNOWN_ID}, {"site_id": "nonsense"}):
        assert set(refused(stranger.post("/facilities", {"name": "x"} | fields), 422)["errors"]) == {"site_id"}
    mine = make(stranger, "/sites", name="Mine")
    for field, value in (("parent_id", floor["id"]), ("category_id", category)):
        answer = stranger.post("/facilities", {"name": "x", "site_id": mine["id"], field: value})
        assert set(refused(answer, 422)["errors"]) == {field}


def test_archiving_takes_out_of_lists_and_matching_and_brings_back(api):
    site = make(api, "/sites", name="Warehouse North", code="WN")
    thing = make(api, "/facilities", site_id=site["id"], name="Forklift 7")

    def matched():
        answers = [api.post("/matching/location", {"query": "WN"}), api.post("/matching/things", {"query": "Forklift 7"})]
        return [data(answer)["match"] and data(answer)["match"]["id"] for answer in answers]

    assert matched() == [site["id"], thing["id"]]
    assert api.delete(f"/sites/{site['id']}").status_code == 204
    assert matched() == [None, None]
    assert api.all("/sites") == [] and api.all("/facilities") == []
    assert [row["id"] for row in api.all("/facilities", status="archived")] == [thing["id"]]
    assert TIME.match(data(api.get(f"/sites/{site['id']}"))["archived_at"])
    make(api, "/sites", name="Another", code="wn")
    refused(api.put(f"/sites/{site['id']}", {"archived": False}), 422)
    data(api.put(f"/sites/{site['id']}", {"archived": False, "code": "WN-2"}), 200)
    assert matched()[1] == thing["id"]


def test_every_organisation_begins_with_categories(api):
    found = api.all("/categories")
    assert {"hvac", "electrical", "plumbing", "other"} <= {category["key"] for category in found}
    assert all(all(category["names"].values()) for category in found)
    own = make(api, "/categories", name="Swimming pools", names={"id": "Kolam renang"}, aliases=["pool"])
    assert own["names"] == {"en": None, "id": "Kolam renang", "ar": None}
    after = data(api.patch(f"/categories/{own['id']}", {"name": "Pools"}), 200)
    assert (after["name"], after["names"], after["aliases"]) == ("Pools", own["names"], ["pool"])
    assert api.delete(f"/categories/{own['id']}").status_code == 204
    assert len(api.all("/categories")) == len(found)


def test_changes_are_told_as_events(api):
    site = make(api, "/sites", name="A")
    data(api.put(f"/sites/{site['id']}", {"name": "B"}))
    api.delete(f"/sites/{site['id']}")
    events = [event for event in data(api.get("/events", types="site.*")) if event["data"]["id"] == site["id"]]
    assert [event["type"] for event in events] == ["site.created", "site.updated", "site.archived"]


def test_a_channels_default_site_is_one_of_the_organisation(account, api, new_organisation):
    site = make(api, "/sites", name="A")
    path = f"/channels/{account.channel_id}"
    foreign = make(new_organisation("Stranger").api, "/sites", name="Foreign")
    for wrong in (UNKNOWN_ID, foreign["id"], "nonsense"):
        assert set(refused(api.put(path, {"default_site_id": wrong}), 422)["errors"]) == {"default_site_id"}
        body = {
            "messaging_account_id": account.id,
            "kind": "group",
            "external_id": f"group-{serial()}",
            "display_name": "G",
            "default_site_id": wrong,
        }
        assert set(refused(api.post("/channels", body), 422)["errors"]) == {"default_site_id"}
    assert data(api.put(path, {"default_site_id": site["id"]}))["default_site_id"] == site["id"]
    api.delete(f"/sites/{site['id']}")
    # What was read may be sent back.
    assert data(api.put(path, {"default_site_id": site["id"], "purpose": "x"}))["default_site_id"] == site["id"]
    assert data(api.put(path, {"default_site_id": None}))["default_site_id"] is None


def test_an_import_reports_each_row_and_a_dry_run_does_nothing(api):
    text = "name;code;aliases\nBuilding A;BA;Gedung A|Gd. A\n;;x\nBuilding B;BB;\n"
    tried = csv(api, "/sites/import", text, dry_run="true")
    assert tried["dry_run"] is True and api.all("/sites") == []
    assert [(row["row"], row["action"]) for row in tried["rows"]] == [(2, "created"), (3, "failed"), (4, "created")]
    done = csv(api, "/sites/import", text)
    assert (done["created"], done["updated"], done["unchanged"], done["failed"]) == (2, 0, 0, 1)
    assert set(done["rows"][1]["errors"]) == {"name"} and ULID.match(done["rows"][0]["id"])
    assert data(api.get(f"/sites/{done['rows'][0]['id']}"))["aliases"] == ["Gedung A", "Gd. A"]
    again = csv(api, "/sites/import", text)
    assert (again["created"], again["unchanged"]) == (0, 2)
    changed = csv(api, "/sites/import", "code,name,floors\nba,Tower A,9\n")
    assert (changed["updated"], changed["ignored_columns"]) == (1, ["floors"])
    assert {site["name"] for site in api.all("/sites")} == {"Tower A", "Building B"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_excel_saves_is_read(api, encoding):
    file = "sep=;\r\nname;code\r\nمبنى أ;BA\r\n" if encoding == "utf-8-sig" else "name\tcode\r\nمبنى أ\tBA\r\n"
    answer = api.http.post("/sites/import", content=file.encode(encoding), headers={"Content-Type": "text/csv"})
    assert data(answer, 200)["created"] == 1 and api.all("/sites")[0]["name"] == "مبنى أ"


def test_an_import_as_a_form_and_of_each_kind(api):
    make(api, "/sites", name="Building A", code="BA")

    def send(path, text, **fields):
        file = {"file": ("table.csv", text.encode(), "text/csv")}
        return data(api.http.post(path, files=file, data=fields), 200)

    for said in ("true", "1"):
        tried = send("/sites/import", "name\nBuilding B\n", dry_run=said)
        assert (tried["dry_run"], tried["created"]) == (True, 1) and api.total("/sites") == 1
    file = {"file": ("table.csv", b"name\nBuilding B\n", "text/csv")}
    refused(api.http.post("/sites/import", files=file, data={"dry_run": "perhaps"}), 422)
    text = "site,name,code,parent,category\nBA,Pump,P-1,Basement,hvac\nBuilding A,Basement,,,\nNowhere,X,,,\n"
    done = send("/facilities/import", text)
    assert [row["action"] for row in done["rows"]] == ["created", "created", "failed"]
    pump = data(api.get(f"/facilities/{done['rows'][0]['id']}"))
    assert pump["parent_id"] == done["rows"][1]["id"] and pump["category_id"]
    done = send("/categories/import", "name,name_id,aliases\nPools,Kolam renang,pool;pond\nElectrical,Listrik,\n")
    assert [row["action"] for row in done["rows"]] == ["created", "updated"]
    assert data(api.get("/categories", q="listrik"))[0]["key"] == "electrical"


def test_what_is_no_table_is_refused(api, organisation):
    for path in ("/sites/import", "/facilities/import", "/categories/import"):
        for wrong in (b"", b"\xff\xfe\x00", b'name\n"A\nB\n', b"a,b\n1,2\n", b"name\n" + b"x\n" * 10_001):
            body = refused(api.http.post(path, content=wrong), 422)
            assert set(body["errors"]) == {"file"}
    reader = Api(organisation.kabar.base_url, organisation.token("read"))
    refused(reader.http.post("/sites/import", content=b"name\nA\n"), 403)


def test_ten_thousand_rows_are_taken(api):
    make(api, "/sites", name="Building A", code="BA")
    text = "site,name,code,aliases\n" + "".join(f"BA,Unit {n} of the north wing,U-{n:05d},Ruang {n}\n" for n in range(10_000))
    done = csv(api, "/facilities/import", text)
    assert (done["created"], done["failed"]) == (10_000, 0)
    assert api.total("/facilities") == 10_000
