"""Signing in, tokens and what they allow."""

import concurrent.futures
import hashlib
import statistics
import time

import httpx
import pytest

from api import TOKEN, UNKNOWN_ID, Api, Organisation, data, login, refused, serial
from harness import Kabar


@pytest.fixture
def person(organisation: Organisation):
    """Creates people in the test's organisation."""

    def create(role: str = "agent") -> tuple[str, str]:
        email, password = f"person{serial()}@example.com", f"pass-word-{serial()}"
        organisation.kabar.run(
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
            role,
            stdin=password + "\n",
        )
        return email, password

    return create


def from_address(kabar: Kabar, address: str) -> httpx.Client:
    """A client whose connections come from another loopback address, so that its failures are its own."""
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=kabar.base_url + "/api/v1", transport=transport, timeout=30)


def test_login_gives_a_token_the_user_and_the_organisations(server, organisation, person):
    email, password = person("agent")
    answer = server.http.post(
        "/api/v1/auth/login", json={"email": email, "password": password, "device_name": "laptop"}
    )
    given = data(answer, 200)
    assert TOKEN.fullmatch(given["access_token"])
    assert given["token_type"] == "Bearer"
    assert given["user"]["email"] == email
    assert [(o["id"], o["slug"], o["role"]) for o in given["organisations"]] == [
        (organisation.id, organisation.slug, "agent")
    ]
    assert "password" not in answer.text


def test_me_describes_user_token_and_memberships(server, person):
    email, password = person("supervisor")
    api = Api(server.base_url, login(server, email, password)["access_token"])
    me = data(api.get("/auth/me"), 200)
    assert set(me) >= {"user", "token", "organisations"}
    assert set(me["user"]) >= {"id", "name", "email"} and me["user"]["email"] == email
    assert set(me["token"]) >= {"id", "name", "abilities", "expires_at", "last_used_at"}
    assert sorted(me["token"]["abilities"]) == ["read", "send", "write"]
    assert set(me["organisations"][0]) >= {"id", "name", "slug", "role"}
    assert me["organisations"][0]["role"] == "supervisor"
    assert api.token.split("|")[1] not in api.get("/auth/me").text


def test_user_me_is_the_same_document(server, person):
    email, password = person()
    api = Api(server.base_url, login(server, email, password)["access_token"])
    api.get("/auth/me")
    first, second = data(api.get("/auth/me")), data(api.get("/user/me"))
    first["token"].pop("last_used_at"), second["token"].pop("last_used_at")
    assert first == second


def test_email_is_compared_without_case(server, person):
    email, password = person()
    assert login(server, email.upper(), password)["user"]["email"] == email


def test_bearer_and_api_key_header_both_work(server, organisation):
    token = organisation.token("read")
    for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": f"bearer {token}"}, {"X-API-Key": token}):
        assert server.http.get("/api/v1/channels", headers=headers).status_code == 200, headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer 1|" + "a" * 48},
        {"Authorization": "Bearer 999999999999999999999999|" + "a" * 48},
        {"Authorization": "Bearer -1|" + "a" * 48},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"X-API-Key": ""},
        {"X-API-Key": "1|"},
        {"Authorization": "Bearer \xff\xfe"},
    ],
    ids=lambda headers: repr(headers)[:40],
)
def test_no_or_a_wrong_token_is_401(server, headers):
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    refused(server.http.get("/api/v1/auth/me", headers=encoded), 401, "Unauthenticated.")


def test_the_number_before_the_bar_must_be_the_tokens_own(server, organisation):
    first, second = organisation.token("read"), organisation.token("read")
    mixed = first.split("|")[0] + "|" + second.split("|")[1]
    refused(server.http.get("/api/v1/channels", headers={"X-API-Key": mixed}), 401, "Unauthenticated.")


def test_logout_revokes_only_this_token(server, person):
    email, password = person()
    first = Api(server.base_url, login(server, email, password)["access_token"])
    second = Api(server.base_url, login(server, email, password)["access_token"])
    assert first.post("/auth/logout").is_success
    refused(first.get("/auth/me"), 401, "Unauthenticated.")
    refused(first.post("/auth/logout"), 401, "Unauthenticated.")
    assert second.get("/auth/me").status_code == 200


