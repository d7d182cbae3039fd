"""Connecting an app: what a person is asked, what the app gets, and what nobody else can make of it."""

import base64
import hashlib
import re
import secrets

import httpx
import pytest
from playwright.sync_api import expect

import harness
from api import UNKNOWN_ID, Api, data, refused, serial
from browser import in_every_view, person
from connecting import REDIRECT, allow, as_admin, browser, code_of, connect, create_person, form_of, new_app, query_of
from connecting import sign_in
from harness import eventually

INVALID = {"error": "invalid_grant", "message": "Authorization code is invalid, used, or expired."}


@pytest.fixture
def app(api):
    return new_app(api)


@pytest.fixture
def admin(server):
    with as_admin(server) as client:
        yield client


@pytest.fixture
def exchange(server):
    """Exchanges from an address of its own, so that one test's failures do not close another's."""
    transport = httpx.HTTPTransport(local_address=f"127.0.3.{1 + serial() % 250}")
    with httpx.Client(base_url=server.base_url, transport=transport, timeout=30) as client:
        yield lambda **body: client.post("/api/v1/oauth/token", json=body)


def invalid(answer: httpx.Response) -> None:
    body = refused(answer, 400)
    body.pop("request_id")
    assert body == INVALID


def test_an_app_gets_a_token_of_the_person_who_allows_it(server, organisation, api, app, admin, exchange):
    answer = allow(admin, app, organisation.id, state="x y&z")
    assert answer.headers["location"].startswith(REDIRECT + "?")
    back = query_of(answer.headers["location"])
    assert set(back) == {"code", "state"} and back["state"] == "x y&z"
    given = data(exchange(code=back["code"], redirect_uri=REDIRECT), 200)
    assert given["token_type"] == "Bearer" and given["abilities"] == ["read", "send"]
    token = Api(server.base_url, given["access_token"])
    me = data(token.get("/auth/me"))
    assert [place["id"] for place in me["organisations"]] == [organisation.id]
    assert token.get("/contacts").status_code == 200
    refused(token.post("/contacts", {"wa_id": "628"}), 403)
    [row] = api.all("/connected-apps")
    assert row["app"]["slug"] == app["slug"] and row["abilities"] == ["read", "send"]
    assert row["user"]["email"] == harness.Kabar.ADMIN_EMAIL
    eventually(lambda: api.all("/connected-apps")[0]["last_used_at"])
    # It is not among the tokens of programs.
    assert api.all("/tokens") == []


def test_disconnecting_revokes_the_tokens(server, organisation, api, app, admin):
    tokens = [Api(server.base_url, connect(server, admin, app, organisation.id)) for _ in range(2)]
    [row] = api.all("/connected-apps")
    assert api.delete(f"/connected-apps/{row['id']}").status_code == 204
    for token in tokens:
        refused(token.get("/contacts"), 401)
    assert api.all("/connected-apps") == []
    refused(api.delete(f"/connected-apps/{row['id']}"), 404)


def test_deleting_the_app_revokes_its_tokens_everywhere(server, new_organisation, admin):
    ours, theirs = new_organisation(), new_organisation()
    app = new_app(ours.api)
    token = Api(server.base_url, connect(server, admin, app, theirs.id))
    assert token.get("/contacts").status_code == 200
    refused(theirs.api.delete(f"/apps/{app['id']}"), 404)
    assert ours.api.delete(f"/apps/{app['id']}").status_code == 204
    refused(token.get("/contacts"), 401)
    assert theirs.api.all("/connected-apps") == []


@pytest.mark.parametrize("role", ["agent", "viewer"])
def test_people_see_and_end_their_own_connections(server, organisation, api, app, admin, role):
    connect(server, admin, app, organisation.id)
    email, password = create_person(organisation, role)
    with browser(server) as client:
        sign_in(client, email, password)
        connect(server, client, app, organisation.id)
        csrf = {"X-CSRF-Token": data(client.get("/api/v1/auth/session"))["csrf_token"]}
        [own] = data(client.get("/api/v1/connected-apps"))
        assert own["user"]["email"] == email
        [other] = [row for row in api.all("/connected-apps") if row["id"] != own["id"]]
        refused(client.delete(f"/api/v1/connected-apps/{other['id']}", headers=csrf), 404)
        assert client.delete(f"/api/v1/connected-apps/{own['id']}", headers=csrf).status_code == 204


