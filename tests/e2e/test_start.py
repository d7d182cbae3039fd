"""Starting, stopping, configuring, and the command line."""

import json
import re
import signal
import socket
import stat
import time

import pytest

import harness
import whatsapp as wa
from api import TOKEN, Api, Organisation, data, login, refused, serial
from harness import PASSWORD, Kabar, eventually


@pytest.fixture
def fresh(backend, make_kabar, new_database, simulator):
    """A server that has never run."""
    return make_kabar(new_database(backend), simulator=simulator)


def printed_password(text):
    """What the first start prints: a line that names the admin's password."""
    found = PASSWORD.findall(text)
    assert len(found) == 1, text
    return found[0]


def test_the_first_start_prints_the_admins_password_once(backend, make_kabar, new_database):
    kabar = make_kabar(new_database(backend), environment={"KABAR_ADMIN_PASSWORD": None})
    kabar.start()
    password = printed_password(kabar.log())
    email = re.search(r"[\w.+-]+@[\w.-]+", kabar.log())[0]
    assert email == Kabar.ADMIN_EMAIL
    given = login(kabar, email, password)
    assert given["organisations"], "the first admin has an organisation to work in"
    api = Api(kabar.base_url, given["access_token"])
    assert data(api.get("/channels")) == []
    assert kabar.stop() == 0
    before = kabar.log()
    kabar.start()
    assert not PASSWORD.search(kabar.log()[len(before) :])
    assert password not in kabar.log()[len(before) :]
    # The session and the person outlive the restart.
    assert api.get("/auth/me").status_code == 200
    assert login(kabar, email, password)


def test_a_given_admin_password_is_never_printed(fresh):
    fresh.start()
    assert fresh.keys.admin_password not in fresh.log()
    assert login(fresh, Kabar.ADMIN_EMAIL, fresh.keys.admin_password)


def test_a_given_admin_password_counts_only_at_the_first_start(fresh):
    fresh.start()
    fresh.stop()
    first = fresh.keys.admin_password
    fresh.environment["KABAR_ADMIN_PASSWORD"] = "another-password-1"
    fresh.start()
    assert login(fresh, Kabar.ADMIN_EMAIL, first)
    refused(
        fresh.http.post("/api/v1/auth/login", json={"email": Kabar.ADMIN_EMAIL, "password": "another-password-1"}),
        fresh.http.post("/api/v1/auth/login", json={"email": "x@example.com", "password": "x"}).status_code,
    )


def test_files_of_the_data_directory_are_private(fresh):
    fresh.start()
    files = [path for path in fresh.data_dir.rglob("*") if path.is_file()]
    keys = [path for path in files if "key" in path.name]
    assert len(keys) == 1, files
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    if stat.S_IMODE(fresh.data_dir.stat().st_mode) & 0o077:
        for path in files:
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, f"{path} is open to others"


def test_another_master_key_is_refused(fresh):
    fresh.start()
    Organisation(fresh, login(fresh, Kabar.ADMIN_EMAIL, fresh.keys.admin_password)["access_token"]).whatsapp()
    fresh.stop()
    [key] = [path for path in fresh.data_dir.rglob("*") if path.is_file() and "key" in path.name]
    key.unlink()
    fresh.start(wait=False)
    # Either it will not start, or it says so when it meets what it cannot read; it never makes a new key in silence.
    assert fresh.process.wait(20) != 0
    assert "key" in fresh.log().lower()


def test_two_servers_start_on_one_new_database(make_kabar, postgres):
    url = postgres.create_database()
    pair = [make_kabar(url, environment={"KABAR_MASTER_KEY": "00" * 32}) for _ in range(2)]
    pair[1].keys = pair[0].keys
    pair[1].environment["KABAR_ADMIN_PASSWORD"] = pair[0].keys.admin_password
    for kabar in pair:
        kabar.start(wait=False)
    for kabar in pair:
        kabar.wait_ready()
    tokens = [login(kabar, Kabar.ADMIN_EMAIL, pair[0].keys.admin_password)["access_token"] for kabar in pair]
    assert Api(pair[0].base_url, tokens[1]).get("/auth/me").status_code == 200