def test_wrong_password_and_unknown_address_are_answered_alike(server, person):
    email, _ = person()
    with from_address(server, "127.0.0.21") as http:
        wrong = http.post("/auth/login", json={"email": email, "password": "not it"})
        unknown = http.post("/auth/login", json={"email": f"nobody{serial()}@example.com", "password": "not it"})
    assert wrong.status_code == unknown.status_code and wrong.status_code in (401, 422)
    first, second = wrong.json(), unknown.json()
    assert first.pop("request_id") != second.pop("request_id")
    assert first == second
    assert "data" not in first


def test_an_unknown_address_takes_as_long_as_a_wrong_password(server, person):
    def spent(address: str, email: str) -> float:
        with from_address(server, address) as http:
            http.get("/auth/me")
            start = time.perf_counter()
            http.post("/auth/login", json={"email": email, "password": "not it"})
            return time.perf_counter() - start

    known = statistics.median(spent(f"127.0.1.{i}", person()[0]) for i in range(1, 8))
    unknown = statistics.median(spent(f"127.0.2.{i}", f"nobody{serial()}@example.com") for i in range(1, 8))
    assert 0.5 < unknown / known < 2, (known, unknown)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": "x"}, "email"),
        ({"email": "a@example.com"}, "password"),
        ({"email": "", "password": "x"}, "email"),
        ({"email": 5, "password": "x"}, "email"),
        ({}, "email"),
    ],
)
def test_a_missing_field_is_named(server, body, field):
    with from_address(server, "127.0.0.22") as http:
        answer = refused(http.post("/auth/login", json=body), 422)
    assert field in answer["errors"]
    assert answer["errors"][field][0] in answer["message"] or answer["message"] in answer["errors"][field][0]


