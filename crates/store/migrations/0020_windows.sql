-- The template that takes a message's place if WhatsApp says that the window is closed: JSON of `body`, `media`,
-- `payload`.
ALTER TABLE messages ADD COLUMN fallback TEXT;
-- When WhatsApp last said so.
ALTER TABLE conversations ADD COLUMN window_refused_at BIGINT;
