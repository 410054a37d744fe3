//! Messages: who writes, in which conversation, and what the database keeps of them.

use rusqlite::{Connection, Statement, params};

use super::rng::Rng;
use super::{Result, sql_int, text};

/// Source type, identifier, and whether it is a chat rather than mail.
const SOURCES: [(&str, &str, bool); 3] =
    [("gmail", "ada@example.org", false), ("imap", "choir@example.net", false), ("sms", "+4300000000", true)];

const LABELS: [&str; 8] =
    ["INBOX", "SENT", "IMPORTANT", "STARRED", "Rechnungen", "Travel ✈", "Family", "Newsletters <list>"];

const PEOPLE: i64 = 120;

/// How many conversations are open for replies at a time.
const OPEN_THREADS: usize = 64;

/// Sources, identities, people and labels: what exists before the first message.
pub(super) fn write_accounts(conn: &Connection, rng: &mut Rng) -> Result<()> {
    let mut source = conn.prepare("INSERT INTO sources(source_type, identifier) VALUES (?, ?)")?;
    let mut identity = conn.prepare("INSERT INTO account_identities(source_id, address) VALUES (?, ?)")?;
    let mut label = conn.prepare("INSERT INTO labels(source_id, name) VALUES (?, ?)")?;
    for (kind, identifier, _) in SOURCES {
        let id = source.insert(params![kind, identifier])?;
        identity.execute(params![id, identifier])?;
        for name in LABELS {
            label.execute(params![id, name])?;
        }
    }
    identity.execute(params![1, "ada+lists@example.org"])?;
    let mut person = conn.prepare("INSERT INTO participants(display_name, address) VALUES (?, ?)")?;
    for number in 1..=PEOPLE {
        person.execute(params![rng.pick(text::NAMES), format!("person{number}@example.com")])?;
    }
    Ok(())
}

/// A conversation that may get another reply.
#[derive(Debug, Clone)]
struct Thread {
    conversation: i64,
    source: i64,
    last_message: i64,
    subject: String,
}

/// Writes messages one after another, each a little later than the one before.
pub(super) struct Mail<'c> {
    rng: Rng,
    /// Seconds since 1970.
    now: i64,
    /// Mean seconds between two messages.
    pace: u64,
    open: Vec<Thread>,
    add_conversation: Statement<'c>,
    touch_conversation: Statement<'c>,
    add_message: Statement<'c>,
    add_body: Statement<'c>,
    add_label: Statement<'c>,
}

impl<'c> Mail<'c> {
    pub(super) fn start(conn: &'c Connection, rng: Rng, now: i64, pace: u64) -> Result<Self> {
        Ok(Self {
            rng,
            now,
            pace,
            open: Vec::new(),
            add_conversation: conn.prepare("INSERT INTO conversations(source_id, title) VALUES (?, ?)")?,
            touch_conversation: conn.prepare(
                "UPDATE conversations SET message_count = message_count + 1, last_message_at = ?2 WHERE id = ?1",
            )?,
            add_message: conn.prepare(
                "INSERT INTO messages(conversation_id, source_id, source_message_id, reply_to_id, sender_id, sent_at,
                     subject, snippet, is_read) VALUES (?, ?, ?, ?, ?, datetime(?, 'unixepoch'), ?, ?, ?)",
            )?,
            add_body: conn.prepare("INSERT INTO message_bodies(message_id, body) VALUES (?, ?)")?,
            add_label: conn.prepare("INSERT OR IGNORE INTO message_labels(message_id, label_id) VALUES (?, ?)")?,
        })
    }

    /// Continues the conversations that were active last.
    pub(super) fn resume(&mut self, conn: &Connection) -> Result<()> {
        let mut latest = conn.prepare(
            "SELECT c.id, c.source_id, (SELECT max(id) FROM messages WHERE conversation_id = c.id), c.title
             FROM conversations c ORDER BY c.last_message_at DESC, c.id LIMIT ?",
        )?;
        let mut rows = latest.query([sql_int(u64::try_from(OPEN_THREADS).unwrap_or(0))])?;
        while let Some(row) = rows.next()? {
            let Some(last_message) = row.get(2)? else { continue };
            let subject = row.get::<_, Option<String>>(3)?.unwrap_or_default();
            self.open.push(Thread { conversation: row.get(0)?, source: row.get(1)?, last_message, subject });
        }
        Ok(())
    }

    /// Writes one message, a reply or the first of its conversation, and returns its row id.
    pub(super) fn write(&mut self) -> Result<i64> {
        let pace = self.pace.saturating_mul(2);
        self.now = self.now.saturating_add_unsigned(self.rng.between(1, pace));
        let slot = self.rng.index(OPEN_THREADS);
        let (mut thread, reply_to) = match self.open.get(slot) {
            Some(thread) if self.rng.percent(65) => (thread.clone(), Some(thread.last_message)),
            _ => (self.begin_thread()?, None),
        };
        let message = self.write_into(&thread, reply_to)?;
        thread.last_message = message;
        match self.open.get_mut(slot) {
            Some(open) => *open = thread,
            None => self.open.push(thread),
        }
        Ok(message)
    }

    fn begin_thread(&mut self) -> Result<Thread> {
        let source = self.rng.pick_early(&[1_i64, 3, 2]);
        let subject = text::subject(&mut self.rng);
        let conversation = self.add_conversation.insert(params![source, subject])?;
        Ok(Thread { conversation, source, last_message: 0, subject })
    }

    fn write_into(&mut self, thread: &Thread, reply_to: Option<i64>) -> Result<i64> {
        let rng = &mut self.rng;
        let (subject, body) = if is_chat(thread.source) {
            (None, text::chat(rng))
        } else {
            let prefix = if reply_to.is_some() { "Re: " } else { "" };
            let len = usize::try_from(body_length(rng)).unwrap_or(0);
            (Some(format!("{prefix}{}", thread.subject)), text::body(rng, len))
        };
        let snippet: String = body.chars().take(80).collect();
        let origin = format!("{:016x}", rng.next());
        let sender = rng.id(1, PEOPLE);
        // Drafts were never sent.
        let sent_at = (!rng.one_in(200)).then_some(self.now);
        let is_read = rng.percent(90);
        let id = self.add_message.insert(params![
            thread.conversation,
            thread.source,
            origin,
            reply_to,
            sender,
            sent_at,
            subject,
            snippet,
            is_read
        ])?;
        self.add_body.execute(params![id, body])?;
        self.touch_conversation.execute(params![thread.conversation, self.now])?;
        for _ in 0..rng.between(1, 3) {
            let label = random_label(rng, thread.source);
            self.add_label.execute(params![id, label])?;
        }
        Ok(id)
    }
}

/// One of the labels of a source.
pub(super) fn random_label(rng: &mut Rng, source: i64) -> i64 {
    let labels = sql_int(u64::try_from(LABELS.len()).unwrap_or(0));
    let before = source.saturating_sub(1).saturating_mul(labels);
    rng.id(before.saturating_add(1), before.saturating_add(labels))
}

/// Most mail is short; now and then a newsletter fills several pages of the database.
pub(super) fn body_length(rng: &mut Rng) -> u64 {
    if rng.one_in(150) { rng.between(8_000, 60_000) } else { rng.skewed(1400) }
}

fn is_chat(source: i64) -> bool {
    usize::try_from(source)
        .ok()
        .and_then(|n| SOURCES.get(n.checked_sub(1)?))
        .is_some_and(|(_, _, chat)| *chat)
}
