"""What goes wrong while messages leave: providers that fail, tokens that end, crashes, clocks that jump.

The promise behind all of them: a message is sent exactly once, or it is `uncertain`, was sent at most once, and a person
is asked.
"""

import datetime
import signal
import time

import pytest

from api import data
from harness import eventually
from sending import Line, holds_end, leases_run_out, recipient, recipients, uncertain_time_passes

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.fixture
def line(organisation):
    return Line(organisation)


@pytest.fixture
def slow_line(organisation):
    """One that has a queue whenever it has something to send."""
    return Line(organisation, messages_per_second=20)


def retry_all(line, rows):
    for row in rows:
        data(line.api.post(f"/messages/{row['id']}/retry"), 200)


# The provider misbehaves.


def test_answers_are_dropped(line, simulator):
    """The reports of the messages settle what their answers did not."""
    people = recipients(4)
    simulator.fault("drop_answer", to=people[0], times=3)
    simulator.fault("drop_answer", to=people[1], times=1)
    line.queue_to(people, each=6)
    line.once()
    line.sent_in_order()
    assert len(simulator.requests(to=people[0], method="messages")) == 6
    assert line.dead() == []


def test_every_answer_is_dropped(server, line, simulator):
    """Few calls are made before the account is left alone, and what was made is settled."""
    simulator.fault("drop_answer", times=1000)
    line.queue_to(recipients(40))
    eventually(lambda: line.told("sending") == ["held"])
    assert len(line.sent()) <= 25
    simulator.clear_faults()

    def go_on():
        holds_end(server)
        return line.statuses() == {"read": 40}

    eventually(go_on, 60, 0.5)
    line.once()
    assert line.dead() == []


def test_no_answer_in_time(server, line, simulator):
    slow, cut = recipient(), recipient()
    simulator.fault("timeout", to=slow)
    simulator.fault("timeout", to=cut, delay_ms=200)
    lost = line.queue_to([slow, cut])
    line.queue_to([slow, cut, *recipients(10)], each=2)
    # Only what is for the same person waits.
    eventually(lambda: line.statuses() == {"read": 22, "uncertain": 1, "queued": 2, "sending": 1})
    rows = line.once("read", "uncertain", timeout=45)
    assert {row["id"] for row in rows if row["status"] == "uncertain"} == {message["id"] for message in lost}
    assert all(line.sent(callback_data=message["id"]) == [] for message in lost)
    assert line.dead() == [], "a report may still come"
    uncertain_time_passes(server)
    assert {letter["message"]["id"] for letter in line.dead(reason="uncertain")} == {m["id"] for m in lost}
    retry_all(line, lost)
    line.once()
    assert line.dead() == []


def test_errors_that_say_that_nothing_was_sent(line, simulator):
    for code, times in ((131000, 8), (2, 2), (131016, 1)):
        simulator.fault("error", code=code, http_status=500, times=times)
    line.queue_to(recipients(8), each=4)
    line.once()
    line.sent_in_order()


def test_errors_that_say_nothing(server, line, simulator):
    """Of what a gateway answers in the provider's place nobody knows what became: few messages may meet it."""
    simulator.fault("server_error", http_status=502, method="*", provider="whatsapp", times=100_000)
    line.queue_to(recipients(60))
    eventually(lambda: line.told("sending") == ["held"])
    eventually(lambda: line.statuses()["sending"] == 0)
    uncertain = line.statuses()["uncertain"]
    assert 5 <= uncertain <= 25
    held = line.now(line.queued[-1])
    assert held["status"] == "queued" and held["held"] and held["estimated_send_at"]
    # Before another message is tried, the provider is asked whether it is there.
    calls = len(simulator.requests())
    holds_end(server)
    eventually(lambda: len(simulator.requests()) > calls)
    assert line.statuses() == {"uncertain": uncertain, "queued": 60 - uncertain}
    simulator.clear_faults()
    holds_end(server)
    rows = line.once("read", "uncertain")
    lost = [row for row in rows if row["status"] == "uncertain"]
    assert len(lost) == uncertain and len(line.sent()) == 60 - uncertain
    assert line.told("sending") == ["held", "resumed"]
    uncertain_time_passes(server)
    assert len(line.dead()) == uncertain
    retry_all(line, lost)
    line.once()


def test_throttled(line, simulator):
    simulator.fault("throttle", times=3)
    line.queue_to(recipients(10), each=4)
    line.once()
    line.sent_in_order()


