"""What Kabar itself says in chats: case numbers, questions, answers to commands, closing notes."""

import re
import time

import pytest

import telegram as tg
import whatsapp as wa
from api import data, serial
from harness import eventually
from operations import Team

AC = "AC bocor lagi di gd A lt 2, udah 2x minggu ini"


@pytest.fixture
def team(organisation, account):
    return Team(organisation, account)


def person():
    return f"62819{serial() % 10**7:07d}"


def on(team, **settings):
    team.settings({"threshold": 0.4} | settings)


def test_nothing_is_said_unless_it_is_wanted(team, api):
    item = team.write(AC)
    data(api.patch(f"/problems/{item['record']['id']}", {"status": "resolved"}))
    team.write("HELP", group=None)
    team.write(f"STATUS {item['record']['number']}")
    assert team.said(item["conversation_id"]) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (AC, "Terima kasih. Laporan Anda tercatat sebagai"),
        ("The pump is leaking in Building A again", "Thank you. Your report is recorded as"),
        ("المكيف لا يعمل", "سُجّل بلاغك برقم"),
    ],
)
def test_a_reporter_gets_the_number_of_the_case(team, text, words):
    on(team, acknowledge=True)
    item = team.write(text)
    answer = team.answer(item)
    assert words in answer["body"] and item["record"]["number"] in answer["body"]
    assert answer["reply_to_id"] == item["message_id"]


def test_who_writes_directly_gets_the_number_once_a_person_has_looked(team, api, simulator):
    on(team, acknowledge=True)
    sender = person()
    item = team.write(AC, sender=sender, group=None)
    assert team.said(item["conversation_id"]) == []
    made = data(api.post(f"/inbox/{item['id']}/convert", {"to": "problem"}))
    data(api.post(f"/inbox/{item['id']}/convert", {"to": "problem"}))
    number = made["record"]["number"]
    assert number in team.answer(item)["body"]
    [sent] = eventually(lambda: simulator.sent(to=sender))
    assert number in str(sent)


def test_an_update_is_no_case(team):
    on(team, acknowledge=True)
    item = team.write("sudah selesai diperbaiki, normal")
    assert item["record"]["type"] == "work_update" and team.said(item["conversation_id"]) == []


def test_status_is_answered(team):
    on(team, commands=True)
    item = team.write(AC)
    number = item["record"]["number"]
    asked = team.write(f"status {number.lower()}")
    assert asked["status"] == "dismissed" and asked["record"] is None
    answer = team.answer(item)["body"]
    assert number in answer and AC in answer and re.search(r"(open|terbuka)", answer)


def test_status_tells_strangers_nothing(team):
    on(team, commands=True)
    item = team.write(AC)
    asked = team.write(f"STATUS {item['record']['number']}", group=None)
    answer = team.answer(asked)["body"]
    assert "AC bocor" not in answer and item["record"]["number"] in answer
    unknown = team.write("STATUS P-2026-999999", group=None)
    assert team.answer(unknown)["body"].replace("P-2026-999999", "") == answer.replace(item["record"]["number"], "")


def test_a_reporter_asks_for_the_status_in_a_direct_chat(team, api):
    on(team, commands=True)
    sender = person()
    item = team.write(AC, sender=sender, group=None)
    made = data(api.post(f"/inbox/{item['id']}/convert", {"to": "problem"}))["record"]
    team.write(f"STATUS {made['number']}", sender=sender, group=None)
    assert AC in team.answer(item)["body"]


@pytest.mark.parametrize(
    ("report", "question", "words"),
    [
        (AC, "STATUS {}", "terbuka"),
        (AC, "{}", "terbuka"),
        ("The pump is leaking in Building A", "Cek status laporan no. {}?", "terbuka"),
        ("المكيف في Building A لا يعمل", "status {}", "مفتوح"),
    ],
)
def test_the_status_is_told_in_the_writers_language(team, api, report, question, words):
    on(team, commands=True)
    sender = person()
    item = team.write(report, sender=sender, group=None)
    number = data(api.post(f"/inbox/{item['id']}/convert", {"to": "problem"}))["record"]["number"]
    asked = team.write(question.format(number), sender=sender, group=None)
    assert (asked["status"], asked["record"]) == ("dismissed", None), "a question is no record"
    assert words in team.answer(item)["body"]


