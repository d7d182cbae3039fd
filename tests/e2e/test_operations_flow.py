"""From chat to work updates and problems: what is made by itself, and what waits for people."""

import pytest

import whatsapp as wa
from api import data, serial
from harness import eventually
from operations import Team

AC = "AC bocor lagi di gd A lt 2, udah 2x minggu ini"
DONE = "sudah selesai diperbaiki, normal"


@pytest.fixture
def team(organisation, account):
    return Team(organisation, account)


def problem(api, item):
    assert item["record"] and item["record"]["type"] == "problem", item
    return data(api.get(f"/problems/{item['record']['id']}"))


def test_a_group_message_becomes_a_problem(team, api):
    item = team.write(AC)
    assert (item["class"], item["status"]) == ("problem", "converted")
    made = problem(api, item)
    assert made["number"] == item["record"]["number"]
    assert made["site"]["id"] == team.site["id"] and made["severity"] == "high"
    assert made["status"] == "open" and made["title"] == AC
    assert made["category"]["name"] and made["message_ids"] == [item["message_id"]]
    assert made["reporter"]["type"] == "contact"
    [created] = [entry for entry in made["timeline"] if entry["type"] == "created"]
    assert created["message_id"] == item["message_id"]
    told = [event["type"] for event in api.all("/events")]
    assert {"problem.created", "inbox.converted"} <= set(told)


def test_a_thing_that_is_named_is_tagged(team, api):
    made = problem(api, team.write("AC lantai 2 bocor"))
    assert (made["facility"]["id"], made["site"]["id"]) == (team.thing["id"], team.site["id"])


def test_the_same_fault_again_is_linked(team, api):
    first = problem(api, team.write("AC lantai 2 bocor"))
    again = problem(api, team.write("AC lantai 2 bocor lagi"))
    assert again["recurrence_of"]["id"] == first["id"]


def test_a_form_says_itself_what_it_is_about(team, api):
    form = "#problem\nLokasi: Gedung B\nAlat: AC lantai 2\nMasalah: bocor sejak pagi\nTingkat: kritis"
    made = problem(api, team.write(form))
    assert (made["title"], made["severity"]) == ("bocor sejak pagi", "critical")
    assert made["site"]["id"] == team.other["id"] and made["facility"] is None, "it stands in Building A"
    made = problem(api, team.write("#problem The AC is leaking in Building A"))
    assert (made["title"], made["site"]["id"]) == ("The AC is leaking in Building A", team.site["id"])
    empty = team.write("#problem\nLokasi: Gedung A")
    assert (empty["class"], empty["status"], empty["record"]) == ("problem", "needs_review", None)


def test_work_that_is_done_becomes_an_update(team, api):
    item = team.write(f"AC lantai 2 {DONE}")
    assert item["record"]["type"] == "work_update" and item["record"]["number"].startswith("W-")
    made = data(api.get(f"/work-updates/{item['record']['id']}"))
    assert made["site"]["id"] == team.site["id"]


def test_the_channels_site_is_meant_when_none_is_named(team, api):
    channel = team.channel(default_site_id=team.other["id"])
    assert problem(api, team.write("AC bocor", group=channel))["site"]["id"] == team.other["id"]
    assert problem(api, team.write(AC, group=channel))["site"]["id"] == team.site["id"]


def test_flags_of_the_channel_rule(team, api):
    no_problems = team.channel(allow_issues=False)
    no_updates = team.channel(allow_routine_logs=False)
    quiet = team.write(AC, group=no_problems)
    assert (quiet["class"], quiet["status"], quiet["record"]) == ("problem", "new", None)
    assert any("takes no problems" in reason for reason in quiet["reasons"])
    assert team.write(DONE, group=no_problems)["record"]["type"] == "work_update"
    assert team.write(DONE, group=no_updates)["record"] is None
    assert team.write(AC, group=no_updates)["record"]["type"] == "problem"


def test_a_problem_from_a_direct_chat_waits_for_review(team, api):
    item = team.write(AC, group=None)
    assert (item["class"], item["status"], item["record"]) == ("problem", "needs_review", None)
    assert item["suggestions"]["site"]["id"] == team.site["id"] and item["suggestions"]["severity"] == "high"
    assert data(api.get("/inbox", status="needs_review"))[0]["id"] == item["id"]
    made = data(api.post(f"/inbox/{item['id']}/convert", {"to": "problem"}))
    assert made["record"]["site"]["id"] == team.site["id"], made
    assert team.write(DONE, group=None)["record"]["type"] == "work_update"


