"""Numbers connected through Meta's dialog: every step, what each failure says, and going on after it."""

import concurrent.futures
import re
import secrets
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import whatsapp as wa
from harness import Kabar, eventually

from api import ULID, UNKNOWN_ID, Api, Organisation, data, login, refused, serial

PATH = "/api/integrations/meta/embedded-signup"
STEPS = [
    "exchange_code",
    "debug_token",
    "subscribe_app",
    "phone_numbers",
    "register",
    "sync_templates",
    "sync_history",
]


class Business:
    """A business account at Meta, with numbers that nobody has connected."""

    def __init__(self, simulator, numbers=1, **state):
        self.simulator = simulator
        self.numbers = [wa.Number.new(serial()) for _ in range(numbers)]
        self.waba_id, self.token = self.numbers[0].waba_id, self.numbers[0].access_token
        for number in self.numbers:
            simulator.add_number(
                number.phone_number_id,
                self.waba_id,
                number.phone_number,
                "Acme",
                self.token,
            )
            self.set(number, **({"registered": False} | state))

    def set(self, number=None, **state):
        number = number or self.numbers[0]
        self.simulator.post(
            "whatsapp/number", {"phone_number_id": number.phone_number_id, **state}
        )

    def code(self):
        return f"sim-{self.numbers[0].phone_number_id}-{secrets.token_hex(8)}"

    def request(self, **more):
        return {"code": self.code(), "waba_id": self.waba_id, **more}

    def calls(self, method):
        ids = {number.phone_number_id for number in self.numbers} | {self.waba_id}
        return [
            r
            for r in self.simulator.requests(method=method)
            if ids & set(r["path"].split("/"))
        ]


@pytest.fixture
def business(simulator):
    return Business(simulator)


@pytest.fixture
def connect(server, api):
    def post(request):
        return api.http.post(server.base_url + PATH, json=request)

    return post


def statuses(signup):
    return {step["name"]: step["status"] for step in signup["steps"]}


def failed_step(signup):
    assert signup["status"] == "failed", signup
    [step] = [step for step in signup["steps"] if step["status"] == "failed"]
    at = STEPS.index(step["name"])
    assert all(
        step["status"] in ("completed", "skipped") for step in signup["steps"][:at]
    )
    assert all(step["status"] == "pending" for step in signup["steps"][at + 1 :])
    return step


def test_a_code_becomes_a_connected_number(
    server, organisation, api, connect, business
):
    number = business.numbers[0]
    signup = data(connect(business.request()), 200)
    assert ULID.match(signup["id"]) and (signup["status"], signup["waba_id"]) == (
        "completed",
        business.waba_id,
    )
    assert [step["name"] for step in signup["steps"]] == STEPS
    assert statuses(signup) == dict.fromkeys(STEPS, "completed") | {
        "sync_history": "skipped"
    }
    account = data(api.get(f"/messaging-accounts/{signup['messaging_account_ids'][0]}"))
    assert (account["status"], account["phone_number_id"]) == (
        "connected",
        number.phone_number_id,
    )
    assert (account["waba_id"], account["display_name"]) == (business.waba_id, "Acme")
    assert signup["channel_ids"] == [account["channel_id"]]
    [register] = business.calls("register")
    assert re.fullmatch(r"\d{6}", register["body"]["pin"])
    assert business.calls("subscribed_apps") and api.all("/templates")
    # Messages come and go.
    incoming = wa.message("6281355500001", content={"body": "halo"})
    wa.deliver(server, wa.arrival(number, incoming))
    assert organisation.message(incoming["id"])["channel_id"] == account["channel_id"]
    sent = data(
        api.post(
            "/messages",
            {
                "wa_id": "6281355500001",
                "body": "hai",
                "channel_id": account["channel_id"],
            },
        )
    )
    eventually(lambda: business.simulator.sent(callback_data=sent["id"]))
    # Nothing secret is shown, logged, or stored in the clear.
    shown = (
        api.get("/embedded-signups").text
        + api.get(f"/embedded-signups/{signup['id']}").text
    )
    assert [row["id"] for row in api.all("/embedded-signups")] == [signup["id"]]
    for secret in (register["body"]["pin"], business.token, server.keys.app_secret):
        assert f'"{secret}"' not in shown and secret not in server.log()
    assert (
        server.sql(
            "SELECT count(*) FROM signups WHERE secrets IS NOT NULL AND organisation_id IS NOT NULL"
        )
        == "0"
    )
    kinds = [event["type"] for event in api.all("/events")]
    assert "embedded_signup.started" in kinds and "embedded_signup.completed" in kinds