def test_a_command_in_a_telegram_group_carries_the_bots_name(organisation, bot, hook, api):
    organisation_settings = {"settings": {"operations": {"commands": True}}}
    data(api.put(f"/organisations/{organisation.id}", organisation_settings))
    chat = tg.group(-100_000_000 - serial())
    hook.deliver(tg.update(message=tg.message(77_000_001, chat, text=f"/help@kabar_{bot.bot_id}_bot")))
    [item] = eventually(lambda: [item for item in api.understood() if item["status"] == "dismissed"])
    said = api.all(f"/conversations/{item['conversation_id']}/messages")
    assert "how your report" in next(message["body"] for message in said if message["direction"] == "outbound")


@pytest.mark.parametrize(("word", "shown"), [("HELP", "how your report"), ("Bantuan", "keadaan"), ("مساعدة", "بلاغك")])
def test_help_in_three_languages(team, word, shown):
    on(team, commands=True)
    item = team.write(word, group=None)
    assert item["status"] == "dismissed" and shown in team.answer(item)["body"]


def test_every_reporter_hears_of_the_end(team, api):
    on(team, closing_notes=True)
    first = team.write("AC lantai 2 bocor, tolong segera", sender=person())
    second = team.write("The AC is leaking in Building A", sender=person(), group=team.channel())
    into = data(api.get(f"/problems/{first['record']['id']}"))
    data(api.post(f"/problems/{second['record']['id']}/merge", {"into": into["id"]}))
    merged = team.answer(second)["body"]
    assert second["record"]["number"] in merged and into["number"] in merged
    data(api.patch(f"/problems/{into['id']}", {"status": "resolved", "note": "Pipa diganti"}))
    for item, count, words in ((first, 1, "selesai"), (second, 2, "resolved")):
        told = team.answer(item, count)["body"]
        assert into["number"] in told and words in told and "Pipa diganti" in told
    data(api.post(f"/problems/{second['record']['id']}/unmerge"))
    apart = team.answer(second, 3)["body"]
    assert second["record"]["number"] in apart and into["number"] in apart
    assert "Status: open" in apart, "what they heard of the other does not hold"
    assert len(team.said(first["conversation_id"])) == 1


def test_outside_the_window_the_template_says_it(team, api, server, simulator, account):
    """A note of several lines too, which a template's value may not have."""
    body = {"type": "BODY", "text": "Kabar laporan Anda: {{1}} Terima kasih.", "example": {"body_text": [["x"]]}}
    answer = simulator.http.post(
        f"/v24.0/{account.number.waba_id}/message_templates",
        headers={"Authorization": f"Bearer {account.number.access_token}"},
        json={"name": "case_update", "language": "id", "category": "UTILITY", "components": [body]},
    )
    assert answer.is_success, answer.text
    data(api.post("/templates/sync"), 202)
    eventually(lambda: [row for row in api.all("/templates", name="case_update") if row["status"] == "APPROVED"])
    on(team, closing_notes=True, template="case_update")
    long_ago = str(int(time.time()) - 30 * 3600)
    item = team.write(AC, group=None, timestamp=long_ago)
    made = data(api.post(f"/inbox/{item['id']}/convert", {"to": "problem"}))["record"]
    data(api.patch(f"/problems/{made['id']}", {"status": "resolved", "note": "Pipa diganti.\nSudah normal " + "x" * 900}))
    told = team.answer(item)
    assert told["type"] == "template" and "selesai. Pipa diganti. Sudah normal" in told["body"]


def buttons(message):
    return message["payload"]["interactive"]["buttons"] if "interactive" in message["payload"] else message["payload"]["buttons"]


