//! scheduler
pub mod cluster;
pub mod decide;
pub mod diagnosis;
pub mod plugin;
pub mod plugins;
pub mod snapshot;
