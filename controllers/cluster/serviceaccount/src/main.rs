//! The program `serviceaccount-controller`. Its flags: `serviceaccount-controller --help`.

use clap::Parser;
use jiff::SignedDuration;
use runtime::serve::{CommonArgs, Component, Misuse, WORKERS, start};
use runtime::{Runtime, args};
use serviceaccount::{
    Issuer, LegacyTokenCleaner, RootCaPublisher, ServiceAccountController, TokenController,
};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Gives each namespace a service account and certificates, and service accounts their tokens.
#[derive(Parser)]
#[command(name = "serviceaccount-controller", version)]
struct Args {
    /// Private key that signs tokens in Secrets (PEM); without it none are made
    #[arg(long, value_name = "FILE")]
    service_account_private_key_file: Option<PathBuf>,
    /// How long a token in a Secret may be unused before it is marked, and again before it is deleted
    #[arg(long, value_name = "DURATION", value_parser = args::parse_duration, default_value = "8760h0m0s")]
    legacy_service_account_token_clean_up_period: Duration,
    #[command(flatten)]
    common: CommonArgs,
}

fn main() -> ExitCode {
    let component = Component {
        name: "serviceaccount-controller",
        port: 10257,
    };
    let flags = Args::parse();
    start(component, flags.common, |config| {
        let ca = args::root_ca(config);
        let issuer = flags.service_account_private_key_file.as_deref();
        let issuer = issuer.map(Issuer::open).transpose();
        let issuer = issuer
            .map_err(|error| Misuse(format!("--service-account-private-key-file {error}")))?;
        let period = flags.legacy_service_account_token_clean_up_period;
        let period = SignedDuration::try_from(period).unwrap_or(SignedDuration::MAX);
        Ok(move |runtime: &Runtime| {
            if let Some(issuer) = issuer {
                let controller = TokenController::new(issuer, ca.clone(), runtime.reads());
                runtime.run(controller, WORKERS);
            }
            runtime.run(LegacyTokenCleaner::new(period), WORKERS);
            runtime.run(ServiceAccountController, WORKERS);
            if let Some(ca) = ca {
                runtime.run(RootCaPublisher::new(ca), WORKERS);
            }
            Ok(())
        })
    })
}
