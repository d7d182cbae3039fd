"""Work updates and problems."""

import concurrent.futures
import csv
import io
import re

import pytest

from api import TIME, ULID, UNKNOWN_ID, data, refused, serial

BOTH = pytest.mark.parametrize("path", ["work-updates", "problems"])
MODEL = {"work-updates": "WorkUpdate", "problems": "Problem"}
COMMON = {"id", "number", "title", "site", "facility", "category", "reporter", "evidence", "message_ids"}


def problem(api, title="AC bocor di lobi", **fields):
    return data(api.post("/problems", {"title": title, **fields}), 201)


def change(api, id, **fields):
    return data(api.patch(f"/problems/{id}", fields), 200)


def me(api):
    return data(api.get("/auth/me"))["user"]["id"]


def table(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.content.startswith(b"\xef\xbb\xbf"), "Excel reads it in no other way as UTF-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


@BOTH
def test_written_down_and_read_back(api, path):
    body = {
        "title": "AC bocor",
        "body": "Air menetes ke lantai",
        "occurred_at": "2026-05-06T10:21:00+07:00",
        "metadata": {"ticket": 7},
    }
    made = data(api.post(f"/{path}", body), 201)
    assert set(made) >= COMMON and ULID.match(made["id"])
    letter = {"work-updates": "W", "problems": "P"}[path]
    assert re.fullmatch(letter + r"-20\d\d-000001", made["number"])
    assert (made["title"], made["body"], made["metadata"]) == ("AC bocor", "Air menetes ke lantai", {"ticket": 7})
    assert made["occurred_at"] == "2026-05-06T03:21:00+00:00"
    assert (made["site"], made["facility"], made["category"]) == (None, None, None)
    assert (made["evidence"], made["message_ids"]) == ([], [])
    assert made["reporter"] == {"type": "user", "id": me(api), "name": made["reporter"]["name"], "phone": None}
    assert [entry["type"] for entry in made["timeline"]] == ["created"]
    assert data(api.get(f"/{path}/{made['id']}"), 200) == made
    assert data(api.get(f"/{path}"), 200) == [made]


def test_what_only_problems_have(api):
    made = problem(api)
    assert (made["severity"], made["status"], made["assignee_id"]) == ("medium", "open", None)
    assert TIME.match(made["due_at"]) and made["overdue"] is False
    update = data(api.post("/work-updates", {"title": "Filter diganti", "severity": "high"}))
    assert not set(update) & {"severity", "status", "due_at", "assignee_id"}


def test_a_problem_may_be_noted_when_it_is_over(api):
    made = problem(api, severity="critical", status="resolved", assignee_id=me(api))
    assert (made["severity"], made["status"], made["assignee_id"]) == ("critical", "resolved", me(api))
    assert TIME.match(made["resolved_at"])
    refused(api.post("/problems", {"title": "x", "status": "reopened"}), 422)


@BOTH
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": "  "}, "title"),
        ({"title": 5}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"title": "x", "body": "x" * 70_000}, "body"),
        ({"title": "x", "site_id": UNKNOWN_ID}, "site_id"),
        ({"title": "x", "facility_id": UNKNOWN_ID}, "facility_id"),
        ({"title": "x", "category_id": "nonsense"}, "category_id"),
        ({"title": "x", "occurred_at": "yesterday"}, "occurred_at"),
        ({"title": "x", "metadata": [1]}, "metadata"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_fields_are_named(api, path, body, field):
    assert list(refused(api.post(f"/{path}", body), 422)["errors"]) == [field]
    assert api.total(f"/{path}") == 0


@pytest.mark.parametrize(
    ("field", "value"), [("severity", "huge"), ("severity", None), ("status", "lost"), ("assignee_id", UNKNOWN_ID)]
)
def test_wrong_fields_of_problems_are_named(api, field, value):
    assert list(refused(api.post("/problems", {"title": "x", field: value}), 422)["errors"]) == [field]
    made = problem(api)
    assert list(refused(api.patch(f"/problems/{made['id']}", {field: value}), 422)["errors"]) == [field]
    assert data(api.get(f"/problems/{made['id']}")) == made


@BOTH
def test_unknown_and_foreign_ids_are_404(api, path, new_organisation):
    foreign = data(new_organisation().api.post(f"/{path}", {"title": "x"}))["id"]
    other = {"work-updates": "problems", "problems": "work-updates"}[path]
    of_other_kind = data(api.post(f"/{other}", {"title": "x"}))["id"]
    for id in (UNKNOWN_ID, foreign, of_other_kind, "nonsense"):
        message = f"No query results for model [{MODEL[path]}]."
        refused(api.get(f"/{path}/{id}"), 404, message)
        refused(api.patch(f"/{path}/{id}", {"title": "y"}), 404, message)
        refused(api.post(f"/{path}/{id}/comments", {"text": "y"}), 404, message)
        refused(api.get(f"/{path}/{id}/timeline"), 404, message)


def test_numbers_are_without_gaps_or_doubles(api):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: problem(api, f"Problem {n}"), range(16)))
    numbers = sorted(int(one["number"].rsplit("-", 1)[1]) for one in made)
    assert numbers == list(range(1, 17))