def test_a_second_start_finds_everything_and_is_quick(fresh):
    fresh.start()
    token = login(fresh, Kabar.ADMIN_EMAIL, fresh.keys.admin_password)["access_token"]
    organisation = Organisation(fresh, token)
    account = organisation.whatsapp()
    wa.deliver(fresh, wa.arrival(account.number, incoming := wa.message("62811222")))
    before = organisation.message(incoming["id"])
    assert fresh.stop() == 0
    start = time.monotonic()
    fresh.start()
    took = time.monotonic() - start
    assert organisation.message(incoming["id"]) == before
    # The target is 300 ms for the release build; an unoptimised one gets more.
    assert took < (0.3 if "release" in harness.program("kabar") else 3), took


# Configuration.


@pytest.fixture
def plain(make_kabar):
    return make_kabar()


@pytest.mark.parametrize("command", [("serve",), ("config", "check")])
def test_an_unknown_key_is_refused_with_the_nearest(plain, command):
    path = plain.directory / "kabar.toml"
    path.write_text('listn = "127.0.0.1:0"\n')
    done = plain.cli(*command, "--config", str(path))
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "listn" in said and re.search(r"\blisten\b", said), said


def test_an_unknown_environment_variable_is_refused_too(plain):
    plain.environment["KABAR_LISTN"] = "x"
    done = plain.cli("config", "check")
    assert done.returncode != 0
    assert "KABAR_LISTEN" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KABAR_LISTEN", "nowhere"),
        ("KABAR_DATABASE_URL", "mysql://x"),
        ("KABAR_PUBLIC_URL", "not a url"),
        ("KABAR_MASTER_KEY", "short"),
        ("KABAR_META_BASE_URL", "::"),
        ("KABAR_TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
    ],
)
def test_a_wrong_value_is_named(plain, name, value):
    plain.environment[name] = value
    done = plain.cli("config", "check")
    assert done.returncode != 0
    said = (done.stdout + done.stderr).lower()
    assert name.lower() in said or name.removeprefix("KABAR_").lower() in said


def test_config_check_is_content_with_a_good_one_and_hides_secrets(plain):
    said = plain.run("config", "check")
    assert str(plain.port) in said
    for secret in (
        plain.keys.app_secret,
        plain.keys.admin_password,
        plain.keys.telegram_secret,
        plain.keys.verify_token,
    ):
        assert secret not in said


def test_broken_toml_names_the_line(plain):
    path = plain.directory / "kabar.toml"
    path.write_text('listen = "127.0.0.1:0"\npublic_url = \n')
    done = plain.cli("config", "check", "--config", str(path))
    assert done.returncode != 0 and "2" in done.stdout + done.stderr


def listening(port):
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_flag_beats_environment_beats_file(plain):
    in_file, in_environment, in_flag = (harness.free_port() for _ in range(3))
    path = plain.directory / "kabar.toml"
    path.write_text(f'listen = "127.0.0.1:{in_file}"\n')

    def answers_on(port, *flags, environment):
        plain.environment.pop("KABAR_LISTEN", None)
        if environment:
            plain.environment["KABAR_LISTEN"] = f"127.0.0.1:{in_environment}"
        plain.start("serve", "--config", str(path), *flags, wait=False)
        try:
            eventually(lambda: listening(port))
            assert [p for p in (in_file, in_environment, in_flag) if listening(p)] == [port]
        finally:
            plain.process.kill()

    answers_on(in_file, environment=False)
    answers_on(in_environment, environment=True)
    answers_on(in_flag, "--listen", f"127.0.0.1:{in_flag}", environment=True)


