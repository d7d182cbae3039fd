"""The second reading by a model service: what it changes, and that nothing waits for it or hangs on it."""

import http.server
import json
import threading

import pytest

from api import data, refused
from harness import eventually, free_port
from operations import Team

GOOD = {
    "class": "problem",
    "confidence": 0.97,
    "severity": "critical",
    "location": "Building A",
    "thing": None,
    "category": None,
    "reason": "a machine behaves oddly",
}
# Nothing here says what is wrong.
VAGUE = "selamat pagi, mesin itu lho"


class Model:
    """An OpenAI-compatible service. `mood`: `well`, `slowly` (answers once `release` is set), `wrongly`, or a status."""

    def __init__(self):
        self.asked, self.mood, self.said = [], "well", dict(GOOD)
        self.release = threading.Event()
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                model.asked.append((self.path, {name.title(): value for name, value in self.headers.items()}, json.loads(raw)))
                content = json.dumps(model.said)
                if model.mood == "slowly":
                    model.release.wait(30)
                elif model.mood == "wrongly":
                    content = "It looks like a problem to me!"
                elif isinstance(model.mood, int):
                    self.send_error(model.mood)
                    return
                answer = {
                    "choices": [{"message": {"role": "assistant", "content": content}}],
                    "usage": {"prompt_tokens": 500_000, "completion_tokens": 250_000},
                }
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def model():
    started = Model()
    yield started
    started.close()


@pytest.fixture
def team(organisation, account):
    return Team(organisation, account)


def use(team, model, **more):
    ai = {"base_url": model.url, "model": "small", "api_key": "sk-test-1"} | more
    team.settings({"threshold": 0.4, "ai": ai})


def item(api, id):
    return data(api.get(f"/inbox/{id}"))


def test_the_first_reading_is_there_at_once_and_the_second_after(team, model, api):
    use(team, model)
    model.mood = "slowly"
    first = team.write(VAGUE)
    assert (first["class"], first["status"]) == ("unknown", "new"), "it did not wait for the service"
    eventually(lambda: model.asked)
    assert item(api, first["id"])["class"] == "unknown"
    model.release.set()
    after = eventually(lambda: [found for found in [item(api, first["id"])] if found["record"]])[0]
    assert (after["class"], after["status"]) == ("problem", "converted")
    made = data(api.get(f"/problems/{after['record']['id']}"))
    assert (made["severity"], made["site"]["id"]) == ("critical", team.site["id"])
    assert after["understanding"]["refined_by"] == "small"
    assert any("a machine behaves oddly" in reason for reason in after["reasons"])


def test_what_is_asked(team, model):
    use(team, model)
    team.write(f"{VAGUE}, hubungi 0812-3456-7890 atau budi@example.com")
    [(path, headers, body)] = eventually(lambda: model.asked)
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer sk-test-1"
    assert body["model"] == "small" and body["response_format"]["type"] == "json_schema"
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] is True and schema["schema"]["additionalProperties"] is False
    asked = body["messages"][-1]["content"]
    assert "[phone]" in asked and "[email]" in asked and "Building A" in asked
    assert "3456" not in json.dumps(body) and "budi@" not in json.dumps(body)


@pytest.mark.parametrize("said", [{"class": "disaster"}, {"confidence": 7}, {"severity": "awful"}, {"reason": None}])
def test_an_answer_that_does_not_fit_changes_nothing(team, model, api, said):
    use(team, model)
    model.said |= said
    first = team.write(VAGUE)
    eventually(lambda: model.asked)
    model.said = dict(GOOD)
    second = team.write(VAGUE)
    eventually(lambda: item(api, second["id"])["class"] == "problem")
    assert item(api, first["id"])["class"] == "unknown" and len(model.asked) == 2


def test_names_that_are_not_the_organisations_are_not_taken_over(team, model, api):
    use(team, model)
    model.said |= {"location": "The Moon", "category": "Rocketry"}
    first = team.write(VAGUE)
    eventually(lambda: item(api, first["id"])["class"] == "problem")
    after = item(api, first["id"])
    assert after["suggestions"]["site"] is None and "Rocketry" not in json.dumps(after["suggestions"])


@pytest.mark.parametrize("mood", ["wrongly", 500, 401, "away"])
def test_a_service_that_fails_holds_nothing_up(team, model, api, mood):
    if mood == "away":
        use(team, model, base_url=f"http://127.0.0.1:{free_port()}/v1")
    else:
        use(team, model)
        model.mood = mood
    found = team.write("AC bocor lagi di gd A lt 2, udah 2x minggu ini")
    assert found["status"] == "converted"
    quiet = team.write(VAGUE)
    if mood != "away":
        eventually(lambda: len(model.asked) == 2)
    assert (item(api, quiet["id"])["class"], item(api, quiet["id"])["status"]) == ("unknown", "new")


