use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

#[expect(clippy::unnecessary_wraps, reason = "flags and variables are optional")]
fn path(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text))
}

/// A home `h` with this configuration and a configuration `etc/my.toml` with the same, below a scratch
/// folder.
fn world(config: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in ["h/config.toml", "etc/my.toml"] {
        let file = root.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, config).unwrap();
    }
    root
}

fn resolve(root: &TempDir, home: Option<&str>, config: Option<&str>) -> Result<Home, HomeError> {
    let flags = Flags { home: home.map(PathBuf::from), config: config.map(PathBuf::from) };
    let environment = Environment { msgvault_home: path("from-env"), user_home: path("/users/me") };
    Home::resolve(&flags, &environment, root.path())
}

#[test]
fn the_home_is_named_by_flag_config_environment_or_user() {
    let cwd = Path::new("/nowhere/at/all");
    let env = |home: Option<PathBuf>| Environment { msgvault_home: home, user_home: path("/users/me") };
    let table = [
        (path("a"), path("/env"), "/nowhere/at/all/a"),
        (path("/a"), None, "/a"),
        (None, path("/env"), "/env"),
        (None, path("env"), "/nowhere/at/all/env"),
        (path(""), path(""), "/users/me/.msgvault"),
        (None, None, "/users/me/.msgvault"),
    ];
    for (flag, variable, expected) in table {
        let flags = Flags { home: flag, config: None };
        let home = Home::resolve(&flags, &env(variable), cwd).unwrap();
        let expected = Path::new(expected);
        assert_eq!(home.home, expected);
        assert_eq!(home.data_dir, expected);
        assert_eq!(home.database, expected.join("msgvault.db"));
        assert_eq!(home.attachments, expected.join("attachments"));
        assert_eq!(home.cache_dir, expected.join("backup-cache"));
        assert_eq!((home.repo, home.config_file, home.zstd_level), (None, None, None));
        assert_eq!(home.dense, None);
        assert_eq!(home.server, Server::default());
    }
    let nothing = Home::resolve(&Flags::default(), &Environment::default(), cwd);
    assert!(matches!(nothing, Err(HomeError::Unknown)));
}

#[test]
fn absolute_paths_need_no_working_directory() {
    let nowhere = |home: &str, text: &str| {
        let root = world(text);
        let flags =
            Flags { home: path(home), config: root.path().join("etc/my.toml").to_str().and_then(path) };
        Home::resolve(&flags, &Environment::default(), Path::new(""))
    };
    let home = nowhere("/h", "[data]\ndata_dir = \"d\"\n").unwrap();
    assert!(home.data_dir.ends_with("etc/d"), "{home:?}");
    for (home, text) in [("h", ""), ("/h", "[data]\ndatabase_url = \"x.db\"\n")] {
        let refused = nowhere(home, text);
        assert!(matches!(refused, Err(HomeError::NoWorkingDirectory { .. })), "{refused:?}");
    }
}

#[test]
fn a_given_config_moves_the_home_and_what_is_relative() {
    let root = world("[data]\ndata_dir = \"d\"\n[backup]\nrepo = \"../r\"\n");
    let at = |text: &str| root.path().join(text);

    let home = resolve(&root, Some("h"), None).unwrap();
    assert_eq!((home.home, home.data_dir, home.repo), (at("h"), at("d"), Some(at("../r"))));
    assert_eq!(home.config_file, Some(at("h/config.toml")));

    let home = resolve(&root, None, Some("etc/my.toml")).unwrap();
    assert_eq!((home.home, home.data_dir, home.repo), (at("etc"), at("etc/d"), Some(at("etc/../r"))));
    assert_eq!(home.cache_dir, at("etc/backup-cache"));
    assert_eq!(home.config_file, Some(at("etc/my.toml")));

    let home = resolve(&root, Some("h"), Some("etc/my.toml")).unwrap();
    assert_eq!((home.home, home.data_dir), (at("h"), at("etc/d")));

    let missing = resolve(&root, Some("h"), Some("etc/none.toml")).unwrap_err();
    assert!(matches!(missing, HomeError::Unreadable { .. }), "{missing}");
}