def test_without_any_configuration_it_runs_in_the_current_directory(make_kabar):
    if listening(8080):
        pytest.fail("port 8080 is taken on this machine; free it to test the defaults")
    kabar = make_kabar()
    kabar.environment = harness.bare_environment()
    kabar.port = 8080
    kabar.start()
    try:
        assert printed_password(kabar.log())
        assert [p.name for p in (kabar.directory / "data").iterdir()]
    finally:
        assert kabar.stop() == 0


def test_a_taken_port_is_said_plainly(plain):
    with socket.socket() as other:
        other.bind(("127.0.0.1", plain.port))
        other.listen()
        plain.start(wait=False)
        assert plain.process.wait(20) != 0
        assert str(plain.port) in plain.log() and "panicked" not in plain.log()


def test_an_unreachable_database_is_said_plainly_and_without_its_password(make_kabar):
    kabar = make_kabar("postgres://kabar:t0psecret@127.0.0.1:9/kabar")
    kabar.start(wait=False)
    eventually(lambda: re.search(r"(?i)database|postgres|connect", kabar.log()))
    assert "t0psecret" not in kabar.log() and "panicked" not in kabar.log()


# The command line.


def test_help_says_what_there_is(plain):
    said = plain.run("--help")
    for command in ("serve", "demo", "migrate", "user", "token", "config", "openapi", "inbound"):
        assert re.search(rf"^\s+{command}\b\s+\S", said, re.M), f"{command} is missing or not explained:\n{said}"
    assert "--listen" in plain.run("serve", "--help") and "KABAR_LISTEN" in plain.run("serve", "--help")
    for command in (
        ("user", "create"),
        ("token", "create"),
        ("inbound", "replay"),
        ("inbound", "list"),
        ("config", "check"),
    ):
        assert len(plain.run(*command, "--help").splitlines()) > 5
    assert re.search(r"\d+\.\d+\.\d+", plain.run("--version"))


def test_an_unknown_command_is_refused_with_the_nearest(plain):
    done = plain.cli("sreve")
    assert done.returncode != 0 and "serve" in done.stderr


def test_migrate_alone_prepares_the_database(fresh):
    fresh.directory.mkdir(exist_ok=True)
    fresh.run("migrate")
    fresh.run("migrate")
    fresh.start()
    assert login(fresh, Kabar.ADMIN_EMAIL, fresh.keys.admin_password)


def test_user_and_token_commands(server, organisation):
    email = f"person{serial()}@example.com"
    create = (
        "user",
        "create",
        "--email",
        email,
        "--name",
        "Ani",
        "--password-stdin",
        "--organisation",
        organisation.slug,
    )
    server.run(*create, "--role", "agent", stdin="correct horse battery\n")
    assert login(server, email, "correct horse battery")["organisations"][0]["role"] == "agent"
    again = server.cli(*create, "--role", "agent", stdin="other password 1\n")
    assert again.returncode != 0 and "taken" in again.stderr
    for arguments in (("--role", "king"), ("--role", "agent", "--organisation", "no-such")):
        done = server.cli(
            "user",
            "create",
            "--email",
            f"p{serial()}@example.com",
            "--name",
            "A",
            "--password-stdin",
            *(() if "--organisation" in arguments else ("--organisation", organisation.slug)),
            *arguments,
            stdin="some password 1\n",
        )
        assert done.returncode != 0 and "panicked" not in done.stderr
    printed = server.run(
        "token",
        "create",
        "--email",
        email,
        "--organisation",
        organisation.slug,
        "--abilities",
        "read,send",
        "--expires-days",
        "30",
        "--name",
        "CI",
    )
    [token] = TOKEN.findall(printed)
    me = data(Api(server.base_url, token).get("/auth/me"))
    assert (me["user"]["email"], me["token"]["name"], sorted(me["token"]["abilities"])) == (
        email,
        "CI",
        ["read", "send"],
    )
    for arguments in (("--abilities", "fly"), ("--abilities", "read", "--email", "nobody@example.com")):
        base = () if "--email" in arguments else ("--email", email)
        done = server.cli("token", "create", *base, "--organisation", organisation.slug, "--name", "x", *arguments)
        assert done.returncode != 0 and "panicked" not in done.stderr


