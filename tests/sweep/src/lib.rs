//! Every write and every watch event of every scenario, made to fail.
