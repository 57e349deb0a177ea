//! replicaset
