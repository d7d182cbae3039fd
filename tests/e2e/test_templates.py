"""Templates: read from Meta, made and submitted, listed, and sent as the seeds' clients send them."""

import httpx
import pytest

from api import ULID, UNKNOWN_ID, data, refused, serial
from harness import eventually
from sending import Line


def recipient():
    return f"62817{serial() % 10**8:08d}"


def body(text, *samples):
    example = {"example": {"body_text": [list(samples)]}} if samples else {}
    return {"type": "BODY", "text": text, **example}


ORDER = [body("Pesanan {{1}} seharga {{2}} sudah siap.", "12345", "120 SAR")]


@pytest.fixture
def meta(simulator, account):
    """Makes a template at Meta, behind the server's back; its id there."""

    def make(name, components, language="ar", category="UTILITY", **more):
        answer = simulator.http.post(
            f"/v24.0/{account.number.waba_id}/message_templates",
            headers={"Authorization": f"Bearer {account.number.access_token}"},
            json={"name": name, "language": language, "category": category, "components": components, **more},
        )
        assert answer.is_success, answer.text
        return answer.json()["id"]

    return make


@pytest.fixture
def handle(simulator, account):
    """A picture that Meta has as a sample, by its handle."""
    headers = {"Authorization": f"OAuth {account.number.access_token}", "file_offset": "0"}
    query = {"file_name": "a.jpg", "file_length": 3, "file_type": "image/jpeg"}
    begun = simulator.http.post("/v24.0/100000000000001/uploads", headers=headers, params=query)
    return simulator.http.post(f"/v24.0/{begun.json()['id']}", headers=headers, content=b"abc").json()["h"]


@pytest.fixture
def read(api):
    """Has the templates read, and waits for the one with this name."""

    def one(name, **more):
        data(api.post("/templates/sync"), 202)
        return eventually(lambda: api.all("/templates", name=name, **more))[0]

    return one


def test_a_connected_number_brings_its_templates(api, account):
    [template] = eventually(lambda: [row for row in api.all("/templates") if row["synced_at"]])
    assert ULID.match(template["id"])
    assert (template["name"], template["language"], template["status"]) == ("hello_world", "en_US", "APPROVED")
    assert template["channel_ids"] == [account.channel_id] and template["waba_id"] == account.number.waba_id
    assert template["components"] and template["variables"]["body"] == []
    assert data(api.get(f"/templates/{template['id']}")) == template
    refused(api.get(f"/templates/{UNKNOWN_ID}"), 404, "Template not found.")


def test_the_list_is_filtered(api, account, meta, read):
    meta("order_ready", ORDER, "ar")
    meta("order_ready", ORDER, "en_US", "MARKETING")
    read("order_ready", language="en_US")

    def found(**query):
        return [(row["name"], row["language"]) for row in api.all("/templates", **query)]

    assert found(language="ar") == [("order_ready", "ar")]
    assert found(status="APPROVED", category="marketing") == [("order_ready", "en_US")]
    assert found(search="SEHARGA", language="en-US") == [("order_ready", "en_US")]
    assert found(status="REJECTED") == []
    assert len(found(channel_id=account.channel_id)) == 3
    refused(api.get("/templates", channel_id=UNKNOWN_ID), 404, "Channel not found.")


def test_sending_as_documented(api, account, simulator, meta, read):
    meta("order_ready", ORDER)
    assert read("order_ready")["variables"]["body"] == ["1", "2"]
    request = {
        "channel_id": account.channel_id,
        "wa_id": recipient(),
        "template_name": "order_ready",
        "language": "ar",
        "variables": ["12345", "120 SAR"],
    }
    message = data(api.post("/templates/send", request), 200)
    assert ULID.match(message["id"]) and (message["type"], message["status"]) == ("template", "queued")
    assert message["body"] == "Pesanan 12345 seharga 120 SAR sudah siap."
    [arrived] = eventually(lambda: simulator.sent(callback_data=message["id"]))
    assert (arrived["to"], arrived["type"], arrived["body"]) == (request["wa_id"], "template", message["body"])
    [part] = arrived["payload"]["template"]["components"]
    assert [parameter["text"] for parameter in part["parameters"]] == request["variables"]

    refused(api.post("/templates/send", request | {"template_name": "nothing"}), 404, "Template not found.")
    refused(api.post("/templates/send", request | {"language": "id"}), 404, "Template not found.")
    refused(api.post("/templates/send", request | {"channel_id": UNKNOWN_ID}), 404, "Channel not found.")
    for variables in (None, [], ["1"], ["1", "2", "3"]):
        answer = refused(api.post("/templates/send", request | {"variables": variables}), 422)
        assert "takes 2 variables ({{1}}, {{2}})" in answer["errors"]["variables"][0]
    assert refused(api.post("/templates/send", {}), 422)["errors"].keys() == {"channel_id", "wa_id"}
    assert len(api.all(f"/conversations/{message['conversation_id']}/messages")) == 1, "nothing refused was queued"