def test_all_numbers_or_the_one_that_is_wanted(api, connect, simulator):
    business = Business(simulator, numbers=3)
    wanted = business.numbers[1].phone_number_id
    one = data(connect(business.request(phone_number_id=wanted, pin="123456")))
    assert [row["phone_number_id"] for row in api.all("/messaging-accounts")] == [
        wanted
    ]
    assert [call["body"]["pin"] for call in business.calls("register")] == ["123456"]
    every = data(connect(business.request()))
    assert (
        len(every["messaging_account_ids"]) == 3
        and one["messaging_account_ids"][0] in every["messaging_account_ids"]
    )
    # One is the account it was; its number is registered already.
    assert (
        len(api.all("/messaging-accounts")) == 3
        and len(business.calls("register")) == 3
    )


def test_the_same_code_again_is_the_same_signup(
    server, organisation, connect, business, new_organisation
):
    request = business.request()
    first = data(connect(request))
    assert data(connect(request))["id"] == first["id"]
    exchanged = [
        r
        for r in business.simulator.requests(method="access_token")
        if r["body"].get("code") == request["code"]
    ]
    assert len(exchanged) == 1
    answer = refused(connect(request | {"waba_id": "4711"}), 422)
    assert answer["errors"].keys() == {"code"}
    # Elsewhere it is a code that was used.
    other = new_organisation()
    signup = data(other.api.http.post(server.base_url + PATH, json=request))
    assert signup["id"] != first["id"]
    step = failed_step(signup)
    assert (step["name"], step["detail"]) == (
        "exchange_code",
        "The code was used already.",
    )
    assert step["action"].startswith("Start the signup again")
    refused(other.api.post(f"/embedded-signups/{signup['id']}/resume"), 409)


def test_one_code_from_several_at_once(server, organisation, api, business):
    request = business.request()
    token = organisation.token("admin")

    def post(_):
        headers = {"Authorization": f"Bearer {token}"}
        return data(httpx.post(server.base_url + PATH, json=request, headers=headers, timeout=30))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        signups = list(pool.map(post, range(6)))
    assert {signup["id"] for signup in signups} == {signups[0]["id"]}
    path = f"/embedded-signups/{signups[0]['id']}"
    eventually(lambda: data(api.get(path))["status"] == "completed")
    assert len(api.all("/messaging-accounts")) == 1 and len(business.calls("register")) == 1


def test_a_token_that_is_taken_back_meanwhile(connect, business, simulator):
    simulator.fault("error", method="phone_numbers", code=190)
    step = failed_step(data(connect(business.request())))
    assert step["name"] == "phone_numbers" and step["action"].startswith("Start the signup again")


def test_signing_up_again_renews_the_token(server, api, connect, business, simulator):
    first = data(connect(business.request()))
    number = business.numbers[0]
    fresh = "EAA" + secrets.token_hex(20)
    simulator.post(
        "tokens", {"phone_number_id": number.phone_number_id, "access_token": fresh}
    )
    second = data(connect(business.request()))
    assert second["status"] == "completed"
    assert second["messaging_account_ids"] == first["messaging_account_ids"]
    sent = data(
        api.post(
            "/messages",
            {
                "wa_id": "6281355500002",
                "body": "hai",
                "channel_id": second["channel_ids"][0],
            },
        )
    )
    eventually(lambda: simulator.sent(callback_data=sent["id"]))


