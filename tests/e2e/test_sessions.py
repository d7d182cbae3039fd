"""Signing in with a browser: the page, its cookie, and what other sites can do with it."""

import html
import re

import httpx
import pytest
from playwright.sync_api import expect

import harness
from api import Api, Organisation, data, refused, serial
from connecting import browser, create_person, sign_in
from harness import Kabar


@pytest.fixture
def person(organisation: Organisation):
    """Creates people in the test's organisation."""
    return lambda role="agent": create_person(organisation, role)


@pytest.fixture
def signed_in(server, person):
    with browser(server) as client:
        assert sign_in(client, *person()).status_code == 303
        yield client


def test_signing_in_leads_on_and_sets_a_cookie_no_script_can_read(server, person):
    with browser(server) as client:
        answer = sign_in(client, *person(), next="/connect?app=crm")
        assert (answer.status_code, answer.headers["location"]) == (303, "/connect?app=crm")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("kabar_session=")
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; ")) and "Secure" not in cookie
        # Who is signed in already is not asked again.
        again = client.get("/login", params={"next": "/app/channels"})
        assert (again.status_code, again.headers["location"]) == (303, "/app/channels")


def test_behind_https_the_cookie_is_for_this_host_alone(make_kabar):
    kabar = make_kabar(environment={"KABAR_PUBLIC_URL": "https://kabar.example.com"}).start()
    with httpx.Client(base_url=kabar.base_url, headers={"Origin": "https://kabar.example.com"}) as client:
        answer = sign_in(client, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-kabar_session=") and "Secure" in cookie.split("; ")
        assert "Domain" not in cookie
        session = cookie.split(";")[0].split("=", 1)[1]
        assert client.get("/api/v1/auth/session", headers={"Cookie": f"__Host-kabar_session={session}"}).is_success
        refused(client.get("/api/v1/auth/session", headers={"Cookie": f"kabar_session={session}"}), 401)


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example/", "/\\evil.example", "/\t/evil.example", ""])
def test_signing_in_leads_nowhere_else(server, person, next_):
    with browser(server) as client:
        assert sign_in(client, *person(), next=next_).headers["location"] == "/app"
        assert client.get("/login", params={"next": next_}).headers["location"] == "/app"


def test_a_wrong_password_shows_the_form_again(server, person):
    email, _ = person()
    with browser(server) as client:
        answer = sign_in(client, email, "not it", next="/app/x")
        assert answer.status_code == 401 and "set-cookie" not in answer.headers
        assert 'role="alert"' in answer.text and f'value="{email}"' in answer.text and 'value="/app/x"' in answer.text
        assert "not it" not in answer.text
        assert sign_in(client, "", "").status_code == 422


def test_markup_in_what_was_typed_is_text(server):
    with browser(server) as client:
        answer = sign_in(client, '"><script>alert(1)</script>@x', "x", next='/"><script>')
        assert "<script" not in answer.text and "&lt;script&gt;" in answer.text


def test_guessing_is_slowed_down_as_over_the_api(server, person):
    email, password = person()
    transport = httpx.HTTPTransport(local_address="127.0.0.41")
    with httpx.Client(base_url=server.base_url, headers={"Origin": server.base_url}, transport=transport) as client:
        answers = [sign_in(client, email, "guess") for _ in range(7)]
        assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) > 0
        # It is one count for both doors.
        body = {"email": email, "password": password}
        assert client.post("/api/v1/auth/login", json=body).status_code == 429


def test_the_session_says_who_is_signed_in(server, organisation, person):
    email, password = person("supervisor")
    with browser(server) as client:
        refused(client.get("/api/v1/auth/session"), 401, "Unauthenticated.")
        sign_in(client, email, password)
        session = data(client.get("/api/v1/auth/session"))
        assert session["user"]["email"] == email
        assert session["organisation"] == session["organisations"][0]
        assert session["organisation"]["id"] == organisation.id
        assert session["abilities"] == ["read", "write", "send"]
        assert session["csrf_token"] and session["expires_at"]


def test_a_session_reads_and_writes_with_its_csrf_token(signed_in):
    assert signed_in.get("/api/v1/contacts").status_code == 200
    token = data(signed_in.get("/api/v1/auth/session"))["csrf_token"]
    made = signed_in.post("/api/v1/contacts", json={"wa_id": "62811"}, headers={"X-CSRF-Token": token})
    data(made, 200, 201)


def test_what_another_site_sends_is_refused(server, signed_in, person):
    token = data(signed_in.get("/api/v1/auth/session"))["csrf_token"]
    with browser(server) as other:
        sign_in(other, *person())
        foreign = data(other.get("/api/v1/auth/session"))["csrf_token"]
    assert foreign != token
    for headers in [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "x"},
        {"X-CSRF-Token": foreign},
        {"X-CSRF-Token": token, "Origin": "https://evil.example"},
        {"X-CSRF-Token": token, "Origin": "null"},
        {"X-CSRF-Token": token, "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": token, "Sec-Fetch-Site": "same-site"},
    ]:
        for method, path in [("POST", "/contacts"), ("PUT", "/channels/x"), ("DELETE", "/channels/x")]:
            answer = signed_in.request(method, f"/api/v1{path}", json={"wa_id": "62812"}, headers=headers)
            refused(answer, 419, "CSRF token mismatch.")
    bare = httpx.Client(base_url=server.base_url, cookies=signed_in.cookies)
    refused(bare.post("/api/v1/contacts", json={"wa_id": "62812"}), 419)
    keyed = {"Idempotency-Key": f"k{serial()}"}
    refused(signed_in.post("/api/v1/contacts", json={"wa_id": "62812"}, headers=keyed), 419)
    assert signed_in.get("/api/v1/contacts").json()["data"] == []