def test_an_acknowledgement_names_the_record(api, account, meta, read):
    meta("received", [body("Laporan {{1}} diterima: {{2}}.", "P-1", "AC")], language="id")
    read("received")
    problem = data(api.post("/problems", {"title": "AC bocor"}))
    request = {"to": recipient(), "record_id": problem["id"], "template_name": "received"}
    message = data(api.post("/whatsapp-api/acknowledge", request), 200)
    assert message["body"] == f"Laporan {problem['number']} diterima: AC bocor."
    message = data(api.post("/whatsapp-api/acknowledge", request | {"variables": ["7", "sudah"]}), 200)
    assert message["body"] == "Laporan 7 diterima: sudah."


def test_a_language_is_not_needed(api, account, meta, read):
    meta("order_ready", ORDER)
    read("order_ready")
    request = {"channel_id": account.channel_id, "wa_id": recipient(), "template_name": "order_ready"}
    for variables in (["7", "9"], {"1": "7", "2": "9"}):
        message = data(api.post("/templates/send", request | {"variables": variables}), 200)
        assert message["body"] == "Pesanan 7 seharga 9 sudah siap."
        assert message["payload"]["language"] == "ar"


def test_every_place_of_a_rich_template(api, account, simulator, meta, read, handle):
    components = [
        {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": [handle]}},
        body("Halo {{nama}}, pesananmu siap."),
        {"type": "FOOTER", "text": "Toko"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Baik"},
                {"type": "URL", "text": "Lacak", "url": "https://toko.example/{{1}}"},
            ],
        },
    ]
    meta("rich", components, parameter_format="NAMED")
    read("rich")
    request = {
        "channel_id": account.channel_id,
        "wa_id": recipient(),
        "template_name": "rich",
        "variables": {"nama": "Ani"},
        "header": {"link": "https://toko.example/a.jpg"},
        "buttons": ["OK", "o/7"],
    }
    message = data(api.post("/templates/send", request), 200)
    assert message["body"] == "Halo Ani, pesananmu siap.\n\nToko"
    assert message["media"][0]["url"] == "https://toko.example/a.jpg"
    [arrived] = eventually(lambda: simulator.sent(callback_data=message["id"]))
    header, text, reply, track = arrived["payload"]["template"]["components"]
    assert header["parameters"] == [{"type": "image", "image": {"link": "https://toko.example/a.jpg"}}]
    assert text["parameters"] == [{"type": "text", "text": "Ani", "parameter_name": "nama"}]
    assert reply["parameters"] == [{"type": "payload", "payload": "OK"}]
    assert (track["sub_type"], track["index"], track["parameters"][0]["text"]) == ("url", "1", "o/7")
    template = {"name": "rich", "language": {"code": "ar"}, "variables": ["Ani"], "header": {"id": "unknown"}}
    message = {"channel_id": account.channel_id, "wa_id": recipient(), "type": "template", "template": template}
    answer = refused(api.post("/messages", message), 422)
    assert answer["errors"].keys() == {"buttons.1"}
    message["template"]["buttons"] = ["OK", "o/7"]
    assert data(api.post("/messages", message), 200)["body"] == "Halo Ani, pesananmu siap.\n\nToko"
    missing = refused(api.post("/templates/send", request | {"header": None, "buttons": None}), 422)
    assert missing["errors"].keys() == {"header", "buttons.1"}


def test_a_preview_reads_as_the_message_will(api, meta, read):
    meta("order_ready", ORDER)
    path = f"/templates/{read('order_ready')['id']}/preview"
    assert data(api.post(path), 200)["text"] == "Pesanan 12345 seharga 120 SAR sudah siap."
    assert data(api.post(path, {"variables": ["7", "9"]}), 200)["body"] == "Pesanan 7 seharga 9 sudah siap."
    assert "takes 2 variables" in refused(api.post(path, {"variables": ["7"]}), 422)["message"]


