-- A file that a widget's visitor brought and has not sent: gone after this time. Until it is sent it is in no library.
ALTER TABLE files ADD COLUMN draft_until BIGINT;
CREATE INDEX files_drafts ON files (draft_until) WHERE draft_until IS NOT NULL;