def test_what_people_decided_stays(team, model, api):
    use(team, model)
    model.mood = "slowly"
    first = team.write(VAGUE)
    eventually(lambda: model.asked)
    data(api.post(f"/inbox/{first['id']}/dismiss"))
    model.release.set()
    second = team.write(VAGUE)
    eventually(lambda: item(api, second["id"])["class"] == "problem")
    after = item(api, first["id"])
    assert (after["class"], after["status"], after["record"]) == ("unknown", "dismissed", None)


def test_reading_history_again_keeps_what_a_service_read(server, organisation, team, model, api):
    use(team, model)
    first = team.write(VAGUE, group=None)
    after = eventually(lambda: [found for found in [item(api, first["id"])] if found["class"] == "problem"])[0]
    said = server.run("understand", "--replay", "--organisation", organisation.id)
    assert item(api, first["id"]) == after and len(model.asked) == 1, said


def test_nothing_leaves_unless_it_is_wanted(team, model, api):
    team.write(VAGUE)
    use(team, model, enabled=False)
    team.write(VAGUE)
    use(team, model)
    last = team.write(VAGUE)
    eventually(lambda: item(api, last["id"])["class"] == "problem")
    assert len(model.asked) == 1


def test_the_key_is_not_shown_and_may_be_kept(team, model, api, organisation, server):
    use(team, model)
    path = f"/organisations/{organisation.id}"
    settings = data(api.get(path))["settings"]
    assert settings["operations"]["ai"]["api_key"] == "(set)"
    assert "sk-test-1" not in api.get("/organisations").text + api.get(path).text
    assert data(api.put(path, {"settings": settings}))["settings"] == settings
    team.write(VAGUE)
    [(_, headers, _)] = eventually(lambda: model.asked)
    assert headers["Authorization"] == "Bearer sk-test-1"


def test_an_address_must_be_one(team, api, organisation):
    for wrong in ("file:///etc/passwd", "models.example.com", "http://"):
        body = {"settings": {"operations": {"ai": {"base_url": wrong, "model": "m"}}}}
        assert refused(api.put(f"/organisations/{organisation.id}", body), 422)["errors"].keys() == {
            "settings.operations.ai.base_url"
        }


def test_time_and_cost_are_counted(team, model, api, server):
    use(team, model)
    last = team.write(VAGUE)
    eventually(lambda: item(api, last["id"])["class"] == "problem")
    page = server.http.get("/metrics").text
    assert 'kabar_ai_request_seconds_count{outcome="answered"}' in page
    assert 'kabar_ai_tokens_total{direction="input"}' in page and "kabar_ai_cost_total" in page


def test_the_servers_own_service(make_kabar, model, simulator):
    """For organisations that want it, with a limit on its time, and prices."""
    from api import Organisation, login
    from harness import Kabar

    environment = {
        "KABAR_AI_BASE_URL": model.url,
        "KABAR_AI_MODEL": "server-model",
        "KABAR_AI_API_KEY": "sk-server",
        "KABAR_AI_TIMEOUT_SECONDS": "1",
        "KABAR_AI_INPUT_PRICE": "2",
        "KABAR_AI_OUTPUT_PRICE": "8",
        # The operator's choice needs no allowed network.
        "KABAR_ALLOWED_NETWORKS": "",
    }
    kabar = make_kabar(simulator=simulator, environment=environment)
    kabar.start()
    organisation = Organisation(kabar, login(kabar, Kabar.ADMIN_EMAIL, kabar.keys.admin_password)["access_token"])
    api = organisation.api
    path = f"/organisations/{organisation.id}"
    quiet = data(api.post("/inbox", {"text": VAGUE}))
    api.understood()
    data(api.put(path, {"settings": {"operations": {"ai": {"enabled": True}}}}))
    model.mood = "slowly"
    slow = data(api.post("/inbox", {"text": VAGUE}))
    eventually(lambda: 'outcome="slow"' in kabar.http.get("/metrics").text)
    assert item(api, slow["id"])["class"] == "unknown"
    model.mood = "well"
    model.release.set()
    good = data(api.post("/inbox", {"text": VAGUE}))
    eventually(lambda: item(api, good["id"])["class"] == "problem")
    assert item(api, quiet["id"])["class"] == "unknown"
    assert model.asked[-1][1]["Authorization"] == "Bearer sk-server"
    assert "kabar_ai_cost_total 3" in kabar.http.get("/metrics").text
    # The organisation's own address may not lead into private networks.
    asked = len(model.asked)
    ai = {"base_url": model.url, "model": "m"}
    data(api.put(path, {"settings": {"operations": {"ai": ai}}}))
    data(api.post("/inbox", {"text": VAGUE}))
    eventually(lambda: 'outcome="refused"' in kabar.http.get("/metrics").text)
    assert len(model.asked) == asked
    organisation.close()
