"""No one gets in without a token, beyond its abilities, or into another organisation.

The cases come from the API's own description: an operation added later is tested without a line here, and a path
whose resource this file does not know fails until it does. The allow-lists may only get shorter.
"""

import re

import httpx
import pytest

import billing
import whatsapp as wa
from api import UNKNOWN_ID, Api, data, refused, serial
from connecting import as_admin, connect, new_app
from harness import Kabar, eventually, stop_quietly

METHODS = ("get", "post", "put", "patch", "delete")

# Where callers need a token.
TOKEN = ("/api/v1/", "/api/integrations/")
# Open to everyone by nature.
PUBLIC = {("post", "/api/v1/auth/login"), ("post", "/api/v1/oauth/token")}
# Open to every token, whatever its abilities: about the token itself.
ANY_ABILITY = {
    ("get", "/api/v1/auth/me"),
    ("get", "/api/v1/user/me"),
    ("get", "/api/v1/auth/session"),
    ("post", "/api/v1/auth/logout"),
}
# Outside /api/v1: signed by the provider, or made to be read without signing in.
OTHER = re.compile(
    r"^/(webhooks/.*|api/webhooks/.*|billing/return/.*|embed/.*|media/.*|healthz|readyz|metrics|openapi\.json|docs.*|demo.*)$"
)


def operations(document):
    found = [(method, path) for path, item in document["paths"].items() for method in METHODS if method in item]
    assert len(found) > 20
    return sorted(found)


@pytest.fixture(scope="module")
def server(backend, workspace, simulator, new_database, _names):
    """One on which organisations pay, so that there are invoices."""
    directory = workspace / f"server-{next(_names)}"
    kabar = Kabar(directory, new_database(backend), simulator=simulator, environment=billing.environment(simulator))
    kabar.start()
    kabar.run("billing", "plans", "set", "--slug", "team", "--name", "Team", "--amount", "299")
    yield kabar
    stop_quietly(kabar)


@pytest.fixture(scope="module")
def document(server):
    return server.http.get("/openapi.json").json()


def call(http: httpx.Client, method: str, path: str, ids: dict[str, str] | None = None, **options):
    filled = re.sub(r"\{(\w+)\}", lambda found: (ids or {}).get(found[1], UNKNOWN_ID), path)
    if method in ("post", "put", "patch"):
        options.setdefault("json", {})
    return http.request(method, filled, **options)


def test_every_path_is_of_a_known_sort(document):
    for path in document["paths"]:
        assert path.startswith(TOKEN) or OTHER.match(path), path


def test_without_a_token_it_is_401(server, document):
    tried = 0
    for method, path in operations(document):
        if not path.startswith(TOKEN) or (method, path) in PUBLIC:
            continue
        for headers in ({}, {"Authorization": "Bearer 1|" + "x" * 48}):
            refused(call(server.http, method, path, headers=headers), 401, "Unauthenticated.")
        tried += 1
    assert tried > 20


def test_without_the_ability_it_is_403(server, organisation, document):
    """A token that may do anything but what the operation needs is refused, before its body is looked at."""
    tokens = {
        "read": organisation.token("read"),
        "write": organisation.token("write"),
        "send": organisation.token("send"),
    }
    weak = {"get": ("write", "send"), "post": ("read",), "put": ("read",), "patch": ("read",), "delete": ("read",)}
    for method, path in operations(document):
        if not path.startswith(TOKEN) or (method, path) in PUBLIC | ANY_ABILITY:
            continue
        for ability in weak[method]:
            answer = call(server.http, method, path, headers={"Authorization": f"Bearer {tokens[ability]}"})
            body = refused(answer, 403)
            assert re.search(r"\b(read|write|send|admin)\b", body["message"]), body


