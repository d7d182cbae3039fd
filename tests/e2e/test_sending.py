"""The queue: what waits, how long and why, taking messages back, sending them again, and what a person has to see to."""

import datetime

import pytest

import telegram as tg
from api import TIME, UNKNOWN_ID, data, refused, serial
from harness import eventually
from sending import Line, recipient, recipients, uncertain_time_passes
from telegram import Hook


@pytest.fixture
def line(organisation):
    return Line(organisation)


@pytest.fixture
def stopped(organisation):
    """A line whose account was refused: what is queued over it waits until its token is given again."""
    line = Line(organisation)
    line.revoke("EAA" + "r" * 40)
    line.queue(recipient(), "Yang pertama")
    eventually(lambda: line.standing()["status"] == "disconnected")
    line.reaches(line.queued[0], "queued")
    return line


@pytest.fixture
def slow(organisation):
    """A line with one message a second."""
    return Line(organisation, messages_per_second=1)


def go_on(line):
    line.revoke(line.number.access_token)
    line.give(line.number.access_token)


def seconds(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def act(line, message, action):
    return line.api.post(f"/messages/{message['id']}/{action}")


# Taking back.


def test_a_message_that_waits_is_taken_back(stopped):
    _, second, _ = stopped.queue_to([recipient()], each=3)
    cancelled = data(act(stopped, second, "cancel"), 200)
    assert (cancelled["id"], cancelled["status"]) == (second["id"], "cancelled")
    assert cancelled["estimated_send_at"] is None and cancelled["priority"] is None
    [event] = stopped.api.all("/events", types="message.status")[-1:]
    assert event["subject_id"] == second["id"] and event["data"]["status"] == "cancelled"
    go_on(stopped)
    rows = stopped.once("read", "cancelled")
    assert [row["id"] for row in rows if row["status"] == "cancelled"] == [second["id"]]
    stopped.sent_in_order()
    assert stopped.dead() == []


def test_the_head_of_a_conversation_is_taken_back(stopped):
    """Those behind it do not stay where they are."""
    first = stopped.queued[0]
    person = recipient()
    head, *_ = stopped.queue_to([person], each=3)
    data(act(stopped, head, "cancel"), 200)
    data(act(stopped, first, "cancel"), 200)
    go_on(stopped)
    rows = stopped.once("read", "cancelled")
    assert {row["id"] for row in rows if row["status"] == "cancelled"} == {head["id"], first["id"]}
    assert len(stopped.sent()) == 2


def test_what_waits_for_another_attempt_is_taken_back(line, simulator):
    person = recipient()
    simulator.fault("error", code=131056, to=person, times=100)
    message = line.queue(person)
    # After the third refusal the wait is sixteen seconds.
    eventually(lambda: len(simulator.requests(to=person, method="messages")) == 3)
    line.reaches(message, "queued")
    data(act(line, message, "cancel"), 200)
    simulator.clear_faults()
    line.once("cancelled")


def test_too_late_to_take_back(line):
    message = line.queue(recipient())
    line.reaches(message, "read")
    assert "read" in refused(act(line, message, "cancel"), 409)["message"]
    assert line.now(message)["status"] == "read"


def test_twice_taken_back(stopped):
    message = stopped.queue(recipient())
    data(act(stopped, message, "cancel"), 200)
    assert "already" in refused(act(stopped, message, "cancel"), 409)["message"]
    refused(act(stopped, message, "retry"), 409)


def test_taking_back_meets_sending(line):
    """A message is taken back or sent, never both."""
    cancelled, late = set(), set()
    for person in recipients(40):
        message = line.queue(person)
        answer = act(line, message, "cancel")
        assert answer.status_code in (200, 409), answer.text
        (cancelled if answer.status_code == 200 else late).add(message["id"])
    rows = line.once("read", "cancelled")
    assert {row["id"] for row in rows if row["status"] == "cancelled"} == cancelled
    assert {sent["callback_data"] for sent in line.sent()} == late


# Sending again, and what a person has to see to.


@pytest.fixture
def failed(line, simulator):
    """Queues messages that the provider refuses for good."""

    def fail(count=1):
        people = recipients(count)
        for person in people:
            simulator.fault("error", code=131026, to=person)
        messages = line.queue_to(people)
        return [line.reaches(message, "failed") for message in messages]

    return fail


def test_a_failed_message_is_sent_again(line, failed):
    [message] = failed()
    again = data(act(line, message, "retry"), 200)
    assert (again["id"], again["status"], again["error"], again["failed_at"]) == (message["id"], "queued", None, None)
    assert again["priority"] and TIME.match(again["estimated_send_at"])
    assert line.reaches(message, "read")["provider_message_id"]
    line.once()
    states = [e["data"]["status"] for e in line.api.all("/events", types="message.status")]
    assert states[:2] == ["failed", "queued"] and states[-1] == "read"
    refused(act(line, message, "retry"), 409)


def test_it_may_fail_again(line, failed, simulator):
    [message] = failed()
    to = simulator.requests(method="messages")[-1]["to"]
    simulator.fault("error", code=131026, to=to)
    data(act(line, message, "retry"), 200)
    final = line.reaches(message, "failed")
    assert final["error"]["code"] == 131026
    assert [letter["message"]["id"] for letter in line.dead()] == [message["id"]]


def test_sending_again_twice_at_once_sends_once(line, failed):
    [message] = failed()
    codes = [act(line, message, "retry").status_code for _ in range(2)]
    assert codes == [200, 409]
    line.once()


def test_only_what_failed_or_is_uncertain_is_sent_again(line, stopped):
    waiting = stopped.queue(recipient())
    assert "queued" in refused(act(stopped, waiting, "retry"), 409)["message"]
    message = line.queue(recipient())
    line.reaches(message, "read")
    assert "read" in refused(act(line, message, "retry"), 409)["message"]


def test_a_report_settles_what_was_sent_again(line, simulator):
    """The first attempt did arrive: its report stops the second, which still waits."""
    simulator.configure(auto_statuses=False)
    person = recipient()
    simulator.fault("drop_answer", to=person)
    message = line.queue(person)
    line.reaches(message, "uncertain")
    line.revoke("EAA" + "r" * 40)
    line.queue(recipient())
    eventually(lambda: line.standing()["status"] == "disconnected")
    data(act(line, message, "retry"), 200)
    [arrived] = line.sent(callback_data=message["id"])
    simulator.post("status", {"wamid": arrived["id"], "status": "delivered"})
    assert line.reaches(message, "delivered")["provider_message_id"] == arrived["id"]
    simulator.configure(auto_statuses=True)
    go_on(line)
    line.once("delivered", "read")
    assert line.dead() == []


def test_dead_letters(line, failed, simulator, server):
    first, second = failed(2)
    person = recipient()
    simulator.configure(auto_statuses=False)
    simulator.fault("drop_answer", to=person)
    lost = line.queue(person)
    line.reaches(lost, "uncertain")
    assert {letter["message"]["id"] for letter in line.dead()} == {first["id"], second["id"]}
    uncertain_time_passes(server)
    letters = line.dead()
    assert {(letter["message"]["id"], letter["reason"]) for letter in letters} == {
        (first["id"], "failed"),
        (second["id"], "failed"),
        (lost["id"], "uncertain"),
    }
    listed = [letter["listed_at"] for letter in letters]
    assert listed == sorted(listed, reverse=True) and all(TIME.match(at) for at in listed)
    assert letters[0]["message"]["error"]["code"] == 131026
    assert line.api.total("/dead-letters") == 3
    assert [letter["message"]["id"] for letter in line.dead(reason="uncertain")] == [lost["id"]]
    assert line.api.total("/dead-letters", reason="failed") == 2
    assert list(refused(line.api.get("/dead-letters", reason="bored"), 422)["errors"]) == ["reason"]
    # One at a time, by cursor and by page.
    assert [row["message"]["id"] for row in data(line.api.get("/dead-letters", limit=1, page=2))] == [
        letters[1]["message"]["id"]
    ]
    # A person decides on each: seen to, or sent again.
    assert line.api.delete(f"/dead-letters/{first['id']}").status_code == 204
    refused(line.api.delete(f"/dead-letters/{first['id']}"), 404)
    assert line.now(first)["status"] == "failed"
    data(act(line, second, "retry"), 200)
    assert [letter["message"]["id"] for letter in line.dead()] == [lost["id"]]
    # And a late report settles what was uncertain.
    [arrived] = line.sent(callback_data=lost["id"])
    simulator.post("status", {"wamid": arrived["id"], "status": "read"})
    line.reaches(lost, "read")
    assert line.dead() == []


def test_a_person_is_told_of_what_stays_uncertain(server, line, simulator):
    simulator.configure(auto_statuses=False)
    person = recipient()
    simulator.fault("drop_answer", to=person)
    message = line.queue(person)
    line.reaches(message, "uncertain")
    uncertain_time_passes(server)
    # A registration sets the housekeeping going that comes round every fifteen seconds.
    line.organisation.whatsapp()

    def told():
        return [event["subject_id"] for event in line.api.all("/events", types="message.needs_decision")]

    assert eventually(told, 30) == [message["id"]]


def test_another_tenants_messages(new_organisation, line, failed, stopped):
    [message], waiting = failed(), stopped.queue(recipient())
    other = new_organisation().api
    for one in (message, waiting):
        for action in ("cancel", "retry"):
            refused(other.post(f"/messages/{one['id']}/{action}"), 404)
    refused(other.delete(f"/dead-letters/{message['id']}"), 404)
    assert other.all("/dead-letters") == []
    assert line.now(message)["status"] == "failed" and stopped.now(waiting)["status"] == "queued"
    assert len(line.dead()) == 1
    for action in ("cancel", "retry"):
        refused(line.api.post(f"/messages/{UNKNOWN_ID}/{action}"), 404)


def test_reading_is_not_enough(organisation, line, failed, stopped):
    [message], waiting = failed(), stopped.queue(recipient())
    reader = organisation.caller("read")
    refused(reader.post(f"/messages/{waiting['id']}/cancel"), 403)
    refused(reader.post(f"/messages/{message['id']}/retry"), 403)
    refused(reader.delete(f"/dead-letters/{message['id']}"), 403)
    assert len(reader.all("/dead-letters")) == 1


# Waiting.


def test_estimates_grow_with_the_queue(slow):
    messages = slow.queue_to(recipients(12))
    told = [seconds(message["estimated_send_at"]) for message in messages]
    assert told == sorted(told)
    assert told[-1] - told[0] > 8, "twelve messages at one in a second"
    # The look at the queue says about the same, and a message that left has none.
    later = [slow.now(message) for message in messages]
    waiting = [seconds(row["estimated_send_at"]) for row in later if row["status"] == "queued"]
    assert waiting == sorted(waiting) and abs(waiting[-1] - told[-1]) < 5
    assert all(row["held"] is None and row["priority"] for row in later if row["status"] == "queued")
    sent = slow.reaches(messages[0], "read")
    assert sent["estimated_send_at"] is None and sent["priority"] is None
    shown = slow.organisation.messages()
    assert {row["id"] for row in shown if row["estimated_send_at"]} >= {messages[-1]["id"]}
    for message in messages:
        slow.api.post(f"/messages/{message['id']}/cancel")


def test_estimates_know_who_goes_first(organisation):
    line = Line(organisation, messages_per_second=1)
    campaign = line.queue_to(recipients(15), priority="low")
    soon = line.queue(recipient(), priority="high")
    first, last = seconds(campaign[0]["estimated_send_at"]), seconds(campaign[-1]["estimated_send_at"])
    assert last - first > 8 and seconds(soon["estimated_send_at"]) < last - 8
    for message in campaign:
        line.api.post(f"/messages/{message['id']}/cancel")


def test_many_to_one_person_wait_for_each_other(line):
    """Meta takes forty-five at once from one number to one person, and then one in six seconds."""
    messages = line.queue_to([recipient()], each=48)
    for message in messages[:45]:
        line.reaches(message, "read")
    waiting = [line.now(message) for message in messages[46:]]
    assert [row["status"] for row in waiting] == ["queued", "queued"]
    first, second = (seconds(row["estimated_send_at"]) for row in waiting)
    assert 5 < second - first < 7
    # Others are not held up by it.
    other = line.queue(recipient())
    line.reaches(other, "read")
    for message in waiting:
        data(act(line, message, "cancel"), 200)


def test_what_waits_long_holds_up_nothing_behind_it(line, simulator):
    person = recipient()
    # Sent again after ten minutes.
    simulator.fault("error", code=134101, to=person)
    first, second = line.queue_to([person], each=2)
    line.reaches(second, "read")
    waiting = line.now(first)
    assert waiting["status"] == "queued" and waiting["held"]
    assert seconds(waiting["estimated_send_at"]) > seconds(first["created_at"]) + 500
    data(act(line, first, "cancel"), 200)


def test_why_a_message_waits(stopped):
    waiting = stopped.queue(recipient())
    assert waiting["estimated_send_at"] is None and "token" in waiting["held"]
    go_on(stopped)
    assert stopped.reaches(waiting, "read")["held"] is None


def test_conversations_keep_their_order_while_others_overtake(line, simulator):
    slow, quick = recipients(2), recipients(6)
    for person in slow:
        simulator.fault("error", code=131000, http_status=500, to=person)
    line.queue_to([*slow, *quick], each=5)
    line.once()
    line.sent_in_order()
    when = {sent["callback_data"]: sent["at"] for sent in line.sent()}
    to = {sent["callback_data"]: sent["to"] for sent in line.sent()}
    overtaken = min(when[message["id"]] for message in line.queued if to[message["id"]] in slow)
    # The first to each of the others was queued after those, and went before them.
    firsts = {to[message["id"]]: when[message["id"]] for message in reversed(line.queued)}
    assert all(firsts[person] < overtaken for person in quick)


def test_an_urgent_message_takes_along_what_waits_before_it(stopped):
    """A conversation stays in order: what is less urgent in it becomes as urgent."""
    person = recipient()
    first = stopped.queue(person, priority="low")
    stopped.queue_to(recipients(5), priority="normal")
    second = stopped.queue(person, priority="high")
    assert stopped.now(first)["priority"] == "high"
    go_on(stopped)
    stopped.once()
    came = [sent["callback_data"] for sent in stopped.sent()]
    assert came.index(first["id"]) < came.index(second["id"])


def test_the_rate_of_a_number_is_a_setting(organisation):
    line = Line(organisation, messages_per_second=5)
    assert line.standing()["messages_per_second"] == 5
    line.queue_to(recipients(15))
    line.once()
    line.keeps_pace(5, seconds=2)
    # A change counts for what is queued already.
    line.queue_to(recipients(60))
    settings = {"settings": {"messages_per_second": 80}}
    assert data(line.api.put(f"/messaging-accounts/{line.account.id}", settings))["messages_per_second"] == 80
    line.once(timeout=10)


# Telegram.


@pytest.fixture
def talk(organisation, bot):
    """A chat of a bot: the conversation's id."""
    hook = Hook(bot)

    def begin(chat=None):
        person = 92_000_000 + serial() % 10**7
        said = tg.message(person, chat)
        hook.deliver(tg.update(message=said))
        conversation = organisation.message(tg.provider_id(said))["conversation_id"]
        return str(chat["id"] if chat else person), conversation

    return begin


def say(api, conversation, count):
    return [
        data(api.post("/messages", {"conversation_id": conversation, "body": f"Pesan {n}"}), 200) for n in range(count)
    ]


def times(simulator, chat):
    return [sent["at"] / 1000 for sent in simulator.sent(provider="telegram", to=chat)]


def test_a_telegram_chat_gets_one_in_a_second(api, talk, simulator):
    (slow, conversation), others = talk(), [talk() for _ in range(5)]
    say(api, conversation, 4)
    for _, other in others:
        say(api, other, 1)
    eventually(lambda: len(times(simulator, slow)) == 4)
    came = times(simulator, slow)
    assert all(later - earlier > 0.9 for earlier, later in zip(came, came[1:]))
    bodies = [sent["body"] for sent in simulator.sent(provider="telegram", to=slow)]
    assert bodies == [f"Pesan {n}" for n in range(4)]
    # The others went meanwhile.
    assert all(times(simulator, chat)[0] < came[2] for chat, _ in others)


def test_a_telegram_group_gets_twenty_in_a_minute(api, talk, simulator):
    chat = tg.group(-1_001_000_000_000 - serial() % 10**8)
    group, conversation = talk(chat)
    messages = say(api, conversation, 25)
    eventually(lambda: len(times(simulator, group)) == 5)
    last = data(api.get(f"/messages/{messages[-1]['id']}"))
    assert last["status"] == "queued"
    assert seconds(last["estimated_send_at"]) - times(simulator, group)[0] > 60
    for message in messages:
        api.post(f"/messages/{message['id']}/cancel")


def test_a_flood_wait_is_kept(api, talk, simulator):
    slow, conversation = talk()
    simulator.fault("throttle", provider="telegram", to=slow, retry_after=3)
    say(api, conversation, 2)
    eventually(lambda: len(times(simulator, slow)) == 2, 20)
    tried = [r["at"] / 1000 for r in simulator.requests(provider="telegram", to=slow) if r["method"] == "sendMessage"]
    assert len(tried) == 3 and tried[1] - tried[0] > 2.9


def test_a_bots_token_is_revoked(api, organisation, bot, talk, simulator):
    chat, conversation = talk()
    simulator.fault("error", code=401, description="Unauthorized", provider="telegram", method="*", times=1000)
    [message] = say(api, conversation, 1)

    def standing():
        return data(api.get(f"/messaging-accounts/{bot.id}"))["status"]

    eventually(lambda: standing() == "disconnected")
    say(api, conversation, 2)
    simulator.clear_faults()
    data(api.put(f"/messaging-accounts/{bot.id}", {"bot_token": bot.bot_token}))
    eventually(lambda: len(times(simulator, chat)) == 3)
    assert [sent["body"] for sent in simulator.sent(provider="telegram", to=chat)][1:] == ["Pesan 0", "Pesan 1"]