def ambiguous(team):
    """Two towers, so that `tower` may be either."""
    for name in ("Tower North", "Tower South"):
        data(team.api.post("/sites", {"name": name}))
    return "AC bocor di Tower"


def test_where_it_is_is_asked_and_answered_by_a_tap(team, api, server, organisation, account):
    on(team, confirm=True, acknowledge=True)
    sender = person()
    item = team.write(ambiguous(team), sender=sender, group=None)
    assert item["status"] == "needs_review"
    asked = team.answer(item)
    choice = next(button for button in buttons(asked) if button["title"] == "Tower South")
    tap = wa.message(sender, "interactive", {"type": "button_reply", "button_reply": choice})
    wa.deliver(server, wa.arrival(account.number, tap))
    answered = team.item(organisation.message(tap["id"])["id"])
    assert answered["status"] == "dismissed"
    after = data(api.get(f"/inbox/{item['id']}"))
    assert after["suggestions"]["site"]["name"] == "Tower South" and after["status"] == "needs_review"


def test_in_a_group_the_answer_is_a_number(team, api):
    on(team, confirm=True, acknowledge=True)
    sender = person()
    item = team.write(ambiguous(team), sender=sender)
    assert (item["status"], item["record"]) == ("needs_review", None)
    asked = team.answer(item)["body"]
    number = re.search(r"(\d)\. Tower North", asked).group(1)
    assert team.write(number)["record"] is None, "somebody else's number is no answer"
    assert data(api.get(f"/inbox/{item['id']}"))["record"] is None
    assert team.write(number, sender=sender)["status"] == "dismissed"
    after = data(api.get(f"/inbox/{item['id']}"))
    made = data(api.get(f"/problems/{after['record']['id']}"))
    assert made["site"]["name"] == "Tower North" and made["number"] in team.answer(item, 2)["body"]
    team.write(number, sender=sender)
    assert api.total("/problems") == 1


def test_a_tap_in_a_telegram_group_makes_the_problem(organisation, account, hook, api):
    team = Team(organisation, account, confirm=True)
    who, chat = 77_000_000 + serial() % 10**6, tg.group(-100_000_000 - serial())
    hook.deliver(tg.update(message=tg.message(who, chat, text=ambiguous(team))))
    [item] = eventually(api.understood)
    choice = next(button for button in buttons(team.answer(item)) if button["title"] == "Tower South")
    query = {"id": str(serial()), "from": tg.person(who), "data": choice["id"], "message": tg.message(who, chat, text="?")}
    hook.deliver(tg.update(callback_query=query))

    def converted():
        made = data(api.get(f"/inbox/{item['id']}"))["record"]
        return made and data(api.get(f"/problems/{made['id']}"))

    assert eventually(converted)["site"]["name"] == "Tower South"


def commands(organisation, on=True):
    settings = {"settings": {"operations": {"commands": on}}}
    data(organisation.api.put(f"/organisations/{organisation.id}", settings))


def chat_of(api, count):
    """The bot's one direct conversation and what stands in it, oldest first, once there is so much."""

    def look():
        found = [(talk, api.all(f"/conversations/{talk['id']}/messages")) for talk in api.all("/conversations")]
        return [(talk, said[::-1]) for talk, said in found if len(said) >= count]

    [(talk, said)] = eventually(look)
    return talk, said


def test_opening_a_bot_is_greeted_and_is_nothing_to_see_to(organisation, bot, hook, api):
    commands(organisation)
    who = 78_000_000 + serial() % 10**6
    hook.deliver(tg.update(message=tg.message(who, text="/start")))
    talk, [start, greeting] = chat_of(api, 2)
    assert (start["body"], start["direction"], greeting["direction"]) == ("/start", "inbound", "outbound")
    assert "keadaan laporan" in greeting["body"], "in the language of who wrote"
    assert talk["unread_count"] == 0 and api.all("/inbox") == []
    hook.deliver(tg.update(message=tg.message(who, text="AC bocor")))
    [item] = api.understood()
    assert item["text"] == "AC bocor" and item["suggestions"]["facility"] is None