def test_repeated_failures_close_the_account_for_a_while(server, person):
    email, password = person()
    other, other_password = person()
    with from_address(server, "127.0.0.23") as http:
        for _ in range(60):
            answer = http.post("/auth/login", json={"email": email, "password": "guess"})
            if answer.status_code == 429:
                break
        refused(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
    # The account is closed from elsewhere too, even with the right password; another account is not.
    with from_address(server, "127.0.0.24") as http:
        assert http.post("/auth/login", json={"email": email, "password": password}).status_code == 429
        assert http.post("/auth/login", json={"email": other, "password": other_password}).status_code == 200


def test_an_unknown_account_is_closed_just_the_same(server):
    email = f"nobody{serial()}@example.com"
    with from_address(server, "127.0.0.25") as http:
        answers = [http.post("/auth/login", json={"email": email, "password": "guess"}).status_code for _ in range(60)]
    assert answers[-1] == 429


def test_repeated_failures_close_the_address_for_a_while(server, person):
    email, password = person()

    def guess(_: int) -> int:
        body = {"email": f"nobody{serial()}@example.com", "password": "guess"}
        with from_address(server, "127.0.0.26") as http:
            return http.post("/auth/login", json=body).status_code

    codes: list[int] = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        while 429 not in codes and len(codes) < 320:
            codes += pool.map(guess, range(16))
    assert 429 in codes, f"{len(codes)} failures from one address were all let through"
    with from_address(server, "127.0.0.26") as http:
        assert http.post("/auth/login", json={"email": email, "password": password}).status_code == 429
    with from_address(server, "127.0.0.27") as http:
        assert http.post("/auth/login", json={"email": email, "password": password}).status_code == 200


def test_behind_a_trusted_proxy_clients_are_told_apart(make_kabar):
    kabar = make_kabar(environment={"KABAR_TRUSTED_PROXIES": "127.0.0.1"}).start()
    assert "trusted_proxies = 127.0.0.1" in kabar.run("config", "check")

    def sign_in(peer: str, forwarded: str, email: str, password: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        with from_address(kabar, peer) as http:
            return http.post("/auth/login", json={"email": email, "password": password}, headers=headers).status_code

    def guess_until_closed(peer: str, forwarded) -> None:
        codes = [sign_in(peer, forwarded(n), f"nobody{serial()}@example.com", "guess") for n in range(60)]
        assert codes[-1] == 429, codes

    owner = (Kabar.ADMIN_EMAIL, kabar.keys.admin_password)
    # Whatever the guesser writes in front of what the proxy saw.
    guess_until_closed("127.0.0.1", lambda n: f"203.0.113.{n}, 198.51.100.7")
    assert sign_in("127.0.0.1", "198.51.100.7", *owner) == 429
    assert sign_in("127.0.0.1", "198.51.100.8", *owner) == 200
    # Nobody else is believed.
    guess_until_closed("127.0.0.2", lambda n: f"203.0.113.{n}")
    assert sign_in("127.0.0.2", "198.51.100.9", *owner) == 429


def test_each_ability_opens_its_own_doors(organisation, account):
    read, write, send = (organisation.caller(ability) for ability in ("read", "write", "send"))
    contact, message = {"wa_id": "628123"}, {"channel_id": account.channel_id, "wa_id": "628123", "body": "Halo"}
    assert read.get("/contacts").status_code == 200
    assert write.post("/contacts", contact).status_code == 200
    assert send.post("/messages", message).status_code == 200
    for answer, missing in [
        (read.post("/contacts", contact), "write"),
        (read.post("/messages", message), "send"),
        (write.get("/contacts"), "read"),
        (write.post("/messages", message), "send"),
        (send.get("/contacts"), "read"),
        (send.post("/contacts", contact), "write"),
    ]:
        assert missing in refused(answer, 403)["message"]


def test_admin_implies_all_abilities(organisation, account):
    admin = organisation.caller("admin")
    assert admin.get("/contacts").status_code == 200
    assert admin.post("/contacts", {"wa_id": "628124"}).status_code == 200
    body = {"channel_id": account.channel_id, "wa_id": "628124", "body": "Halo"}
    assert admin.post("/messages", body).status_code == 200


def test_a_role_caps_what_its_people_can_do(server, account, person):
    email, password = person("viewer")
    viewer = Api(server.base_url, login(server, email, password)["access_token"])
    assert viewer.get("/contacts").status_code == 200
    refused(viewer.post("/contacts", {"wa_id": "628125"}), 403)
    refused(viewer.post("/messages", {"channel_id": account.channel_id, "wa_id": "628125", "body": "x"}), 403)


def test_a_token_expires(server, organisation):
    token = organisation.token("read", "--expires-days", "1")
    me = data(Api(server.base_url, token).get("/auth/me"))
    assert me["token"]["expires_at"] is not None
    assert data(Api(server.base_url, organisation.token("read")).get("/auth/me"))["token"]["expires_at"] is None
    late = organisation.token("read", "--expires-days", "1")
    server.sql(f"UPDATE api_tokens SET expires_at = {int(time.time() - 1) * 1_000_000} WHERE id = {late.split('|')[0]}")
    refused(Api(server.base_url, late).get("/auth/me"), 401, "Unauthenticated.")


def test_only_a_hash_of_a_token_is_stored(server, organisation):
    token = organisation.token("read")
    number, secret = token.split("|")
    stored = server.sql(f"SELECT token_hash FROM api_tokens WHERE id = {number}")
    assert stored == hashlib.sha256(secret.encode()).hexdigest()


def test_last_use_is_recorded(organisation):
    caller = organisation.caller("read")
    caller.get("/channels")
    assert data(caller.get("/auth/me"))["token"]["last_used_at"] is not None


def test_a_bound_token_stays_in_its_organisation(server, new_organisation):
    ours, theirs = new_organisation(), new_organisation()
    token = ours.token("read")
    me = data(Api(server.base_url, token).get("/auth/me"))
    assert [o["id"] for o in me["organisations"]] == [ours.id]
    elsewhere = Api(server.base_url, token, theirs.id).get("/channels")
    assert elsewhere.status_code in (403, 404)


def test_a_member_of_several_picks_one_by_id_or_slug(server, new_organisation, admin_token):
    first, second = new_organisation(), new_organisation()
    data(first.api.post("/contacts", {"wa_id": "62811234", "name": "Only in the first"}))
    for name in (first.id, first.slug):
        assert Api(server.base_url, admin_token, name).total("/contacts") == 1
    for name in (second.id, second.slug):
        assert Api(server.base_url, admin_token, name).total("/contacts") == 0
    for name in (UNKNOWN_ID, "no-such-slug"):
        assert Api(server.base_url, admin_token, name).get("/contacts").status_code in (403, 404)