@BOTH
def test_what_is_not_sent_stays_and_every_change_is_in_the_timeline(api, path):
    made = data(api.post(f"/{path}", {"title": "AC", "body": "bocor", "metadata": {"a": 1}}))
    changed = data(api.patch(f"/{path}/{made['id']}", {"title": "AC lobi"}), 200)
    assert (changed["title"], changed["body"], changed["metadata"]) == ("AC lobi", "bocor", {"a": 1})
    assert changed["number"] == made["number"]
    entry = changed["timeline"][-1]
    assert (entry["type"], entry["data"]) == ("edited", {"title": {"from": "AC", "to": "AC lobi"}})
    assert entry["user"]["id"] == me(api)
    assert data(api.patch(f"/{path}/{made['id']}", {"body": None}))["body"] is None
    same = data(api.patch(f"/{path}/{made['id']}", {"title": "AC lobi"}))
    assert len(same["timeline"]) == 3, "no change, no entry"
    refused(api.patch(f"/{path}/{made['id']}", {"title": None}), 422)


def test_from_open_to_closed_and_back(api):
    id = problem(api)["id"]
    seen = change(api, id, status="acknowledged")
    assert seen["status"] == "acknowledged" and TIME.match(seen["acknowledged_at"])
    assert change(api, id, status="in_progress")["status"] == "in_progress"
    solved = change(api, id, status="resolved", note="Selang diganti")
    assert solved["timeline"][-1]["data"] == {"from": "in_progress", "to": "resolved"}
    assert solved["timeline"][-1]["text"] == "Selang diganti"
    assert TIME.match(solved["resolved_at"])
    for wrong in ("open", "acknowledged", "in_progress"):
        refused(api.patch(f"/problems/{id}", {"status": wrong}), 409)
    assert TIME.match(change(api, id, status="closed")["closed_at"])
    again = change(api, id, status="reopened")
    assert (again["status"], again["resolved_at"], again["closed_at"]) == ("reopened", None, None)
    assert again["reopened_count"] == 1
    events = [e["data"] for e in data(api.get("/events", limit=100)) if e["type"] == "problem.status_changed"]
    assert [(e["from"], e["to"]) for e in events] == [
        ("open", "acknowledged"),
        ("acknowledged", "in_progress"),
        ("in_progress", "resolved"),
        ("resolved", "closed"),
        ("closed", "reopened"),
    ]


def test_given_to_somebody_and_taken_back(api):
    id = problem(api, assignee_id=me(api))["id"]
    assert data(api.get("/problems", assignee_id="me"))[0]["id"] == id
    free = change(api, id, assignee_id=None)
    assert (free["assignee"], free["timeline"][-1]["type"]) == (None, "assigned")
    assert api.total("/problems", assignee_id="none") == 1


@BOTH
def test_comments(api, path):
    id = data(api.post(f"/{path}", {"title": "AC"}))["id"]
    commented = data(api.post(f"/{path}/{id}/comments", {"text": "Menunggu suku cadang"}), 201)
    entry = commented["timeline"][-1]
    assert (entry["type"], entry["text"], entry["user"]["id"]) == ("comment", "Menunggu suku cadang", me(api))
    for body in ({}, {"text": " "}, {"text": "x" * 10_001}):
        assert list(refused(api.post(f"/{path}/{id}/comments", body), 422)["errors"]) == ["text"]
    for n in range(5):
        data(api.post(f"/{path}/{id}/comments", {"text": str(n)}))
    timeline = api.all(f"/{path}/{id}/timeline")
    assert [entry["text"] for entry in timeline][-5:] == list("01234")
    first = api.get(f"/{path}/{id}/timeline", limit=2)
    assert first.json()["meta"]["total"] == 7 and data(first) == timeline[:2]


