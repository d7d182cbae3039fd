"""Laksana's shared services: what other applications ask of the understanding."""

import pytest

from api import UNKNOWN_ID, data, refused

CLASSES = {"work_update", "problem", "general"}
SEVERITIES = ["low", "medium", "high", "critical"]

PATHS = {
    "/messages/classify": "text",
    "/messages/parse": "text",
    "/messages/validate-structure": "text",
    "/matching/location": "query",
    "/matching/things": "query",
    "/matching/category": "query",
    "/ai/extract-entities": "text",
    "/ai/detect-severity": "text",
    "/ai/suggest-category": "text",
}


def ask(api, path, one, **more):
    return data(api.post(path, {PATHS[path]: one} | more), 200)


@pytest.fixture
def sites(api):
    made = {}
    for name, code in (("Building A", "BA"), ("Building B", "BB"), ("Masjid Al Noor", "MN")):
        made[name] = data(api.post("/sites", {"name": name, "code": code}))["id"]
    for name in ("Genset 2", "Genset 3", "Chiller"):
        made[name] = data(api.post("/facilities", {"site_id": made["Building A"], "name": name}))["id"]
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipa bocor di toilet lantai 3", "problem"),
        ("the lift is stuck again", "problem"),
        ("المكيف لا يعمل", "problem"),
        ("sudah diganti, normal", "work_update"),
        ("replaced the filter, running normal", "work_update"),
        ("selamat pagi semua", "general"),
        ("thank you", "general"),
    ],
)
def test_one_of_exactly_three_classes(api, text, expected):
    found = ask(api, "/messages/classify", text)
    assert found["class"] == expected and found["class"] in CLASSES
    assert 0 <= found["confidence"] <= 1 and found["engine"]
    assert all(isinstance(reason, str) and reason for reason in found["reasons"])
    assert ask(api, "/messages/classify", text) == found


def test_the_inbox_says_the_same(api):
    text = "pipa bocor di toilet lantai 3"
    assert ask(api, "/messages/classify", text)["language"] == "id"


OWN = {
    "message_templates": [
        {
            "name": "handover",
            "markers": ["#serah"],
            "class": "work_update",
            "fields": [
                {"name": "unit", "labels": ["Unit"], "required": True, "type": "text"},
                {"name": "hours", "labels": ["Jam"], "required": True, "type": "number"},
            ],
        }
    ]
}


def test_an_organisations_own_templates(api, organisation):
    data(api.put(f"/organisations/{organisation.id}", {"settings": OWN}), 200)
    parsed = ask(api, "/messages/parse", "#serah\nUnit: Genset 2\nJam: 12", template="handover")
    assert (parsed["matched"], parsed["template"]) == (True, "handover")
    free = ask(api, "/messages/parse", "selamat pagi semua")
    assert free == {"matched": False, "template": None, "fields": {}, "errors": {}}
    assert ask(api, "/messages/validate-structure", "selamat pagi semua")["valid"] is False
    assert set(refused(api.post("/messages/parse", {"text": "x", "template": "nonsense"}), 422)["errors"]) == {"template"}
    wrong = {"message_templates": [{"name": "x", "fields": []}]}
    answer = refused(api.put(f"/organisations/{organisation.id}", {"settings": wrong}), 422)
    assert set(answer["errors"]) == {"settings.message_templates"}


def test_names_are_matched_to_the_organisations_own(api, sites, new_organisation):
    found = ask(api, "/matching/location", "building a")
    assert found["match"]["id"] == sites["Building A"]
    assert (found["match"]["name"], found["match"]["type"]) == ("Building A", "site")
    assert found["match"]["score"] == 1
    assert [name["id"] for name in found["candidates"]][0] == sites["Building A"]
    assert ask(api, "/matching/location", "Stadium 9")["match"] is None
    assert ask(api, "/matching/things", "genset 3")["match"]["id"] == sites["Genset 3"]
    assert ask(api, "/matching/things", "genset 4")["match"] is None
    assert ask(api, "/matching/category", "kelistrikan")["match"]["name"] == "Electrical"
    stranger = new_organisation("Stranger").api
    assert ask(stranger, "/matching/location", "building a") == {"match": None, "candidates": []}


@pytest.mark.parametrize(
    ("said", "meant"),
    [("Bilding A", "Building A"), ("bulding B", "Building B"), ("Bldg A", "Building A"), ("Mesjid Al Nor", "Masjid Al Noor")],
)
def test_misspelled_names_find_theirs(api, sites, said, meant):
    found = ask(api, "/matching/location", said)
    assert found["match"]["id"] == sites[meant]
    assert 0 < found["match"]["score"] <= 1
    assert ask(api, "/matching/location", said, candidates=list(sites))["match"]["name"] == meant


