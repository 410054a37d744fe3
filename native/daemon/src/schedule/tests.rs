use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::super::cron::Cron;
use super::super::tests::{LogRecorder, machine_at};
use super::*;

/// Takes ten minutes for everything, fails as told, and notes what happened when.
#[derive(Clone)]
struct Fake {
    machine: DaemonEnvironment,
    notes: Arc<Mutex<Vec<String>>>,
    verdicts: Arc<Mutex<Vec<JobVerdict>>>,
    at_once: Arc<AtomicUsize>,
}

impl Fake {
    fn note(&self, text: &str) {
        let at = (self.machine.now)().strftime("%m-%d %H:%M");
        self.notes.lock().unwrap().push(format!("{at} {text}"));
    }
}

impl Runner for Fake {
    async fn run(&self, job: ScheduledJob) -> JobOutcome {
        self.note(job.name());
        assert_eq!(self.at_once.fetch_add(1, Ordering::Relaxed), 0, "never two at once");
        tokio::time::sleep(Duration::from_mins(10)).await;
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        let verdict = self.verdicts.lock().unwrap().pop().unwrap_or(JobVerdict::Ok);
        JobOutcome { verdict, exit_code: Some(0), message: String::new(), report: None }
    }

    async fn hook(&self, command: &str, document: &Value) -> HookResult {
        self.note(&format!("{command} {} {}", document["job"], document["verdict"]));
        HookResult::failed(command, "it hung")
    }
}

/// A data directory that lives through several daemons.
struct World {
    home: TempDir,
    zone: TimeZone,
    create: Option<&'static str>,
    check: Option<&'static str>,
    verify: Option<&'static str>,
    forget: bool,
    hooks: bool,
    /// What runs come to, the last one first; all others go well.
    verdicts: Vec<JobVerdict>,
}

struct Life {
    notes: Vec<String>,
    status: Value,
    log: LogRecorder,
}

impl World {
    fn new(create: Option<&'static str>, verify: Option<&'static str>) -> Self {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let home = tempfile::tempdir().unwrap();
        Self { home, zone, create, check: None, verify, forget: false, hooks: false, verdicts: Vec::new() }
    }

    /// A daemon lives from `start` for so many hours. Notes are in UTC.
    async fn live(&self, start: &str, hours: u64) -> Life {
        let (machine, log) = machine_at(start);
        let gate = Gate::new(machine.now.clone());
        self.live_with(machine, log, gate, hours).await
    }

    async fn live_with(&self, machine: DaemonEnvironment, log: LogRecorder, gate: Gate, hours: u64) -> Life {
        let cron = |text: Option<&str>| text.map(|text| Cron::parse(text).unwrap());
        let hook = |command: &str| self.hooks.then(|| command.to_owned());
        let plan = Schedule {
            create: cron(self.create),
            check: cron(self.check),
            verify_budget: None,
            verify: cron(self.verify),
            forget: self.forget,
            prune: None,
            on_success: hook("cheer"),
            on_failure: hook("alarm"),
            on_alarm: hook("ring"),
        };
        let file = StateFile::new(state_path(self.home.path()));
        let (board, complaint) = Board::new(plan, &file);
        assert_eq!(complaint, None);
        let fake = Fake {
            machine: machine.clone(),
            notes: Arc::default(),
            verdicts: Arc::new(Mutex::new(self.verdicts.clone())),
            at_once: Arc::default(),
        };
        let (notes, shown) = (Arc::clone(&fake.notes), board.clone());
        let scheduler = Scheduler { board, file, zone: self.zone.clone(), gate, runner: fake, machine };
        let _ = tokio::time::timeout(Duration::from_secs(hours * 3600), scheduler.run()).await;
        let notes = notes.lock().unwrap().clone();
        Life { notes, status: serde_json::to_value(shown.status()).unwrap(), log }
    }
}

#[tokio::test(start_paused = true)]
async fn nights_follow_local_time_across_daylight_saving() {
    let world = World::new(Some("30 2 * * *"), None);
    let spring = world.live("2026-03-27T12:00:00Z", 96).await;
    // 2:30 of the night that has no 2:30 comes after the gap.
    assert_eq!(
        spring.notes,
        ["03-28 01:30 create", "03-29 01:30 create", "03-30 00:30 create", "03-31 00:30 create"]
    );
    let autumn = World::new(Some("30 2 * * *"), None).live("2026-10-24T12:00:00Z", 48).await;
    // 2:30 of the night that has it twice comes once.
    assert_eq!(autumn.notes, ["10-25 00:30 create", "10-26 01:30 create"]);
}