#[test]
fn settings_are_read_and_others_ignored() {
    let root = world(
        "top = 1\n[data]\ndata_dir = \"\"\nmore = []\n[oauth]\nx = 2\n[server]\nbind_addr = \"::1\"\napi_port = \
         8080\napi_key = \"k\"\n[backup]\nrepo = \"~/b\"\nzstd_level = 7\ndense = \"auto\"\nschedule = \"0 3 * * *\"\nverify_schedule = \
         \"\"\non_failure = \"mail me\"\nhook_timeout = 60\non_alarm = \"ring\"\n[backup.alarm]\ndrop = \"7%\"\n",
    );
    let home = resolve(&root, Some("h"), None).unwrap();
    assert_eq!((&home.home, &*home.data_dir), (&root.path().join("h"), root.path()));
    assert_eq!(home.server, Server { bind_addr: "::1".into(), api_port: 8080, api_key: "k".into() });
    assert_eq!((home.repo, home.zstd_level), (path("/users/me/b"), Some(7)));
    assert_eq!((home.dense, home.alarm_drop), (Some(Dense::Auto), Some(7)));
    let expected = BackupSettings {
        schedule: Some("0 3 * * *".into()),
        on_failure: Some("mail me".into()),
        on_alarm: Some("ring".into()),
        hook_time: Duration::from_mins(1),
        ..BackupSettings::default()
    };
    assert_eq!(home.backup, expected);
}

#[test]
fn a_tilde_is_the_user_in_folders_only() {
    for (value, expected) in
        [("~", "/users/me"), ("~/d", "/users/me/d"), ("~//d", "/users/me/d"), ("~you/d", "{cwd}/~you/d")]
    {
        let root = world(&format!("[data]\ndata_dir = \"{value}\"\ndatabase_url = \"~/x.db\"\n"));
        let home = resolve(&root, Some("h"), None).unwrap();
        let cwd = root.path().to_str().unwrap();
        assert_eq!(home.data_dir, PathBuf::from(expected.replace("{cwd}", cwd)), "{value}");
        assert_eq!(home.database, root.path().join("~/x.db"));
        assert_eq!(home.attachments, home.data_dir.join("attachments"));
    }
    let root = world("[data]\ndata_dir = \"~/d\"\n");
    let flags = Flags { home: path("h"), config: None };
    let lost = Home::resolve(&flags, &Environment::default(), root.path()).unwrap_err();
    assert!(matches!(lost, HomeError::NoUserHome { .. }), "{lost}");
}

#[test]
fn a_database_is_a_path_or_a_file_uri() {
    let table = [
        ("/a/b.db", Some("/a/b.db")),
        ("b%20.db", Some("{cwd}/b%20.db")),
        ("file:b%20c.db?mode=rw#x", Some("{cwd}/b c.db")),
        ("file:/a/b.db", Some("/a/b.db")),
        ("file:///a/b.db?_txlock=immediate", Some("/a/b.db")),
        ("file://localhost/a/%C3%A9.db", Some("/a/é.db")),
        ("file://elsewhere/a.db", None),
        ("file://", None),
        ("file:", None),
        ("file:?mode=memory", None),
        ("file:a%2", None),
        ("file:a%zz", None),
        ("file:a%00b", None),
        ("postgres://u:secret@h/db", None),
        ("postgresql://h/db", None),
        ("FILE:///a.db", None),
        ("sqlite:///a.db", None),
    ];
    for (url, expected) in table {
        let root = world(&format!("[data]\ndatabase_url = \"{url}\"\n"));
        let cwd = root.path().to_str().unwrap();
        let actual = resolve(&root, Some("h"), None);
        match (actual, expected) {
            (Ok(home), Some(expected)) => {
                assert_eq!(home.database, PathBuf::from(expected.replace("{cwd}", cwd)));
            }
            (Err(error), None) => assert!(!error.to_string().contains("secret"), "{error}"),
            (actual, _) => panic!("{url}: {actual:?}"),
        }
    }
}

#[test]
fn an_error_says_where_it_is() {
    let table = [
        ("[data]\nx = é é\n", ":2:5: "),
        ("[data]\ndata_dir = 5\n", ":2:12: "),
        ("[server]\n  api_port = 70000\n", ":2:14: "),
        ("[backup]\nzstd_level = 20\n", ":2:14: "),
        ("[backup]\ndense = \"weekly\"\n", ":2:9: "),
        ("[backup.alarm]\ndrop = 101\n", ":2:8: "),
        ("[backup.alarm]\nDrop = 5\n", ":2:1: "),
        ("[backup]\nrepo = \"a\"\nrepo = \"b\"\n", ":3:1: "),
    ];
    for (config, place) in table {
        let root = world(config);
        let error = resolve(&root, Some("h"), None).unwrap_err().to_string();
        assert!(error.contains("config.toml") && error.contains(place), "{error}");
    }
}