def test_misspelled_things_and_categories(api, sites):
    for said, meant in (("gnset 3", "Genset 3"), ("chiler", "Chiller"), ("chillr", "Chiller")):
        assert ask(api, "/matching/things", said)["match"]["id"] == sites[meant], said
    for said, meant in (("electrcal", "Electrical"), ("Plumbing and drainge", "Plumbing and drainage")):
        assert ask(api, "/matching/category", said)["match"]["name"] == meant, said


def test_a_structured_message_gives_its_fields(api):
    text = "#masalah\nLokasi: Gedung A\nDeskripsi: AC bocor"
    parsed = ask(api, "/messages/parse", text)
    assert parsed["matched"] and parsed["template"]
    assert {"Gedung A", "AC bocor"} <= set(parsed["fields"].values())
    assert ask(api, "/messages/validate-structure", text)["valid"] is True
    short = ask(api, "/messages/validate-structure", "#masalah\nLokasi: Gedung A")
    assert short["valid"] is False and short["missing"]


def test_things_of_one_site_alone(api, sites):
    other = data(api.post("/facilities", {"site_id": sites["Building B"], "name": "Chiller"}))["id"]
    assert ask(api, "/matching/things", "chiller")["match"] is None
    for site, expected in ((sites["Building A"], sites["Chiller"]), (sites["Building B"], other)):
        assert ask(api, "/matching/things", "chiller", site_id=site)["match"]["id"] == expected
    assert ask(api, "/matching/things", "chiller", site_id=sites["Masjid Al Noor"])["match"] is None
    answer = refused(api.post("/matching/things", {"query": "x", "site_id": UNKNOWN_ID}), 422)
    assert set(answer["errors"]) == {"site_id"}


def test_names_that_are_sent_count_instead(api, sites):
    found = ask(api, "/matching/location", "tower two", candidates=["Tower One", "Tower Two"], limit=1)
    assert found["match"]["name"] == "Tower Two" and "id" not in found["match"]
    assert len(found["candidates"]) == 1
    assert ask(api, "/matching/location", "building a", candidates=["Tower One"])["match"] is None
    suggested = ask(api, "/ai/suggest-category", "AC tidak dingin", candidates=["Electrical", "HVAC"])
    assert [name["name"] for name in suggested["suggestions"]][:1] == ["HVAC"]


def test_entities_are_spans_of_the_text(api, sites):
    text = "⚠️ Genset 2 di Building A mati"
    found = ask(api, "/ai/extract-entities", text)
    assert {"locations", "things", "categories", "persons"} <= set(found)
    for kind, name in (("locations", "Building A"), ("things", "Genset 2")):
        [entity] = [entity for entity in found[kind] if entity.get("match")]
        assert text[entity["start"] : entity["end"]] == entity["text"] == name
        assert entity["match"]["id"] == sites[name]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("ada bau gas di dapur lantai 1", 3, 3),
        ("kebakaran di gudang", 3, 3),
        ("AC tidak dingin", 0, 2),
        ("cat dinding agak kusam", 0, 1),
    ],
)
def test_one_of_exactly_four_levels(api, text, least, most):
    found = ask(api, "/ai/detect-severity", text)
    assert least <= SEVERITIES.index(found["severity"]) <= most
    assert 0 <= found["confidence"] <= 1 and found["reasons"]


def test_a_category_out_of_the_organisations_own_list(api):
    own = {category["id"]: category["key"] for category in api.all("/categories")}
    best = ask(api, "/ai/suggest-category", "AC tidak dingin", limit=2)["suggestions"]
    assert 1 <= len(best) <= 2 and own[best[0]["id"]] == "hvac"
    data(api.put(f"/categories/{best[0]['id']}", {"name": "Climate", "names": {}}), 200)
    renamed = ask(api, "/ai/suggest-category", "AC tidak dingin")["suggestions"][0]
    assert (renamed["id"], renamed["name"]) == (best[0]["id"], "Climate")
    assert api.delete(f"/categories/{best[0]['id']}").status_code == 204
    left = ask(api, "/ai/suggest-category", "AC tidak dingin")["suggestions"]
    assert best[0]["id"] not in [category.get("id") for category in left]


@pytest.mark.parametrize("path", PATHS)
def test_many_at_once_and_what_is_too_much(api, path):
    one = PATHS[path]
    many = "texts" if one == "text" else "queries"
    words = ["pipa bocor", "selamat pagi", "", "Building A"]
    answers = data(api.post(path, {many: words}), 200)
    assert len(answers) == len(words)
    assert answers[0] == ask(api, path, "pipa bocor")
    assert data(api.post(path, {many: []}), 200) == []
    assert len(data(api.post(path, {many: ["x"] * 1000}), 200)) == 1000
    assert set(refused(api.post(path, {many: ["x"] * 1001}), 422)["errors"]) == {many}
    for wrong in ({}, {one: " "}, {one: "x", many: ["y"]}):
        assert set(refused(api.post(path, wrong), 422)["errors"]) == {one}
    refused(api.post(path, {one: ["x"]}), 422)
