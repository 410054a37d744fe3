use super::*;

fn sample() -> String {
    let mut text = format!(
        r#"{{"format_version":1,"min_reader_version":1,"msgvault_version":"v","snapshot_id":"","parent_id":"",
        "created_at":"2026-11-23T13:35:58Z",
        "options":{{"include_config":false,"include_tokens":false,"zstd_level":3,"tag":"<b>&\u2028\u0001"}},
        "db":{{"engine":"sqlite","page_size":4096,"page_count":1,"page_map":"{blob}","page_hash_map":"{blob}",
        "map_chain_depth":0}},
        "attachments":{{"layout":["loose"],"rows":0,"blobs":0,"blob_bytes":0,"recipes":[],"lists":null}},
        "extras":{{"tree":""}},"excluded":null,"stats":{{"b":1.50,"a":[ ]}},"new_packs":null,"new_index":"",
        "duration_seconds":0.043863,"bytes_added":0}}"#,
        blob = BlobId::of(b"")
    );
    text = text.replace('\n', "");
    with_id(&text)
}

/// Puts the right ID into a text whose `snapshot_id` is anything.
fn with_id(text: &str) -> String {
    let nobody = "20261123T133558Z-00000000000000000000000000000000";
    let empty = text.replace(r#""snapshot_id":"""#, &format!(r#""snapshot_id":"{nobody}""#));
    let Ok(manifest) = serde_json::from_str::<Manifest>(&empty) else { return empty };
    empty.replace(nobody, &manifest.computed_id())
}

fn name_of(text: &str) -> SnapshotId {
    let start = text.find("snapshot_id").unwrap() + 14;
    text[start..start + 49].parse().unwrap()
}

#[test]
fn a_manifest_keeps_nulls_spelling_and_order() {
    let text = sample();
    let manifest = Manifest::decode(&name_of(&text), text.as_bytes()).unwrap();
    assert_eq!(manifest.stats_json(), r#"{"b":1.50,"a":[]}"#);
    let encoded = manifest.encode();
    assert!(encoded.contains("\"lists\": null") && encoded.contains("\"recipes\": []"));
    assert!(encoded.contains("\"tag\": \"\\u003cb\\u003e\\u0026\\u2028\\u0001\""));
    assert!(encoded.contains("\"duration_seconds\": 0.043863,"));
    let again = Manifest::decode(&manifest.snapshot_id, encoded.as_bytes()).unwrap();
    assert_eq!(again.encode(), encoded);
}

#[test]
fn durations_are_read_to_the_last_bit() {
    for (text, seconds) in
        [("12", 12.0), ("0.043863", 0.043_863), ("1e-7", 1e-7), ("8.533e+68", 8.533e68), ("0.3", 0.3)]
    {
        let json = sample().replace("0.043863", text);
        let manifest: Manifest = serde_json::from_str(&json).unwrap();
        assert!((manifest.duration_seconds - seconds).abs() <= f64::EPSILON * seconds, "{text}");
        assert!(manifest.encode().contains(&format!("\"duration_seconds\": {text},")), "{text}");
    }
    assert!(serde_json::from_str::<Manifest>(&sample().replace("0.043863", "1e999")).is_err());
}

#[test]
fn forged_manifests_are_refused() {
    let good = sample();
    let name = name_of(&good);
    let changes = [
        ("\"rows\":0", "\"rows\":1"),
        ("\"excluded\":null,", ""),
        ("\"excluded\":null,", "\"excluded\":null,\"excluded\":null,"),
        ("\"excluded\":null,", "\"excluded\":null,\"more\":1,"),
        ("\"tree\":\"\"", "\"tree\":\"../../x\""),
        ("\"new_index\":\"\"", "\"new_index\":\"x\""),
        ("\"parent_id\":\"\"", "\"parent_id\":\"../x\""),
        ("\"rows\":0", "\"rows\":-1"),
        ("\"stats\":", "\"metadata\":null,\"stats\":"),
        ("\"extras\":{\"tree\":\"\"}", "\"extras\":[\"\"]"),
    ];
    for (from, to) in changes {
        assert!(good.contains(from), "{from}");
        let forged = good.replacen(from, to, 1);
        assert!(Manifest::decode(&name, forged.as_bytes()).is_err(), "{to}");
    }
    assert!(Manifest::decode(&name, good.as_bytes()).is_ok());
    let other = "20261123T133558Z-00000000000000000000000000000000".parse().unwrap();
    assert!(matches!(Manifest::decode(&other, good.as_bytes()), Err(ManifestError::WrongId { .. })));
}

#[test]
fn a_newer_manifest_says_upgrade_whatever_else_it_holds() {
    let name: SnapshotId = "20261123T133558Z-00000000000000000000000000000000".parse().unwrap();
    let error = Manifest::decode(&name, br#"{"min_reader_version":5,"new":{}}"#).unwrap_err();
    assert_eq!(error, ManifestError::TooNew { needed: 5 });
    assert!(error.to_string().contains("upgrade"));
}

#[test]
fn a_version_holds_what_it_must() {
    let good = sample();
    for version in [0, 3, 4, 5, 99] {
        let text = good.replace("\"format_version\":1", &format!("\"format_version\":{version}"));
        let text = with_id(&text.replace(name_of(&good).as_str(), ""));
        let decoded = Manifest::decode(&name_of(&text), text.as_bytes());
        assert_eq!(decoded.is_ok(), version >= 4, "{version}: {decoded:?}");
    }
}

#[test]
fn auxiliary_artifacts_obey_their_rules() {
    let blob = BlobId::of(b"x").to_string();
    let item = |name: &str, format: &str, sha256: &str, bytes: u64| {
        format!(
            r#"{{"name":"{name}","format":"{format}","blob":"{blob}","bytes":{bytes},"sha256":"{sha256}"}}"#
        )
    };
    let other = BlobId::of(b"y").to_string();
    let table = [
        (item("a", "text/plain", &blob, 1), true),
        ([item("a", "t", &blob, 1), item("b", "t", &blob, 1)].join(","), true),
        ([item("b", "t", &blob, 1), item("a", "t", &blob, 1)].join(","), false),
        ([item("a", "t", &blob, 1), item("a", "t", &blob, 1)].join(","), false),
        (item("A", "t", &blob, 1), false),
        (item("-a", "t", &blob, 1), false),
        (item("a/b", "t", &blob, 1), false),
        (item("a", "", &blob, 1), false),
        (item("a", "x\\u0007", &blob, 1), false),
        (item("a", "t", &other, 1), false),
        (item("a", "t", &blob, (64 << 20) + 1), false),
        (item(DOCUMENT_DERIVATIVES, "t", &blob, 1), false),
    ];
    for (items, valid) in table {
        let good = sample();
        let text = good
            .replace("\"attachments\":{", &format!("\"auxiliary\":[{items}],\"attachments\":{{"))
            .replace("\"format_version\":1", "\"format_version\":4")
            .replace(name_of(&good).as_str(), "");
        let text = with_id(&text);
        let decoded = Manifest::decode(&name_of(&text), text.as_bytes());
        assert_eq!(decoded.is_ok(), valid, "{items}: {decoded:?}");
    }
}