@pytest.fixture
def resources(server, new_organisation):
    """One of everything in an organisation, by the path segment that names its kind."""
    owner = new_organisation("Owner")
    account = owner.whatsapp()
    incoming = wa.message(f"62821{serial() % 10**7:07d}", content={"body": f"rahasia-{serial()}"})
    payload = wa.arrival(account.number, incoming)
    payload["entry"][0]["changes"][0]["value"]["messages"].append({"broken": True})
    wa.deliver(server, payload)
    message = owner.message(incoming["id"])
    conversation = data(owner.api.get(f"/conversations/{message['conversation_id']}"))
    item = data(owner.api.post("/inbox", {"text": "rahasia"}))
    notification = data(
        owner.api.post(
            "/notifications/send",
            {"channels": ["email"], "to": {"email": "rahasia@example.com"}, "text": "rahasia"},
        )
    )
    notice = data(owner.api.post("/notification-templates", {"name": "rahasia", "text": "rahasia"}))
    file = data(owner.api.http.post("/media", files={"file": ("rahasia.txt", b"rahasia")}))
    group = data(owner.api.post("/whatsapp/groups", {"subject": f"rahasia-{serial()}"}))
    eventually(lambda: data(owner.api.get(f"/channels/{group['id']}")))
    server.wait_applied()
    [held] = owner.held()
    # Nobody listens there: what is attempted has a row.
    endpoint = data(owner.api.post("/webhook-endpoints", {"url": "http://127.0.0.1:9/"}))["id"]
    data(owner.api.post("/inbox", {"text": "rahasia"}))
    delivery = eventually(lambda: data(owner.api.get(f"/webhook-endpoints/{endpoint}/deliveries")))[0]
    [template] = eventually(lambda: owner.api.all("/templates"))
    site = data(owner.api.post("/sites", {"name": "rahasia"}))
    facility = data(owner.api.post("/facilities", {"site_id": site["id"], "name": "rahasia"}))
    category = data(owner.api.post("/categories", {"name": "rahasia"}))
    problem = data(owner.api.post("/problems", {"title": "rahasia"}))
    update = data(owner.api.post("/work-updates", {"title": "rahasia"}))
    signup = data(
        owner.api.http.post(
            server.base_url + "/api/integrations/meta/embedded-signup",
            json={"code": f"sim-{account.number.phone_number_id}", "waba_id": account.number.waba_id},
        )
    )
    widget = data(owner.api.post("/widgets", {"slug": f"rahasia-{serial()}", "name": "rahasia"}))
    data(owner.api.post("/embed-tokens", {"slug": widget["slug"], "subject": "rahasia"}))
    [key] = data(owner.api.get("/widget-keys"))
    invoice = billing.Customer(owner, billing.Gateway(server)).checkout()["invoice_id"]
    token = data(owner.api.post("/tokens", {"name": "rahasia", "abilities": ["read"]}))
    app = new_app(owner.api, name="rahasia")
    with as_admin(server) as browser:
        connect(server, browser, app, owner.id)
    [connected] = owner.api.all("/connected-apps")
    ids = {
        "embedded-signups": signup["id"],
        "tokens": str(token["id"]),
        "apps": app["id"],
        "connected-apps": connected["id"],
        "widgets": widget["id"],
        "widget-keys": key["id"],
        "invoices": invoice,
        "problems": problem["id"],
        "work-updates": update["id"],
        "organisations": owner.id,
        "messaging-accounts": account.id,
        "channels": account.channel_id,
        "contacts": conversation["contact_id"],
        "conversations": conversation["id"],
        "messages": message["id"],
        "dead-letters": message["id"],
        "inbox": item["id"],
        "held": held["id"],
        "notifications": notification["id"],
        "media": file["id"],
        "webhook-endpoints": endpoint,
        "webhook-deliveries": delivery["id"],
        "notification-templates": notice["id"],
        "templates": template["id"],
        "groups": group["id"],
        "sites": site["id"],
        "facilities": facility["id"],
        "categories": category["id"],
    }
    return owner, ids, incoming["text"]["body"]


def with_ids(path, ids):
    """The path's parameters, each with the id of the resource that the segment before it names."""
    filled = {}
    segments = path.split("/")
    for before, segment in zip(segments, segments[1:]):
        if found := re.fullmatch(r"\{(\w+)\}", segment):
            assert before in ids, f"{path}: this test needs a `{before}` to try it with a foreign id"
            filled[found[1]] = ids[before]
    return filled


def test_another_organisations_id_is_404(server, document, resources, new_organisation):
    _, ids, secret = resources
    stranger = Api(server.base_url, new_organisation("Stranger").token("admin"))
    headers = {"Authorization": f"Bearer {stranger.token}"}
    tried = 0
    for method, path in operations(document):
        if not path.startswith("/api/v1/") or "{" not in path:
            continue
        answer = call(server.http, method, path, with_ids(path, ids), headers=headers)
        unknown = call(server.http, method, path, headers=headers)
        first, second = refused(answer, 404), refused(unknown, 404)
        # A foreign id and one that does not exist cannot be told apart.
        assert first["message"] == second["message"], (method, path)
        assert secret not in answer.text
        tried += 1
    assert tried >= 9


