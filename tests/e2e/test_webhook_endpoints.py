"""Webhooks to apps, verified by the Standard Webhooks libraries of two languages."""

import json
import subprocess
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

import whatsapp as wa
from api import TIME, ULID, Organisation, data, login, refused, serial
from harness import ROOT, eventually
from receiver import Receiver

NODE = ROOT / "tests" / "e2e" / "node" / "verify.mjs"
MODULES = ROOT / "target" / "test-node"


@pytest.fixture(scope="module")
def receiver():
    started = Receiver()
    yield started
    started.close()


@pytest.fixture
def path():
    return f"/app-{serial()}"


@pytest.fixture
def endpoint(api, receiver, path):
    """An endpoint for events of the inbox, as it was created."""
    return create(api, receiver.url(path), ["inbox.*"])


def create(api, url, events, **more):
    return data(api.post("/webhook-endpoints", {"url": url, "events": events, **more}), 201)


def happen(api, count=1):
    for _ in range(count):
        # What says nothing is not told of again once it is understood.
        data(api.post("/inbox", {"text": "halo"}))


def deliveries(api, endpoint, **query):
    return data(api.get(f"/webhook-endpoints/{endpoint['id']}/deliveries", **query))


def in_python(cases):
    found = []
    for secret, headers, raw in cases:
        try:
            found.append(Webhook(secret).verify(raw, headers))
        except WebhookVerificationError:
            found.append(None)
    return found