def test_refusing_tells_the_app_so(organisation, api, app, admin):
    answer = allow(admin, app, organisation.id, answer="refuse", state="s1")
    assert answer.status_code == 303
    assert query_of(answer.headers["location"]) == {"error": "access_denied", "state": "s1"}
    assert api.all("/connected-apps") == []


def test_who_is_not_signed_in_signs_in_first_and_comes_back(server, organisation, app):
    query = {"app": app["slug"], "redirect_uri": REDIRECT, "abilities": "read", "state": "a/b"}
    email, password = create_person(organisation, "viewer")
    with browser(server) as client:
        first = client.get("/connect", params=query)
        assert first.status_code == 303 and first.headers["location"].startswith("/login?next=%2Fconnect")
        next_ = query_of(first.headers["location"])["next"]
        answer = sign_in(client, email, password, next=next_)
        assert answer.headers["location"] == next_
        page = client.get(next_)
        assert page.status_code == 200
        assert {k: v for k, v in form_of(page).items() if k in query} == query


@pytest.mark.parametrize(
    "change",
    [
        {"app": "no-such-app"},
        {"app": UNKNOWN_ID},
        {"app": None},
        {"redirect_uri": None},
        {"redirect_uri": REDIRECT + "/"},
        {"redirect_uri": REDIRECT + "?x=1"},
        {"redirect_uri": "https://crm.example.com.evil.example/kabar/callback"},
        {"redirect_uri": "HTTPS://crm.example.com/kabar/callback"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "//evil.example"},
    ],
    ids=str,
)
def test_a_wrong_link_leads_nowhere(organisation, app, admin, change):
    query = {"app": app["slug"], "redirect_uri": REDIRECT, "abilities": "read"} | change
    query = {name: value for name, value in query.items() if value is not None}
    for answer in (
        admin.get("/connect", params=query),
        admin.post("/connect", data=query | {"answer": "allow", "organisation": organisation.id}),
    ):
        assert answer.status_code == 400 and "location" not in answer.headers
        assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"abilities": "launch"}, "invalid_scope"),
        ({"abilities": "read,launch"}, "invalid_scope"),
        ({"code_challenge": "x" * 43}, "invalid_request"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
    ],
    ids=str,
)
def test_an_app_that_asks_wrongly_is_told(app, admin, change, error):
    query = {"app": app["slug"], "redirect_uri": REDIRECT, "abilities": "read", "state": "s"} | change
    answer = admin.get("/connect", params=query)
    assert answer.status_code == 303
    assert query_of(answer.headers["location"]) == {"error": error, "state": "s"}


def test_a_person_gives_no_more_than_their_role_has(server, organisation, app, exchange):
    email, password = create_person(organisation, "viewer")
    with browser(server) as client:
        sign_in(client, email, password)
        page = client.get("/connect", params={"app": app["id"], "redirect_uri": REDIRECT, "abilities": "read,admin"})
        assert "Manage everything" not in page.text
        answer = allow(client, app, organisation.id, abilities="read,write,send,admin")
        given = data(exchange(code=code_of(answer), redirect_uri=REDIRECT), 200)
        assert given["abilities"] == ["read"]
        # Nothing to give: there is nothing to allow.
        page = client.get("/connect", params={"app": app["id"], "redirect_uri": REDIRECT, "abilities": "send"})
        assert page.status_code == 200 and 'value="allow"' not in page.text
        forced = client.post(
            "/connect", data=form_of(page) | {"organisation": organisation.id, "answer": "allow"}
        )
        assert forced.status_code == 422 and "location" not in forced.headers


