-- What housekeeping looks for: by its age, and in its order.
CREATE INDEX early_statuses_received ON early_statuses (received_at);
CREATE INDEX intake_windows_started ON intake_windows (started_at);
CREATE INDEX site_digests_created ON site_digests (created_at);
CREATE INDEX held_updates_unclaimed ON held_updates (stream, seq) WHERE resolved_at IS NULL AND reason = 'unclaimed';