@BOTH
def test_evidence_is_a_reference(api, path, new_organisation):
    id = data(api.post(f"/{path}", {"title": "AC"}))["id"]
    file = data(api.http.post("/media", files={"file": ("ac.jpg", b"\xff\xd8\xff\xe0 sudah", "image/jpeg")}))
    data(api.post(f"/{path}/{id}/evidence", {"stage": "before", "id": "dms-17", "sha256": "AB" * 32}), 201)
    shown = data(api.post(f"/{path}/{id}/evidence", {"stage": "after", "file_id": file["id"]}), 201)
    before, after = shown["evidence"]
    assert (before["stage"], before["id"], before["sha256"]) == ("before", "dms-17", "ab" * 32)
    assert (after["stage"], after["file_id"], after["sha256"]) == ("after", file["id"], file["sha256"])
    assert api.http.get(after["url"]).content == b"\xff\xd8\xff\xe0 sudah"
    assert [entry["type"] for entry in shown["timeline"]] == ["created", "evidence", "evidence"]
    api.delete(f"/media/{file['id']}").raise_for_status()
    gone = data(api.get(f"/{path}/{id}"))["evidence"][1]
    assert (gone["url"], gone["sha256"]) == (None, file["sha256"]), "which bytes were meant is still known"
    foreign = data(new_organisation().api.http.post("/media", files={"file": ("x.txt", b"x")}))["id"]
    for body, field in (
        ({}, "file_id"),
        ({"file_id": foreign}, "file_id"),
        ({"id": "x", "stage": "during"}, "stage"),
        ({"id": "x", "sha256": "abc"}, "sha256"),
    ):
        assert list(refused(api.post(f"/{path}/{id}/evidence", body), 422)["errors"]) == [field]


@BOTH
def test_watchers(api, path):
    id = data(api.post(f"/{path}", {"title": "AC"}))["id"]
    own = me(api)
    assert [watcher["id"] for watcher in data(api.get(f"/{path}/{id}"))["watchers"]] == [own]
    assert api.total(f"/{path}", watcher_id="me") == 1
    assert data(api.delete(f"/{path}/{id}/watchers"), 200)["watchers"] == []
    assert api.total(f"/{path}", watcher_id="me") == 0
    assert len(data(api.post(f"/{path}/{id}/watchers", {"user_id": own}), 200)["watchers"]) == 1
    refused(api.post(f"/{path}/{id}/watchers", {"user_id": UNKNOWN_ID}), 422)


def test_filters_search_order_and_pages(api):
    low = problem(api, "Lampu mati", severity="low", occurred_at="2026-05-04T01:00:00+00:00")
    high = problem(api, "Pipa bocor 100%", severity="high", occurred_at="2026-05-05T01:00:00+00:00")
    grave = problem(api, "Kebakaran", severity="critical", occurred_at="2026-05-06T01:00:00+00:00")
    change(api, grave["id"], status="closed")

    def titles(**query):
        rows = api.all("/problems", **query)
        assert api.total("/problems", **query) == len(rows)
        return [row["title"] for row in rows]

    all_three = ["Kebakaran", "Pipa bocor 100%", "Lampu mati"]
    assert titles() == all_three
    assert titles(sort="severity") == all_three[::-1]
    assert titles(sort="-occurred_at") == all_three
    assert titles(severity="low,critical") == ["Kebakaran", "Lampu mati"]
    assert titles(status="open") == ["Pipa bocor 100%", "Lampu mati"]
    assert titles(overdue="true") == ["Pipa bocor 100%", "Lampu mati"], "what was reported last May is late"
    assert titles(q="100% BOCOR") == ["Pipa bocor 100%"]
    year, serial_number = low["number"].split("-")[1:]
    for written in (low["number"].lower(), f"p-{year}-{int(serial_number)}", f"P {year} {int(serial_number)}", f"#p{year}-1"):
        assert titles(q=written) == ["Lampu mati"], written
    assert titles(q=f"p-{year}-0000{int(serial_number)}") == ["Lampu mati"]
    assert titles(q=f"p-{year}") == all_three, "the beginning of a number too"
    assert titles(**{"from_": "2026-05-05", "to": "2026-05-05"}) == ["Pipa bocor 100%"]
    assert titles(reporter_id="me") == all_three
    first = api.get("/problems", limit=2)
    assert first.json()["meta"]["total"] == 3
    assert [row["id"] for row in data(api.get("/problems", limit=2, page=2))] == [low["id"]]
    assert [row["id"] for row in data(first)] == [grave["id"], high["id"]]
    for wrong in ("severity", "status", "site_id", "facility_id", "category_id", "assignee_id", "from", "to", "sort"):
        assert list(refused(api.get("/problems", **{wrong: "nonsense"}), 422)["errors"]) == [wrong]


