-- How urgent a message is, for when it is sent once more. Of older ones nobody knows.
ALTER TABLE messages ADD COLUMN priority BIGINT;
