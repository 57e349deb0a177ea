//! What a Service uses (upstream: `pkg/quota/v1/evaluator/core/services.go`).

use k8s_openapi::api::core::v1::Service;
use objects::Quantity;

const COUNT: &str = "count/services";
const NODE_PORTS: &str = "services.nodeports";
const BALANCERS: &str = "services.loadbalancers";

/// Whether Services are charged for it.
pub(crate) fn counts(name: &str) -> bool {
    matches!(name, COUNT | "services" | NODE_PORTS | BALANCERS)
}

/// All that a Service uses.
pub(crate) fn each(service: &Service, mut add: impl FnMut(&str, Quantity)) {
    let (ports, balancers) = special(service);
    add(COUNT, Quantity::from_units(1));
    add("services", Quantity::from_units(1));
    add(NODE_PORTS, Quantity::from_units(ports));
    add(BALANCERS, Quantity::from_units(balancers));
}

/// Node ports and load balancers. What has not been allocated yet counts too.
fn special(service: &Service) -> (i64, i64) {
    let Some(spec) = &service.spec else {
        return (0, 0);
    };
    let ports = spec.ports.iter().flatten();
    match spec.type_.as_deref() {
        Some("NodePort") => (ports.count() as i64, 0),
        Some("LoadBalancer") if spec.allocate_load_balancer_node_ports == Some(false) => {
            let chosen = ports.filter(|port| port.node_port.is_some_and(|n| n != 0));
            (chosen.count() as i64, 1)
        }
        Some("LoadBalancer") => (ports.count() as i64, 1),
        _ => (0, 0),
    }
}

/// Whether it counts for something else now.
pub(crate) fn differs(old: &Service, new: &Service) -> bool {
    special(old) != special(new)
}
