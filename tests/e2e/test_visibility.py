"""How things stand: the summary, series and reports."""

import csv
import datetime
import io
import re

import pytest
from playwright.sync_api import sync_playwright

import harness
from api import TIME, UNKNOWN_ID, data, refused

DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def ago(**delta):
    return (now() - datetime.timedelta(**delta)).isoformat()


@pytest.fixture
def places(api):
    """Two sites with a thing each."""
    made = {}
    for name in ("Gedung A", "Gedung B"):
        site = data(api.post("/sites", {"name": name}))
        thing = data(api.post("/facilities", {"site_id": site["id"], "name": f"AC {name}", "code": name[-1]}))
        made[name] = (site["id"], thing["id"])
    return made


def problem(api, title="AC bocor", **fields):
    return data(api.post("/problems", {"title": title, **fields}), 201)["id"]


def test_an_organisation_with_nothing(api):
    summary = data(api.get("/operations/summary"), 200)
    assert summary["open"]["total"] == summary["open"]["overdue"] == 0
    assert summary["open_by_site"] == summary["recurring_facilities"] == []
    assert summary["time_to_resolve"] == {"count": 0, "mean": None, "median": None, "p90": None}
    assert TIME.match(summary["from"]) and TIME.match(summary["to"])
    points = data(api.get("/operations/series"), 200)["points"]
    assert len(points) == 30 and not any(point["problems_reported"] for point in points)


def test_open_problems_by_site_severity_and_age(api, places):
    site, thing = places["Gedung A"]
    problem(api, site_id=site, severity="critical", occurred_at=ago(hours=3))
    problem(api, facility_id=thing, severity="low", occurred_at=ago(days=2))
    problem(api, site_id=places["Gedung B"][0], severity="high", occurred_at=ago(days=40))
    problem(api, severity="low", status="acknowledged")
    problem(api, site_id=site, severity="high", status="resolved")
    part, whole = problem(api, "Lift mati", site_id=site), problem(api, "Lift mati", site_id=site)
    data(api.post(f"/problems/{part}/merge", {"into": whole}))

    open = data(api.get("/operations/summary"))["open"]
    assert (open["total"], open["unassigned"], open["overdue"]) == (5, 5, 2)
    assert open["by_severity"] == {"low": 2, "medium": 1, "high": 1, "critical": 1}
    assert open["by_status"] == {"open": 4, "acknowledged": 1, "in_progress": 0, "reopened": 0}
    assert open["by_age"] == {
        "under_1_day": 3,
        "1_to_3_days": 1,
        "3_to_7_days": 0,
        "7_to_30_days": 0,
        "over_30_days": 1,
    }
    by_site = data(api.get("/operations/summary"))["open_by_site"]
    assert [(row["site"] and row["site"]["name"], row["total"]) for row in by_site] == [
        ("Gedung A", 3),
        (None, 1),
        ("Gedung B", 1),
    ]
    assert by_site[0]["by_severity"]["critical"] == 1
    only = data(api.get("/operations/summary", site_id=places["Gedung B"][0]))
    assert (only["open"]["total"], len(only["open_by_site"])) == (1, 1)
    assert data(api.get("/operations/summary", severity="low,critical"))["open"]["total"] == 3


def test_today_counts_from_midnight_where_the_organisation_is(api):
    jakarta = now().astimezone(datetime.timezone(datetime.timedelta(hours=7)))
    midnight = jakarta.replace(hour=0, minute=0, second=0)
    before = (midnight - datetime.timedelta(seconds=1)).isoformat()
    for occurred_at in (midnight.isoformat(), before):
        data(api.post("/work-updates", {"title": "Filter diganti", "occurred_at": occurred_at}))
        problem(api, occurred_at=occurred_at)
    data(api.patch(f"/problems/{problem(api)}", {"status": "resolved"}))
    today = data(api.get("/operations/summary"))["today"]
    assert today == {"work_updates": 1, "problems_reported": 2, "problems_resolved": 1}


def test_times_to_acknowledge_and_resolve(api):
    for hours in (1, 2, 3, 10):
        id = problem(api, occurred_at=ago(hours=hours))
        data(api.patch(f"/problems/{id}", {"status": "acknowledged"}))
        if hours < 10:
            data(api.patch(f"/problems/{id}", {"status": "resolved"}))
    summary = data(api.get("/operations/summary"))
    acknowledged, resolved = summary["time_to_acknowledge"], summary["time_to_resolve"]
    assert (acknowledged["count"], resolved["count"]) == (4, 3)
    near = lambda seconds, hours: hours * 3600 <= seconds < hours * 3600 + 120  # noqa: E731
    assert near(resolved["mean"], 2) and near(resolved["median"], 2) and near(resolved["p90"], 3)
    assert near(acknowledged["mean"], 4) and near(acknowledged["p90"], 10)
    past = data(api.get("/operations/summary", from_="2020-01-01", to="2020-01-31"))
    assert past["time_to_resolve"]["count"] == 0


