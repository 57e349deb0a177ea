//! Which authority signs for which signer, from upstream's flags (cmd/kube-controller-manager/app/certificates.go).

use crate::Authorities;
use crate::authority::Authority;
use crate::verdict::{CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY, SIGNERS};
use clap::Args;
use jiff::SignedDuration;
use runtime::args::parse_duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The flags, with upstream's names and defaults.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Certificates")]
#[group(id = "signing")]
pub struct Flags {
    /// Certificate of the authority that signs for all signers (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_key_file: Option<PathBuf>,
    /// Certificate of the authority of kubelets' servers (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_serving_cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_serving_key_file: Option<PathBuf>,
    /// Certificate of the authority of kubelets as clients (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_client_cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_client_key_file: Option<PathBuf>,
    /// Certificate of the authority of the API server's clients (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kube_apiserver_client_cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kube_apiserver_client_key_file: Option<PathBuf>,
    /// Certificate of the authority of kubernetes.io/legacy-unknown (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_legacy_unknown_cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_legacy_unknown_key_file: Option<PathBuf>,
    /// The longest that a certificate lasts
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "8760h0m0s")]
    pub cluster_signing_duration: Duration,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            cluster_signing_cert_file: None,
            cluster_signing_key_file: None,
            cluster_signing_kubelet_serving_cert_file: None,
            cluster_signing_kubelet_serving_key_file: None,
            cluster_signing_kubelet_client_cert_file: None,
            cluster_signing_kubelet_client_key_file: None,
            cluster_signing_kube_apiserver_client_cert_file: None,
            cluster_signing_kube_apiserver_client_key_file: None,
            cluster_signing_legacy_unknown_cert_file: None,
            cluster_signing_legacy_unknown_key_file: None,
            cluster_signing_duration: Duration::from_hours(8760),
        }
    }
}

type Pair<'a> = (&'a Option<PathBuf>, &'a Option<PathBuf>);

impl Flags {
    /// Opens the authorities; none if no flag names one.
    ///
    /// # Errors
    /// One sentence that names the flag or the file.
    pub fn authorities(&self) -> Result<Option<Authorities>, String> {
        let all: Pair<'_> = (
            &self.cluster_signing_cert_file,
            &self.cluster_signing_key_file,
        );
        let own = [
            (
                KUBELET_SERVING,
                "kubelet-serving",
                &self.cluster_signing_kubelet_serving_cert_file,
                &self.cluster_signing_kubelet_serving_key_file,
            ),
            (
                KUBELET_CLIENT,
                "kubelet-client",
                &self.cluster_signing_kubelet_client_cert_file,
                &self.cluster_signing_kubelet_client_key_file,
            ),
            (
                CLIENT,
                "kube-apiserver-client",
                &self.cluster_signing_kube_apiserver_client_cert_file,
                &self.cluster_signing_kube_apiserver_client_key_file,
            ),
            (
                LEGACY,
                "legacy-unknown",
                &self.cluster_signing_legacy_unknown_cert_file,
                &self.cluster_signing_legacy_unknown_key_file,
            ),
        ];
        let any_own = own
            .iter()
            .any(|(_, _, cert, key)| cert.is_some() || key.is_some());
        if let (Some(cert), Some(key)) = all {
            if any_own {
                return Err("--cluster-signing-cert-file is for all signers, and one has flags of its own: give either".to_owned());
            }
            let authority = Arc::new(self.open(cert, key)?);
            let all = SIGNERS.map(|signer| (signer.to_owned(), authority.clone()));
            return Ok(Some(all.into()));
        }
        let mut authorities = Authorities::new();
        for (signer, flag, cert, key) in own {
            match (cert, key) {
                (Some(cert), Some(key)) => {
                    let authority = Arc::new(self.open(cert, key)?);
                    authorities.insert(signer.to_owned(), authority);
                }
                (None, None) => {}
                _ => {
                    return Err(format!(
                        "--cluster-signing-{flag}-cert-file and -key-file go together"
                    ));
                }
            }
        }
        if authorities.is_empty() && (all.0.is_some() || all.1.is_some()) {
            return Err(
                "--cluster-signing-cert-file and --cluster-signing-key-file go together".to_owned(),
            );
        }
        Ok((!authorities.is_empty()).then_some(authorities))
    }

    fn open(&self, cert: &Path, key: &Path) -> Result<Authority, String> {
        let longest = SignedDuration::try_from(self.cluster_signing_duration);
        let longest = longest.map_err(|_| "--cluster-signing-duration: too long")?;
        if longest <= SignedDuration::ZERO {
            return Err("--cluster-signing-duration: it must be longer than nothing".to_owned());
        }
        Authority::open(cert, key, longest)
    }
}
