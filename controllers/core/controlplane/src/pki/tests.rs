#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("corten-pki-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&dir));
    dir
}

fn open(dir: &Path, address: [u8; 4]) -> Pki {
    Pki::open(dir, Ipv4Addr::from(address).into()).unwrap()
}

#[test]
fn everything_is_made_once_and_only_the_owner_may_read_it() {
    let dir = folder("once");
    let first = open(&dir, [127, 0, 0, 1]).client_cert("system:node:a", Some("system:nodes"));
    let again = open(&dir, [127, 0, 0, 1]).client_cert("system:node:a", Some("system:nodes"));
    assert_eq!(first.unwrap().certificate, again.unwrap().certificate);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in dir.read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn another_address_another_group_or_a_near_end_renews_the_certificate() {
    let dir = folder("renew");
    let serving = |dir: &Path| std::fs::read_to_string(dir.join("apiserver.crt")).unwrap();
    let pki = open(&dir, [127, 0, 0, 1]);
    let (ca, local) = (pki.ca_certificate().to_owned(), serving(&dir));
    let member = pki.client_cert("x", Some("a")).unwrap().certificate;
    let other = pki.client_cert("x", Some("b")).unwrap().certificate;
    assert_ne!(member, other);

    let pki = open(&dir, [10, 1, 2, 3]);
    assert_eq!(pki.ca_certificate(), ca);
    assert_ne!(serving(&dir), local);

    let late = pki
        .today
        .saturating_add(Span::new().days(LEAF_DAYS - RENEW_DAYS + 1));
    let pki = Pki { today: late, ..pki };
    let before = pki.client_cert("x", Some("b")).unwrap().certificate;
    assert_ne!(before, other);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_lost_authority_takes_its_certificates_along() {
    let dir = folder("lost");
    let before = open(&dir, [127, 0, 0, 1]).client_cert("x", None).unwrap();
    std::fs::remove_file(dir.join("ca.key")).unwrap();
    let after = open(&dir, [127, 0, 0, 1]).client_cert("x", None).unwrap();
    assert_ne!(before.certificate, after.certificate);
    std::fs::remove_dir_all(dir).unwrap();
}