def test_what_is_not_sure_enough_waits_for_review(team):
    team.settings({"threshold": 1.0})
    item = team.write(AC)
    assert (item["class"], item["status"], item["record"]) == ("problem", "needs_review", None)


def test_nothing_is_converted_where_people_do_it(team):
    team.settings({"threshold": 0.4, "auto_convert": False})
    item = team.write(AC)
    assert (item["class"], item["status"], item["record"]) == ("problem", "new", None)


def test_chatter_is_left_alone(team):
    item = team.write("selamat pagi semua")
    assert (item["class"], item["status"], item["record"]) == ("unknown", "new", None)


def flood(team, count, group=True, senders=1):
    people = [f"62818{serial() % 10**7:07d}" for _ in range(senders)]
    place = {"group_id": team.group["external_id"]} if group else {}
    messages = [
        wa.message(people[n % senders], content={"body": f"AC bocor di lantai {n}"}, **place) for n in range(count)
    ]
    wa.deliver(team.server, wa.arrival(team.account.number, *messages))
    eventually(lambda: team.api.total("/inbox") == count)
    return team.api.understood()[::-1]


def gathered(team, items, limit):
    """Checks that all are there, that `limit` came singly, and that the next one gathers the others."""
    digest = items[limit]
    assert digest["status"] == "needs_review" and digest["digest_id"] is None
    assert any("gathered here" in reason for reason in digest["reasons"])
    rest = items[limit + 1 :]
    assert {item["digest_id"] for item in rest} == {digest["id"]} and all(item["record"] is None for item in rest)
    assert {item["digest_id"] for item in items[:limit]} == {None}
    assert team.api.total("/inbox", digest_id=digest["id"]) == len(rest)


def test_a_flood_from_one_person_is_gathered(team, api):
    team.settings({"threshold": 0.4, "flood": {"per_number": 5}})
    items = flood(team, 20)
    gathered(team, items, 5)
    assert [item["status"] for item in items[:5]] == ["converted"] * 5
    assert api.total("/problems") == 5
    assert team.write(AC)["status"] == "converted", "others are not held up"


def test_a_flood_hides_no_emergency_and_nothing_behind_what_is_dismissed(team, api):
    team.settings({"threshold": 0.4, "flood": {"per_number": 2}})
    person = f"62818{serial() % 10**7:07d}"

    def write(text):
        known = team.api.total("/inbox")
        message = wa.message(person, content={"body": text}, group_id=team.group["external_id"])
        wa.deliver(team.server, wa.arrival(team.account.number, message))
        eventually(lambda: team.api.total("/inbox") == known + 1)
        return team.api.understood()[0]

    for n in range(2):
        assert write(f"pompa {n} bocor")["status"] == "converted"
    gathering = write("pompa 3 bocor")
    assert gathering["status"] == "needs_review"
    assert write("pompa 4 bocor")["digest_id"] == gathering["id"]
    fire = write("kebakaran di gudang, ada orang terjebak!")
    assert fire["digest_id"] is None and fire["record"]["type"] == "problem"
    data(api.post(f"/inbox/{gathering['id']}/dismiss"))
    after = write("pompa 5 bocor")
    assert (after["status"], after["digest_id"]) == ("needs_review", None)
    assert write("pompa 6 bocor")["digest_id"] == after["id"]


def test_a_question_about_a_record_is_none(team):
    for text in ("P-2026-000001", "cek W-2026-000001", "STATUS P-2026-000123"):
        assert team.write(text)["record"] is None


def test_a_flood_in_one_channel_is_gathered(team, api):
    team.settings({"threshold": 0.4, "flood": {"per_channel": 6}})
    gathered(team, flood(team, 15, senders=15), 6)
    assert api.total("/problems") == 6


def test_direct_problems_have_tighter_limits(team):
    team.settings({"threshold": 0.4, "flood": {"per_direct_number": 3}})
    items = flood(team, 8, group=False)
    gathered(team, items, 3)
    assert {item["status"] for item in items[:3]} == {"needs_review"}


def test_a_webhook_that_comes_twice_makes_one_problem(team, api):
    message = wa.message("628191234567", content={"body": AC}, group_id=team.group["external_id"])
    for _ in range(2):
        wa.deliver(team.server, wa.arrival(team.account.number, message))
    team.server.wait_applied()
    api.understood()
    assert api.total("/problems") == api.total("/inbox") == 1
