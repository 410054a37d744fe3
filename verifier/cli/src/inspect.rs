//! What `list` and `inspect` print.

use std::fmt::Write;

use msgvault_verifier::inspect::{PageUse, RepositoryOverview, SnapshotDetails, SnapshotSummary};
use msgvault_verifier::text::{count, escape, human_bytes};

use super::{Exit, Output, Unreported};

/// Prints a repository: who it is and its snapshots, newest last. Manifests that cannot be read are problems.
pub fn print_overview(output: &Output, overview: &RepositoryOverview) -> Result<Exit, Unreported> {
    let text = || overview_text(overview);
    if overview.unreadable.is_empty() {
        output.result(overview, text)?;
        return Ok(Exit::Done);
    }
    output.problems(overview, text, || {
        let sentence = format!("{} cannot be read", count(overview.unreadable.len(), "manifest"));
        let particulars = overview.unreadable.iter().map(|(name, reason)| format!("{name}: {reason}"));
        [sentence].into_iter().chain(particulars).collect()
    })?;
    Ok(Exit::Problems)
}

/// Prints one snapshot.
pub fn print_details(output: &Output, details: &SnapshotDetails) -> Result<(), Unreported> {
    output.result(details, || details_text(details))
}

fn overview_text(overview: &RepositoryOverview) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "repository   {}", overview.repo_id);
    let _ = writeln!(out, "created      {}", escape(&overview.created_at));
    let _ = writeln!(
        out,
        "holds        {} in {}, {} in all",
        count(overview.blobs, "blob"),
        count(overview.packs, "pack"),
        human_bytes(overview.bytes)
    );
    if let Some(space) = overview.space {
        let dead = space.dead_bytes.map_or_else(
            || "unknown, since something cannot be read".to_owned(),
            |dead| format!("{} of {} in packs", human_bytes(dead), human_bytes(space.pack_bytes)),
        );
        let _ = writeln!(out, "unreached    {dead}");
    }
    for lock in &overview.locks {
        let operation = lock.operation.as_deref().unwrap_or("unknown");
        let host = lock.hostname.as_deref().unwrap_or("unknown");
        let since = lock.acquired_at.as_deref().unwrap_or("unknown");
        let _ =
            writeln!(out, "lock         {} by {} since {}", escape(operation), escape(host), escape(since));
    }
    out += &snapshot_table(&overview.snapshots);
    for (name, lost) in &overview.shrunk {
        let lost = lost.iter().map(|loss| format!("{} from {} to {}", loss.what, loss.before, loss.after));
        let lost: Vec<String> = lost.collect();
        let _ = write!(out, "\n{}  SHRANK: {}", escape(name), lost.join(", "));
    }
    for (name, reason) in &overview.unreadable {
        let _ = write!(out, "\n{}  CANNOT BE READ: {}", escape(name), escape(reason));
    }
    out
}

/// A line a snapshot, newest last.
pub(super) fn snapshot_table(snapshots: &[SnapshotSummary]) -> String {
    if snapshots.is_empty() {
        return "no snapshot yet".to_owned();
    }
    let discloses = snapshots.iter().any(|snapshot| snapshot.document_texts);
    let is_verified = snapshots.iter().any(|snapshot| snapshot.verified_at.is_some());
    let columns = [
        ("SNAPSHOT", true),
        ("CREATED", true),
        ("MESSAGES", true),
        ("ATTACHMENTS", true),
        ("DATABASE", true),
        ("ADDED", true),
        ("VERIFIED", is_verified),
        ("DOCUMENT TEXTS", discloses),
        ("TAG", true),
    ];
    let mut rows = vec![columns.map(|(header, _)| header.to_owned()).to_vec()];
    for snapshot in snapshots {
        rows.push(vec![
            snapshot.snapshot_id.to_string(),
            escape(&snapshot.created_at),
            snapshot.messages().map_or_else(|| "?".to_owned(), |messages| messages.to_string()),
            snapshot.attachments.blobs.to_string(),
            human_bytes(snapshot.database_bytes),
            human_bytes(snapshot.bytes_added),
            snapshot.verified_at.clone().unwrap_or_else(|| "-".to_owned()),
            if snapshot.document_texts { "yes" } else { "no" }.to_owned(),
            escape(&snapshot.tag),
        ]);
    }
    for row in &mut rows {
        let mut shown = columns.iter().map(|(_, shown)| *shown);
        row.retain(|_| shown.next() == Some(true));
    }
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len))
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// A cell of a table. A width in a format string panics above 65,535, and a tag can be longer.
fn padded(cell: &str, width: usize) -> String {
    let missing = width.saturating_sub(cell.chars().count());
    format!("{cell}{}", " ".repeat(missing))
}

fn details_text(details: &SnapshotDetails) -> String {
    let summary = &details.summary;
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<16} {value}");
    };
    line("snapshot", summary.snapshot_id.to_string());
    line("parent", if summary.parent_id.is_empty() { "none".into() } else { summary.parent_id.clone() });
    line("created", escape(&summary.created_at));
    if let Some(at) = &summary.verified_at {
        line("verified", at.clone());
    }
    line("written by", escape(&details.msgvault_version));
    line("tag", escape(&summary.tag));
    line("format version", summary.format_version.to_string());
    line(
        "database",
        format!(
            "{} ({} pages of {} bytes, {} deltas from the keyframe)",
            human_bytes(summary.database_bytes),
            summary.page_count,
            summary.page_size,
            summary.map_chain_depth
        ),
    );
    if let Some(PageUse { needed, held }) = summary.page_use {
        line("page blobs", format!("{needed} pages needed, {held} held"));
    }
    if let Some(content) = details.content {
        line("content", content.to_string());
    }
    line("counted", escape(summary.stats.get()));
    line(
        "attachments",
        format!(
            "{} of {} in {} rows",
            summary.attachments.blobs,
            human_bytes(summary.attachments.blob_bytes),
            summary.attachments.rows
        ),
    );
    line("added", format!("{} in {}", human_bytes(summary.bytes_added), count(summary.packs_added, "pack")));
    if summary.document_texts {
        line("document texts", "yes: the database holds texts derived from documents".to_owned());
    }
    for item in &details.auxiliary_artifacts {
        line("artifact", format!("{} ({} bytes)", escape(&item.name), item.bytes));
    }
    for extra in &details.extras {
        line("extra", format!("{} {:>10} {}", extra.mode, extra.size, escape(&extra.path)));
    }
    for attachment in &details.attachment_list {
        line("attachment", format!("{} {:>12}", attachment.sha256, attachment.size));
    }
    out.trim_end().to_owned()
}
