//! Which ranges there are, from upstream's flags
//! (cmd/kube-controller-manager/app/core.go, `newNodeIpamController` and `setNodeCIDRMaskSizes`).

use clap::Args;
use objects::cidr::Cidr;

/// A node's range of IPv6 may be so many bits longer than the cluster's (upstream: `clusterSubnetMaxDiff`).
const V6_BITS: u8 = 16;

/// The flags, with upstream's names and defaults.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Ranges of nodes")]
#[group(id = "ranges")]
pub struct Flags {
    /// Ranges of the pods of the cluster, one or one of each family
    #[arg(long, value_name = "CIDRS")]
    pub cluster_cidr: Option<String>,
    /// Ranges of the Services, which no node gets
    #[arg(long, value_name = "CIDRS")]
    pub service_cluster_ip_range: Option<String>,
    /// Bits of a node's range, where the cluster has one family [default: 24 for IPv4, 64 for IPv6]
    #[arg(
        long,
        value_name = "BITS",
        value_parser = runtime::args::parse_whole::<u8>,
        default_value_t = 0,
        hide_default_value = true
    )]
    pub node_cidr_mask_size: u8,
    /// Bits of a node's range of IPv4 [default: 24]
    #[arg(
        long,
        value_name = "BITS",
        value_parser = runtime::args::parse_whole::<u8>,
        default_value_t = 0,
        hide_default_value = true
    )]
    pub node_cidr_mask_size_ipv4: u8,
    /// Bits of a node's range of IPv6 [default: 64]
    #[arg(
        long,
        value_name = "BITS",
        value_parser = runtime::args::parse_whole::<u8>,
        default_value_t = 0,
        hide_default_value = true
    )]
    pub node_cidr_mask_size_ipv6: u8,
}

/// The ranges, as far as they can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Each range of the cluster with the number of bits of a node's.
    pub(crate) cluster: Vec<(Cidr, u8)>,
    /// What belongs to the Services.
    pub(crate) services: Vec<Cidr>,
}

impl Flags {
    /// What the flags mean.
    ///
    /// # Errors
    /// One sentence that names the flag.
    pub fn options(&self) -> Result<Options, String> {
        let text = self.cluster_cidr.as_deref().unwrap_or_default();
        if text.trim().is_empty() {
            return Err("--cluster-cidr must be given if nodes are to get ranges".to_owned());
        }
        let cluster = ranges("--cluster-cidr", text)?;
        let services = match self.service_cluster_ip_range.as_deref() {
            None | Some("") => Vec::new(),
            Some(text) => ranges("--service-cluster-ip-range", text)?,
        };
        let bits = self.bits(&cluster)?;
        for (range, bits) in cluster.iter().zip(&bits) {
            check(*range, *bits)?;
        }
        Ok(Options {
            cluster: cluster.into_iter().zip(bits).collect(),
            services,
        })
    }

    fn bits(&self, cluster: &[Cidr]) -> Result<Vec<u8>, String> {
        let (any, v4, v6) = (
            self.node_cidr_mask_size,
            self.node_cidr_mask_size_ipv4,
            self.node_cidr_mask_size_ipv6,
        );
        let or = |bits: u8, default: u8| if bits == 0 { default } else { bits };
        if let [one] = cluster {
            if any != 0 && (v4 != 0 || v6 != 0) {
                return Err("--node-cidr-mask-size cannot be given together with --node-cidr-mask-size-ipv4 or -ipv6".to_owned());
            }
            let (wrong, name) = if one.is_v6() {
                (v4, "ipv4")
            } else {
                (v6, "ipv6")
            };
            if wrong != 0 {
                return Err(format!(
                    "--node-cidr-mask-size-{name}: --cluster-cidr has no range of that family"
                ));
            }
            let own = if one.is_v6() { or(v6, 64) } else { or(v4, 24) };
            return Ok(vec![or(any, own)]);
        }
        if any != 0 {
            return Err("--node-cidr-mask-size cannot be given with two ranges of --cluster-cidr: there are --node-cidr-mask-size-ipv4 and -ipv6".to_owned());
        }
        let bits = cluster.iter();
        Ok(bits
            .map(|range| {
                if range.is_v6() {
                    or(v6, 64)
                } else {
                    or(v4, 24)
                }
            })
            .collect())
    }
}

fn check(range: Cidr, bits: u8) -> Result<(), String> {
    let prefix = range.prefix();
    if bits > range.width() {
        return Err(format!(
            "--node-cidr-mask-size: an address of {range} has no {bits} bits"
        ));
    }
    if bits < prefix {
        return Err(format!(
            "--cluster-cidr {range}: a node's range of /{bits} does not fit in it"
        ));
    }
    if range.is_v6() && bits - prefix > V6_BITS {
        return Err(format!(
            "--cluster-cidr {range}: a node's range of /{bits} is more than {V6_BITS} bits longer; make one of the two nearer the other"
        ));
    }
    Ok(())
}

/// One range, or one of each family.
fn ranges(flag: &str, text: &str) -> Result<Vec<Cidr>, String> {
    let read = |part: &str| {
        let part = part.trim();
        part.parse()
            .map_err(|error| format!("{flag}: {part:?} is {error}"))
    };
    let ranges: Vec<Cidr> = text.trim().split(',').map(read).collect::<Result<_, _>>()?;
    match ranges.as_slice() {
        [_] => Ok(ranges),
        [one, other] if one.is_v6() != other.is_v6() => Ok(ranges),
        _ => Err(format!(
            "{flag}: one range, or one of each family, and not {text}"
        )),
    }
}

#[cfg(test)]
mod tests;
