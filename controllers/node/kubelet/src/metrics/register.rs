//! Tells the API server where metrics are served: an APIService and the Service that it names.
//!
//! The Service is an ExternalName `localhost`: an EndpointSlice may not hold loopback addresses, and the
//! API server dials such a name as it stands (upstream: k8s.io/apiserver/pkg/util/proxy, `ResolveCluster`).

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceSpec, ServiceReference,
};
use objects::meta;
use plan::{Action, Reference};
use runtime::{Executor, ReadError, Runtime};
use std::collections::BTreeMap;

const COMPONENT: &str = "metrics-server";
const NAMESPACE: &str = "kube-system";
const SERVICE: &str = "hollow-metrics";
const API: &str = "v1beta1.metrics.k8s.io";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Where metrics are served.
#[derive(Clone, Debug)]
pub struct Place {
    /// On loopback.
    pub port: u16,
    /// What the server shows, PEM.
    pub certificate: String,
}

/// The name that the API server expects in the certificate.
pub(super) fn host() -> String {
    format!("{SERVICE}.{NAMESPACE}.svc")
}

/// Makes the API server send what is asked of `metrics.k8s.io` to `place`.
///
/// # Errors
/// It refused, or gave no answer.
pub async fn register(runtime: &Runtime, place: &Place) -> Result<(), String> {
    let (reads, executor) = (runtime.reads(), runtime.executor(COMPONENT));
    let wanted = api(place);
    let path = Reference::to(&wanted).path();
    let found: Result<APIService, ReadError> = reads.get(&path).await;
    let action = match found {
        Err(error) if error.not_found => Action::create(wanted),
        Err(error) => return Err(error.message),
        Ok(found) if meta::label(&found.metadata, MANAGED_BY) != Some("corten") => {
            tracing::info!("{API} is served by somebody else");
            return Ok(());
        }
        Ok(found) => Action::replace(APIService {
            spec: wanted.spec,
            ..found
        }),
    };
    let service = service();
    let path = Reference::to(&service).path();
    let found: Result<Service, ReadError> = reads.get(&path).await;
    match found {
        Ok(_) => {}
        Err(error) if error.not_found => run(&executor, &Action::create(service)).await?,
        Err(error) => return Err(error.message),
    }
    run(&executor, &action).await
}

async fn run(executor: &Executor, action: &Action) -> Result<(), String> {
    let done = executor.run(action).await;
    done.map(drop).map_err(|failure| failure.message)
}

fn labels() -> BTreeMap<String, String> {
    [(MANAGED_BY.to_owned(), "corten".to_owned())].into()
}

fn service() -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(SERVICE.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(labels()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some("ExternalName".to_owned()),
            external_name: Some("localhost".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn api(place: &Place) -> APIService {
    APIService {
        metadata: ObjectMeta {
            name: Some(API.to_owned()),
            labels: Some(labels()),
            ..ObjectMeta::default()
        },
        spec: Some(APIServiceSpec {
            group: Some("metrics.k8s.io".to_owned()),
            version: Some("v1beta1".to_owned()),
            // metrics-server's.
            group_priority_minimum: 100,
            version_priority: 100,
            ca_bundle: Some(ByteString(place.certificate.clone().into_bytes())),
            service: Some(ServiceReference {
                name: Some(SERVICE.to_owned()),
                namespace: Some(NAMESPACE.to_owned()),
                port: Some(i32::from(place.port)),
            }),
            ..APIServiceSpec::default()
        }),
        status: None,
    }
}