def test_a_program_signs_in_as_a_browser_does(server, person):
    """One that says nothing of where it comes from, as curl."""
    with httpx.Client(base_url=server.base_url) as client:
        answer = sign_in(client, *person())
        assert answer.status_code == 303 and answer.headers["set-cookie"]
        token = data(client.get("/api/v1/auth/session"))["csrf_token"]
        made = client.post("/api/v1/contacts", json={"wa_id": "62813"}, headers={"X-CSRF-Token": token})
        data(made, 200, 201)
        assert client.post("/logout", data={"_token": token}).status_code == 303
        assert client.get("/api/v1/auth/session").status_code == 401


def test_another_site_cannot_sign_anybody_in_or_out(server, person, signed_in):
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with httpx.Client(base_url=server.base_url, headers=headers) as client:
            answer = sign_in(client, *person())
            assert answer.status_code == 419 and "set-cookie" not in answer.headers
    assert signed_in.post("/logout", data={"_token": "x"}).status_code == 419
    assert signed_in.get("/api/v1/auth/session").is_success


def test_a_session_is_a_cookie_and_a_token_is_not(server, signed_in, organisation):
    session = signed_in.cookies["kabar_session"]
    refused(server.http.get("/api/v1/contacts", headers={"Authorization": f"Bearer {session}"}), 401)
    token = organisation.token("admin")
    refused(server.http.get("/api/v1/contacts", headers={"Cookie": f"kabar_session={token}"}), 401)


def test_signing_out_ends_the_session(signed_in):
    kept = signed_in.cookies["kabar_session"]
    token = data(signed_in.get("/api/v1/auth/session"))["csrf_token"]
    answer = signed_in.post("/logout", data={"_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    refused(signed_in.get("/api/v1/auth/session", headers={"Cookie": f"kabar_session={kept}"}), 401)
    # Who is signed out already is only sent on.
    assert signed_in.post("/logout", data={"_token": token}).status_code == 303


def test_a_new_password_ends_sessions(server, person):
    email, password = person()
    with browser(server) as client:
        sign_in(client, email, password)
        server.run("user", "password", "--email", email, "--password-stdin", stdin="another-pass-word\n")
        refused(client.get("/api/v1/auth/session"), 401)


def test_a_session_lives_as_long_as_it_is_used(make_kabar, clock):
    kabar = make_kabar(environment=clock.environment).start()
    with browser(kabar) as client:
        sign_in(client, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)
        for day in (20, 40, 60):
            clock.set(24 * day)
            before = kabar.sql("SELECT expires_at FROM api_tokens")
            assert client.get("/api/v1/auth/session").is_success
            harness.eventually(lambda: kabar.sql("SELECT expires_at FROM api_tokens") != before)
        clock.set(24 * 91)
        refused(client.get("/api/v1/auth/session"), 401)


def test_sessions_are_in_no_list(server, person):
    email, password = person()
    with browser(server) as client:
        sign_in(client, email, password)
        assert "browser" not in server.run("token", "list", "--email", email)


def test_the_pages_may_not_be_framed_kept_or_scripted(server):
    answer = server.http.get("/login")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY" and answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text


def test_the_language_is_the_browsers_or_the_one_chosen(server):
    def lang(**headers: str) -> str:
        return re.search(r'<html lang="(\w+)" dir="(\w+)"', server.http.get("/login", headers=headers).text).group(0)

    assert lang() == '<html lang="en" dir="ltr"'
    assert lang(**{"Accept-Language": "id-ID,en;q=0.5"}) == '<html lang="id" dir="ltr"'
    assert lang(**{"Accept-Language": "id", "Cookie": "lang=ar"}) == '<html lang="ar" dir="rtl"'
    chosen = server.http.get("/login", params={"lang": "ar", "next": "/app/x?a=1&b=2"})
    assert 'dir="rtl"' in chosen.text and chosen.headers["set-cookie"].startswith("lang=ar;")
    # The links to the other languages keep where one wanted to go.
    assert "next=%2Fapp%2Fx%3Fa%3D1%26b%3D2&lang=id" in html.unescape(chosen.text)
    assert "set-cookie" not in server.http.get("/login", params={"lang": "xx"}).headers


@pytest.mark.parametrize("language", ["en", "id", "ar"])
def test_in_a_browser_without_script_by_keyboard(server, person, chromium, language):
    email, password = person()
    context = chromium.new_context(java_script_enabled=False, locale=language)
    page = context.new_page()
    page.goto(server.base_url + "/login?next=/healthz")
    expect(page.locator("#email")).to_be_focused()
    page.keyboard.type(email)
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    # The address is there already; what is wanted is the password.
    expect(page.locator("#password")).to_be_focused()
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/healthz")
    [cookie] = [cookie for cookie in context.cookies() if cookie["name"] == "kabar_session"]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    context.close()


def test_a_caller_with_a_token_has_no_csrf_token(server, organisation):
    session = data(Api(server.base_url, organisation.token("read")).get("/auth/session"))
    assert session["csrf_token"] is None and session["abilities"] == ["read"]
