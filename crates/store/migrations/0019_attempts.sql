-- The provider's id of an attempt that is not its message's any more, as `messages.provider_key` has it.
ALTER TABLE outbound_attempts ADD COLUMN provider_key UUID;
