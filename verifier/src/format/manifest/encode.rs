//! The compact form of a manifest, keys in their fixed order (`docs/format.md` §9).

use std::fmt::Display;

use super::{Attachments, Database, Manifest, Options};
use crate::format::canonical_json::{Writer, compact};

impl Manifest {
    pub(super) fn compact_with_id(&self, snapshot_id: &str) -> String {
        let mut writer = Writer::default();
        writer.object(|w| {
            w.key("format_version").integer(self.format_version);
            w.key("min_reader_version").integer(self.min_reader_version);
            w.key("msgvault_version").string(&self.msgvault_version);
            w.key("snapshot_id").string(snapshot_id);
            w.key("parent_id").string(&text(self.parent_id.as_ref()));
            w.key("created_at").string(&self.created_at);
            w.key("options").object(|w| write_options(w, &self.options));
            w.key("db").object(|w| write_database(w, &self.db));
            self.write_optional(w);
            w.key("attachments").object(|w| write_attachments(w, &self.attachments));
            w.key("extras").object(|w| w.key("tree").string(&text(self.extras.tree.as_ref())));
            write_list(w.key("excluded"), self.excluded.as_deref());
            w.key("stats").raw(&compact(self.stats.get()));
            write_list(w.key("new_packs"), self.new_packs.as_deref());
            w.key("new_index").string(&text(self.new_index.as_ref()));
            w.key("duration_seconds").float(self.duration_seconds);
            w.key("bytes_added").integer(self.bytes_added);
        });
        writer.finish()
    }

    fn write_optional(&self, w: &mut Writer) {
        if let Some(metadata) = &self.metadata {
            w.key("metadata").object(|w| {
                w.key("format").string(&metadata.format);
                w.key("blob").string(&metadata.blob.to_string());
                w.key("bytes").integer(metadata.bytes);
            });
        }
        if self.auxiliary().is_empty() {
            return;
        }
        w.key("auxiliary").array(|w| {
            for item in self.auxiliary() {
                w.object(|w| {
                    w.key("name").string(&item.name);
                    w.key("format").string(&item.format);
                    w.key("blob").string(&item.blob.to_string());
                    w.key("bytes").integer(item.bytes);
                    w.key("sha256").string(&item.sha256.to_string());
                });
            }
        });
    }
}

fn write_options(w: &mut Writer, options: &Options) {
    w.key("include_config").boolean(options.include_config);
    w.key("include_tokens").boolean(options.include_tokens);
    w.key("zstd_level").raw(&options.zstd_level.to_string());
    w.key("tag").string(&options.tag);
}

fn write_database(w: &mut Writer, db: &Database) {
    w.key("engine").string(&db.engine);
    w.key("page_size").integer(db.page_size.into());
    w.key("page_count").integer(db.page_count);
    w.key("page_map").string(&text(db.page_map.as_ref()));
    w.key("page_hash_map").string(&text(db.page_hash_map.as_ref()));
    w.key("map_chain_depth").integer(db.map_chain_depth);
}

fn write_attachments(w: &mut Writer, attachments: &Attachments) {
    write_list(w.key("layout"), attachments.layout.as_deref());
    w.key("rows").integer(attachments.rows);
    w.key("blobs").integer(attachments.blobs);
    w.key("blob_bytes").integer(attachments.blob_bytes);
    write_list(w.key("recipes"), attachments.recipes.as_deref());
    write_list(w.key("lists"), attachments.lists.as_deref());
}

fn write_list<T: Display>(w: &mut Writer, items: Option<&[T]>) {
    match items {
        None => w.raw("null"),
        Some(items) => w.array(|w| items.iter().for_each(|item| w.string(&item.to_string()))),
    }
}

fn text<T: Display>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}