def test_metas_news_are_followed(server, organisation, account, api, simulator, meta, read):
    meta("order_ready", ORDER)
    template = read("order_ready")
    decision = {"waba_id": account.number.waba_id, "name": "order_ready", "language": "ar", "status": "PAUSED"}
    simulator.post("templates", decision | {"reason": "FIRST_PAUSE"})

    def paused():
        now = data(api.get(f"/templates/{template['id']}"))
        return now["status"] == "PAUSED" and now["reason"] == "FIRST_PAUSE"

    eventually(paused)
    request = {"channel_id": account.channel_id, "wa_id": recipient(), "template_name": "order_ready"}
    answer = refused(api.post("/templates/send", request | {"variables": ["7", "9"]}), 422)
    assert "is paused" in answer["errors"]["template_name"][0]


def test_telegram_has_no_templates(api, bot):
    request = {"channel_id": bot.channel_id, "wa_id": "4711", "template_name": "order_ready"}
    assert refused(api.post("/templates/send", request), 422)["code"] == "capability_missing"


def test_another_organisations_templates_are_not_there(new_organisation, account, meta, read):
    meta("order_ready", ORDER)
    read("order_ready")
    stranger = new_organisation("Stranger")
    line = stranger.whatsapp()
    request = {"channel_id": line.channel_id, "wa_id": recipient(), "template_name": "order_ready"}
    refused(stranger.api.post("/templates/send", request | {"variables": ["7", "9"]}), 404, "Template not found.")


def test_a_send_token_is_enough(organisation, account, api, meta, read):
    meta("order_ready", ORDER)
    read("order_ready")
    request = {"channel_id": account.channel_id, "wa_id": recipient(), "template_name": "order_ready"}
    caller = organisation.caller("send")
    assert data(caller.post("/templates/send", request | {"variables": ["7", "9"]}), 200)["type"] == "template"
    refused(organisation.caller("read").post("/templates/send", request), 403)


@pytest.fixture
def reviewed(simulator):
    """Meta takes its time over new templates."""
    simulator.configure(new_template_status="PENDING")
    yield
    simulator.configure(new_template_status="APPROVED")


def test_from_draft_to_message(api, account, simulator, reviewed):
    new = {"channel_id": account.channel_id, "name": "siap", "language": "id", "category": "UTILITY"}
    draft = data(api.post("/templates", new | {"components": ORDER}), 201)
    assert (draft["status"], draft["provider_id"], draft["variables"]["body"]) == ("DRAFT", None, ["1", "2"])
    path = f"/templates/{draft['id']}"
    components = [body("Pesanan {{1}} untuk {{2}} sudah siap.", "12345", "Ani")]
    assert data(api.patch(path, {"components": components}))["components"] == components
    submitted = data(api.post(f"{path}/submit"), 200)
    assert submitted["status"] == "PENDING" and submitted["provider_id"] and submitted["submitted_at"]
    assert "pending" in refused(api.post(f"{path}/submit"), 409)["message"]
    assert "pending" in refused(api.patch(path, {"components": ORDER}), 409)["message"]

    decision = {"waba_id": account.number.waba_id, "name": "siap", "language": "id", "status": "APPROVED"}
    simulator.post("templates", decision)
    eventually(lambda: data(api.get(path))["status"] == "APPROVED")
    request = {"channel_id": account.channel_id, "wa_id": recipient(), "template_name": "siap"}
    message = data(api.post("/templates/send", request | {"variables": ["7", "Ani"]}), 200)
    assert message["body"] == "Pesanan 7 untuk Ani sudah siap."

    refused(api.patch(path, {"category": "MARKETING"}), 422)
    assert data(api.patch(path, {"components": ORDER}))["components"][0]["text"] == ORDER[0]["text"]
    assert api.delete(path).status_code == 204
    refused(api.delete(path), 404, "Template not found.")
    assert [row["id"] for row in api.all("/templates", status="DELETED")] == [draft["id"]]
    refused(api.post("/templates/send", request | {"variables": ["7", "Ani"]}), 404, "Template not found.")


