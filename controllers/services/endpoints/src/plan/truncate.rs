//! Upstream: `endpoints_controller.go truncateEndpoints`.

use crate::MAX_ADDRESSES;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset};

/// Leaves [`MAX_ADDRESSES`] over, ready ones first, each subset with its share of the rest; says whether some had to
/// go (`truncateEndpoints`). What is left of a subset are its first addresses: the same ones next time.
pub(crate) fn truncate(subsets: &mut Vec<EndpointSubset>) -> bool {
    let len = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
    let ready: usize = subsets.iter().map(|subset| len(&subset.addresses)).sum();
    let others: usize = subsets
        .iter()
        .map(|subset| len(&subset.not_ready_addresses))
        .sum();
    if ready + others <= MAX_ADDRESSES {
        return false;
    }
    let cut_ready = ready > MAX_ADDRESSES;
    let (room, total) = if cut_ready {
        (MAX_ADDRESSES, ready)
    } else {
        (MAX_ADDRESSES - ready, others)
    };
    let mut left = room;
    for subset in &mut *subsets {
        if cut_ready {
            subset.not_ready_addresses = None;
        }
        let cut = if cut_ready {
            &mut subset.addresses
        } else {
            &mut subset.not_ready_addresses
        };
        let share = (len(cut) * room).div_ceil(total).min(left);
        if let Some(list) = cut {
            list.truncate(share);
        }
        left -= len(cut);
        cut.take_if(|list| list.is_empty());
    }
    subsets.retain(|subset| subset.addresses.is_some() || subset.not_ready_addresses.is_some());
    true
}