def test_a_number_of_the_business_app_brings_its_history(
    organisation, api, connect, simulator
):
    business = Business(simulator, registered=True, is_on_biz_app=True)
    signup = data(connect(business.request()))
    assert statuses(signup) == dict.fromkeys(STEPS, "completed") | {
        "register": "skipped"
    }
    assert not business.calls("register")
    assert [call["body"]["sync_type"] for call in business.calls("smb_app_data")] == [
        "smb_app_state_sync",
        "history",
    ]
    eventually(
        lambda: (
            {m["body"] for m in organisation.messages()}
            == {"Is the pump back?", "Since this morning."}
        )
    )
    [account] = api.all("/messaging-accounts")
    assert account["messages_per_second"] == 20


def fault(method, code):
    return lambda business: business.simulator.fault("error", method=method, code=code)


def token(**state):
    return lambda business: business.simulator.post(
        "whatsapp/token", {"access_token": business.token, **state}
    )


FAILURES = {
    "wrong_secret": (
        lambda business: business.simulator.configure(app_secret="x"),
        "exchange_code",
        "app secret is wrong",
        "META_APP_SECRET",
    ),
    "another_app": (
        token(app_id="7"),
        "debug_token",
        "of another app, 7",
        "META_APP_ID",
    ),
    "no_permission": (
        token(scopes=["whatsapp_business_management"]),
        "debug_token",
        "lacks the permission whatsapp_business_messaging",
        "Configurations",
    ),
    "another_business": (
        token(waba_ids=["4711"]),
        "debug_token",
        "does not reach the business account",
        "choose this business account",
    ),
    "not_subscribed": (
        fault("subscribed_apps", 200),
        "subscribe_app",
        "(Meta's code 200)",
        "permissions",
    ),
    "numbers_refused": (
        fault("phone_numbers", 10),
        "phone_numbers",
        "(Meta's code 10)",
        "permissions",
    ),
    "another_pin": (
        lambda business: business.set(pin="222222"),
        "register",
        "(Meta's code 133005)",
        "give it as `pin`",
    ),
    "not_verified": (
        lambda business: business.set(verified=False),
        "register",
        "(Meta's code 133006)",
        "Verify the number",
    ),
    "too_often": (
        fault("register", 133016),
        "register",
        "(Meta's code 133016)",
        "72 hours",
    ),
    "templates_refused": (
        fault("message_templates", 200),
        "sync_templates",
        "(Meta's code 200)",
        "permissions",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_says_what_to_do(server, api, connect, business, failure):
    break_it, name, detail, action = FAILURES[failure]
    break_it(business)
    signup = data(connect(business.request()), 200)
    step = failed_step(signup)
    assert (
        step["name"] == name and detail in step["detail"] and action in step["action"]
    ), step
    assert business.token not in str(signup) and server.keys.app_secret not in str(
        signup
    )
    assert signup["channel_ids"] == [
        row["channel_id"] for row in api.all("/messaging-accounts")
    ]
    assert data(api.get(f"/embedded-signups/{signup['id']}")) == signup
    resume = f"/embedded-signups/{signup['id']}/resume"
    if name == "exchange_code":
        refused(api.post(resume), 409)
        return
    # Once it is mended the signup goes on where it stopped, with the token it has.
    token(app_id=None, scopes=None, waba_ids=None)(business)
    business.set(verified=True)
    body = {"pin": "222222"} if failure == "another_pin" else {}
    done = data(api.post(resume, body))
    assert done["status"] == "completed" and done["id"] == signup["id"], done
    assert data(api.post(resume))["steps"] == done["steps"], (
        "what is completed stays as it is"
    )


@pytest.mark.parametrize(
    "code, detail", [("expired", "30 seconds"), ("garbage", "does not take the code")]
)
def test_a_bad_code_ends_it(connect, api, business, code, detail):
    step = failed_step(data(connect({"code": code, "waba_id": business.waba_id})))
    assert step["name"] == "exchange_code" and detail in step["detail"]
    assert "Start the signup again" in step["action"]
    assert api.all("/messaging-accounts") == []


def test_history_too_late(connect, simulator):
    business = Business(simulator, registered=True, is_on_biz_app=True)
    fault("smb_app_data", 2593108)(business)
    step = failed_step(data(connect(business.request())))
    assert step["name"] == "sync_history" and "WhatsApp Business app" in step["action"]


def test_numbers_that_are_not_there(connect, simulator):
    business = Business(simulator)
    step = failed_step(data(connect(business.request(phone_number_id="4711"))))
    assert step["name"] == "phone_numbers" and "has no number 4711" in step["detail"]


def test_a_number_of_another_organisation(server, connect, simulator, new_organisation):
    business = Business(simulator)
    other = new_organisation()
    theirs = data(other.api.http.post(server.base_url + PATH, json=business.request()))
    signup = data(connect(business.request()))
    step = failed_step(signup)
    assert step["name"] == "phone_numbers" and "Another organisation" in step["detail"]
    assert other.slug not in str(signup) and other.id not in str(signup)
    assert (
        data(
            other.api.get(f"/messaging-accounts/{theirs['messaging_account_ids'][0]}")
        )["status"]
        == "connected"
    )


def test_a_passing_trouble_is_waited_out(connect, business, simulator):
    for method in ("access_token", "debug_token", "subscribed_apps"):
        simulator.fault("server_error", method=method)
    assert data(connect(business.request()))["status"] == "completed"


def test_a_code_that_is_used_up_by_a_lost_answer(connect, business, simulator):
    simulator.fault("drop_answer", method="access_token")
    step = failed_step(data(connect(business.request())))
    assert step["detail"].startswith("The code was used already. ") and "No answer" in step["detail"]
    assert step["action"].startswith("Start the signup again")


def test_what_is_asked_for(server, organisation, connect, api, business):
    answer = refused(connect({}), 422, "The code field is required.")
    assert answer["errors"] == {
        "code": ["The code field is required."],
        "waba_id": ["The waba id field is required."],
    }
    answer = refused(
        connect({"code": "a" * 1025, "waba_id": "b" * 65, "pin": "12345x"}), 422
    )
    assert answer["errors"] == {
        "code": ["The code field must not be greater than 1024 characters."],
        "waba_id": ["The waba id field must not be greater than 64 characters."],
        "pin": ["The pin field must be 6 digits."],
    }
    refused(server.http.post(PATH, json=business.request()), 401, "Unauthenticated.")
    for ability in ("read", "write", "send"):
        refused(
            organisation.caller(ability).http.post(server.base_url + PATH, json={}), 403
        )
    refused(
        api.post(f"/embedded-signups/{UNKNOWN_ID}/resume"),
        404,
        "No query results for model [EmbeddedSignup].",
    )
    assert api.all("/embedded-signups") == []


def test_the_dialog_without_a_script(server, api, connect, business):
    """The address of the dialog leads to Meta and back with a code; the token tells the business account."""
    config = data(api.get("/embedded-signups/config"))
    assert (
        config["is_set_up"]
        and config["graph_version"] == "v24.0"
        and config["missing"] is None
    )
    back = "https://kabar.example.com/app/channels/connect"
    page = httpx.get(
        config["dialog_url"],
        params=httpx.QueryParams(
            {
                **{
                    k: v[0]
                    for k, v in parse_qs(urlsplit(config["dialog_url"]).query).items()
                },
                "redirect_uri": back,
                "state": "s&1",
            }
        ),
    )
    links = [
        link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', page.text)
    ]
    [link] = [link for link in links if business.numbers[0].phone_number_id in link]
    query = parse_qs(urlsplit(link).query)
    assert link.startswith(back) and query["state"] == ["s&1"]
    elsewhere = failed_step(
        data(connect({"code": query["code"][0], "redirect_uri": back + "/x"}))
    )
    assert (
        elsewhere["name"] == "exchange_code" and "redirect_uri" in elsewhere["action"]
    )
    code = next(c for c in links if business.numbers[0].phone_number_id in c)
    page = httpx.get(config["dialog_url"] + f"&redirect_uri={back}&state=2").text
    code = re.search(rf"code=(sim-{business.numbers[0].phone_number_id}-\d+)", page)[1]
    signup = data(connect({"code": code, "redirect_uri": back}))
    assert (signup["status"], signup["waba_id"]) == ("completed", business.waba_id)


def test_a_server_without_an_app_says_so(make_kabar, simulator):
    kabar = make_kabar(
        simulator=simulator, environment={"META_APP_ID": None, "META_CONFIG_ID": None}
    ).start()
    api = Api(
        kabar.base_url,
        login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"],
    )
    config = data(api.get("/embedded-signups/config"))
    assert not config["is_set_up"] and config["dialog_url"] is None
    assert "META_APP_ID and META_CONFIG_ID" in config["missing"]
    answer = refused(
        api.http.post(kabar.base_url + PATH, json={"code": "a", "waba_id": "b"}), 409
    )
    assert "META_APP_ID" in answer["message"]


@pytest.mark.faults
@pytest.mark.parametrize(
    "place",
    [
        "signup_exchange_code_done",
        "signup_exchange_code_noted",
        "signup_subscribe_app_done",
        "signup_phone_numbers_done",
        "signup_register_done",
        "signup_sync_templates_noted",
        "signup_sync_history_done",
    ],
)
def test_killed_between_steps(backend, make_kabar, new_database, simulator, place):
    """Whoever starts next goes on; only a code whose token was lost has to be got again."""
    kabar = make_kabar(new_database(backend), simulator=simulator)
    kabar.environment["KABAR_FAILPOINT"] = place
    kabar.start()
    simulator.clear_faults()
    simulator.configure(
        webhook_whatsapp=kabar.base_url + "/webhooks/whatsapp",
        app_secret=kabar.keys.app_secret,
    )
    business = Business(simulator, registered=True, is_on_biz_app=True)
    organisation = Organisation(
        kabar,
        login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"],
    )
    api = organisation.api
    request = business.request()
    with pytest.raises(httpx.TransportError):
        api.http.post(kabar.base_url + PATH, json=request)
    assert kabar.process.wait() != 0, "the failpoint was not reached"
    del kabar.environment["KABAR_FAILPOINT"]
    kabar._close()
    kabar.sql("UPDATE jobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    kabar.start()

    def ended():
        [signup] = api.all("/embedded-signups")
        return signup if signup["status"] != "running" else None

    signup = eventually(ended, 30)
    if place == "signup_exchange_code_done":
        step = failed_step(signup)
        assert step["name"] == "exchange_code" and step["action"].startswith(
            "Start the signup again"
        )
        assert api.all("/messaging-accounts") == []
        return
    assert signup["status"] == "completed", signup
    assert len(api.all("/messaging-accounts")) == 1 == len(signup["channel_ids"])
    assert (
        data(api.http.post(kabar.base_url + PATH, json=request))["id"] == signup["id"]
    )
    eventually(lambda: len(organisation.messages()) == 2)


@pytest.mark.faults
def test_a_code_that_outlives_its_seconds_is_not_tried(
    backend, make_kabar, new_database, simulator
):
    kabar = make_kabar(new_database(backend), simulator=simulator)
    kabar.environment["KABAR_FAILPOINT"] = "signup_exchange_code_done"
    kabar.start()
    simulator.configure(app_secret=kabar.keys.app_secret)
    simulator.clear_faults()
    business = Business(simulator)
    api = Api(
        kabar.base_url,
        login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"],
    )
    with pytest.raises(httpx.TransportError):
        api.http.post(kabar.base_url + PATH, json=business.request())
    kabar.process.wait()
    del kabar.environment["KABAR_FAILPOINT"]
    kabar._close()
    kabar.sql("UPDATE jobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    kabar.sql("UPDATE signups SET created_at = created_at - 31000000")
    asked = len(simulator.requests(method="access_token"))
    kabar.start()
    eventually(lambda: api.all("/embedded-signups")[0]["status"] == "failed")
    step = failed_step(api.all("/embedded-signups")[0])
    assert (
        "30 seconds" in step["detail"]
        and len(simulator.requests(method="access_token")) == asked
    )
