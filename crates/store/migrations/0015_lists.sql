-- Records by site, and the inbox by what it was understood to be; chatter, most of it, is left out.
CREATE INDEX records_site ON records (organisation_id, site_id, id) WHERE site_id IS NOT NULL;
CREATE INDEX inbox_items_class ON inbox_items (organisation_id, class, id) WHERE class <> 1;