def test_things_that_keep_failing(api, places):
    thing = places["Gedung A"][1]
    problem(api, facility_id=thing, occurred_at=ago(days=20))
    problem(api, facility_id=thing, occurred_at=ago(days=10))
    last = problem(api, facility_id=thing, occurred_at=ago(days=1))
    problem(api, facility_id=places["Gedung B"][1])
    [again] = data(api.get("/operations/summary"))["recurring_facilities"]
    assert (again["id"], again["name"], again["code"], again["problems"]) == (thing, "AC Gedung A", "A", 3)
    assert again["last"]["id"] == last
    since = (now() - 5 * DAY).date().isoformat()
    assert data(api.get("/operations/summary", from_=since))["recurring_facilities"] == []


def test_a_series_has_every_day_on_the_organisations_calendar(api):
    for day, hour in (("04", "23:59"), ("05", "00:00"), ("05", "12:00"), ("07", "08:00")):
        problem(api, occurred_at=f"2026-05-{day}T{hour}:00+07:00")
    data(api.post("/work-updates", {"title": "x", "occurred_at": "2026-05-06T10:00:00+07:00"}))
    series = data(api.get("/operations/series", from_="2026-05-04", to="2026-05-07"))
    assert (series["interval"], series["timezone"]) == ("day", "Asia/Jakarta")
    assert series["from"] == "2026-05-03T17:00:00+00:00" and series["to"] == "2026-05-07T17:00:00+00:00"
    points = series["points"]
    assert [point["date"] for point in points] == ["2026-05-04", "2026-05-05", "2026-05-06", "2026-05-07"]
    assert [point["problems_reported"] for point in points] == [1, 2, 0, 1]
    assert [point["problems_unsolved"] for point in points] == [1, 3, 3, 4]
    assert [point["work_updates"] for point in points] == [0, 0, 1, 0]
    weeks = data(api.get("/operations/series", from_="2026-04-29", to="2026-05-07", interval="week"))["points"]
    assert [(point["date"], point["problems_reported"]) for point in weeks] == [("2026-04-27", 0), ("2026-05-04", 4)]
    months = data(api.get("/operations/series", from_="2026-04-01", to="2026-05-31", interval="month"))["points"]
    assert [(point["date"], point["problems_reported"]) for point in months] == [("2026-04-01", 0), ("2026-05-01", 4)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"interval": "minute"}, "interval"),
        ({"from_": "2020-01-01", "to": "2026-01-01"}, "from"),
        ({"from_": "2026-05-07", "to": "2026-05-01"}, "from"),
        ({"to": "soon"}, "to"),
        ({"site_id": "nonsense"}, "site_id"),
    ],
)
def test_what_does_not_fit_is_named(api, query, field):
    assert list(refused(api.get("/operations/series", **query), 422)["errors"]) == [field]