def test_a_short_password_is_refused(server, organisation):
    done = server.cli(
        "user",
        "create",
        "--email",
        f"p{serial()}@example.com",
        "--name",
        "A",
        "--password-stdin",
        "--organisation",
        organisation.slug,
        "--role",
        "agent",
        stdin="short\n",
    )
    assert done.returncode != 0


def test_inbound_commands(server, organisation):
    number = wa.Number.new(serial())
    marker = f"marker-{serial()}"
    wa.deliver(server, wa.arrival(number, wa.message("62811333", content={"body": marker})))
    server.wait_applied()
    assert number.phone_number_id in server.run("inbound", "list", "--held")
    [held] = [held for held in server.held() if held["account_key"] == number.phone_number_id]
    assert held["reason"] == "unclaimed"
    assert marker in server.run("inbound", "show", str(held["id"]))
    assert server.run("inbound", "list", "--log").strip()
    server.run("inbound", "replay", "--held", str(held["id"]))
    organisation.whatsapp(phone_number_id=number.phone_number_id)
    eventually(lambda: [m["body"] for m in organisation.messages()] == [marker])
    server.run("inbound", "replay", "--all-held")
    for wrong in (("inbound", "show", "nonsense"), ("inbound", "replay", "--held", "nonsense"), ("inbound", "replay")):
        done = server.cli(*wrong)
        assert done.returncode != 0 and "panicked" not in done.stderr


# Operating it.


def test_health_readiness_and_metrics(server, organisation, account):
    assert server.http.get("/healthz").status_code == 200
    ready = server.http.get("/readyz")
    assert ready.status_code == 200
    for part in ("database", "backlog", "disk"):
        assert part in ready.text
    before = server.metric("kabar_inbound_acknowledged_total"), server.metric("kabar_inbound_applied_total")
    wa.deliver(server, wa.arrival(account.number, wa.message("62811444")))
    server.wait_applied()
    assert server.metric("kabar_inbound_acknowledged_total") == before[0] + 1
    assert server.metric("kabar_inbound_applied_total") >= before[1] + 1
    assert server.metric("kabar_inbound_apply_seconds_count") > 0
    assert server.metric("kabar_http_requests_total") > 0
    text = server.http.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert "# TYPE kabar_inbound_backlog gauge" in text.text
    assert "# TYPE kabar_http_requests_total counter" in text.text
    assert account.number.phone_number_id not in text.text and organisation.slug not in text.text


def test_request_ids_come_back(server):
    given = f"req-{serial()}"
    assert server.http.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"] == given
    made = [server.http.get("/healthz").headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1] and len(made[0]) >= 8
    answer = server.http.get("/api/v1/channels", headers={"X-Request-Id": given})
    assert answer.json()["request_id"] == given
    # What could forge a log line or a header is not taken over.
    odd = server.http.get("/healthz", headers={"X-Request-Id": "a b\t" + "x" * 5000})
    assert odd.status_code == 200 and len(odd.headers["x-request-id"]) <= 200


