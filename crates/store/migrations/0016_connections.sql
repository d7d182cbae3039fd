-- The tokens that one person gave one app in one organisation are one connection.
ALTER TABLE api_tokens ADD COLUMN connection_id UUID;
CREATE INDEX api_tokens_connections ON api_tokens (organisation_id, connection_id) WHERE connection_id IS NOT NULL;