def test_an_organisation_of_others_cannot_be_chosen(server, organisation, new_organisation, app):
    email, password = create_person(organisation)
    other = new_organisation()
    with browser(server) as client:
        sign_in(client, email, password)
        for name in (other.id, UNKNOWN_ID, "nonsense", ""):
            answer = allow(client, app, name)
            assert answer.status_code == 422 and "location" not in answer.headers


def test_a_form_that_another_site_sends_allows_nothing(server, organisation, api, app, admin):
    page = admin.get("/connect", params={"app": app["slug"], "redirect_uri": REDIRECT, "abilities": "admin"})
    good = form_of(page) | {"organisation": organisation.id, "answer": "allow"}
    email, password = create_person(organisation)
    with browser(server) as other:
        sign_in(other, email, password)
        foreign = form_of(other.get("/connect", params={"app": app["slug"], "redirect_uri": REDIRECT}))["_token"]
    for body, headers in [
        (good | {"_token": ""}, {}),
        (good | {"_token": foreign}, {}),
        (good, {"Origin": "https://evil.example"}),
        (good, {"Origin": "null"}),
        (good, {"Sec-Fetch-Site": "cross-site"}),
    ]:
        answer = admin.post("/connect", data=body, headers=headers)
        assert answer.status_code == 419 and "location" not in answer.headers
    assert api.all("/connected-apps") == []


def test_a_code_is_good_once_and_a_replay_revokes(server, organisation, api, app, admin, exchange):
    code = code_of(allow(admin, app, organisation.id))
    token = Api(server.base_url, data(exchange(code=code, redirect_uri=REDIRECT), 200)["access_token"])
    other = Api(server.base_url, connect(server, admin, app, organisation.id))
    assert token.get("/contacts").status_code == 200
    invalid(exchange(code=code, redirect_uri=REDIRECT))
    refused(token.get("/contacts"), 401)
    # Tokens that other codes gave are not touched.
    assert other.get("/contacts").status_code == 200
    invalid(exchange(code=code, redirect_uri=REDIRECT))
    assert "token.revoked" in [event["type"] for event in api.all("/events")]


def test_what_does_not_fit_is_one_answer(organisation, app, admin, exchange):
    code = code_of(allow(admin, app, organisation.id))
    invalid(exchange(code="x" * 48, redirect_uri=REDIRECT))
    invalid(exchange(code=code, redirect_uri=REDIRECT + "/"))
    invalid(exchange(code=code))
    invalid(exchange(redirect_uri=REDIRECT))
    invalid(exchange(code=code, redirect_uri=REDIRECT, code_verifier="v" * 43))
    invalid(exchange(code=5, redirect_uri=REDIRECT))
    # None of these used it up.
    data(exchange(code=code, redirect_uri=REDIRECT), 200)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"code", b"\xff\xfe", b'{"code": "\\u0000"}'], ids=repr)
def test_a_body_that_is_none_is_no_code(server, body):
    transport = httpx.HTTPTransport(local_address=f"127.0.4.{1 + serial() % 250}")
    with httpx.Client(base_url=server.base_url, transport=transport) as client:
        invalid(client.post("/api/v1/oauth/token", content=body))


def test_a_form_as_oauth_clients_send_it(server, organisation, app, admin):
    body = {"grant_type": "authorization_code", "client_id": app["slug"], "redirect_uri": REDIRECT}
    code = code_of(allow(admin, app, organisation.id))
    data(server.http.post("/api/v1/oauth/token", data=body | {"code": code}), 200)


def test_a_code_expires_after_five_minutes(server, organisation, app, admin, exchange):
    code = code_of(allow(admin, app, organisation.id))
    hashed = hashlib.sha256(code.encode()).hexdigest()
    lasts = server.sql(f"SELECT expires_at - created_at FROM connect_codes WHERE code_hash = '{hashed}'")
    assert int(lasts) == 300_000_000
    server.sql(f"UPDATE connect_codes SET expires_at = created_at WHERE code_hash = '{hashed}'")
    invalid(exchange(code=code, redirect_uri=REDIRECT))