#[tokio::test(start_paused = true)]
async fn missed_runs_are_made_up_for_once() {
    let world = World::new(Some("0 3 * * *"), None);
    assert_eq!(world.live("2026-11-20T12:00:00Z", 24).await.notes, ["11-21 02:00 create"]);
    // Off for three nights, back at noon.
    let back = world.live("2026-11-24T11:00:00Z", 24).await;
    assert_eq!(back.notes, ["11-24 11:00 create", "11-25 02:00 create"]);
    assert_eq!(back.status["jobs"][0]["last"]["due_at"], "2026-11-25T02:00:00Z");
    assert_eq!(back.status["jobs"][0]["next_at"], "2026-11-26T02:00:00Z");
    // Nothing was missed this time.
    assert_eq!(world.live("2026-11-25T12:00:00Z", 2).await.notes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_first_start_and_a_new_schedule_make_up_for_nothing() {
    let mut world = World::new(Some("0 3 * * *"), None);
    assert_eq!(world.live("2026-11-20T12:00:00Z", 1).await.notes, Vec::<String>::new());
    world.create = Some("0 1 * * *");
    let changed = world.live("2026-11-22T12:00:00Z", 24).await;
    assert_eq!(changed.notes, ["11-23 00:00 create"]);
    // Times that passed before the first run of a daemon that is restarted every day count too.
    let world = World::new(Some("0 3 * * *"), None);
    assert_eq!(world.live("2026-11-20T12:00:00Z", 1).await.notes.len(), 0);
    assert_eq!(world.live("2026-11-21T12:00:00Z", 1).await.notes, ["11-21 12:00 create"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_together_runs_one_after_another() {
    let world = World::new(Some("0 3 * * *"), Some("0 3 * * *"));
    let life = world.live("2026-11-20T12:00:00Z", 24).await;
    assert_eq!(life.notes, ["11-21 02:00 create", "11-21 02:10 verify"]);
    assert_eq!(life.status["jobs"][1]["last"]["verdict"], "ok");
}

#[tokio::test(start_paused = true)]
async fn a_failed_backup_runs_the_hook_and_is_repeated() {
    let mut world = World::new(Some("0 3 * * *"), None);
    world.hooks = true;
    world.verdicts = vec![JobVerdict::Ok, JobVerdict::Failed];
    let life = world.live("2026-11-20T12:00:00Z", 48).await;
    assert_eq!(
        life.notes,
        [
            "11-21 02:00 create",
            "11-21 02:10 alarm \"create\" \"failed\"",
            "11-22 02:00 create",
            "11-22 02:10 cheer \"create\" \"ok\"",
        ]
    );
    assert_eq!(life.status["jobs"][0]["last"]["hook"]["message"], "it hung");
    assert_eq!(life.status["jobs"][0]["last_failure"]["at"], "2026-11-21T02:10:00Z");
    assert_eq!(life.status["jobs"][0]["last_success_at"], "2026-11-22T02:10:00Z");
    assert!(life.log.lines().iter().any(|line| line.contains("the hook failed")));

    world.verdicts = vec![JobVerdict::Alarm];
    let life = world.live("2026-11-22T12:00:00Z", 16).await;
    assert_eq!(life.notes, ["11-23 02:00 create", "11-23 02:10 ring \"create\" \"alarm\""]);
    assert_eq!(life.status["jobs"][0]["last_success_at"], "2026-11-23T02:10:00Z");

    world.verdicts = vec![JobVerdict::Problems];
    world.verify = Some("0 5 * * *");
    world.create = None;
    let life = world.live("2026-11-23T02:00:00Z", 12).await;
    assert_eq!(life.notes, ["11-23 04:00 verify", "11-23 04:10 alarm \"verify\" \"problems\""]);
}

#[tokio::test(start_paused = true)]
async fn forgetting_follows_a_snapshot_that_is_made_and_not_alarming() {
    let mut world = World::new(Some("0 3 * * *"), None);
    world.forget = true;
    world.verdicts = vec![JobVerdict::Alarm, JobVerdict::Failed, JobVerdict::Ok, JobVerdict::Ok];
    let life = world.live("2026-11-20T12:00:00Z", 72).await;
    assert_eq!(
        life.notes,
        ["11-21 02:00 create", "11-21 02:10 forget", "11-22 02:00 create", "11-23 02:00 create"]
    );
    let jobs = life.status["jobs"].as_array().unwrap();
    let forget = jobs.iter().find(|job| job["job"] == "forget").unwrap();
    assert_eq!((&forget["schedule"], &forget["next_at"]), (&"after each snapshot".into(), &Value::Null));
    assert_eq!(forget["last"]["verdict"], "ok");
}

#[tokio::test(start_paused = true)]
async fn what_the_end_of_the_daemon_interrupted_is_made_up_for() {
    let mut world = World::new(Some("0 3 * * *"), None);
    world.hooks = true;
    // The daemon is killed five minutes into the run, which nobody could note.
    let killed = world.live("2026-11-20T12:05:00Z", 14).await;
    assert_eq!(killed.notes, ["11-21 02:00 create"]);
    let (machine, log) = machine_at("2026-11-21T03:00:00Z");
    let gate = Gate::new(machine.now.clone());
    world.verdicts = vec![JobVerdict::Interrupted];
    let draining = gate.clone();
    let (interrupted, ()) = tokio::join!(world.live_with(machine, log, gate, 14), async {
        tokio::time::sleep(Duration::from_mins(5)).await;
        draining.drain();
    });
    assert_eq!(interrupted.notes, ["11-21 03:00 create"], "no hook is told");
    world.verdicts = Vec::new();
    let made_up = world.live("2026-11-21T08:00:00Z", 1).await;
    assert_eq!(made_up.notes[0], "11-21 08:00 create");
}

#[tokio::test(start_paused = true)]
async fn scheduled_work_waits_at_the_gate_and_not_inside_of_it() {
    let world = World::new(Some("0 3 * * *"), None);
    let (machine, log) = machine_at("2026-11-21T01:59:00Z");
    let gate = Gate::new(machine.now.clone());
    let freeze = gate.enter("backup freeze", Rank::Request).await.unwrap();
    let other = gate.clone();
    let (life, ()) = tokio::join!(world.live_with(machine, log, gate, 2), async {
        tokio::time::sleep(Duration::from_mins(30)).await;
        drop(freeze);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(other.held(), None, "the backup that runs asks for its own freeze");
    });
    assert_eq!(life.notes, ["11-21 02:29 create"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_wrong_puts_nothing_off() {
    let world = World::new(Some("0 3 * * *"), None);
    assert_eq!(world.live("2099-11-20T12:00:00Z", 24).await.notes.len(), 1);
    assert_eq!(world.live("2026-11-20T12:00:00Z", 24).await.notes, ["11-21 02:00 create"]);
}

#[test]
fn an_unreadable_state_file_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let file = StateFile::new(state_path(home.path()));
    assert_eq!(file.load(), (ScheduleState::default(), None));
    std::fs::write(file.path(), "{\"create\": 7").unwrap();
    let (state, complaint) = file.load();
    assert!(state == ScheduleState::default() && complaint.unwrap().contains("is not used"));
    let mut state = ScheduleState::default();
    let handled_until = Timestamp::UNIX_EPOCH;
    state.set(
        ScheduledJob::Verify,
        JobState { schedule: "@daily".to_owned(), handled_until, history: History::default() },
    );
    file.save(&state).unwrap();
    assert_eq!(file.load(), (state, None));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_checked_snapshot_stands_for_that_nights_plain_one() {
    let mut world = World::new(Some("0 3 * * *"), None);
    world.check = Some("0 3 * * sat");
    // It finds damage, and the snapshot is made all the same.
    world.verdicts = vec![JobVerdict::Problems, JobVerdict::Ok];
    let life = world.live("2026-11-19T12:00:00Z", 72).await;
    assert_eq!(life.notes, ["11-20 02:00 create", "11-21 02:00 check", "11-22 02:00 create"]);
    let jobs: Vec<&Value> = life.status["jobs"].as_array().unwrap().iter().map(|job| &job["job"]).collect();
    assert_eq!(jobs, ["check", "create"]);
    assert_eq!(life.status["jobs"][0]["last"]["verdict"], "problems");

    // One that failed made none. Before it comes what was missed.
    world.verdicts = vec![JobVerdict::Failed, JobVerdict::Ok];
    let failed = world.live("2026-11-28T01:00:00Z", 5).await;
    assert_eq!(failed.notes, ["11-28 01:00 create", "11-28 02:00 check", "11-28 02:10 create"]);
}
