"""Events: in pages, and as a stream that goes on where it broke off."""

import contextlib
import json
import signal
import time

import httpx
import pytest

import whatsapp as wa
from api import TIME, ULID, data, refused, serial
from harness import eventually

STREAM = {"Accept": "text/event-stream"}


def person():
    return f"62817{serial() % 10**8:08d}"


@contextlib.contextmanager
def listening(api, timeout=30.0, headers=None, **query):
    """The lines of a stream of events."""
    whole = {**STREAM, **(headers or {})}
    with api.http.stream("GET", "/events", params=query, headers=whole, timeout=timeout) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer.iter_lines())


def parsed(lines):
    """Events as (id, type, data), as a client of server-sent events takes them; None for what has no data."""
    block: dict[str, str] = {}
    for line in lines:
        if line == "":
            yield (int(block["id"]), block["event"], json.loads(block["data"])) if "data" in block else None
            block = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            block[name] = value.removeprefix(" ")


def heard(events, count):
    found = []
    while len(found) < count:
        event = next(events)
        if event is not None:
            found.append(event)
    return found


def test_pages_lead_through_all_events_in_order(api, account):
    for _ in range(3):
        data(api.post("/inbox", {"text": "AC bocor"}))
    api.understood()
    every = api.all("/events")
    assert [event["id"] for event in every] == list(range(1, len(every) + 1))
    assert [event["type"] for event in every if event["type"] == "inbox.created"] == ["inbox.created"] * 3
    created = [event for event in every if event["type"] == "inbox.created"][-1]
    assert TIME.match(created["timestamp"]) and ULID.match(created["subject_id"])
    assert created["data"]["id"] == created["subject_id"]
    first = api.get("/events", limit=2).json()
    assert [event["id"] for event in first["data"]] == [1, 2]
    rest = api.get("/events", after=first["meta"]["next_cursor"], limit=100)
    assert data(rest) == every[2:] and "next_cursor" not in rest.json()["meta"]
    some = data(api.get("/events", types="channel.created,message.*"))
    assert {event["type"] for event in some} == {"channel.created"}
    some = data(api.get("/events", types="messaging_account.*"))
    assert some[0]["type"] == "messaging_account.created" and some[0]["subject_id"] == account.id
    for query in ({"limit": 0}, {"limit": 101}, {"after": -1}, {"types": "message received"}, {"after": "x"}):
        refused(api.get("/events", **query), 422)


def test_a_message_is_heard_of_with_its_text(server, api, account):
    with listening(api, types="message.*") as events:
        assert next(events) is None, "the place to come back to"
        incoming = wa.message(person(), content={"body": "AC bocor"})
        wa.deliver(server, wa.arrival(account.number, incoming))
        [(number, kind, event)] = heard(events, 1)
    assert kind == event["type"] == "message.received" and event["id"] == number
    message = event["data"]["message"]
    assert message["body"] == "AC bocor" and message["direction"] == "inbound"
    assert message["provider_message_id"] == incoming["id"]
    assert data(api.get(f"/conversations/{message['conversation_id']}"))["channel_id"] == message["channel_id"]
    assert data(api.get("/events", after=number - 1, limit=1))[0]["data"]["id"] == message["id"]


def test_a_stream_goes_on_behind_the_last_event_that_was_seen(api):
    for _ in range(5):
        data(api.post("/inbox", {"text": "x"}))
    with listening(api, headers={"Last-Event-ID": "2"}) as events:
        assert [number for number, _, _ in heard(events, 3)] == [3, 4, 5]
        data(api.post("/inbox", {"text": "x"}))
        assert [number for number, _, _ in heard(events, 1)] == [6]
    with listening(api, after=5) as events:
        assert heard(events, 1)[0][0] == 6
    refused(api.http.get("/events", headers=STREAM | {"Last-Event-ID": "x"}), 422)


def test_a_client_that_reads_nothing_delays_nobody(server, api, account):
    """What waits for it is larger than what sockets hold."""
    sender = person()
    for _ in range(10):
        long = [wa.message(sender, content={"body": "x" * 4000}) for _ in range(100)]
        wa.deliver(server, wa.arrival(account.number, *long))
    server.wait_applied()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(api.http.stream("GET", "/events", params={"after": 0}, headers=STREAM, timeout=30))
        with listening(api) as events:
            next(events)
            data(api.post("/inbox", {"text": "y"}))
            assert heard(events, 1)[0][1] == "inbox.created"


def test_a_stream_ends_when_its_token_is_revoked(server, organisation):
    token = organisation.token("read")
    headers = STREAM | {"Authorization": f"Bearer {token}"}
    with httpx.stream("GET", f"{server.base_url}/api/v1/events", headers=headers, timeout=40) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.run("token", "revoke", token.split("|")[0])
        began = time.monotonic()
        for _ in lines:
            assert time.monotonic() - began < 60
    refused(server.http.get("/api/v1/events", headers={"Authorization": f"Bearer {token}"}), 401)


@pytest.mark.faults
def test_stopping_ends_streams_and_loses_no_event(backend, make_kabar, new_database):
    from api import Organisation, login

    kabar = make_kabar(new_database(backend))
    kabar.start()
    token = login(kabar, kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
    organisation = Organisation(kabar, token)
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(listening(organisation.api, after=0))
        # One that never reads.
        stack.enter_context(organisation.api.http.stream("GET", "/events", headers=STREAM))
        data(organisation.api.post("/inbox", {"text": "x"}))
        last = heard(events, 1)[-1][0]
        kabar.process.signal(signal.SIGTERM)
        began = time.monotonic()
        assert list(events) is not None
        assert kabar.stop() == 0
        assert time.monotonic() - began < 10, "streams must not hold up the end"
    kabar.start()
    data(organisation.api.post("/inbox", {"text": "y"}))
    with listening(organisation.api, headers={"Last-Event-ID": str(last)}) as events:
        assert heard(events, 1)[0][0] == last + 1


def test_what_commands_do_is_heard_of(server, organisation):
    """Another process records it."""
    with listening(organisation.api, types="member.added") as events:
        next(events)
        email = f"ana{serial()}@example.com"
        command = ("user", "create", "--email", email, "--name", "Ana", "--organisation", organisation.slug)
        server.run(*command, "--role", "agent")
        assert heard(events, 1)[0][1] == "member.added"
    assert eventually(lambda: data(organisation.api.get("/events", types="member.added")))