def in_javascript(cases):
    given = json.dumps([{"secret": s, "headers": h, "body": raw.decode()} for s, h, raw in cases])
    done = subprocess.run(["node", NODE, MODULES], input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"scripts/test-setup installs what this needs: {done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.parametrize("verified", [in_python, in_javascript])
def test_libraries_accept_webhooks_and_refuse_forged_ones(server, api, account, receiver, path, verified):
    endpoint = create(api, receiver.url(path), ["message.received"])
    body = "Lampu «merah» 🚨\n\\ \"mati\""
    wa.deliver(server, wa.arrival(account.number, wa.message("62818555", content={"body": body})))
    [hook] = receiver.wait(path)
    old, headers, raw = endpoint["secret"], hook.headers, hook.raw
    other = create(api, receiver.url("/other"), ["none.such"])["secret"]
    good, forged, foreign, moved = verified(
        [
            (old, headers, raw),
            (old, headers, raw.replace(b"62818555", b"62818556") + b" "),
            (other, headers, raw),
            (old, headers | {"webhook-id": "evt_2"}, raw),
        ]
    )
    assert good == hook.body and (forged, foreign, moved) == (None, None, None)
    assert good["type"] == "message.received" and good["data"]["message"]["body"] == body
    assert TIME.match(good["timestamp"])

    # During a rotation an app is right with either secret; without overlap the old one is worth nothing.
    url = f"/webhook-endpoints/{endpoint['id']}/rotate-secret"
    new = data(api.post(url))
    assert new["secret"] != old and TIME.match(new["previous_until"])
    wa.deliver(server, wa.arrival(account.number, wa.message("62818555")))
    hook = receiver.wait(path, 2)[1]
    assert verified([(s, hook.headers, hook.raw) for s in (old, new["secret"])]) == [hook.body] * 2
    newest = data(api.post(url, {"overlap_seconds": 0}))["secret"]
    wa.deliver(server, wa.arrival(account.number, wa.message("62818555")))
    hook = receiver.wait(path, 3)[2]
    assert verified([(s, hook.headers, hook.raw) for s in (old, new["secret"], newest)]) == [None, None, hook.body]
    assert data(api.get(f"/webhook-endpoints/{endpoint['id']}/secret")) == {"secret": newest}


def test_an_endpoint_is_made_changed_and_removed(organisation, api, receiver, path):
    given = {"description": "Ticketing", "metadata": {"team": "ops"}}
    endpoint = create(api, receiver.url(path), ["message.*", "inbox.created"], **given)
    assert ULID.match(endpoint["id"]) and endpoint["secret"].startswith("whsec_") and endpoint["enabled"]
    url = f"/webhook-endpoints/{endpoint['id']}"
    shown = data(api.get(url))
    assert shown == {name: value for name, value in endpoint.items() if name != "secret"}
    assert data(api.get("/webhook-endpoints")) == [shown] and api.total("/webhook-endpoints") == 1
    changed = data(api.patch(url, {"events": ["*"], "description": None, "enabled": False}))
    assert (changed["events"], changed["description"], changed["enabled"]) == (["*"], None, False)
    assert changed["metadata"] == {"team": "ops"} and changed["disabled_reason"] is None
    reader = organisation.caller("read")
    assert data(reader.get(url)) == changed
    for answer in (reader.get(url + "/secret"), reader.patch(url, {}), reader.delete(url), reader.post(url + "/test")):
        refused(answer, 403)
    assert api.delete(url).status_code == 204
    refused(api.get(url), 404, "No query results for model [WebhookEndpoint].")
    kinds = [event["type"] for event in data(api.get("/events", types="webhook_endpoint.*"))]
    assert kinds == [f"webhook_endpoint.{change}" for change in ("created", "updated", "deleted")]


def test_what_cannot_be_called_is_refused(api):
    wrong = [
        {},
        {"url": "example.com"},
        {"url": "ftp://example.com/"},
        {"url": "http://8.8.8.8/"},
        {"url": "https://10.0.0.1/"},
        {"url": "https://169.254.169.254/latest/meta-data"},
        {"url": "https://user:secret@example.com/"},
        {"url": "https://example.com/", "events": ["message received"]},
        {"url": "https://example.com/", "events": [""]},
        {"url": "https://example.com/", "metadata": "x"},
    ]
    for body in wrong:
        refused(api.post("/webhook-endpoints", body), 422)
    assert data(api.get("/webhook-endpoints")) == []


def test_a_test_is_posted_at_once(api, receiver, path, endpoint):
    url = f"/webhook-endpoints/{endpoint['id']}/test"
    tested = data(api.post(url), 200)
    assert tested["succeeded"] and tested["attempt"]["status"] == 204
    [hook] = receiver.wait(path)
    assert hook.id == tested["webhook_id"] and hook.body["type"] == "webhook.test"
    assert in_python([(endpoint["secret"], hook.headers, hook.raw)]) == [hook.body]
    receiver.answer(path, 500)
    tested = data(api.post(url), 200)
    assert not tested["succeeded"] and tested["attempt"]["status"] == 500
    assert deliveries(api, endpoint) == []


def test_the_log_shows_every_attempt_and_any_event_can_be_replayed(server, api, receiver, path, endpoint):
    receiver.answer(path, 503)
    happen(api)
    [failed] = eventually(lambda: deliveries(api, endpoint, status="pending"))
    assert failed["event_type"] == "inbox.created" and failed["attempts"][0]["status"] == 503
    assert TIME.match(failed["next_attempt_at"]) and failed["attempts"][0]["latency_ms"] >= 0
    receiver.answer(path, 204)
    url = f"/webhook-deliveries/{failed['id']}"
    data(api.post(url + "/replay"), 200)

    def delivered():
        now = data(api.get(url))
        assert now["status"] == "delivered"
        return now

    again = eventually(delivered, 20)
    assert [attempt["status"] for attempt in again["attempts"]][-1] == 204 and len(again["attempts"]) >= 2
    assert {hook.id for hook in receiver.hooks(path)} == {failed["webhook_id"]}
    assert deliveries(api, endpoint, status="delivered") == [again] and not deliveries(api, endpoint, status="dead")
    refused(api.get(f"/webhook-endpoints/{endpoint['id']}/deliveries", status="lost"), 422)
    assert server.metric("kabar_webhook_attempts_total", outcome="delivered") >= 1
    assert server.metric("kabar_webhook_attempts_total", outcome="retry") >= 1


def test_everything_since_a_time_is_delivered_again(api, receiver, path, endpoint):
    began = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    happen(api, 5)
    first = {hook.id for hook in receiver.wait(path, 5)}
    eventually(lambda: len(deliveries(api, endpoint, status="delivered")) == 5)
    url = f"/webhook-endpoints/{endpoint['id']}/replay"
    assert data(api.post(url, {"since": began}), 202)["from_event_id"] >= 1
    hooks = receiver.wait(path, 10)
    assert {hook.id for hook in hooks[5:10]} == first and len(first) == 5
    pages = api.all(f"/webhook-endpoints/{endpoint['id']}/deliveries")
    assert len(pages) == 5
    refused(api.post(url), 422, "The since field is required.")
    refused(api.post(url, {"since": "yesterday"}), 422)


def test_an_endpoint_that_is_gone_is_switched_off_with_a_notice(api, receiver, path, endpoint):
    receiver.answer(path, 410)
    happen(api)

    def off():
        now = data(api.get(f"/webhook-endpoints/{endpoint['id']}"))
        assert not now["enabled"]
        return now

    gone = eventually(off)
    assert gone["disabled_reason"] == "gone" and TIME.match(gone["disabled_at"])
    [notice] = data(api.get("/events", types="webhook_endpoint.disabled"))
    assert notice["subject_id"] == endpoint["id"] and notice["data"]["reason"] == "gone"
    happen(api, 2)
    receiver.answer(path, 204)
    data(api.patch(f"/webhook-endpoints/{endpoint['id']}", {"enabled": True}))
    receiver.wait(path, lambda hooks: len({hook.id for hook in hooks}) == 3)


@pytest.mark.faults
def test_a_killed_server_goes_on_where_it_was(backend, make_kabar, new_database, receiver, path):
    kabar = make_kabar(new_database(backend))
    kabar.start()
    token = login(kabar, kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
    api = Organisation(kabar, token).api
    create(api, receiver.url(path), ["inbox.created"])
    # It dies while some of them are under way.
    happen(api, 30)
    kabar.kill()
    kabar.start()
    happen(api, 5)
    # On PostgreSQL a lease of the dead runs out after a minute.
    hooks = receiver.wait(path, lambda hooks: len({hook.id for hook in hooks}) == 35, 90)
    seqs = {hook.body["seq"] for hook in hooks}
    assert len(seqs) == 35 and max(seqs) - min(seqs) == 34


@pytest.mark.faults
def test_an_app_is_away_for_a_day(backend, make_kabar, new_database, clock, receiver, path):
    kabar = make_kabar(new_database(backend), environment=clock.environment).start()
    token = login(kabar, kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"]
    api = Organisation(kabar, token).api
    receiver.answer(path, 503)
    create(api, receiver.url(path), ["inbox.created"])
    for hours in (0, 1, 8, 24):
        clock.set(hours)
        tried = len(receiver.hooks(path))
        happen(api, 5)
        receiver.wait(path, tried + 1)
    taken = len(receiver.hooks(path))
    receiver.answer(path, 204)
    clock.set(48)
    hooks = receiver.wait(path, lambda hooks: len({hook.id for hook in hooks[taken:]}) == 20, 60)[taken:]
    assert len(hooks) == 20, "each once"
    assert len({hook.body["seq"] for hook in hooks}) == 20