def test_too_much_for_one_recipient(line, simulator):
    slow, others = recipient(), recipients(10)
    simulator.fault("error", code=131056, to=slow, times=2)
    line.queue_to([slow], each=5)
    first = line.queued[0]
    eventually(lambda: len(simulator.requests(to=slow, method="messages")) == 1)
    quick = line.queue_to(others, each=3)
    for message in quick:
        line.reaches(message, "read")
    line.once()
    line.sent_in_order()
    # The others did not wait for the one.
    when = {s["callback_data"]: s["at"] for s in line.sent()}
    assert when[first["id"]] > max(when[message["id"]] for message in quick)


def test_the_providers_own_limits_are_kept(line, simulator):
    """Nothing is refused for going too fast where the provider counts as it says."""
    simulator.configure(messages_per_second=80, pair_burst=45)
    try:
        busy = recipient()
        line.queue_to([busy], each=46)
        line.queue_to(recipients(20), each=3)
        line.once()
    finally:
        simulator.configure(messages_per_second=0, pair_burst=0)
    refused = [r for r in simulator.requests(method="messages") if r["answered"] != 200 and r["to"] == busy]
    assert refused == []


# The account's token ends.


def test_the_token_is_revoked_and_replaced(slow_line, simulator):
    line = slow_line
    line.queue_to(recipients(6), each=10)
    eventually(lambda: len(line.sent()) >= 10)
    line.revoke("EAA" + "n" * 40)
    eventually(lambda: line.standing()["status"] == "disconnected")
    assert "token" in line.standing()["last_error"]
    eventually(lambda: line.statuses()["sending"] == 0)
    assert line.told("connected") == [False] and line.told("status")[-1] == "disconnected"
    waiting = line.now(line.queued[-1])
    assert waiting["status"] == "queued" and waiting["estimated_send_at"] is None
    assert "token" in waiting["held"]
    # More may be queued meanwhile, and it stays in its place.
    line.queue_to(recipients(3))
    sent = len(line.sent())
    calls = len(simulator.requests(method="messages"))
    # A token that is as bad changes nothing.
    line.give("EAA" + "x" * 40)
    assert line.standing()["status"] == "disconnected"
    line.give("EAA" + "n" * 40)
    assert line.standing()["status"] == "connected"
    line.once()
    line.sent_in_order()
    assert len(line.sent()) == 63
    assert len(simulator.requests(method="messages")) - calls == 63 - sent, "no message met the bad token"


# The server is killed.


@pytest.mark.parametrize("place", ["after_lease", "before_call", "after_call", "after_outcome"])
def test_killed_at_every_step(backend, make_kabar, new_database, simulator, place):
    kabar = make_kabar(new_database(backend), simulator=simulator).start()
    line = Line.own(kabar, messages_per_second=50)
    assert kabar.stop() == 0
    kabar.environment["KABAR_FAILPOINT"] = f"{place}:4"
    kabar.start()
    line.queue_while_it_lives(recipients(4), 40)
    assert kabar.process.wait() != 0, "the failpoint was not reached"
    del kabar.environment["KABAR_FAILPOINT"]
    kabar._close()
    taken = {s["callback_data"] for s in line.sent()}
    leases_run_out(kabar)
    kabar.start()
    # Reports settle what was sent; the rest nobody knows anything of.
    rows = line.once("read", "uncertain")
    lost = [row for row in rows if row["status"] == "uncertain"]
    assert not {row["id"] for row in lost} & taken, "the provider reported on it"
    if place in ("after_lease", "before_call"):
        assert lost, "a message was begun, and nobody knows how it ended"
    if place in ("after_call", "after_outcome"):
        assert taken
    uncertain_time_passes(kabar)
    assert {letter["message"]["id"] for letter in line.dead(reason="uncertain")} == {row["id"] for row in lost}
    retry_all(line, lost)
    line.once()
    assert line.dead() == []


def test_what_was_begun_without_knowing_leaves_later(backend, make_kabar, new_database, simulator):
    """The database committed the start of some attempts, and the answer was lost."""
    kabar = make_kabar(new_database(backend), simulator=simulator)
    kabar.environment["KABAR_FAILPOINT"] = "lease_answer:2"
    kabar.start()
    line = Line.own(kabar, messages_per_second=50)
    line.queue_to(recipients(4), each=5)
    line.once()
    line.sent_in_order()
    assert "the answer is lost" in kabar.log(), "the failpoint was not reached"
    assert line.dead() == []