def test_a_report_as_a_table(api, places):
    site = places["Gedung A"][0]
    problem(api, site_id=site, severity="high", occurred_at=ago(hours=2), status="resolved")
    problem(api, site_id=site, severity="critical", occurred_at=ago(days=2))
    problem(api)
    data(api.post("/work-updates", {"title": "Filter", "site_id": places["Gedung B"][0]}))
    answer = api.get("/operations/reports", format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.startswith("\ufeff"), "Excel reads it in no other way as UTF-8"
    rows = {row["site"]: row for row in csv.DictReader(io.StringIO(answer.text[1:], newline=""))}
    assert list(rows) == ["Gedung A", "Gedung B", ""]
    one = rows["Gedung A"]
    assert (one["open"], one["overdue"], one["open_critical"], one["open_1_to_3_days"]) == ("1", "1", "1", "1")
    assert (one["problems_reported"], one["problems_resolved"], one["work_updates"]) == ("2", "1", "0")
    assert one["mean_hours_to_resolve"].startswith("2.0")
    assert rows["Gedung B"]["work_updates"] == "1" and rows["Gedung B"]["mean_hours_to_resolve"] == ""
    # Work updates have no severity: a filter by it leaves them in, in the table as in the totals.
    grave = api.get("/operations/reports", format="csv", severity="critical").text
    rows = {row["site"]: row for row in csv.DictReader(io.StringIO(grave[1:], newline=""))}
    assert (rows["Gedung A"]["problems_reported"], rows["Gedung B"]["work_updates"]) == ("1", "1")
    assert data(api.get("/operations/summary", severity="critical"))["today"]["work_updates"] == 1
    same = api.request("GET", "/operations/reports", headers={"Accept": "text/csv"})
    assert same.headers["content-type"].startswith("text/csv")
    refused(api.get("/operations/reports", format="pdf"), 422)


def test_a_report_as_a_page(api, organisation, places, tmp_path):
    """What people see in a browser that runs no script, and on paper."""
    site, thing = places["Gedung A"]
    hostile = '<img src=x onerror=alert(1)> & "مكيف"'
    problem(api, hostile, facility_id=thing, severity="critical", occurred_at=ago(days=2))
    problem(api, "Lampu mati", facility_id=thing, severity="low")
    data(api.patch(f"/problems/{problem(api, 'Lift', site_id=site)}", {"status": "closed"}))
    answer = api.get("/operations/reports")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text and "<img" not in answer.text
    assert not re.search(r"<[^>]*(src|href)=", answer.text), "it stands alone"
    file = tmp_path / "report.html"
    file.write_text(answer.text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**harness.chromium())
        for size in ({"width": 1200, "height": 900}, {"width": 360, "height": 740}):
            context = browser.new_context(java_script_enabled=False, viewport=size)
            page = context.new_page()
            page.goto(file.as_uri())
            assert page.get_by_role("heading", level=1).inner_text().startswith("Test ")
            [open_, overdue] = page.locator("dl dd").all_inner_texts()[:2]
            assert (open_, overdue) == ("2", "1")
            rows = page.get_by_role("region", name="Open problems").get_by_role("row").all_inner_texts()
            assert len(rows) == 3 and hostile in rows[1] and "critical" in rows[1], "the gravest first"
            assert "Gedung A, AC Gedung A" in rows[1] and "Lampu mati" in rows[2]
            assert "3" not in page.get_by_role("region", name="What keeps failing").get_by_role("row").nth(1).inner_text()
            # Only tables may be wider than a phone, each in its own frame.
            assert page.locator("body").bounding_box()["width"] <= size["width"]
            context.close()
        # Enough rows for several sheets: heads of tables come again on each.
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(file.as_uri())
        page.emulate_media(media="print")
        assert page.locator("thead").first.evaluate("e => getComputedStyle(e).display") == "table-header-group"
        assert page.pdf(format="A4").startswith(b"%PDF")
        browser.close()


@pytest.mark.parametrize(
    ("lang", "direction", "words"),
    [
        ("en", "ltr", ["Open problems", "critical", "in progress", "May 2026"]),
        ("id", "ltr", ["Masalah terbuka", "kritis", "sedang dikerjakan", "Mei 2026"]),
        ("ar", "rtl", ["المشكلات المفتوحة", "حرجة", "قيد العمل", "مايو 2026"]),
    ],
)
def test_a_report_is_in_its_readers_language(api, lang, direction, words):
    made = problem(api, "Lift mati", severity="critical", occurred_at="2026-05-05T01:00:00+00:00")
    data(api.patch(f"/problems/{made}", {"status": "in_progress"}))
    period = {"from_": "2026-05-01", "to": "2026-05-31"}
    chosen = api.get("/operations/reports", lang=lang, **period)
    assert f'<html lang="{lang}" dir="{direction}">' in chosen.text
    assert [word for word in words if word not in chosen.text] == []
    asked = api.request("GET", "/operations/reports", headers={"Accept-Language": f"fr, {lang};q=0.8"}, **period)
    assert asked.headers["content-language"] == lang and words[0] in asked.text
    both = api.request("GET", "/operations/reports", headers={"Accept-Language": "fr"}, lang=lang, **period)
    assert both.headers["content-language"] == lang


def test_nobody_counts_what_is_anothers(api, places, new_organisation):
    problem(api, facility_id=places["Gedung A"][1])
    other = new_organisation().api
    assert data(other.get("/operations/summary"))["open"]["total"] == 0
    assert data(other.get("/operations/summary", site_id=places["Gedung A"][0]))["open"]["total"] == 0
    assert "Gedung" not in other.get("/operations/reports").text
    assert data(other.get("/operations/summary", site_id=UNKNOWN_ID))["open"]["total"] == 0
