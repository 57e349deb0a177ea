//! Signatures without what they sign (RFC 7515, appendix F; upstream: cluster-bootstrap/token/jws/jws.go). Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The length of the blocks that SHA-256 works on.
const BLOCK: usize = 64;

/// Signs `content` with the token of this id and secret.
pub(crate) fn sign(content: &str, id: &str, secret: &str) -> String {
    // Ids have no letter that JSON would write otherwise: `plan` sees to that.
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{id}"}}"#));
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let signature = hmac(secret.as_bytes(), message.as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let round = |pad: u8, message: &[u8]| {
        let mut hash = Sha256::new();
        hash.update(block.map(|byte| byte ^ pad));
        hash.update(message);
        hash.finalize()
    };
    round(0x5c, &round(0x36, message)).into()
}

#[cfg(test)]
mod tests {
    use super::{hmac, sign};

    fn hex(bytes: &[u8]) -> String {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits
            .filter_map(|d| char::from_digit(d.into(), 16))
            .collect()
    }

    /// RFC 4231, cases 1, 2 and 6.
    #[test]
    fn it_is_the_hmac_of_the_rfc() {
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&hmac(key, message.as_bytes())), expected);
        }
    }

    #[test]
    fn a_signature_has_no_content() {
        let signature = sign("content", "abcdef", "0123456789abcdef");
        assert!(
            signature.starts_with("eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9.."),
            "{signature}"
        );
        assert_ne!(signature, sign("content.", "abcdef", "0123456789abcdef"));
        assert_ne!(signature, sign("content", "abcdef", "0123456789abcdeg"));
    }
}
