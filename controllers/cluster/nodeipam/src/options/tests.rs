use super::*;

fn read(cluster: &str, services: &str, [any, v4, v6]: [u8; 3]) -> Result<String, String> {
    let flags = Flags {
        cluster_cidr: Some(cluster.to_owned()),
        service_cluster_ip_range: Some(services.to_owned()),
        node_cidr_mask_size: any,
        node_cidr_mask_size_ipv4: v4,
        node_cidr_mask_size_ipv6: v6,
    };
    let options = flags.options()?;
    let ranges = options.cluster.iter();
    let ranges: Vec<_> = ranges
        .map(|(range, bits)| format!("{range}→{bits}"))
        .collect();
    Ok(ranges.join(" "))
}

#[test]
fn the_flags_mean_what_upstreams_mean() {
    for (cluster, bits, expected) in [
        ("10.244.0.0/16", [0, 0, 0], "10.244.0.0/16→24"),
        ("10.244.0.0/16", [26, 0, 0], "10.244.0.0/16→26"),
        ("10.244.0.0/16", [0, 25, 0], "10.244.0.0/16→25"),
        ("fd00:10:244::/56", [0, 0, 0], "fd00:10:244::/56→64"),
        (
            "fd00::/48,10.0.0.0/8",
            [0, 0, 0],
            "fd00::/48→64 10.0.0.0/8→24",
        ),
        (
            "10.0.0.0/8, fd00::/56",
            [0, 22, 62],
            "10.0.0.0/8→22 fd00::/56→62",
        ),
        ("10.244.0.0/24", [0, 0, 0], "10.244.0.0/24→24"),
    ] {
        assert_eq!(
            read(cluster, "10.96.0.0/16", bits).as_deref(),
            Ok(expected),
            "{cluster}"
        );
    }
}

#[test]
fn what_cannot_be_is_told_with_its_flag() {
    for (cluster, services, bits, part) in [
        ("", "", [0; 3], "--cluster-cidr must be given"),
        (
            "10.244.0.0",
            "",
            [0; 3],
            "--cluster-cidr: \"10.244.0.0\" is not a range",
        ),
        (
            "10.0.0.0/16,10.1.0.0/16",
            "",
            [0; 3],
            "--cluster-cidr: one range, or one of each family",
        ),
        (
            "10.0.0.0/16",
            "x",
            [0; 3],
            "--service-cluster-ip-range: \"x\"",
        ),
        (
            "10.0.0.0/16",
            "10.1.0.0/16,10.2.0.0/16",
            [0; 3],
            "--service-cluster-ip-range: one range",
        ),
        ("10.0.0.0/26", "", [0; 3], "does not fit"),
        ("10.0.0.0/16", "", [33, 0, 0], "no 33 bits"),
        ("10.0.0.0/16", "", [24, 24, 0], "cannot be given together"),
        ("10.0.0.0/16", "", [0, 0, 64], "--node-cidr-mask-size-ipv6"),
        ("fd00::/56", "", [0, 24, 0], "--node-cidr-mask-size-ipv4"),
        (
            "10.0.0.0/16,fd00::/56",
            "",
            [24, 0, 0],
            "--node-cidr-mask-size cannot be given",
        ),
        ("fd00::/40", "", [0; 3], "more than 16 bits"),
    ] {
        let error = read(cluster, services, bits).err().unwrap_or_default();
        assert!(error.contains(part), "{cluster} {bits:?}: {error}");
    }
}