def test_logs_hold_neither_secrets_nor_what_people_write(server, organisation, simulator):
    secret = f"own-secret-{serial()}"
    account = organisation.whatsapp(app_secret=secret)
    bot = organisation.telegram()
    said, name, answered = f"rahasia-{serial()}", f"Nama{serial()}", f"jawaban-{serial()}"
    wa.deliver(
        server,
        wa.arrival(account.number, incoming := wa.message("62811555", content={"body": said}), name=name),
        secret,
    )
    message = organisation.message(incoming["id"])
    simulator.configure(webhook_whatsapp=server.base_url + "/webhooks/whatsapp", app_secret=secret)
    data(organisation.api.post("/messages", {"conversation_id": message["conversation_id"], "body": answered}))
    simulator.fault("error", code=131047, to="62811556")
    data(organisation.api.post("/messages", {"channel_id": account.channel_id, "wa_id": "62811556", "body": answered}))
    organisation.api.post("/contacts", {"wa_id": "bad", "name": said})
    wa.post_raw(server, b"{" + said.encode(), wa.sign(secret, b"{" + said.encode()))
    token = organisation.token("read")
    server.http.get("/api/v1/channels", headers={"X-API-Key": token})
    password = f"pass-word-{serial()}"
    server.http.post("/api/v1/auth/login", json={"email": "ani@example.com", "password": password})
    server.http.get(
        "/webhooks/whatsapp", params={"hub.verify_token": server.keys.verify_token, "hub.mode": "subscribe"}
    )
    eventually(lambda: [m for m in organisation.messages() if m["status"] in ("sent", "delivered", "read")])
    log = server.log()
    assert log, "nothing is logged at all"
    hidden = [
        said,
        name,
        answered,
        secret,
        account.number.access_token,
        bot.bot_token,
        bot.bot_token.split(":")[1],
        password,
        token.split("|")[1],
        organisation.admin_token.split("|")[1],
        *vars(server.keys).values(),
    ]
    assert [text for text in hidden if text in log] == []


def test_a_request_can_be_found_in_the_log(server):
    given = f"req-{serial()}"
    server.http.get("/api/v1/nothing", headers={"X-Request-Id": given})
    eventually(lambda: given in server.log())


def test_sigterm_ends_it_in_good_order(fresh):
    fresh.start()
    start = time.monotonic()
    assert fresh.stop() == 0
    assert time.monotonic() - start < 10
    assert "panicked" not in fresh.log()


def test_ctrl_c_ends_it_in_good_order(make_kabar):
    kabar = make_kabar().start()
    kabar.process.signal(signal.SIGINT)
    assert kabar.process.wait(10) == 0


def test_logs_as_json(make_kabar):
    kabar = make_kabar(environment={"KABAR_LOG_FORMAT": "json"}).start()
    given = f"req-{serial()}"
    kabar.http.get("/healthz", headers={"X-Request-Id": given})
    kabar.http.get("/api/v1/channels", headers={"X-Request-Id": given})

    def found():
        lines = [json.loads(line) for line in kabar.log().splitlines() if line.startswith("{")]
        return [line for line in lines if given in json.dumps(line)]

    line = eventually(found)[0]
    assert line["level"] == "INFO" and line["timestamp"]
    # Whatever is not a line of the log is for the person who started it.
    others = [line for line in kabar.log().splitlines() if not line.startswith("{")]
    assert len(others) < 5, others


def test_metrics_cover_both_ways(server, organisation, account):
    person = f"62822{serial() % 10**7:07d}"
    sent = data(organisation.api.post("/messages", {"channel_id": account.channel_id, "wa_id": person, "body": "x"}))
    eventually(lambda: [m for m in organisation.messages() if m["id"] == sent["id"] and m["status"] == "read"])
    text = server.http.get("/metrics").text
    for name in (
        "kabar_inbound_acknowledged_total",
        "kabar_inbound_applied_total",
        "kabar_inbound_backlog",
        "kabar_inbound_apply_seconds",
        "kabar_http_requests_total",
        "kabar_outbound_messages",
    ):
        assert f"# TYPE {name} " in text and f"# HELP {name} " in text, name
    assert re.search(r"^# TYPE kabar_inbound_backlog\w*(age|oldest)\w* gauge", text, re.M)
    assert re.search(r"^# TYPE kabar_provider\w+_seconds histogram", text, re.M)
    assert re.search(r"^# TYPE kabar_provider\w*errors\w* counter", text, re.M)
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z_:][a-z0-9_:]*(\{.*\})? [-+0-9.eEinfNa]+", line), line
