"""What is understood of the inbox."""

import pytest

import whatsapp as wa
from api import data, refused, serial


def person():
    return f"62819{serial() % 10**7:07d}"


def read(api, text):
    """The item of a text, understood."""
    made = data(api.post("/inbox", {"text": text}))
    assert made["confidence"] is None and made["understanding"] is None, "the answer does not wait"
    [item] = [item for item in api.understood() if item["id"] == made["id"]]
    return item


@pytest.mark.parametrize(
    ("text", "expected", "language"),
    [
        ("pipa bocor di toilet lantai 3", "problem", "id"),
        ("sudah diganti, normal", "work_update", "id"),
        ("selamat pagi semua", "unknown", "id"),
        ("the pump is leaking again", "problem", "en"),
        ("المكيف لا يعمل", "problem", "ar"),
    ],
)
def test_what_an_item_is(api, text, expected, language):
    item = read(api, text)
    assert item["class"] == expected
    assert 0 <= item["confidence"] <= 1 and item["understanding"]["language"] == language
    assert (item["suggestions"]["severity"] is not None) == (expected == "problem")


def test_what_decided_is_said_in_the_words_that_were_written(api):
    item = read(api, "Ada BAU GAS di dapur, tolong cepat")
    assert item["class"] == "problem" and item["suggestions"]["severity"] == "critical"
    assert any("BAU GAS" in reason for reason in item["reasons"]), item["reasons"]


def test_items_without_words_are_understood_too(api):
    for body in ({"media": [{"id": "x"}]}, {"type": "alarm", "metadata": {"celsius": 41}}):
        data(api.post("/inbox", body))
    assert {(item["class"], item["status"]) for item in api.understood()} == {("unknown", "new")}


def test_every_message_of_a_large_webhook_is_understood(server, account, api):
    sender = person()
    texts = ["AC mati di lobi", "sudah selesai diperbaiki", "terima kasih"] * 300
    wa.deliver(server, wa.arrival(account.number, *(wa.message(sender, content={"body": text}) for text in texts)))
    server.wait_applied()
    found = api.understood()
    assert len(found) == len(texts)
    assert {item["text"]: item["class"] for item in found} == {
        "AC mati di lobi": "problem",
        "sudah selesai diperbaiki": "work_update",
        "terima kasih": "unknown",
    }


def test_news_of_what_was_understood(api):
    item = read(api, "AC bocor di lobi")
    read(api, "halo")
    told = [event for event in api.all("/events") if event["type"] == "inbox.updated"]
    assert [event["subject_id"] for event in told] == [item["id"]], "chatter is no news"
    assert told[0]["data"]["class"] == "problem" and told[0]["data"]["confidence"] == item["confidence"]


def test_settings_of_operations_are_checked(organisation, api):
    path = f"/organisations/{organisation.id}"
    for wrong, field in (
        ({"threshold": 2}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"digest_at": "7"}, "digest_at"),
        ({"flood": {"per_number": 0}}, "flood.per_number"),
        ({"auto_covert": True}, ""),
    ):
        body = refused(api.put(path, {"settings": {"operations": wrong}}), 422)
        assert [name for name in body["errors"] if name.startswith(f"settings.operations.{field}".rstrip("."))], body
    right = {"operations": {"threshold": 0.9, "digest_at": "06:30", "acknowledge": True}, "theme": "dark"}
    data(api.put(path, {"settings": right}))
    assert data(api.get(path))["settings"] == right


def test_history_is_read_again_after_a_new_model(server, organisation, api):
    data(api.put(f"/organisations/{organisation.id}", {"settings": {"operations": {"auto_convert": False}}}))
    texts = ["AC bocor di lobi", "sudah diganti, normal", "halo", "pompa mati", "besok rapat"]
    made = {text: data(api.post("/inbox", {"text": text}))["id"] for text in texts}
    api.understood()
    dismissed, corrected = made.pop("pompa mati"), made.pop("besok rapat")
    data(api.post(f"/inbox/{dismissed}/dismiss", {}))
    # As an older model may have left them.
    before = {item["id"]: item for item in api.understood()}
    server.sql("UPDATE inbox_items SET class = 1, confidence = 0.4 WHERE status <> 3")
    data(api.post(f"/inbox/{corrected}/reclassify", {"class": "problem"}))
    slug = data(api.get(f"/organisations/{organisation.id}"))["slug"]

    said = server.run("understand", "--replay", "--organisation", slug)
    assert "Read again: 5 items, of which 3 are of another class now." in said
    after = {item["id"]: item for item in api.understood()}
    for item in made.values():
        for field in ("class", "confidence", "reasons", "suggestions", "status"):
            assert after[item][field] == before[item][field]
    assert (after[dismissed]["status"], after[dismissed]["class"]) == ("dismissed", "problem")
    assert after[corrected]["class"] == "problem", "a person said so"
    assert not api.all("/problems") and not api.all("/work-updates"), "reading again makes nothing"
    assert "Read again: 0 items" in server.run(
        "understand", "--replay", "--organisation", organisation.id, "--since", "2999-01-01T00:00:00+00:00"
    )


def test_what_cannot_be_read_again_is_said(server):
    unknown = server.cli("understand", "--replay", "--organisation", "nobody-here")
    assert unknown.returncode != 0 and "there is no organisation `nobody-here`" in unknown.stderr
    aimless = server.cli("understand")
    assert aimless.returncode != 0 and "--replay" in aimless.stderr
    unclear = server.cli("understand", "--replay", "--since", "yesterday")
    assert unclear.returncode != 0 and "2026-05-01T00:00:00+00:00" in unclear.stderr
