//! `msgvault backup create`.

use std::fmt::Write;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use msgvault_cli::{Exit, JobsArgs};
use msgvault_freeze as freeze;
use msgvault_platform as platform;
use msgvault_verifier::shrink::Tolerance;
use msgvault_verifier::text::{count, escape, human_bytes};

use super::LockArgs;
use crate::cli::Invocation;
use crate::cli::environment::pause;
use crate::cli::failure::Failure;
use crate::create::{self, CreateError, CreateReport, CreateRequest, DatabaseCheck};
use crate::home::Dense;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct CreateArgs {
    /// A label for people
    #[arg(long, default_value = "", hide_default_value = true)]
    tag: String,
    /// Capture the archive's configuration, which can hold secrets
    #[arg(long)]
    include_config: bool,
    /// Capture tokens and client secrets
    #[arg(long)]
    include_tokens: bool,
    /// Store secrets readable for everybody who can read the repository
    #[arg(long)]
    allow_plaintext_secrets: bool,
    #[command(flatten)]
    threads: JobsArgs,
    /// Compression level, 1 to 19; 0 is the default [default: the configuration's, else 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=19))]
    zstd_level: Option<i32>,
    /// When pages are stored again that lie in blobs of mostly dead pages [default: the configuration's, else monthly]
    #[arg(long, value_name = "WHEN", value_enum)]
    dense: Option<Dense>,
    #[command(flatten)]
    lock: LockArgs,
    /// Seconds to wait for a daemon that is busy with other work
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    freeze_wait: u64,
    /// Have SQLite check the database that is captured (its `quick_check`); damage ends with 3, and the snapshot is
    /// made all the same [default: `[backup] check` of the configuration]
    #[arg(long)]
    check: bool,
    /// Do not end with 4 if the archive holds much less than the snapshot before, or was rewritten: it was wanted
    #[arg(long)]
    expect_shrink: bool,
    /// Believe this machine's clock even if it seems to be years off
    #[arg(long)]
    accept_clock: bool,
    /// Find out what would be stored, and store nothing
    #[arg(long)]
    dry_run: bool,
}

impl ValueEnum for Dense {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Monthly, Self::Auto, Self::Off]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Monthly => {
                PossibleValue::new("monthly").help("auto, and with the first snapshot of a month")
            }
            Self::Auto => {
                PossibleValue::new("auto").help("when blobs hold more than twice the pages that are needed")
            }
            Self::Off => PossibleValue::new("off").help("never"),
        })
    }
}

pub(super) fn run(invocation: &Invocation<'_>, args: &CreateArgs) -> Result<Exit, Failure> {
    let home = invocation.home()?;
    let repo = invocation.repo()?;
    home.refuse_inside(&repo)?;
    let host = platform::host_name();
    let request = CreateRequest {
        home: &home,
        repo: &repo,
        tag: &args.tag,
        include_config: args.include_config,
        include_tokens: args.include_tokens,
        allow_plaintext_secrets: args.allow_plaintext_secrets,
        jobs: args.threads.jobs,
        zstd_level: args.zstd_level.or(home.zstd_level).unwrap_or_default(),
        dense: args.dense.or(home.dense).unwrap_or_default(),
        force_unlock: args.lock.force_unlock,
        retry_lock: args.lock.patience(),
        check: args.check || home.check,
        accept_clock: args.accept_clock,
        alarm_drop: home.alarm_drop.unwrap_or(Tolerance::USUAL.percent),
        dry_run: args.dry_run,
        version: env!("CARGO_PKG_VERSION"),
        host: &host,
        pid: std::process::id().into(),
        log_limit: None,
        pause: &pause,
    };
    let freeze = freeze::Request {
        data_dir: &home.data_dir,
        api_key: &home.server.api_key,
        patience: Duration::from_secs(args.freeze_wait),
        pause: &pause,
    };
    let created =
        invocation.machine.with_context(&invocation.output, |context| -> Result<_, CreateError> {
            let mut freezer = freeze::acquire(context, &freeze)?;
            create::run(context, &request, freezer.as_mut())
        })?;
    let report = created.map_err(|error| invocation.machine.failure(error))?;
    match &report.check {
        Some(check) if !check.sound => {
            invocation.output.problems(&report, || text(&report), || wrong(&report, check))?;
            Ok(Exit::Problems)
        }
        _ if !report.alarms.is_empty() && !args.expect_shrink => {
            invocation.output.problems(&report, || text(&report), || alarming(&report))?;
            Ok(Exit::Alarming)
        }
        _ => {
            invocation.output.result(&report, || text(&report))?;
            Ok(Exit::Done)
        }
    }
}

/// What is alarming about an archive whose snapshot is made.
fn alarming(report: &CreateReport) -> Vec<String> {
    let made = match &report.snapshot_id {
        Some(id) => format!("snapshot {id} is made, and those before it are as they were"),
        None => "nothing was stored".to_owned(),
    };
    let sentence = format!(
        "ALARM: {}; {made}. If that was wanted, all is well, and --expect-shrink says so next time; else look after \
         the archive before you forget anything",
        report.alarms.join("; ")
    );
    vec![sentence]
}

/// What is wrong with an archive whose snapshot is made.
fn wrong(report: &CreateReport, check: &DatabaseCheck) -> Vec<String> {
    let made = match &report.snapshot_id {
        Some(id) => format!("snapshot {id} is made as the archive is"),
        None => "nothing was stored".to_owned(),
    };
    let sentence = format!(
        "SQLite finds the archive's database DAMAGED; {made}: keep the snapshots from before, and look after the archive"
    );
    [sentence].into_iter().chain(check.findings.iter().cloned()).collect()
}

fn text(report: &CreateReport) -> String {
    let mut out = match &report.snapshot_id {
        Some(id) => format!("created snapshot {id}"),
        None => "would create a snapshot; nothing was stored".to_owned(),
    };
    let _ = write!(
        out,
        "\n  database     {}, {} of {} pages changed",
        human_bytes(report.pages.bytes),
        report.pages.changed,
        report.pages.total
    );
    if let Some(check) = &report.check {
        let found = if check.sound { "sound" } else { "DAMAGED" };
        let _ = write!(out, "\n  check        SQLite finds it {found}, in {:.1} s", check.seconds);
        for finding in &check.findings {
            let _ = write!(out, "\n               {}", escape(finding));
        }
        if !check.sound {
            out += "\n               keep the snapshots from before, and look after the archive";
        }
    }
    if report.pages.stored_again > 0 {
        let _ = write!(
            out,
            "\n  stored again {} unchanged pages, {}, since their blobs were less than half in use",
            report.pages.stored_again,
            human_bytes(report.pages.bytes_stored_again)
        );
    }
    let _ = write!(
        out,
        "\n  attachments  {} ({}), {} new",
        report.attachments.blobs,
        human_bytes(report.attachments.bytes),
        report.attachments.new
    );
    let _ = write!(out, "\n  other files  {}", report.extras.files);
    for alarm in &report.alarms {
        let _ = write!(out, "\n  ALARM        {alarm}");
    }
    if let Some(documents) = &report.documents {
        let characters = documents.characters;
        let _ = write!(
            out,
            "\n  documents    {characters} characters of text derived from them are in the database"
        );
    }
    let _ = write!(
        out,
        "\n  added        {} in {}",
        human_bytes(report.bytes_added),
        count(report.new_packs.len(), "pack")
    );
    if !report.tag.is_empty() {
        let _ = write!(out, "\n  tag          {}", escape(&report.tag));
    }
    let _ = write!(out, "\n  took         {:.1} s", report.duration_seconds);
    out
}
