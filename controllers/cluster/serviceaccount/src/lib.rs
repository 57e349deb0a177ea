//! serviceaccount