def test_a_restart_does_not_burst(backend, make_kabar, new_database, simulator):
    """How fast a number sends is kept in the database."""
    kabar = make_kabar(new_database(backend), simulator=simulator).start()
    line = Line.own(kabar, messages_per_second=10)
    line.queue_to(recipients(20), each=3)
    for count in (15, 30):
        eventually(lambda: len(line.sent()) >= count)
        kabar.kill()
        leases_run_out(kabar)
        kabar.start()
    line.once("read", "uncertain")
    line.keeps_pace(10)


def test_two_nodes_keep_one_pace(postgres, make_kabar, simulator):
    url, key = postgres.create_database(), "22" * 32
    first = make_kabar(url, simulator=simulator, environment={"KABAR_MASTER_KEY": key})
    second = make_kabar(url, simulator=simulator, environment={"KABAR_MASTER_KEY": key}, keys=first.keys)
    first.start(), second.start()
    line = Line.own(first, messages_per_second=20)
    line.queue_to(recipients(30), each=4)
    eventually(lambda: len(line.sent()) >= 40)
    second.kill()
    leases_run_out(first)
    line.once("read", "uncertain")
    line.keeps_pace(20, seconds=2)
    assert line.statuses()["uncertain"] <= 4


def test_a_node_freezes(postgres, make_kabar, simulator, clock):
    """Whoever stood still for longer than a lease does not send what others have decided on meanwhile."""
    url, key = postgres.create_database(), "33" * 32
    environment = {"KABAR_MASTER_KEY": key, **clock.environment}
    first = make_kabar(url, simulator=simulator, environment=environment)
    second = make_kabar(url, simulator=simulator, environment=environment, keys=first.keys)
    first.start()
    line = Line.own(first, messages_per_second=10)
    line.queue_to(recipients(30), each=4)
    second.start()
    leased = """SELECT string_agg(message_id::text, ',') FROM (SELECT message_id FROM outbound_queue
        WHERE lease_until IS NOT NULL FOR UPDATE SKIP LOCKED) q"""

    def frozen_with_a_message():
        second.process.signal(signal.SIGSTOP)
        found = set(filter(None, first.sql(leased).split(",")))
        if found:
            time.sleep(0.2)
            found &= set(first.sql(leased).split(","))
        if not found:
            second.process.signal(signal.SIGCONT)
        return found

    eventually(frozen_with_a_message, timeout=60, interval=0.08)
    clock.set(1)
    # Settled by its report, if it was frozen after the call.
    eventually(lambda: first.sql(leased) == "")
    lost = [row for row in line.rows() if row["status"] == "uncertain"]
    retry_all(line, lost)
    line.once()
    second.process.signal(signal.SIGCONT)
    line.queue_to(recipients(20))
    line.once()


# The clock jumps.


@pytest.mark.parametrize("jumps", [(1, 0), (-1, 0)], ids=["forward-and-back", "back-and-forward"])
def test_the_clock_jumps(backend, make_kabar, new_database, simulator, clock, jumps):
    kabar = make_kabar(new_database(backend), simulator=simulator, environment=clock.environment).start()
    line = Line.own(kabar, messages_per_second=20)
    people = recipients(8)
    # One of them waits for another attempt, one for its recipient.
    simulator.fault("error", code=131000, http_status=500, to=people[0])
    simulator.fault("error", code=131056, to=people[1])
    line.queue_to(people, each=5)
    for jump in jumps:
        sent = len(line.sent())
        eventually(lambda: len(line.sent()) >= sent + 5)
        clock.set(jump)
        line.queue_to(people, each=3)
        told = datetime.datetime.fromisoformat(line.queued[-1]["created_at"]).timestamp()
        assert abs(told - time.time() - jump * 3600) < 60, "the server's clock did not jump"
    line.once(timeout=30)
    line.sent_in_order()
    line.keeps_pace(20, seconds=2)


@pytest.mark.parametrize("queued_at", [0, 1], ids=["queued-before", "queued-after"])
def test_the_clock_goes_back_while_the_server_is_down(
    backend, make_kabar, new_database, simulator, clock, queued_at
):
    kabar = make_kabar(new_database(backend), simulator=simulator, environment=clock.environment).start()
    line = Line.own(kabar, messages_per_second=10)
    people = recipients(4)
    clock.set(queued_at)
    line.queue_to(people, each=6)
    clock.set(1)
    # The times that the pace is kept in are an hour ahead now.
    sent = len(line.sent())
    eventually(lambda: len(line.sent()) >= sent + 4)
    kabar.kill()
    leases_run_out(kabar)
    clock.set(0)
    kabar.start()
    line.queue_to(people)
    line.once("read", "uncertain", timeout=30)
