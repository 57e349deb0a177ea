//! Image references: their grammar, and patterns over them.
//!
//! Grammar: `distribution/reference` (`regexp.go`); messages: `pkg/kubelet/images/image_manager.go`.

/// Checks an image reference as a kubelet does before it pulls: `[domain/]path[:tag][@digest]`.
///
/// # Errors
/// The text that follows `couldn't parse image name "…": `.
pub fn check(image: &str) -> Result<(), &'static str> {
    const INVALID: &str = "invalid reference format";
    let (named, digest) = match image.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(INVALID);
    }
    // A colon after the last slash begins a tag; one before it belongs to the domain's port.
    let name_end = named.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match named[name_end..].split_once(':') {
        Some((last, tag)) => (&named[..name_end + last.len()], Some(tag)),
        None => (named, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) || name.len() > 255 {
        return Err(INVALID);
    }
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if is_domain_like(first) => (Some(first), rest),
        _ => (None, name),
    };
    if domain.is_some_and(|domain| !is_domain(domain)) {
        return Err(INVALID);
    }
    if path.split('/').all(is_component) {
        Ok(())
    } else if path.to_ascii_lowercase().split('/').all(is_component) {
        Err("invalid reference format: repository name (library/) must be lowercase")
    } else {
        Err(INVALID)
    }
}

/// Whether `text` is matched as a whole by `pattern`, in which `*` stands for any text.
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    let cuts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    cuts.into_iter().any(|at| glob(rest, &text[at..]))
}

/// The first part is a registry and not the beginning of the path (`reference/normalize.go` splitDockerDomain).
fn is_domain_like(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (domain, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let is_alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    is_alnum(*first)
        && is_alnum(*last)
        && component
            .split(|c: char| c.is_ascii() && is_alnum(c as u8))
            .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic())
            && algorithm
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b))
            && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_follow_the_grammar() {
        let digest = format!("registry.k8s.io/pause@sha256:{}", "0a".repeat(32));
        for (image, valid) in [
            ("nginx", true),
            ("nginx:1.27", true),
            ("registry.k8s.io/e2e-test-images/agnhost:2.53", true),
            ("localhost:5000/a/b_c/d__e/f--g:V1.0_x", true),
            ("webserver:404", true),
            (digest.as_str(), true),
            ("", false),
            ("nginx:", false),
            ("nginx@sha256:short", false),
            ("Nginx", false),
            ("some/Nginx:1", false),
            ("a//b", false),
            ("-a", false),
            ("a b", false),
            ("nginx:1:2", false),
            ("!@#$%", false),
        ] {
            assert_eq!(check(image).is_ok(), valid, "{image:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, matches) in [
            ("*:404", "webserver:404", true),
            ("*:404", "webserver:4040", false),
            (
                "invalid.registry.k8s.io/*",
                "invalid.registry.k8s.io/a/b:1",
                true,
            ),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a", "a", true),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