def test_two_reports_of_one_fault(api):
    first, second = problem(api, "Lift mati"), problem(api, "Lift tidak jalan")
    data(api.post(f"/problems/{second['id']}/evidence", {"id": "photo-1"}))
    part = data(api.post(f"/problems/{second['id']}/merge", {"into": first["id"]}), 200)
    assert part["merged_into"] == {"id": first["id"], "number": first["number"]}
    assert [row["id"] for row in data(api.get("/problems"))] == [first["id"]]
    assert [row["id"] for row in data(api.get("/problems", merged_into=first["id"]))] == [second["id"]]
    whole = data(api.get(f"/problems/{first['id']}"))
    assert whole["timeline"][-1]["type"] == "merged_in"
    assert whole["timeline"][-1]["data"]["number"] == second["number"]
    assert [file["id"] for file in whole["evidence"]] == ["photo-1"]
    refused(api.patch(f"/problems/{second['id']}", {"status": "resolved"}), 409)
    refused(api.post(f"/problems/{first['id']}/merge", {"into": second["id"]}), 409)
    for into in (first["id"], UNKNOWN_ID, "nonsense", None):
        assert list(refused(api.post(f"/problems/{first['id']}/merge", {"into": into}), 422)["errors"]) == ["into"]
    again = data(api.post(f"/problems/{second['id']}/unmerge"), 200)
    assert (again["merged_into"], again["status"]) == (None, "open")
    assert data(api.get(f"/problems/{first['id']}"))["evidence"] == []
    assert api.total("/problems") == 2
    refused(api.post(f"/problems/{second['id']}/unmerge"), 409)


def test_a_foreign_problem_is_no_target(api, new_organisation):
    foreign = problem(new_organisation().api)["id"]
    mine = problem(api)["id"]
    assert list(refused(api.post(f"/problems/{mine}/merge", {"into": foreign}), 422)["errors"]) == ["into"]


def test_all_of_them_as_a_table(api):
    for n in range(1, 31):
        problem(api, f"Problem {n}, \"baru\"", severity="high" if n % 2 else "low")
    problem(api, '=HYPERLINK("http://x")', body="dua\nbaris مكيف")
    rows = table(api.get("/problems/export.csv"))
    assert len(rows) == 31
    assert rows[0]["title"] == "'=HYPERLINK(\"http://x\")", "no formula reaches a spreadsheet"
    assert rows[0]["body"] == "dua\nbaris مكيف"
    assert rows[1]["title"] == 'Problem 30, "baru"' and rows[1]["status"] == "open"
    assert len(table(api.get("/problems/export.csv", severity="low", q="Problem"))) == 15
    listed = api.request("GET", "/problems", headers={"Accept": "text/csv"}, severity="low")
    assert len(table(listed)) == 15
    assert table(api.get("/work-updates/export.csv")) == []
    refused(api.get("/problems/export.csv", severity="huge"), 422)


def test_a_table_of_more_than_one_batch(api):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: data(api.post("/work-updates", {"title": f"Tugas {n}"})), range(520)))
    rows = table(api.get("/work-updates/export.csv", sort="created_at"))
    assert sorted(row["number"][-6:] for row in rows) == [f"{n:06d}" for n in range(1, 521)]


def test_idempotency_key(api):
    headers, body = {"Idempotency-Key": f"key-{serial()}"}, {"title": "AC bocor"}
    assert data(api.post("/problems", body, headers)) == data(api.post("/problems", body, headers))
    assert api.total("/problems") == 1