def test_ids_that_are_no_ids_are_404(server, document, organisation):
    headers = {"Authorization": f"Bearer {organisation.token('admin')}"}
    for method, path in operations(document):
        if path.startswith("/api/v1/") and "{" in path:
            for odd in ("0", "nonsense", "z" * 26, "%2e%2e", "%00", "9" * 400, "é"):
                names = {name: odd for name in re.findall(r"\{(\w+)\}", path)}
                refused(call(server.http, method, path, names, headers=headers), 404)


def test_lists_show_only_ones_own(server, document, resources, new_organisation):
    _, ids, secret = resources
    headers = {"Authorization": f"Bearer {new_organisation('Stranger').token('admin')}"}
    for method, path in operations(document):
        if method != "get" or not path.startswith("/api/v1/") or "{" in path:
            continue
        answer = call(server.http, method, path, headers=headers)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        for name in ids.values():
            # The number of a token may be a number of anything.
            assert len(name) < 26 or name not in answer.text, path
        assert secret not in answer.text, path


def test_the_owner_sees_what_the_stranger_does_not(server, document, resources):
    """The cases above prove something only when the ids are good."""
    owner, ids, _ = resources
    for method, path in operations(document):
        if method == "get" and path.startswith("/api/v1/") and "{" in path:
            answer = call(owner.api.http, "get", server.base_url + path, with_ids(path, ids))
            assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"


def test_foreign_ids_in_bodies_and_filters(resources, new_organisation):
    _, ids, _ = resources
    stranger = new_organisation("Stranger")
    account = stranger.whatsapp()
    api = stranger.api
    send = {"wa_id": "628111", "body": "x"}
    refused(api.post("/messages", send | {"channel_id": ids["channels"]}), 404, "Channel not found.")
    refused(
        api.post("/messages", {"conversation_id": ids["conversations"], "body": "x"}),
        404,
        "No query results for model [Conversation].",
    )
    group = {"kind": "group", "external_id": "g", "display_name": "x"}
    tries = [
        api.post("/channels", group | {"messaging_account_id": ids["messaging-accounts"]}),
        api.put(f"/channels/{account.channel_id}", {"messaging_account_id": ids["messaging-accounts"]}),
        api.put(f"/organisations/{stranger.id}", {"default_messaging_account_id": ids["messaging-accounts"]}),
        api.post("/inbox", {"text": "x", "channel_id": ids["channels"]}),
        api.post("/whatsapp/groups", {"subject": "x", "channel_id": ids["channels"]}),
    ]
    for answer in tries:
        assert answer.status_code in (404, 422), f"{answer.request.url}: {answer.status_code} {answer.text}"
    filtered = api.get("/conversations", channel_id=ids["channels"])
    assert filtered.status_code in (404, 422) or data(filtered) == []


def test_a_session_cannot_pick_an_organisation_it_is_no_member_of(server, organisation, new_organisation):
    email, password = f"person{serial()}@example.com", f"pass-word-{serial()}"
    server.run(
        "user",
        "create",
        "--email",
        email,
        "--name",
        "Ani",
        "--password-stdin",
        "--organisation",
        organisation.slug,
        "--role",
        "owner",
        stdin=password + "\n",
    )
    from api import login

    token = login(server, email, password)["access_token"]
    other = new_organisation()
    for name in (other.id, other.slug):
        unknown = Api(server.base_url, token, UNKNOWN_ID).get("/contacts")
        answer = Api(server.base_url, token, name).get("/contacts")
        assert answer.status_code in (403, 404)
        assert answer.status_code == unknown.status_code
    assert Api(server.base_url, token, organisation.slug).get("/contacts").status_code == 200
    assert (
        data(Api(server.base_url, token).get("/organisations"))
        and Api(server.base_url, token).total("/organisations") == 1
    )


def test_a_wrong_method_or_path_is_json_too(server, organisation):
    headers = {"Authorization": f"Bearer {organisation.token('admin')}"}
    refused(server.http.get("/api/v1/nothing-here", headers=headers), 404)
    refused(server.http.patch("/api/v1/contacts", headers=headers), 405)