def test_a_code_of_an_address_given_up_is_not_good(organisation, api, app, admin, exchange):
    code = code_of(allow(admin, app, organisation.id))
    data(api.patch(f"/apps/{app['id']}", {"redirect_uris": ["https://crm.example.com/other"]}))
    invalid(exchange(code=code, redirect_uri=REDIRECT))


def test_pkce_is_enforced_when_it_is_used(organisation, app, admin, exchange):
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    code = code_of(allow(admin, app, organisation.id, **pkce))
    invalid(exchange(code=code, redirect_uri=REDIRECT))
    invalid(exchange(code=code, redirect_uri=REDIRECT, code_verifier=challenge))
    invalid(exchange(code=code, redirect_uri=REDIRECT, code_verifier=verifier + "x"))
    data(exchange(code=code, redirect_uri=REDIRECT, code_verifier=verifier), 200)


def test_guessing_codes_is_slowed_down(server, organisation, app, admin):
    transport = httpx.HTTPTransport(local_address="127.0.0.42")
    with httpx.Client(base_url=server.base_url, transport=transport) as client:
        for _ in range(25):
            answer = client.post("/api/v1/oauth/token", json={"code": "guess", "redirect_uri": REDIRECT})
        refused(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
    # Elsewhere it goes on.
    connect(server, admin, app, organisation.id)


def test_only_a_hash_of_a_code_is_stored(server, organisation, app, admin):
    code = code_of(allow(admin, app, organisation.id))
    hashed = hashlib.sha256(code.encode()).hexdigest()
    assert server.sql(f"SELECT code_hash FROM connect_codes WHERE code_hash = '{hashed}'") == hashed
    assert code not in server.log()


def test_the_page_says_what_is_asked_and_by_whom(organisation, new_organisation, admin):
    app = new_app(organisation.api, name='<b>"CRM" & co</b>')
    page = admin.get("/connect", params={"app": app["slug"], "redirect_uri": REDIRECT, "abilities": "read,send"})
    for said in ("&lt;b&gt;&quot;CRM&quot; &amp; co&lt;/b&gt;", f"Test {organisation.slug}", "crm.example.com"):
        assert said in page.text
    assert "<b>" not in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://crm.example.com;" in policy and "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY" and page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "fields",
    [
        {"redirect_uris": []},
        {"redirect_uris": ["http://crm.example.com/"]},
        {"redirect_uris": ["https://crm.example.com/#x"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": [REDIRECT, "https://u:p@crm.example.com/"]},
        {"name": ""},
        {"slug": "With Space"},
        {"slug": UNKNOWN_ID},
        {"homepage": "javascript:alert(1)"},
        {"logo_media_id": UNKNOWN_ID},
    ],
    ids=str,
)
def test_an_app_is_registered_with_sound_facts_only(api, app, fields):
    [field] = fields
    body = {"name": "CRM", "slug": f"crm-{serial()}", "redirect_uris": [REDIRECT], **fields}
    for answer in (api.post("/apps", body), api.patch(f"/apps/{app['id']}", fields)):
        assert any(name.startswith(field) for name in refused(answer, 422)["errors"])


def test_a_slug_is_unique_on_the_server(api, app, new_organisation):
    body = {"name": "CRM", "slug": app["slug"], "redirect_uris": [REDIRECT]}
    for caller in (api, new_organisation().api):
        assert refused(caller.post("/apps", body), 422)["message"] == "The slug has already been taken."


@pytest.mark.parametrize(("language", "allow_"), [("en", "Allow"), ("id", "Izinkan"), ("ar", "السماح")])
def test_in_a_browser_without_script_by_keyboard(server, organisation, chromium, language, allow_):
    """From the app's link over signing in to the app's own page, and never a click."""
    listener = httpx.URL(server.base_url).copy_with(path="/healthz")
    app = new_app(organisation.api, redirect_uris=[str(listener)])
    email, password = create_person(organisation, "supervisor")
    context = chromium.new_context(java_script_enabled=False, locale=language)
    page = context.new_page()
    problems = []
    # Policies that stop something are told there; that there is no icon is not of interest.
    told = lambda said: said.type == "error" and "Failed to load resource" not in said.text  # noqa: E731
    page.on("console", lambda said: problems.append(said.text) if told(said) else None)
    query = httpx.QueryParams({"app": app["slug"], "redirect_uri": str(listener), "abilities": "read,send", "state": "s"})
    page.goto(f"{server.base_url}/connect?{query}")
    expect(page.locator("#email")).to_be_focused()
    page.keyboard.type(email)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name=allow_, exact=True)
    expect(button).to_be_visible()
    assert page.locator("html").get_attribute("dir") == ("rtl" if language == "ar" else "ltr")
    for _ in range(10):
        page.keyboard.press("Tab")
        if button.evaluate_handle("e => e === document.activeElement").json_value():
            break
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/healthz?code=*&state=s")
    assert problems == []
    context.close()


@in_every_view
def test_as_people_look_at_it(server, organisation, new_organisation, open_app, tmp_path, view):
    """Each page in each language, light and dark, at both sizes, as a screen reader sees it."""
    other, who = new_organisation("PT Sumber Makmur Abadi"), person(organisation, "agent")
    server.run("user", "role", "--email", who.email, "--organisation", other.slug, "--role", "viewer")
    app = new_app(organisation.api, name="Meja Layanan Pelanggan")
    query = httpx.QueryParams({"app": app["slug"], "redirect_uri": REDIRECT, "abilities": "read,write,send,admin"})
    browser = open_app(view)
    browser.expected |= {400, 401}
    page = browser.page

    def look(name: str) -> None:
        browser.check()
        page.screenshot(path=tmp_path / f"{name}-{view}.png", full_page=True)

    page.goto(server.base_url + "/login")
    look("login")
    page.fill("#email", who.email)
    page.fill("#password", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    look("wrong")
    page.goto(f"{server.base_url}/connect?app=nothing&redirect_uri={REDIRECT}")
    look("unknown")
    browser.sign_in(who)
    page.goto(f"{server.base_url}/connect?{query}")
    expect(page.get_by_role("radio")).to_have_count(2)
    expect(page.get_by_role("radio", name=re.compile("PT Sumber Makmur Abadi"))).to_be_visible()
    look("several")
    viewer = person(organisation, "viewer")
    browser.sign_in(viewer)
    page.goto(f"{server.base_url}/connect?{query}")
    expect(page.get_by_role("radio")).to_have_count(0)
    expect(page.get_by_role("listitem").first).to_be_visible()
    look("one")
    page.goto(f"{server.base_url}/connect?{query.set('abilities', 'send')}")
    look("nothing")
    # Another language keeps what is asked for.
    page.get_by_role("link", name="English" if view.language != "en" else "Bahasa Indonesia").click()
    assert httpx.URL(page.url).params["app"] == app["slug"]
    expect(page.get_by_role("heading", level=1)).to_contain_text("Meja Layanan Pelanggan")


def test_an_app_on_another_origin_gets_its_person_back(server, organisation, chromium):
    """Browsers hold a form's redirects to `form-action` too."""
    port = harness.free_port()
    app = new_app(organisation.api, redirect_uris=[f"http://127.0.0.1:{port}/cb"])
    email, password = create_person(organisation, "supervisor")
    context = chromium.new_context()
    page = context.new_page()
    context.route(f"http://127.0.0.1:{port}/**", lambda route: route.fulfill(body="the app", content_type="text/plain"))
    query = httpx.QueryParams({"app": app["slug"], "redirect_uri": app["redirect_uris"][0]})
    page.goto(f"{server.base_url}/connect?{query}")
    page.fill("#email", email)
    page.fill("#password", password)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(f"http://127.0.0.1:{port}/cb?code=*")
    expect(page.get_by_text("the app")).to_be_visible()
    context.close()
