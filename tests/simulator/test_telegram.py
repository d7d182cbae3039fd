"""Telegram's Bot API, by python-telegram-bot."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

# Durations as timedelta, which the library will make its default.
os.environ["PTB_TIMEDELTA"] = "1"

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaPhoto, ReplyParameters, Update  # noqa: E402
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter  # noqa: E402

from conftest import BOT, Hook, Simulator  # noqa: E402

CHAT = 777


@pytest.fixture
def run(simulator: Simulator) -> Callable[[Callable[[Bot], Awaitable[object]]], object]:
    """Runs a coroutine with a bot that is connected to the simulator."""

    def run(test: Callable[[Bot], Awaitable[object]], token: str = BOT) -> object:
        async def main() -> object:
            base = simulator.base
            async with Bot(token, base_url=f"{base}/bot", base_file_url=f"{base}/file/bot") as bot:
                return await test(bot)

        return asyncio.run(main())

    return run


def test_identity(run) -> None:
    me = run(lambda bot: bot.get_me())
    assert (me.id, me.is_bot, me.username) == (123456789, True, "simulated_123456789_bot")
    with pytest.raises(InvalidToken):
        run(lambda bot: bot.get_me(), token="1:wrong")


def test_messages(run, simulator: Simulator) -> None:
    async def test(bot: Bot) -> None:
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="y")]])
        sent = await bot.send_message(CHAT, "<b>مرحبا</b> 😀", parse_mode="HTML", reply_markup=keyboard)
        assert sent.text == "مرحبا 😀"
        assert (sent.entities[0].type, sent.entities[0].length) == ("bold", 5)
        assert sent.reply_markup == keyboard
        reply = await bot.send_message(CHAT, "b", reply_parameters=ReplyParameters(sent.message_id))
        assert reply.reply_to_message.message_id == sent.message_id
        edited = await bot.edit_message_text("c", CHAT, reply.message_id)
        assert edited.text == "c" and edited.edit_date
        assert await bot.set_message_reaction(CHAT, sent.message_id, "👍")
        assert await bot.send_chat_action(CHAT, "typing")
        assert await bot.delete_message(CHAT, reply.message_id)
        assert (await bot.get_chat(CHAT)).type == "private"

    run(test)
    shown = [(message["type"], message["body"], message["status"]) for message in simulator.sent()]
    assert shown == [
        ("sendMessage", "مرحبا 😀", "sent"),
        ("sendMessage", "c", "deleted"),
        ("setMessageReaction", "👍", "sent"),
    ]


def test_media(run) -> None:
    async def test(bot: Bot) -> None:
        photo = await bot.send_photo(CHAT, "https://example.com/a.jpg", caption="A")
        assert photo.caption == "A" and photo.photo[-1].file_id
        document = await bot.send_document(CHAT, b"%PDF-1.7", filename="a.pdf")
        assert (document.document.file_name, document.document.file_size) == ("a.pdf", 8)
        file = await bot.get_file(document.document.file_id)
        assert bytes(await file.download_as_bytearray()) == b"%PDF-1.7"
        again = await bot.send_document(CHAT, document.document.file_id)
        assert again.document.file_unique_id == document.document.file_unique_id
        assert (await bot.send_voice(CHAT, b"OggS")).voice.duration == timedelta(seconds=5)
        assert (await bot.send_video(CHAT, b"....ftyp")).video.file_size == 8
        assert (await bot.send_audio(CHAT, b"ID3")).audio
        assert (await bot.send_animation(CHAT, b"GIF89a")).animation
        assert (await bot.send_sticker(CHAT, b"RIFF")).sticker.width == 512
        assert (await bot.send_location(CHAT, -6.2, 106.8)).location.longitude == 106.8
        assert (await bot.send_contact(CHAT, "+62811", "Sari")).contact.first_name == "Sari"
        uploads = [InputMediaPhoto(b"one", caption="both"), InputMediaPhoto(b"two")]
        album = await bot.send_media_group(CHAT, uploads)
        assert len(album) == 2 and album[0].caption == "both"
        assert album[0].media_group_id == album[1].media_group_id

    run(test)


def test_webhook(run, simulator: Simulator, hook: Hook) -> None:
    run(lambda bot: bot.set_webhook(hook.url, secret_token="s3cret", allowed_updates=["message", "callback_query"]))
    info = run(lambda bot: bot.get_webhook_info())
    assert (info.url, info.allowed_updates) == (hook.url, ("message", "callback_query"))
    with pytest.raises(Conflict):
        run(lambda bot: bot.get_updates())
    pushed = simulator.post(
        "telegram/inbound", {"chat_id": CHAT, "from": {"id": CHAT, "first_name": "Sari"}, "text": "Lampu mati"}
    )
    assert pushed["webhook_status"] == 200
    [call] = hook.wait(1)
    assert call.headers["x-telegram-bot-api-secret-token"] == "s3cret"
    update = Update.de_json(json.loads(call.body), None)
    assert (update.message.text, update.effective_user.first_name) == ("Lampu mati", "Sari")
    query = {
        "callback_query": {
            "id": "q1",
            "from": {"id": CHAT, "is_bot": False, "first_name": "Sari"},
            "chat_instance": "1",
            "data": "y",
        }
    }
    simulator.post("telegram/inbound", {"update": query})
    assert Update.de_json(json.loads(hook.wait(2)[1].body), None).callback_query.data == "y"
    assert run(lambda bot: bot.answer_callback_query("q1"))
    with pytest.raises(BadRequest, match="(?i)query is too old"):
        run(lambda bot: bot.answer_callback_query("q1"))
    with pytest.raises(BadRequest, match="(?i)https url must be provided"):
        run(lambda bot: bot.set_webhook("http://example.com"))
    assert run(lambda bot: bot.delete_webhook())
    simulator.post("telegram/inbound", {"chat_id": CHAT, "text": "polled"})
    updates = run(lambda bot: bot.get_updates())
    assert [update.message.text for update in updates] == ["polled"]
    run(lambda bot: bot.get_updates(offset=updates[-1].update_id + 1))


def test_errors(run, simulator: Simulator) -> None:
    def fault(**fields: object) -> None:
        simulator.post("faults", {"provider": "telegram", "kind": "error", **fields})

    async def send(bot: Bot) -> object:
        return await bot.send_message(CHAT, "hi")

    fault(kind="throttle", retry_after=3)
    with pytest.raises(RetryAfter) as flood:
        run(send)
    assert flood.value.retry_after == timedelta(seconds=3)
    fault(code=403)
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        run(send)
    fault(code=400, migrate_to_chat_id=-1001, description="Bad Request: group chat was upgraded to a supergroup chat")
    with pytest.raises(ChatMigrated) as migrated:
        run(send)
    assert migrated.value.new_chat_id == -1001
    fault(kind="server_error", http_status=502)
    with pytest.raises(NetworkError):
        run(send)
    with pytest.raises(BadRequest, match="(?i)text is empty"):
        run(lambda bot: bot.send_message(CHAT, " "))
    with pytest.raises(BadRequest, match="(?i)can't parse entities"):
        run(lambda bot: bot.send_message(CHAT, "<b>", parse_mode="HTML"))
    assert simulator.sent() == []