def test_a_wrong_template_is_refused_by_its_places(api, account):
    missing = refused(api.post("/templates", {}), 422)
    assert missing["errors"].keys() == {"name", "language", "category", "components"}
    new = {"name": "siap", "language": "id", "category": "UTILITY"}
    wrong = [{"type": "HEADER", "format": "IMAGE"}, body("{{1}} sudah siap.")]
    answer = refused(api.post("/templates", new | {"components": wrong}), 422)
    places = {"components.0.example.header_handle", "components.1.text", "components.1.example"}
    assert answer["errors"].keys() == places
    for odd in ("x", {"type": "BODY"}, [1, None, "x"], [[]]):
        refused(api.post("/templates", new | {"components": odd}), 422)
    assert api.all("/templates", status="DRAFT") == []


def test_a_file_of_the_library_is_a_sample(api, account, simulator):
    def upload(name, kind):
        return data(api.http.post("/media", files={"file": (name, b"the bytes of it", kind)}), 201)["id"]

    def header(file, form="IMAGE"):
        return {"type": "HEADER", "format": form, "example": {"media_id": file}}

    picture, plan = upload("pump.jpg", "image/jpeg"), upload("plan.pdf", "application/pdf")
    new = {"name": f"look_{serial()}", "language": "id", "category": "UTILITY", "channel_id": account.channel_id}
    wrong = refused(api.post("/templates", new | {"components": [header(plan), body("Lihat.")]}), 422)
    assert "image/jpeg" in wrong["errors"]["components.0.example.media_id"][0]
    draft = data(api.post("/templates", new | {"components": [header(picture), body("Lihat.")]}), 201)
    submitted = data(api.post(f"/templates/{draft['id']}/submit"))
    assert submitted["status"] == "APPROVED"
    [made] = [r for r in simulator.requests(method="message_templates") if r["body"].get("name") == new["name"]]
    assert made["body"]["components"][0]["example"].keys() == {"header_handle"}
    request = {"channel_id": account.channel_id, "wa_id": recipient(), "template_name": new["name"]}
    message = data(api.post("/templates/send", request | {"header": {"media_id": picture}}), 200)
    [arrived] = eventually(lambda: simulator.sent(callback_data=message["id"]))
    [part] = arrived["payload"]["template"]["components"]
    assert part["parameters"][0]["image"].keys() == {"id"}


@pytest.mark.faults
@pytest.mark.parametrize("place", ["template_claimed", "template_answered"])
def test_killed_in_the_middle_of_a_submission(backend, make_kabar, new_database, simulator, place):
    """What the dead server began is found at Meta or not, and is handed in once."""
    kabar = make_kabar(new_database(backend), simulator=simulator).start()
    line = Line.own(kabar)
    draft = data(
        line.api.post(
            "/templates", {"name": f"siap_{serial()}", "language": "id", "category": "UTILITY", "components": ORDER}
        ),
        201,
    )
    path = f"/templates/{draft['id']}"
    assert kabar.stop() == 0

    def handed_in():
        posts = simulator.requests(method="message_templates")
        return [post for post in posts if post["body"].get("name") == draft["name"]]

    kabar.environment["KABAR_FAILPOINT"] = place
    kabar.start()
    with pytest.raises(httpx.TransportError):
        line.api.post(f"{path}/submit")
    assert kabar.process.wait() != 0, "the failpoint was not reached"
    del kabar.environment["KABAR_FAILPOINT"]
    kabar._close()
    arrived = len(handed_in())
    assert arrived == (place == "template_answered")
    kabar.start()
    refused(line.api.post(f"{path}/submit"), 409)
    assert len(handed_in()) == arrived, "nobody knows yet what came of it"
    # A minute goes by, and what is at Meta is read.
    kabar.sql("UPDATE templates SET submitted_at = submitted_at - 120000000 WHERE submitted_at IS NOT NULL")
    kabar.sql("UPDATE jobs SET due_at = 1 WHERE lease_until IS NULL")
    if place == "template_claimed":
        eventually(lambda: line.api.post(f"{path}/submit").status_code == 200, 30, 0.5)
    eventually(lambda: data(line.api.get(path))["status"] == "APPROVED", 30)
    assert len(handed_in()) == 1
    assert [row["id"] for row in line.api.all("/templates", name=draft["name"])] == [draft["id"]]