def test_a_scanned_code_places_what_is_written_after_it(organisation, bot, hook, api, new_organisation):
    commands(organisation)
    site = data(api.post("/sites", {"name": "Building A"}))
    other = data(api.post("/sites", {"name": "Building B"}))
    thing = data(api.post("/facilities", {"site_id": site["id"], "name": "Pompa 2", "code": "P-02"}))
    link = data(api.get(f"/facilities/{thing['id']}/link"))["links"][0]["url"]
    payload = re.search(r"[?]start=(.*)", link).group(1)
    who = 78_000_000 + serial() % 10**6

    def write(text):
        message = tg.message(who, text=text)
        hook.deliver(tg.update(message=message))
        return message

    write(f"/start {payload}")
    _, [_, greeting] = chat_of(api, 2)
    assert "Ini tentang Pompa 2 (P-02), Building A." in greeting["body"]
    assert api.all("/inbox") == []
    write("bocor lagi, tolong segera")
    write("AC mati di Building B")
    elsewhere, here = [item["suggestions"] for item in api.understood()]
    assert (here["facility"]["id"], here["site"]["id"]) == (thing["id"], site["id"])
    assert (elsewhere["facility"], elsewhere["site"]["id"]) == (None, other["id"]), "what is named counts more"
    # Somebody else's code says nothing here.
    stranger = new_organisation()
    place = data(stranger.api.post("/sites", {"name": "Their place"}))
    theirs = data(stranger.api.post("/facilities", {"site_id": place["id"], "name": "Their pump"}))
    write(f"/start f_{theirs['id']}")
    _, said = chat_of(api, 6)
    assert "keadaan laporan" in said[-1]["body"] and "Their" not in said[-1]["body"]
    write("bocor lagi")
    assert api.understood()[0]["suggestions"]["facility"] is None


def test_a_bot_that_is_to_say_nothing_still_knows_the_place(organisation, bot, hook, api):
    site = data(api.post("/sites", {"name": "Building A"}))
    thing = data(api.post("/facilities", {"site_id": site["id"], "name": "Pompa 2"}))
    who = 78_000_000 + serial() % 10**6
    for text in (f"/start f_{thing['id']}", "bocor lagi, tolong segera"):
        hook.deliver(tg.update(message=tg.message(who, text=text)))
    [item] = api.understood()
    assert item["suggestions"]["facility"]["id"] == thing["id"]
    _, said = chat_of(api, 2)
    assert [message["direction"] for message in said] == ["inbound", "inbound"]


def test_a_reporter_who_cannot_be_told_is_told_of(team, api):
    """No template says it after 24 hours: people see that, what was to be said, and what to do."""
    on(team, closing_notes=True)
    sender = person()
    item = team.write(AC, group=None, sender=sender, timestamp=str(int(time.time()) - 30 * 3600))
    made = data(api.post(f"/inbox/{item['id']}/convert", {"to": "problem"}))["record"]
    path = f"/problems/{made['id']}"
    untold = [entry for entry in data(api.patch(path, {"status": "resolved"}))["timeline"] if entry["type"] == "not_told"]
    assert len(untold) == 1 and "settings.operations.template" in untold[0]["text"]
    assert made["number"] in untold[0]["data"]["untold"] and untold[0]["data"]["contact_id"] == item["sender"]["contact_id"]
    [event] = [event for event in api.all("/events") if event["type"] == "problem.reporter_not_told"]
    assert event["data"]["number"] == made["number"] and event["data"]["reason"] in untold[0]["text"]
    assert team.said(item["conversation_id"]) == []
    # With a name that WhatsApp does not know, the name is said.
    on(team, closing_notes=True, template="case_update")
    again = data(api.patch(path, {"status": "closed"}))["timeline"]
    assert "case_update" in [entry for entry in again if entry["type"] == "not_told"][-1]["text"]
